//! Bad input, each with its exact message: files of the mesh directory, statements, credentials.

use std::path::Path;

use portcullis_contract::Level;
use portcullis_gateway::ErrorKind;

use crate::support::{self, block_on, copy_of_mesh, open, session};

/// The errors and warnings after one file of the demo mesh was changed.
fn findings(change: impl FnOnce(&Path)) -> Vec<String> {
    let mesh = copy_of_mesh();
    change(mesh.path());
    let found = portcullis_gateway::check(mesh.path());
    found.iter().filter(|finding| finding.level <= Level::Warning).map(ToString::to_string).collect()
}

fn edit(mesh: &Path, file: &str, from: &str, to: &str) {
    let path = mesh.join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{file} has `{from}`");
    std::fs::write(path, text.replacen(from, to, 1)).unwrap();
}

/// One changed file and the findings that follow, written as one reviewed text.
fn described(name: &str, change: impl FnOnce(&Path)) -> String {
    let lines = findings(change);
    format!("## {name}\n{}\n", if lines.is_empty() { "nothing".to_string() } else { lines.join("\n") })
}

#[test]
fn broken_files_are_named_with_line_and_hint() {
    const EVENTS: &str = "catalogs/orders/order_events.yaml";
    const READERS: &str = "policies/readers.cedar";
    let mut text = String::new();
    text += &described("the demo as it is", |_| {});
    text += &described("broken YAML", |mesh| edit(mesh, EVENTS, "metadata:", "metadata: ["));
    text += &described("unknown key", |mesh| edit(mesh, EVENTS, "  domain:", "  domian:"));
    text += &described("duplicate table", |mesh| {
        std::fs::copy(mesh.join(EVENTS), mesh.join("catalogs/orders/again.yaml")).unwrap();
    });
    text += &described("missing location", |mesh| edit(mesh, EVENTS, "    table: orders.order_events\n", ""));
    text += &described("unknown connection", |mesh| edit(mesh, EVENTS, "connection: lake", "connection: lakes"));
    text += &described("a place outside of every connection", |mesh| {
        edit(mesh, EVENTS, "    connection: lake\n    table: orders.order_events\n", "    location: file:///etc\n");
    });
    text += &described("wrong type", |mesh| edit(mesh, EVENTS, "type: decimal(12,2)", "type: decimel(12,2)"));
    text += &described("a mask that cannot keep the type", |mesh| {
        edit(
            mesh,
            "catalogs/customers/customer_profiles.yaml",
            "type: date, pii: true, masking: partial",
            "type: date, pii: true, masking: hash",
        );
    });
    text += &described("unparsable policy", |mesh| edit(mesh, READERS, "permit (", "permitt ("));
    text += &described("ill-typed policy", |mesh| {
        edit(mesh, READERS, "resource.segment == \"partner\"", "resource.segment == 1")
    });
    text += &described("an attribute no contract has", |mesh| {
        edit(mesh, READERS, "resource has segment && resource.segment", "resource has sgement && resource.sgement");
    });
    text += &described("missing @id", |mesh| edit(mesh, READERS, "@id(\"readers-query\")\n", ""));
    text += &described("unknown group", |mesh| edit(mesh, READERS, "Group::\"readers\"", "Group::\"reeders\""));
    text += &described("unknown group of a user", |mesh| edit(mesh, "users.yaml", "[eu_analysts]", "[eu_analists]"));
    text += &described("unknown key of the configuration", |mesh| edit(mesh, "portcullis.toml", "memory =", "memry ="));
    text += &described("a failed policy test", |mesh| {
        edit(mesh, "policies/tests/demo.yaml", "filter: region = 'EU'\n", "filter: region = 'US'\n");
    });
    reviewed("bad_files.txt", &text);
}

