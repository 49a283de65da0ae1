use super::*;
use crate::finding::Level;
use crate::model::SourcePath;

const CONNECTIONS: &str = "connections:
  lake: {type: directory, url: .portcullis/lake}
  inner: {type: directory, url: .portcullis/lake/inner}
  gold: {type: directory, url: s3://gold/tables}
  polaris: {type: iceberg-rest, uri: https://catalog.example.com}
  broken: {type: directory}
";

fn contract(path: &str, name: &str, version: &str, more: &str, port: &str) -> SourceFile {
    let domain = path.split('/').nth(1).unwrap_or("d");
    let text = format!(
        "apiVersion: datamesh.io/v1\nkind: DataProduct\nmetadata: {{name: {name}, domain: {domain}, version: {version}{more}}}\n\
         schema: {{fields: [{{name: id, type: string, primary_key: true}}, {{name: n, type: int}}]}}\noutputPorts:\n  {port}\n"
    );
    SourceFile::new(path, text)
}

const PORT: &str = "- {name: table, type: delta-table, connection: lake, table: a.b}";

fn catalogue(contracts: &[SourceFile]) -> Catalogue {
    Catalogue::build(contracts, Some(&SourceFile::new("catalogs/connections.yaml", CONNECTIONS)))
}

/// Tables (name, aliases, place) and findings, one on each line; the broken connection's own finding is left out.
fn check(contracts: &[SourceFile], expected: &str) {
    let catalogue = catalogue(contracts);
    let mut shown: Vec<String> = Vec::new();
    for table in catalogue.tables() {
        let (SourcePath::Url(path) | SourcePath::Table(path)) = &table.source.path;
        let aliases = table.aliases.iter().map(|alias| format!(" = {alias}")).collect::<String>();
        shown.push(format!("{}{aliases} at {} {path}", table.name, table.source.connection.name));
        for alias in &table.aliases {
            assert_eq!(catalogue.resolve(&table.name.domain, alias), Some(table));
        }
    }
    let own = catalogue.findings().iter().filter(|finding| &*finding.position.file != "catalogs/connections.yaml");
    shown.extend(own.map(ToString::to_string));
    let expected: Vec<&str> = expected.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    assert_eq!(shown, expected);
}

/// One contract with this output port.
fn check_port(port: &str, expected: &str) {
    check(
        &[contract("catalogs/d/x.yaml", "x", "1", "", &format!("- {{name: p, type: iceberg-table, {port}}}"))],
        expected,
    );
}

#[test]
fn places() {
    check_port("connection: lake, table: d.x", "d.x = x_v1 at lake .portcullis/lake/d/x");
    check_port("connection: polaris, table: d.x", "d.x = x_v1 at polaris d.x");
    check_port("location: ./.portcullis/lake/d/x/", "d.x = x_v1 at lake .portcullis/lake/d/x");
    check_port("location: .portcullis/lake/inner/x", "d.x = x_v1 at inner .portcullis/lake/inner/x");
    check_port("location: .portcullis/lake/inner/x, connection: lake", "d.x = x_v1 at lake .portcullis/lake/inner/x");
    check_port("location: s3a://gold/tables/x", "d.x = x_v1 at gold s3://gold/tables/x");
}

#[test]
fn bad_places() {
    let hint = "(hint: the platform adds a `type: directory` connection for it to `catalogs/connections.yaml`)";
    let at = "catalogs/d/x.yaml:6:5:";
    for (port, message) in [
        ("location: s3://gold/tables2/x", format!("error[contract-location]: location of port `p` is not below any directory connection {hint}")),
        ("location: s3://gold/tables", format!("error[contract-location]: location of port `p` is not below any directory connection {hint}")),
        ("location: s3://gold/tables/x, connection: lake", format!("error[contract-location]: location of port `p` is not below connection `lake` {hint}")),
        ("location: .portcullis/lake/../../etc", "error[contract-location]: `location`: a location must not leave its directory with `..`".into()),
        ("connection: lake, table: ../x", "error[contract-location]: `table`: a location must not be empty".into()),
        ("connection: polaris, table: x", "error[contract-location]: `table`: `x` is not of the form `namespace.table`".into()),
        ("connection: lale, table: x", "error[contract-unknown-connection]: unknown connection `lale` (hint: did you mean `lake`?)".into()),
        ("connection: broken, table: x", "error[contract-unknown-connection]: connection `broken` has errors (hint: see `catalogs/connections.yaml`)".into()),
        ("connection: lake", "error[contract-missing-location]: output port `p` has a `connection` but no `table` (hint: add `table: domain.table`)".into()),
        ("table: x", "error[contract-missing-location]: output port `p` does not say where its data is (hint: add `connection` and `table`, or a `location`)".into()),
        ("location: a, table: x", "error[contract-missing-location]: output port `p` has both a `location` and a `table` (hint: keep one of them)".into()),
    ] {
        check_port(port, &format!("{at} {message}"));
    }
}

#[test]
fn majors() {
    let v = |version: &str, status: &str| {
        let path = format!("catalogs/d/x{version}{status}.yaml");
        contract(&path, "x", version, &format!(", status: {status}"), PORT)
    };
    let at = "at lake .portcullis/lake/a/b";
    check(
        &[v("1", "active"), v("2.3", "active"), v("3", "draft")],
        &format!("d.x = x_v2 {at}\nd.x_v1 {at}\nd.x_v3 {at}"),
    );
    check(&[v("1", "active"), v("2", "deprecated")], &format!("d.x = x_v1 {at}\nd.x_v2 {at}"));
    check(&[v("2", "draft")], &format!("d.x_v2 {at}"));
}

#[test]
fn mangling_and_ports() {
    let two = "- {name: Big-One, type: delta-table, connection: lake, table: a.b}\n  - {name: ice, type: iceberg-table, connection: lake, table: a.c}";
    check(
        &[contract("catalogs/fintech-core/x.yaml", "Päy.ments", "1", "", two)],
        "fintech_core.p_y_ments_big_one = p_y_ments_big_one_v1 at lake .portcullis/lake/a/b
         fintech_core.p_y_ments_ice = p_y_ments_ice_v1 at lake .portcullis/lake/a/c",
    );
    check(&[contract("catalogs/d/x.yaml", "orders_v1", "1", "", PORT)], "d.orders_v1 at lake .portcullis/lake/a/b");
}

#[test]
fn other_kinds_are_listed_not_served() {
    let topic = "- {name: t, type: kafka-topic, topic: x, location: y}";
    let hint = "(hint: tables are `iceberg-table` and `delta-table`)";
    let text = format!(
        "catalogs/d/x.yaml:6:5: info[contract-port-kind]: output port `t` of type `kafka-topic` is listed, not served {hint}"
    );
    let contracts = [contract("catalogs/d/x.yaml", "x", "1", "", topic)];
    check(&contracts, &text);
    assert_eq!(catalogue(&contracts).contracts()[0].output_ports.len(), 1);
}

#[test]
fn collisions_name_both_files_and_withhold_both() {
    let hint = "(hint: give one of them another name, port name or major version)";
    let error = |file: &str, name: &str, other: &str| {
        format!(
            "catalogs/d/{file}.yaml:6:5: error[contract-duplicate-table]: table `d.{name}` is declared by `catalogs/d/{other}.yaml` as well {hint}"
        )
    };
    let at =
        |file: &str, name: &str, version: &str| contract(&format!("catalogs/d/{file}.yaml"), name, version, "", PORT);
    check(
        &[at("a", "x-y", "1.0"), at("b", "X_Y", "1.1"), at("c", "other", "1")],
        &format!(
            "d.other = other_v1 at lake .portcullis/lake/a/b\n{}\n{}",
            error("a", "x_y", "b"),
            error("b", "x_y", "a")
        ),
    );
    // A pinned alias may not be another product's name.
    check(
        &[at("a", "x", "1"), at("b", "x_v1", "3")],
        &format!("{}\n{}", error("a", "x_v1", "b"), error("b", "x_v1", "a")),
    );
}

#[test]
fn a_stranger_cannot_take_a_name_away() {
    let native = contract("catalogs/orders/x.yaml", "x", "1", "", PORT);
    let mut stranger = contract("catalogs/evil/x.yaml", "x", "1", "", PORT);
    stranger.text = stranger.text.replace("domain: evil", "domain: orders");
    check(
        &[stranger, native],
        "orders.x = x_v1 at lake .portcullis/lake/a/b
         catalogs/evil/x.yaml: warning[contract-domain-directory]: contract of domain `orders` lies in the directory of `evil` (hint: move it to `catalogs/orders/`)
         catalogs/evil/x.yaml:6:5: error[contract-duplicate-table]: table `orders.x_v1` is declared by `catalogs/orders/x.yaml` as well (hint: give one of them another name, port name or major version)",
    );
}

/// A name belongs to the domain's directory, whatever version a contract elsewhere claims, and also while it is repaired.
#[test]
fn a_stranger_cannot_outdo_a_name() {
    let stranger = |version: &str| {
        let mut stranger = contract("catalogs/evil/x.yaml", "x", version, "", PORT);
        stranger.text = stranger.text.replace("domain: evil", "domain: orders");
        stranger
    };
    let native = |status: &str| contract("catalogs/orders/x.yaml", "x", "1", status, PORT);
    let names = |contracts: &[SourceFile]| -> Vec<String> {
        let catalogue = catalogue(contracts);
        let resolved = catalogue.resolve("orders", "x").map(|table| table.contract.file.to_string());
        catalogue.tables().map(|table| table.name.to_string()).chain(resolved).collect()
    };
    let orders = "catalogs/orders/x.yaml";
    assert_eq!(names(&[stranger("9"), native("")]), ["orders.x", "orders.x_v9", orders]);
    for status in [", status: draft", ", status: deprecated"] {
        assert_eq!(names(&[stranger("9"), native(status)]), ["orders.x_v1", "orders.x_v9"], "{status}");
    }
    let mut broken = native("");
    broken.text = broken.text.replace("schema:", "schema: [");
    assert_eq!(names(&[stranger("9"), broken]), ["orders.x_v9"]);
    // Where the domain has none of the name, the warning is all there is.
    assert_eq!(names(&[stranger("9")]), ["orders.x", "catalogs/evil/x.yaml"]);
}

#[test]
fn the_gateways_own_domains_are_no_contracts() {
    let good = contract("catalogs/d/x.yaml", "x", "1", "", PORT);
    for domain in ["system", "System", "information-schema"] {
        let file = format!("catalogs/{domain}/y.yaml");
        let name = domain.to_lowercase().replace('-', "_");
        check(
            &[contract(&file, "y", "1", "", PORT), good.clone()],
            &format!(
                "d.x = x_v1 at lake .portcullis/lake/a/b\n{file}: error[contract-reserved-domain]: the domain `{name}` is the \
                 gateway's own (hint: give the domain another name)"
            ),
        );
    }
}

/// Policies join domain and table with `_`: nobody gets the policies of somebody else.
#[test]
fn names_that_read_alike_in_policies_are_withheld() {
    let one = contract("catalogs/a/b_c.yaml", "b_c", "1", "", PORT);
    let other = contract("catalogs/a_b/c.yaml", "c", "1", "", PORT);
    let good = contract("catalogs/a/c.yaml", "c", "1", "", PORT);
    let hint = "(hint: rename one of them: domain and table are joined with `_`)";
    check(
        &[one.clone(), other.clone(), good.clone()],
        &format!(
            "a.c = c_v1 at lake .portcullis/lake/a/b
             catalogs/a/b_c.yaml:6:5: error[contract-ambiguous-name]: table `a.b_c` and table `a_b.c` of `catalogs/a_b/c.yaml` would both be `Row::a_b_c` in policies {hint}
             catalogs/a_b/c.yaml:6:5: error[contract-ambiguous-name]: table `a_b.c` and table `a.b_c` of `catalogs/a/b_c.yaml` would both be `Row::a_b_c` in policies {hint}"
        ),
    );
    // Nor while one of them is being repaired.
    let mut broken = one;
    broken.text = broken.text.replace("kind:", "kindd:");
    let catalogue = catalogue(&[broken, other, good]);
    assert_eq!(catalogue.tables().map(|table| table.name.to_string()).collect::<Vec<_>>(), ["a.c"]);
    assert!(catalogue.findings().iter().any(|finding| finding.code == "contract-ambiguous-name"
        && finding.message.contains("and a table of `catalogs/a/b_c.yaml` would both be")));
}

#[test]
fn one_broken_contract_takes_out_only_itself() {
    let good = contract("catalogs/d/good.yaml", "good", "1", "", PORT);
    let broken = SourceFile::new("catalogs/d/broken.yaml", "kind: [DataProduct");
    let catalogue = catalogue(&[broken, good]);
    assert_eq!(catalogue.tables().count(), 1);
    assert_eq!(catalogue.contracts().len(), 1);
    let errors: Vec<_> =
        catalogue.findings().iter().filter(|f| &*f.position.file == "catalogs/d/broken.yaml").collect();
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0].code, "contract-syntax");
}

