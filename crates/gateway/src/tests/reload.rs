//! Changes in the mesh directory while the gateway runs.

use std::fs;
use std::time::{Duration, Instant};

use super::fixture::{CONTRACT, Fixture, POLICIES, config, fixture, fixture_with, mesh, users};
use crate::config::Span;
use crate::{ErrorKind, Gateway, check, policy_tests};

const COUNT: &str = "SELECT count(*) AS n FROM orders.order_events";

async fn count(f: &Fixture) -> Result<String, ErrorKind> {
    let rows = f.rows(&f.session("ana"), COUNT).await.map_err(|error| error.kind)?;
    let column = datafusion::arrow::util::display::array_value_to_string(rows[0].column(0), 0);
    Ok(column.unwrap())
}

fn codes(f: &Fixture) -> Vec<&'static str> {
    f.gateway.findings().into_iter().filter(|finding| finding.is_error()).map(|finding| finding.code).collect()
}

#[tokio::test]
async fn a_bad_set_of_policies_never_replaces_a_good_one_and_says_why() {
    let f = fixture().await;
    let good = f.gateway.policy_version();
    assert_eq!(count(&f).await.unwrap(), "2");
    // The forbid that was meant has a slip; without it, what was permitted stays permitted.
    let slip = "@id(\"stop\") forbid (principal, action == Action::\"qery\", resource);";
    f.write("policies/stop.cedar", slip);
    assert!(!f.gateway.reload().await);
    assert_eq!(f.gateway.policy_version(), good);
    assert!(codes(&f).contains(&"mesh-not-reloaded"), "{:?}", f.gateway.findings());
    assert!(f.gateway.findings().iter().any(|finding| finding.position.file.as_ref() == "policies/stop.cedar"));
    assert_eq!(count(&f).await.unwrap(), "2");
    let shown = f.text(&f.session("petra"), "SELECT code FROM system.findings WHERE file = 'policies'").await;
    assert!(shown.contains("mesh-not-reloaded"), "{shown}");

    f.write("policies/stop.cedar", &slip.replace("qery", "query"));
    assert!(f.gateway.reload().await);
    assert_ne!(f.gateway.policy_version(), good);
    assert_eq!(count(&f).await.unwrap_err(), ErrorKind::PermissionDenied);
    assert_eq!(codes(&f), Vec::<&str>::new());

    fs::remove_file(f.dir.path().join("policies/stop.cedar")).unwrap();
    assert!(f.gateway.reload().await);
    assert_eq!(f.gateway.policy_version(), good);
    assert_eq!(count(&f).await.unwrap(), "2");
}

#[tokio::test]
async fn the_last_policy_removed_closes_the_gate() {
    let f = fixture().await;
    fs::remove_file(f.dir.path().join("policies/all.cedar")).unwrap();
    assert!(f.gateway.reload().await);
    assert_eq!(count(&f).await.unwrap_err(), ErrorKind::NotFound);
    assert!(f.gateway.visible_tables(&f.session("ana")).unwrap().is_empty());
    f.write("policies/all.cedar", POLICIES);
    f.gateway.reload().await;
    assert_eq!(count(&f).await.unwrap(), "2");
}

#[tokio::test]
async fn a_policy_directory_that_is_gone_closes_the_gate() {
    let f = fixture().await;
    let session = f.session("ana");
    fs::remove_dir_all(f.dir.path().join("policies")).unwrap();
    f.gateway.reload().await;
    let error = f.error(&session, COUNT).await;
    assert!(matches!(error.kind, ErrorKind::NotFound | ErrorKind::Unauthenticated), "{error}");
}

