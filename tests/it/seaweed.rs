//! The demo mesh on an object store: Iceberg through a REST catalogue, Delta by location. The store is stopped: its tables
//! fail with a clear error, the others go on. It comes back: all is well again.

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use arrow::util::pretty::pretty_format_batches;
use portcullis_gateway::{ErrorKind, Gateway, GatewayError};

use crate::support::{self, block_on, copy_of_mesh, open, session};

pub const KEY: &str = "meshadmin";
pub const SECRET: &str = "a throw-away secret";
pub const STORED: [&str; 3] = [
    "SELECT region, count(*) AS n, sum(amount) AS amount FROM orders.order_events GROUP BY region ORDER BY region",
    "SELECT * FROM fintech_core.payment_transactions_enriched WHERE transaction_date > DATE '2026-07-04' ORDER BY transaction_id",
    "SELECT c.segment, count(*) AS n FROM orders.customer_orders_v1 o JOIN customers.customer_profiles c USING (customer_id) GROUP BY 1 ORDER BY 1",
];
const LOCAL: &str = "SELECT count(*) AS n FROM inventory.product_catalog";

#[test]
fn external_the_mesh_on_an_object_store_survives_its_absence() {
    let (Some(weed), Some(python)) = (support::weed(), support::python()) else { return };
    let mesh = copy_of_mesh();
    let home = tempfile::tempdir().unwrap();
    let store = Weed::start(&weed, home.path(), None);
    let (s3, rest) = (format!("http://127.0.0.1:{}", store.ports[0]), format!("http://127.0.0.1:{}", store.ports[1]));
    support::run_python(&python, "seaweed.py", &[&s3, &rest, KEY, SECRET, support::mesh().to_str().unwrap()]);
    move_tables(mesh.path(), &s3, &rest);

    let gateway = block_on(open(mesh.path())).unwrap();
    for sql in STORED {
        assert_eq!(answer(&gateway, sql).unwrap(), answer(&support::gateway(), sql).unwrap(), "{sql}");
    }
    let ports = store.stop();
    for sql in STORED {
        let error = answer(&gateway, sql).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unavailable, "{sql}: {}", error.message);
        assert!(error.message.contains('`') && !error.message.contains(SECRET), "{}", error.message);
    }
    assert!(answer(&gateway, LOCAL).is_ok(), "other tables go on");

    let _store = Weed::start(&weed, home.path(), Some(ports));
    for sql in STORED {
        assert_eq!(patiently(&gateway, sql), answer(&support::gateway(), sql).unwrap(), "{sql}");
    }
    block_on(gateway.shutdown());
}

/// A store that has just come back may take a moment until it finds its own files again.
fn patiently(gateway: &Gateway, sql: &str) -> String {
    let started = Instant::now();
    loop {
        match answer(gateway, sql) {
            Ok(rows) => return rows,
            Err(error) => assert!(started.elapsed() < Duration::from_secs(60), "{}", error.message),
        }
        std::thread::sleep(Duration::from_millis(500));
    }
}

fn answer(gateway: &Gateway, sql: &str) -> Result<String, GatewayError> {
    let ana = session(gateway, "ana", None);
    let (_, batches) = block_on(support::rows(gateway, &ana, sql))?;
    Ok(pretty_format_batches(&batches).unwrap().to_string())
}