#[test]
fn withheld_contracts_are_known_by_what_can_be_read_of_them() {
    let named = contract("catalogs/d/a.yaml", "named", "1", ", oops: 1", PORT);
    let syntax = SourceFile::new("catalogs/d-x/b.yaml", "metadata: [\n  name: some-thing # x\n");
    let nameless = SourceFile::new("catalogs/e/c.yaml", "kind: [DataProduct");
    let place = contract(
        "catalogs/f/p.yaml",
        "place",
        "1",
        "",
        "- {name: t, type: delta-table, connection: nowhere, table: x}",
    );
    let twice =
        [contract("catalogs/g/1.yaml", "twice", "1", "", PORT), contract("catalogs/g/2.yaml", "twice", "1", "", PORT)];
    let connections = SourceFile::new("catalogs/connections.yaml", CONNECTIONS);
    let files: Vec<SourceFile> = [named, syntax, nameless, place].into_iter().chain(twice).collect();
    let unreadable = ["catalogs/h/x.yaml".to_owned(), "catalogs/i".to_owned()];
    let catalogue = Catalogue::build_with(&files, Some(&connections), &unreadable);
    let explained = |domain: &str, table: &str| {
        catalogue.withheld().iter().find(|w| w.explains(domain, table)).map(|w| w.position().to_string())
    };
    for (domain, table, place) in [
        ("d", "named", "catalogs/d/a.yaml:3:48"),
        ("d", "named_v7", "catalogs/d/a.yaml:3:48"),
        ("d", "named_table", "catalogs/d/a.yaml:3:48"),
        ("d", "named_table_v1", "catalogs/d/a.yaml:3:48"),
        ("d_x", "some_thing", "catalogs/d-x/b.yaml:3:1"),
        ("e", "anything", "catalogs/e/c.yaml:2:1"),
        ("f", "place", "catalogs/f/p.yaml:6:5"),
        ("g", "twice", "catalogs/g/1.yaml:6:5"),
        ("h", "anything", "catalogs/h/x.yaml"),
        ("i", "anything", "catalogs/i"),
    ] {
        assert_eq!(explained(domain, table).as_deref(), Some(place), "{domain}.{table}");
    }
    for (domain, table) in [("d", "name"), ("d", "named_x"), ("d", "named_vx"), ("d_x", "other"), ("x", "anything")] {
        assert_eq!(explained(domain, table), None, "{domain}.{table}");
    }
    let named = catalogue.withheld().iter().find(|w| &**w.file() == "catalogs/d/a.yaml").unwrap();
    assert!(named.mentions("oops") && !named.mentions("oop") && !named.mentions("ops") && !named.mentions(""));
}