#[tokio::test]
async fn a_policy_directory_that_cannot_be_listed_closes_the_gate() {
    let f = fixture().await;
    let session = f.session("ana");
    assert_eq!(count(&f).await.unwrap(), "2");
    fs::rename(f.dir.path().join("policies"), f.dir.path().join("aside")).unwrap();
    f.write("policies", "not a directory");
    assert!(f.gateway.reload().await);
    assert!(codes(&f).contains(&"mesh-unreadable"), "{:?}", f.gateway.findings());
    let error = f.error(&session, COUNT).await;
    assert!(matches!(error.kind, ErrorKind::NotFound | ErrorKind::Unauthenticated), "{error}");
    assert!(Gateway::open(f.dir.path(), config_with_own_journal()).await.is_err(), "nor does one start");
    fs::remove_file(f.dir.path().join("policies")).unwrap();
    fs::rename(f.dir.path().join("aside"), f.dir.path().join("policies")).unwrap();
    assert!(f.gateway.reload().await);
    assert_eq!(count(&f).await.unwrap(), "2");
}

#[tokio::test]
async fn a_policy_file_that_cannot_be_read_is_not_passed_over() {
    let f = fixture().await;
    fs::write(f.dir.path().join("policies/stop.cedar"), [0xff, 0xfe, 0x00]).unwrap();
    f.gateway.reload().await;
    assert!(codes(&f).contains(&"mesh-unreadable"), "{:?}", f.gateway.findings());
    assert!(codes(&f).contains(&"mesh-not-reloaded"));
}

#[tokio::test]
async fn users_are_taken_up_while_policies_are_broken_and_broken_users_are_not() {
    let f = fixture().await;
    f.write("policies/stop.cedar", "forbid");
    f.write("users.yaml", &users().replacen("  nina:", "  tina:", 1));
    f.gateway.reload().await;
    assert!(f.gateway.local_session("nina").is_err());
    assert!(f.gateway.local_session("tina").is_ok());
    f.write("users.yaml", "users: {ana: [");
    f.gateway.reload().await;
    assert!(codes(&f).contains(&"users-syntax"), "{:?}", f.gateway.findings());
    assert!(f.gateway.local_session("tina").is_ok());
    fs::remove_file(f.dir.path().join("users.yaml")).unwrap();
    f.gateway.reload().await;
    assert!(codes(&f).contains(&"users-missing"));
    assert!(f.gateway.local_session("tina").is_err());
}

#[tokio::test]
async fn a_user_with_a_mistake_is_left_out_alone() {
    let f = fixture().await;
    let cases = [
        ("{groups: [reders]}", "users-principal", "group `reders` is not in"),
        ("{attributes: {level: high}}", "users-principal", "attribute `level` must be a long"),
        ("{attributes: {colour: red}}", "users-principal", "attribute `colour` is not in"),
        ("{attributes: {level: {a: b}}}", "users-bad-value", "attribute `level`"),
        ("{password: hunter2}", "users-password", "not an argon2 PHC string"),
        ("{pasword: x}", "users-unknown-key", "unknown key `pasword`"),
    ];
    for (entry, code, text) in cases {
        f.write("users.yaml", &format!("{}  eve: {entry}\n", users()));
        f.gateway.reload().await;
        let found = f.gateway.findings();
        let finding = found.iter().find(|finding| finding.code == code).unwrap_or_else(|| panic!("{entry}: {found:?}"));
        assert!(finding.message.contains(text), "{finding}");
        assert!(!finding.to_string().contains("hunter2"), "{finding}");
        assert_eq!(finding.position.file.as_ref(), "users.yaml");
        assert!(f.gateway.local_session("ana").is_ok());
        if code != "users-unknown-key" {
            assert!(f.gateway.local_session("eve").is_err(), "{entry}");
        }
    }
    f.write("users.yaml", &format!("{}  eve: {{attributes: {{level: 3, team: 007}}}}\n", users()));
    f.gateway.reload().await;
    assert!(f.gateway.local_session("eve").is_ok(), "{:?}", f.gateway.findings());
}

#[tokio::test]
async fn a_broken_contract_takes_out_only_itself() {
    let f = fixture().await;
    f.write(
        "catalogs/orders/broken.yaml",
        &CONTRACT.replace("name: order_events", "name: broken").replace("long", "lnog"),
    );
    f.gateway.reload().await;
    assert_eq!(count(&f).await.unwrap(), "2");
    assert!(f.gateway.findings().iter().any(|f| f.position.file.as_ref() == "catalogs/orders/broken.yaml"));
    assert_eq!(f.error(&f.session("ana"), "SELECT * FROM orders.broken").await.kind, ErrorKind::NotFound);
}