#[test]
fn wrong_statements_and_credentials_say_what_is_wrong() {
    let gateway = support::gateway();
    let ana = session(&gateway, "ana", None);
    let mut text = String::new();
    let mut ask = |name: &str, sql: &str| {
        let error = block_on(support::rows(&gateway, &ana, sql)).unwrap_err();
        text += &format!("## {name}\n{}: {}\n", error.kind, error.message);
    };
    ask("bad SQL", "SELEC 1");
    ask("unfinished SQL", "SELECT count( FROM orders.order_events");
    ask("two statements", "SELECT 1; SELECT 2");
    ask("a type error", "SELECT order_id + event_ts FROM orders.order_events");
    ask("oversized statement", &format!("SELECT '{}'", "x".repeat(2 << 20)));
    ask("a statement too deep", &format!("SELECT {}1{}", "(".repeat(2_000), ")".repeat(2_000)));
    let mut login = |name: &str, user: &str, password: &str| {
        let error = block_on(gateway.login(user, password, None)).unwrap_err();
        text += &format!("## {name}\n{}: {}\n", error.kind, error.message);
    };
    login("wrong password", "ana", "anna");
    login("unknown user", "nobody", "nobody");
    login("empty password", "ana", "");
    let token = gateway.issue_token(&block_on(gateway.login("ana", "ana", None)).unwrap()).unwrap();
    for (name, token) in [("a token cut short", &token[..token.len() - 3]), ("no token at all", "x")] {
        let error = block_on(gateway.bearer_session(token, None)).unwrap_err();
        text += &format!("## {name}\n{}: {}\n", error.kind, error.message);
    }
    let unknown = gateway.local_session("nobody").unwrap_err();
    text += &format!("## unknown user of the command line\n{}: {}\n", unknown.kind, unknown.message);
    reviewed("bad_requests.txt", &text);
}

#[test]
fn an_expired_token_is_refused() {
    let mesh = copy_of_mesh();
    edit(mesh.path(), "portcullis.toml", "token_lifetime = \"12h\"", "token_lifetime = \"1s\"");
    let gateway = block_on(open(mesh.path())).unwrap();
    let token = gateway.issue_token(&block_on(gateway.login("ana", "ana", None)).unwrap()).unwrap();
    assert!(block_on(gateway.bearer_session(&token, None)).is_ok());
    std::thread::sleep(std::time::Duration::from_millis(2_100));
    let error = block_on(gateway.bearer_session(&token, None)).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unauthenticated);
    assert_eq!(error.message, "the token has expired: log in again");
    block_on(gateway.shutdown());
}

/// A column that the contract declares and the table lacks withholds that product, and only that.
#[test]
fn a_contract_that_does_not_fit_its_table_withholds_only_its_product() {
    let mesh = copy_of_mesh();
    let file = "catalogs/inventory/product_catalog.yaml";
    edit(mesh.path(), file, "      - {name: category, type: string}", "      - {name: categry, type: string}");
    let gateway = block_on(open(mesh.path())).unwrap();
    let ana = session(&gateway, "ana", None);
    let error = block_on(support::rows(&gateway, &ana, "SELECT count(*) FROM inventory.product_catalog")).unwrap_err();
    assert_eq!(
        error.message,
        "table `inventory.product_catalog` is withheld: the contract declares a column `categry` that the table does not have"
    );
    let (_, rows) = block_on(support::rows(&gateway, &ana, "SELECT count(*) FROM orders.order_events")).unwrap();
    assert_eq!(rows.len(), 1);
    block_on(gateway.shutdown());
}

/// A broken contract takes only itself out, though policies name its table and its columns.
#[test]
fn a_broken_contract_takes_only_itself_out() {
    const FILE: &str = "catalogs/orders/order_events.yaml";
    let mesh = copy_of_mesh();
    edit(mesh.path(), FILE, "metadata:", "metadata: [");
    let gateway = block_on(open(mesh.path())).unwrap();
    let ana = session(&gateway, "ana", None);
    let gone = block_on(support::rows(&gateway, &ana, "SELECT 1 FROM orders.order_events")).unwrap_err();
    assert_eq!(gone.kind, ErrorKind::NotFound);
    for table in ["inventory.product_catalog", "orders.customer_orders_v1", "customers.customer_profiles"] {
        assert!(block_on(support::rows(&gateway, &ana, &format!("SELECT 1 FROM {table} LIMIT 1"))).is_ok(), "{table}");
    }
    let findings = gateway.findings();
    assert!(findings.iter().filter(|finding| finding.is_error()).all(|finding| &*finding.position.file == FILE));
    let named = findings.iter().find(|finding| finding.code == "policy-names-withheld").unwrap();
    assert_eq!(&*named.position.file, "policies/data_scientists.cedar");
    block_on(gateway.shutdown());
}

/// Compares with a text under review; `PORTCULLIS_SLT_COMPLETE=1` writes it.
fn reviewed(name: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("expected").join(name);
    if std::env::var_os("PORTCULLIS_SLT_COMPLETE").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, found).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, expected, "{} differs", path.display());
}