#[test]
fn nobody_inherits_the_name_of_a_broken_contract() {
    let old = contract("catalogs/d/one.yaml", "x", "1", "", PORT);
    let new = contract("catalogs/d/two.yaml", "x", "2", ", oops: 1", PORT);
    let names = |files: &[SourceFile]| catalogue(files).tables().map(|t| t.name.to_string()).collect::<Vec<_>>();
    assert_eq!(names(&[old.clone(), new.clone()]), ["d.x_v1"]);
    let mut syntax = new.clone();
    syntax.text = syntax.text.replace("schema:", "schema: [");
    assert_eq!(names(&[old.clone(), syntax]), ["d.x_v1"]);
    // One that lies elsewhere takes no name away, and does not get that of a broken one.
    let mut stranger = new;
    stranger.path = "catalogs/evil/two.yaml".into();
    assert_eq!(names(&[old.clone(), stranger]), ["d.x"]);
    let mut broken = old.clone();
    broken.text += "oops: 1\n";
    let mut stranger = old;
    stranger.path = "catalogs/evil/one.yaml".into();
    assert_eq!(names(&[broken, stranger]), Vec::<String>::new());
}

#[test]
fn the_fingerprint_follows_every_text() {
    let one = contract("catalogs/d/a.yaml", "a", "1", "", PORT);
    let two = contract("catalogs/d/b.yaml", "b", "1", "", PORT);
    let print = |files: &[SourceFile]| catalogue(files).fingerprint().to_owned();
    assert_eq!(print(&[one.clone(), two.clone()]), print(&[two.clone(), one.clone()]));
    assert_ne!(print(std::slice::from_ref(&one)), print(&[one, two]));
}

