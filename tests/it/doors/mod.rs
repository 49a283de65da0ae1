//! Every door there is: each command, action, call, function, table and listener has its case here, and one that is added
//! upstream or by us does not compile, or fails, until somebody has said who may pass it.
//!
//! Kinds of statements and plan nodes have their lists where they are decided: `govern/src/sql/doors.rs`, and
//! `govern/src/plan/nodes.rs`, which govern's rewriting and the engine's `verify` share.

mod commands;
mod functions;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use portcullis_gateway::Gateway;
use portcullis_gateway::config::Listen;
use tempfile::TempDir;

use crate::support::{self, Served, block_on, rows, session};

/// What nobody without a permit may learn of: domains, products, columns and people of the demo.
const SECRETS: [&str; 12] = [
    "order_events",
    "customer_orders_v1",
    "customer_profiles",
    "product_catalog",
    "payment_transactions_enriched",
    "fintech_core",
    "inventory",
    "customer_id",
    "marketing_opt_in",
    "eu-analysts-rows",
    "access_log",
    "frida",
];

/// A mesh in which nell may log in, and no policy gives her anything; ana may do what ana may do.
struct Stranger {
    _mesh: TempDir,
    gateway: Arc<Gateway>,
    served: Served,
}

fn stranger() -> &'static Stranger {
    static STRANGER: OnceLock<Stranger> = OnceLock::new();
    STRANGER.get_or_init(|| {
        let mesh = support::copy_of_mesh();
        let path = mesh.path().join("users.yaml");
        let users = std::fs::read_to_string(&path).unwrap();
        let hash = users.split("  ana:\n    password: ").nth(1).unwrap().lines().next().unwrap();
        std::fs::write(&path, format!("{users}  nell:\n    password: {hash}\n")).unwrap();
        let policies = mesh.path().join("policies/platform.cedar");
        let text = std::fs::read_to_string(&policies).unwrap();
        let everybody = text.find("// Everybody may list").unwrap();
        std::fs::write(&policies, &text[..everybody]).unwrap();
        let directory = mesh.path().to_owned();
        let opened = std::thread::spawn(move || {
            let gateway = block_on(support::open(&directory)).unwrap();
            let served = support::serve(Arc::clone(&gateway), None);
            (gateway, served)
        });
        let (gateway, served) = opened.join().unwrap();
        Stranger { _mesh: mesh, gateway, served }
    })
}

fn has_secret(bytes: &[u8]) -> Option<&'static str> {
    SECRETS.into_iter().find(|secret| bytes.windows(secret.len()).any(|window| window == secret.as_bytes()))
}

#[test]
fn every_table_is_closed_to_who_has_no_permit() {
    let stranger = stranger();
    let nell = session(&stranger.gateway, "nell", None);
    let tables = stranger.gateway.table_names();
    assert!(tables.len() > 8, "{tables:?}");
    for table in tables {
        let (domain, name) = table.split_once('.').unwrap();
        for sql in [
            format!("SELECT * FROM {table}"),
            format!("SELECT count(*) FROM mesh.{domain}.\"{name}\""),
            format!("SELECT 1 WHERE EXISTS (SELECT 1 FROM {table})"),
            format!("WITH x AS (SELECT * FROM {table}) SELECT 1"),
            format!("EXPLAIN SELECT * FROM {table}"),
            format!("DESCRIBE {table}"),
            format!("SHOW COLUMNS FROM {table}"),
        ] {
            let error = block_on(rows(&stranger.gateway, &nell, &sql)).unwrap_err().to_string();
            let missing = error.replace(&format!("mesh.{table}"), "T").replace(&table, "T");
            assert_eq!(
                missing, "table `T` not found: write `domain.table`, `SHOW TABLES` lists what you may discover",
                "{sql}"
            );
            let mistyped = sql.replace(name, "no_such_table");
            let other = block_on(rows(&stranger.gateway, &nell, &mistyped)).unwrap_err().to_string();
            assert_eq!(other.replace("no_such_table", name), error, "a table that is not there reads the same: {sql}");
        }
    }
    for sql in ["SHOW TABLES", "SHOW SCHEMAS", "SELECT * FROM information_schema.columns"] {
        let (_, batches) = block_on(rows(&stranger.gateway, &nell, sql)).unwrap();
        assert_eq!(has_secret(format!("{batches:?}").as_bytes()), None, "{sql}");
    }
}

/// There is one listener, for gRPC. Another one (metrics, health, a console) does not compile here until its routes have
/// their cases.
#[test]
fn there_is_one_listener_and_it_has_no_http_routes() {
    let Listen { flight: _, tls_certificate: _, tls_key: _ } = Listen::default();
    let served = &stranger().served;
    for path in ["/", "/metrics", "/health", "/healthz", "/ready", "/api", "/ui", "/debug/pprof", "/system", "/catalog"]
    {
        let mut stream = TcpStream::connect(served.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes()).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(!answer.starts_with(b"HTTP/1.1 2"), "{path}: {}", String::from_utf8_lossy(&answer));
        assert_eq!(has_secret(&answer), None, "{path}");
    }
}