#[tokio::test]
async fn policies_that_do_not_compile_keep_the_gateway_from_starting() {
    let dir = mesh();
    fs::write(dir.path().join("policies/bad.cedar"), "permit (principal, action, resource);").unwrap();
    let error = Gateway::open(dir.path(), config()).await.err().unwrap();
    assert_eq!(error.kind, ErrorKind::InvalidArgument);
    assert!(error.findings.iter().any(|finding| finding.position.file.as_ref() == "policies/bad.cedar"), "{error:?}");
    assert!(check(dir.path()).iter().any(|finding| finding.is_error()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changed_files_are_taken_up_by_themselves() {
    let mut config = config();
    config.catalogue.watch = true;
    config.catalogue.watch_delay = Span::millis(30);
    let f = fixture_with(config).await;
    let wait = async |wanted: &dyn Fn() -> bool| {
        let began = Instant::now();
        while !wanted() && began.elapsed() < Duration::from_secs(10) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        wanted()
    };
    let first = f.gateway.policy_version();
    f.write("policies/more/new.cedar", "@id(\"new\") forbid (principal == User::\"bob\", action, resource);");
    assert!(wait(&|| f.gateway.policy_version() != first).await, "a new policy");
    f.write("users.yaml", "users: {}");
    assert!(wait(&|| f.gateway.users().is_empty()).await, "no users any more");
    fs::remove_dir_all(f.dir.path().join("policies")).unwrap();
    let second = f.gateway.policy_version();
    assert!(wait(&|| f.gateway.policy_version() != second || f.gateway.purposes().is_empty()).await, "no policies");
    f.write("policies/vocabulary.yaml", super::fixture::VOCABULARY);
    assert!(wait(&|| !f.gateway.purposes().is_empty()).await, "the directory is back");
}

#[test]
fn check_finds_nothing_in_a_sound_mesh_and_runs_the_policy_tests() {
    let dir = mesh();
    assert_eq!(check(dir.path()).iter().filter(|finding| finding.is_error()).count(), 0);
    let test = |hidden: &str| {
        let expected = format!("expect: {{columns: {{customer_id: {hidden}}}}}");
        format!("tests:\n  - {{name: t, as: ana, table: orders.order_events, {expected}}}\n")
    };
    super::fixture::write(dir.path(), "policies/tests/a.yaml", &test("hash"));
    let outcome = policy_tests(dir.path());
    assert_eq!((outcome.passed(), outcome.failed(), outcome.findings.len()), (1, 0, 0), "{outcome:?}");
    super::fixture::write(dir.path(), "policies/tests/a.yaml", &test("clear"));
    let outcome = policy_tests(dir.path());
    assert_eq!((outcome.passed(), outcome.failed()), (0, 1));
    assert!(check(dir.path()).iter().any(|finding| finding.code == "policy-test"));
    super::fixture::write(dir.path(), "portcullis.toml", "[lisen]");
    assert_eq!(check(dir.path())[0].code, "config");
}

/// Another product beside `orders.order_events`, without data: it can be found.
const OTHER: (&str, &str) = (
    "catalogs/orders/returns.yaml",
    "apiVersion: datamesh.io/v1\nkind: DataProduct\nmetadata: {name: returns, domain: orders, version: 1}\noutputPorts:\n  \
     - {name: table, type: delta-table, connection: lake, table: orders.returns}\nschema:\n  fields:\n    \
     - {name: reason, type: string}\n",
);
const NAMES_IT: &str = "@id(\"no-returns\") forbid (principal, action == Action::\"readRow\", resource in Table::\"orders.returns\") when { resource has reason && resource.reason == \"x\" };\n@id(\"returns\") permit (principal, action == Action::\"readRow\", resource is Row::orders_returns);";

/// A second gateway on the same mesh keeps a journal of its own.
fn config_with_own_journal() -> crate::Config {
    let mut config = config();
    config.audit.dir = "second-audit".into();
    config
}

fn tables(f: &Fixture) -> Vec<String> {
    let visible = f.gateway.visible_tables(&f.session("ana")).unwrap();
    visible.into_iter().map(|table| table.table).collect()
}

#[tokio::test]
async fn a_broken_contract_that_policies_name_takes_out_only_itself() {
    let f = fixture().await;
    f.write(OTHER.0, OTHER.1);
    f.write("policies/returns.cedar", NAMES_IT);
    f.write("policies/tests/returns.yaml", "tests:\n  - {name: t, as: ana, table: orders.returns, expect: {}}\n");
    assert!(f.gateway.reload().await);
    assert_eq!(tables(&f), ["order_events", "returns"]);
    assert_eq!(codes(&f), Vec::<&str>::new());

    for broken in [OTHER.1.replace("schema:", "schema: ["), OTHER.1.replace("schema:", "shcema:")] {
        f.write(OTHER.0, &broken);
        assert!(f.gateway.reload().await, "{:?}", f.gateway.findings());
        assert_eq!(tables(&f), ["order_events"]);
        assert_eq!(count(&f).await.unwrap(), "2");
        let error = f.error(&f.session("ana"), "SELECT * FROM orders.returns").await;
        assert_eq!(error.kind, ErrorKind::NotFound);
        assert!(codes(&f).iter().all(|code| code.starts_with("contract-")), "{:?}", f.gateway.findings());
        let shown = f.text(&f.session("petra"), "SELECT file, level, code FROM system.findings").await;
        assert!(shown.contains("policy-names-withheld") && shown.contains(OTHER.0), "{shown}");
        let checked = check(f.dir.path());
        assert!(checked.iter().filter(|finding| finding.is_error()).all(|finding| &*finding.position.file == OTHER.0));
        assert!(checked.iter().any(|finding| finding.code == "policy-test-skipped"), "{checked:?}");
        // A start finds the same as a reload.
        let second = Gateway::open(f.dir.path(), config_with_own_journal()).await.unwrap();
        assert_eq!(second.findings(), f.gateway.findings());
        second.shutdown().await;
    }

    f.write(OTHER.0, OTHER.1);
    assert!(f.gateway.reload().await);
    assert_eq!(tables(&f), ["order_events", "returns"]);
    assert_eq!(codes(&f), Vec::<&str>::new());
}

#[tokio::test]
async fn a_contract_file_that_cannot_be_read_takes_out_only_itself() {
    let f = fixture().await;
    f.write(OTHER.0, OTHER.1);
    f.write("policies/returns.cedar", NAMES_IT);
    fs::write(f.dir.path().join(OTHER.0), [0xff, 0xfe, 0x00]).unwrap();
    assert!(f.gateway.reload().await);
    assert_eq!(codes(&f), ["mesh-unreadable"]);
    assert_eq!(tables(&f), ["order_events"]);
    assert_eq!(count(&f).await.unwrap(), "2");
}

#[tokio::test]
async fn limits_of_single_statements_are_taken_up_and_a_wrong_file_changes_nothing() {
    let f = fixture().await;
    let ana = f.session("ana");
    let two = "SELECT order_id FROM orders.order_events";
    assert!(f.rows(&ana, two).await.is_ok());
    f.write("portcullis.toml", "[limits]\nrows = 1\n");
    assert!(f.gateway.reload().await);
    assert_eq!(f.error(&ana, two).await.limit, Some("rows"));
    assert!(!f.gateway.reload().await, "nothing has changed since");
    for wrong in ["[limits]\nrows = 2\nrow = 3\n", "[limits"] {
        f.write("portcullis.toml", wrong);
        assert!(!f.gateway.reload().await);
        assert_eq!(f.error(&ana, two).await.limit, Some("rows"), "{wrong}");
    }
    assert!(f.gateway.metrics_text().contains("portcullis_reloads_refused_total 2\n"));
    f.write("portcullis.toml", "");
    assert!(f.gateway.reload().await);
    assert!(f.rows(&ana, two).await.is_ok());
}