fn demo() -> (Vec<SourceFile>, SourceFile) {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../catalogs");
    let read =
        |path: &str| SourceFile::new(format!("catalogs/{path}"), std::fs::read_to_string(root.join(path)).unwrap());
    let contracts = [
        "customers/customer_profiles.yaml",
        "fintech_core/payment_transactions_enriched.yaml",
        "inventory/product_catalog.yaml",
        "orders/customer_orders_v1.yaml",
        "orders/order_events.yaml",
    ];
    (contracts.map(read).to_vec(), read("connections.yaml"))
}

#[test]
fn the_demo_mesh() {
    let (contracts, connections) = demo();
    let catalogue = Catalogue::build(&contracts, Some(&connections));
    let worth: Vec<_> =
        catalogue.findings().iter().filter(|f| f.level != Level::Info).map(ToString::to_string).collect();
    assert_eq!(worth, Vec::<String>::new());
    let tables: Vec<_> = catalogue.tables().map(|table| format!("{} {}", table.name, table.format)).collect();
    assert_eq!(
        tables,
        [
            "customers.customer_profiles delta",
            "fintech_core.payment_transactions_enriched iceberg",
            "inventory.product_catalog delta",
            "orders.customer_orders_v1 iceberg",
            "orders.order_events iceberg",
        ]
    );
    // Hashed keys join across domains only where the type is the same everywhere.
    for table in catalogue.tables() {
        if let Some(field) = table.field("customer_id") {
            assert_eq!((field.data_type.to_string(), field.pii), ("string".to_owned(), true), "{}", table.name);
            assert_eq!(field.masking, Some(crate::Masking::Hash));
        }
    }
    let payments = catalogue.resolve("fintech_core", "payment_transactions_enriched_v2").unwrap();
    assert_eq!(payments.primary_key(), ["transaction_id"]);
    assert_eq!(payments.port.partitioning, ["transaction_date", "region"]);
}