/// Lets all contracts but the product catalogue's point into the store.
pub fn move_tables(mesh: &Path, s3: &str, rest: &str) {
    std::fs::write(mesh.join("store.secret"), SECRET).unwrap();
    std::fs::write(mesh.join("store.key"), KEY).unwrap();
    let store = format!(
        "    store:\n      endpoint: {s3}\n      region: us-east-1\n      allow_http: true\n      access_key_id: {{file: store.key}}\n      secret_access_key: {{file: store.secret}}\n"
    );
    let path = mesh.join("catalogs/connections.yaml");
    let connections = std::fs::read_to_string(&path).unwrap();
    let more = format!(
        "  bucket:\n    type: directory\n    url: s3://delta/lake\n{store}  warehouse:\n    type: iceberg-rest\n    uri: {rest}\n    warehouse: s3://iceberg/\n    auth:\n      type: client-credentials\n      client_id: {KEY}\n      client_secret: {{file: store.secret}}\n      scope: catalog\n      token_uri: {rest}/v1/oauth/tokens\n{store}"
    );
    let end = connections.find("\n  # An object store").map_or(connections.len(), |at| at + 1);
    std::fs::write(&path, format!("{}{more}", &connections[..end])).unwrap();
    for (file, connection) in [
        ("orders/order_events", "warehouse"),
        ("orders/customer_orders_v1", "warehouse"),
        ("fintech_core/payment_transactions_enriched", "warehouse"),
        ("customers/customer_profiles", "bucket"),
    ] {
        let path = mesh.join(format!("catalogs/{file}.yaml"));
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace("connection: lake", &format!("connection: {connection}"))).unwrap();
    }
    let config = mesh.join("portcullis.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("{text}\n[catalogue]\nrefresh_age = \"1s\"\n")).unwrap();
}

/// A SeaweedFS of this test's own, stopped with it.
pub struct Weed {
    process: Child,
    /// Of S3, of the Iceberg catalogue, and others.
    pub ports: [u16; 6],
}

impl Weed {
    pub fn start(program: &Path, home: &Path, ports: Option<[u16; 6]>) -> Self {
        let ports = ports.unwrap_or_else(free_ports);
        let [s3, rest, master, volume, filer, admin] = ports;
        let identity = serde_json::json!({"identities": [{
            "name": "admin",
            "credentials": [{"accessKey": KEY, "secretKey": SECRET}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }]});
        std::fs::create_dir_all(home.join("data")).unwrap();
        std::fs::write(home.join("s3.json"), identity.to_string()).unwrap();
        let log = std::fs::File::create(home.join("weed.log")).unwrap();
        let process = Command::new(program)
            .current_dir(home)
            .args(["-logtostderr=true", "mini", "-dir=data", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"])
            .args([format!("-master.port={master}"), format!("-volume.port={volume}"), format!("-filer.port={filer}")])
            .args([format!("-admin.port={admin}"), format!("-s3.port={s3}"), format!("-s3.port.iceberg={rest}")])
            .args(["-s3.port.lance=0", "-webdav=false", "-admin.ui=false", "-master.telemetry=false"])
            .args(["-s3.config=s3.json", &format!("-s3.externalUrl=http://127.0.0.1:{s3}")])
            .args(["-bucket=delta", "-tableBucket=iceberg"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let weed = Self { process, ports };
        let log = || std::fs::read_to_string(home.join("weed.log")).unwrap_or_default();
        let answers = |port| TcpStream::connect(("127.0.0.1", port)).is_ok();
        let ready = || {
            let log = log();
            answers(s3)
                && answers(rest)
                && (log.contains("ICEBERG table bucket") || log.contains("table bucket iceberg"))
        };
        let started = Instant::now();
        while !ready() {
            assert!(started.elapsed() < Duration::from_secs(90), "SeaweedFS does not start:\n{}", log());
            std::thread::sleep(Duration::from_millis(200));
        }
        weed
    }

    fn stop(mut self) -> [u16; 6] {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        self.ports
    }
}

impl Drop for Weed {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// Ports below those that clients get, so that no outgoing connection takes one meanwhile; SeaweedFS adds 10,000 for gRPC.
fn free_ports() -> [u16; 6] {
    static EARLIER: AtomicU16 = AtomicU16::new(0);
    let start = 14_000 + u16::try_from(std::process::id() % 300).unwrap() * 20;
    let start = start + EARLIER.fetch_add(1, Ordering::SeqCst) * 200;
    let free = |port: &u16| {
        TcpListener::bind(("127.0.0.1", *port)).is_ok() && TcpListener::bind(("127.0.0.1", *port + 10_000)).is_ok()
    };
    let ports: Vec<u16> = (start..22_000).filter(free).take(6).collect();
    ports.try_into().unwrap()
}
