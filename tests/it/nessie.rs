//! Nessie as an Iceberg REST catalogue: its branches and tags are connections of their own, by `prefix`.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use arrow::util::pretty::pretty_format_batches;
use portcullis_gateway::{ErrorKind, Gateway, GatewayError};

use crate::seaweed::{KEY, SECRET, Weed};
use crate::support::{self, block_on, copy_of_mesh, open, session};

const COUNTS: &str =
    "SELECT region, count(*) AS n, sum(amount) AS amount FROM orders.order_events GROUP BY region ORDER BY region";
/// What `COUNTS` would say if there were everything twice.
const TWICE: &str = "SELECT region, count(*) * 2 AS n, sum(amount) + sum(amount) AS amount FROM orders.order_events GROUP BY region ORDER BY region";
const RAW: &str = "SELECT * FROM orders.order_events ORDER BY order_id, event_ts, event_type";
const USERS: [(&str, Option<&str>); 3] = [("ana", None), ("dev", None), ("frida", Some("fraud"))];

fn answer(gateway: &Gateway, user: (&str, Option<&str>), sql: &str) -> Result<String, GatewayError> {
    let session = session(gateway, user.0, user.1);
    let (_, batches) = block_on(support::rows(gateway, &session, sql))?;
    Ok(pretty_format_batches(&batches).unwrap().to_string())
}

#[test]
fn external_branches_of_nessie_are_read_by_their_prefix() {
    let (Some(program), Some(weed), Some(python)) = (support::nessie(), support::weed(), support::python()) else {
        return;
    };
    let home = tempfile::tempdir().unwrap();
    let store = Weed::start(&weed, home.path(), None);
    let s3 = format!("http://127.0.0.1:{}", store.ports[0]);
    let nessie = Nessie::start(&program, home.path(), &s3);
    let mesh = support::mesh().to_str().unwrap();
    let written = support::run_python(&python, "nessie.py", &[&nessie.uri, &s3, KEY, SECRET, mesh]);
    let snapshots: serde_json::Value = serde_json::from_str(&written).unwrap();

    for (prefix, expected) in [("main|gold", COUNTS), ("fix|gold", TWICE), ("release|gold", TWICE)] {
        let mesh = copy_of_mesh();
        connect(mesh.path(), &nessie.uri, &s3, prefix);
        let gateway = block_on(open(mesh.path())).unwrap();
        for user in USERS {
            assert_eq!(
                answer(&gateway, user, COUNTS).unwrap(),
                answer(&support::gateway(), user, expected).unwrap(),
                "{prefix}: {user:?}"
            );
        }
        if expected == COUNTS {
            for user in USERS {
                let expected = answer(&support::gateway(), user, RAW).unwrap();
                assert_eq!(answer(&gateway, user, RAW).unwrap(), expected, "{user:?}");
            }
        }
        if prefix == "fix|gold" {
            only_the_current_snapshot(&gateway, &snapshots);
        }
        block_on(gateway.shutdown());
    }

    let mesh = copy_of_mesh();
    connect(mesh.path(), &nessie.uri, &s3, "nowhere|gold");
    let gateway = block_on(open(mesh.path())).unwrap();
    let error = answer(&gateway, USERS[0], COUNTS).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
    assert!(error.message.contains("the catalogue of connection `nessie` did not answer as it should"), "{error}");
    block_on(gateway.shutdown());
}

/// Of a table's snapshots, Nessie tells the current one: the others are commits of its branches.
fn only_the_current_snapshot(gateway: &Gateway, snapshots: &serde_json::Value) {
    let count = |branch: &str| {
        let sql = format!("SELECT count(*) FROM orders.order_events VERSION AS OF {}", snapshots[branch]);
        answer(gateway, USERS[1], &sql)
    };
    let all = answer(gateway, USERS[1], "SELECT count(*) FROM orders.order_events").unwrap();
    assert_eq!(count("fix").unwrap(), all);
    let error = count("main").unwrap_err();
    assert!(error.message.contains("has no"), "{error}");
}

/// Lets the contract of the order events name a connection to this branch.
fn connect(mesh: &Path, uri: &str, s3: &str, prefix: &str) {
    std::fs::write(mesh.join("store.secret"), SECRET).unwrap();
    std::fs::write(mesh.join("store.key"), KEY).unwrap();
    let connection = format!(
        "  nessie:\n    type: iceberg-rest\n    uri: {uri}/iceberg\n    warehouse: gold\n    prefix: {prefix}\n    store:\n      endpoint: {s3}\n      region: us-east-1\n      allow_http: true\n      access_key_id: {{file: store.key}}\n      secret_access_key: {{file: store.secret}}\n"
    );
    let path = mesh.join("catalogs/connections.yaml");
    let connections = std::fs::read_to_string(&path).unwrap();
    let end = connections.find("\n  # An object store").map_or(connections.len(), |at| at + 1);
    std::fs::write(&path, format!("{}{connection}", &connections[..end])).unwrap();
    let path = mesh.join("catalogs/orders/order_events.yaml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("connection: lake", "connection: nessie")).unwrap();
}

/// A Nessie of this test's own, with a warehouse in the store; stopped with it.
struct Nessie {
    process: Child,
    uri: String,
}

impl Nessie {
    fn start((java, jar): &(PathBuf, PathBuf), home: &Path, s3: &str) -> Self {
        let ports: Vec<u16> = [0, 0]
            .map(|_| TcpListener::bind(("127.0.0.1", 0)).unwrap())
            .map(|listener| listener.local_addr().unwrap().port())
            .into();
        let options = "nessie.catalog.service.s3.default-options";
        let log = std::fs::File::create(home.join("nessie.log")).unwrap();
        let process = Command::new(java)
            .arg("-Xmx512m")
            .arg(format!("-Dquarkus.http.port={}", ports[0]))
            .arg(format!("-Dquarkus.management.port={}", ports[1]))
            .args(["-Dquarkus.http.host=127.0.0.1", "-Dquarkus.management.host=127.0.0.1"])
            .args(["-Dnessie.version.store.type=IN_MEMORY", "-Dquarkus.otel.sdk.disabled=true"])
            .args([
                "-Dnessie.catalog.default-warehouse=gold",
                "-Dnessie.catalog.warehouses.gold.location=s3://delta/gold",
            ])
            .arg(format!("-D{options}.endpoint={s3}"))
            .args([format!("-D{options}.region=us-east-1"), format!("-D{options}.path-style-access=true")])
            .arg(format!("-D{options}.access-key=urn:nessie-secret:quarkus:store"))
            .args([format!("-Dstore.name={KEY}"), format!("-Dstore.secret={SECRET}")])
            .arg("-jar")
            .arg(jar)
            .current_dir(home)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let nessie = Self { process, uri: format!("http://127.0.0.1:{}", ports[0]) };
        let client = reqwest::Client::new();
        let config = format!("{}/iceberg/v1/config", nessie.uri);
        let answers = || block_on(client.get(&config).send()).is_ok_and(|answer| answer.status().is_success());
        let started = Instant::now();
        while !answers() {
            let log = || std::fs::read_to_string(home.join("nessie.log")).unwrap_or_default();
            assert!(started.elapsed() < Duration::from_secs(300), "Nessie does not start:\n{}", log());
            std::thread::sleep(Duration::from_millis(300));
        }
        nessie
    }
}

impl Drop for Nessie {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}