#[test]
fn a_thousand_contracts_are_quick() {
    let (demo, connections) = demo();
    let text = &demo[1].text;
    let files: Vec<_> = (0..1000)
        .map(|n| {
            let name = format!("name: payment_{n}");
            SourceFile::new(
                format!("catalogs/fintech_core/{n}.yaml"),
                text.replace("name: payment_transactions_enriched", &name),
            )
        })
        .collect();
    let start = std::time::Instant::now();
    let catalogue = Catalogue::build(&files, Some(&connections));
    let took = start.elapsed();
    assert_eq!(catalogue.tables().count(), 1000);
    println!("1,000 contracts of {} bytes: {took:?}", text.len());
    // Generous: debug builds on a busy machine. Quadratic behaviour would take minutes.
    assert!(took.as_secs() < 20, "{took:?}");
}

/// A domain's contract is the domain's own word: neither its place nor the domain that it says it is of may open what a
/// connection gives to another domain.
#[test]
fn a_divided_connection_gives_each_domain_its_own_directories() {
    let connections = "connections:
  lake: {type: directory, url: lake, domains: {orders: [lake/orders, lake/raw/orders], HR: lake/hr}}
  rest: {type: iceberg-rest, uri: https://x, domains: {orders: s3://w/orders}}
";
    let built = |path: &str, domain: &str, port: &str| {
        let port = format!("- {{name: p, type: iceberg-table, {port}}}");
        let mut file = contract("catalogs/x/c.yaml", "x", "1", "", &port);
        file.text = file.text.replace("domain: x", &format!("domain: {domain}"));
        file.path = path.to_owned();
        let catalogue = Catalogue::build(&[file], Some(&SourceFile::new("catalogs/connections.yaml", connections)));
        let granted = catalogue.tables().map(|table| table.source.granted.clone().unwrap().join(" "));
        granted.chain(catalogue.findings().iter().map(|finding| finding.code.to_owned())).collect::<Vec<_>>().join(", ")
    };
    let own = "lake/orders lake/raw/orders";
    assert_eq!(built("catalogs/orders/c.yaml", "orders", "connection: lake, table: orders.t"), own);
    assert_eq!(built("catalogs/orders/c.yaml", "orders", "location: lake/raw/orders/t"), own);
    assert_eq!(built("catalogs/hr/c.yaml", "hr", "connection: lake, table: hr.t"), "lake/hr");
    assert_eq!(built("catalogs/orders/c.yaml", "orders", "connection: rest, table: a.b"), "s3://w/orders");
    for (path, domain, port) in [
        ("catalogs/orders/c.yaml", "orders", "connection: lake, table: hr.salaries"),
        ("catalogs/orders/c.yaml", "orders", "connection: lake, table: orders"),
        ("catalogs/evil/c.yaml", "evil", "connection: lake, table: orders.t"),
        ("catalogs/evil/c.yaml", "evil", "connection: rest, table: a.b"),
    ] {
        assert_eq!(built(path, domain, port), "contract-location", "{path} {port}");
    }
    let posing = built("catalogs/evil/c.yaml", "hr", "connection: lake, table: hr.salaries");
    assert_eq!(posing, "contract-domain-directory, contract-location");
}
