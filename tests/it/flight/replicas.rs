//! Two gateways behind a balancer of TCP connections that sticks to nothing: whoever asks, every replica has the session.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::datatypes::{DataType, TimeUnit};
use portcullis_audit::Query;
use portcullis_gateway::config::KeyRef;
use portcullis_gateway::{Config, Gateway};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::session::get;
use super::{Client, Kept, texts};
use crate::support::{self, Served, block_on};

const CUSTOMERS: &str = "SELECT customer_id FROM orders.order_events ORDER BY order_id LIMIT 20";

/// A gateway with a mesh directory of its own, and what they share: the lake and the signing key.
struct Replica {
    mesh: TempDir,
    gateway: Arc<Gateway>,
    served: Served,
}

impl Replica {
    async fn new() -> Replica {
        let mesh = support::copy_of_mesh();
        let mut config = Config::load(mesh.path()).unwrap();
        config.catalogue.watch = false;
        std::fs::write(mesh.path().join("signing.key"), "the key that all replicas share, of 32 bytes and more")
            .unwrap();
        config.secrets.signing_key = Some(KeyRef::File("signing.key".into()));
        let gateway = Gateway::open(mesh.path(), config).await.unwrap();
        let served = support::serve(Arc::clone(&gateway), None);
        Replica { mesh, gateway, served }
    }

    /// The statements that it has answered, by its journal.
    fn answered(&self) -> usize {
        block_on(self.gateway.shutdown());
        let all = portcullis_audit::search(&self.mesh.path().join(".portcullis/audit"), &Query::default()).unwrap();
        all.map(Result::unwrap).filter(|entry| entry.begin.statement.contains("customer_id")).count()
    }
}

/// Hands each new connection to the next replica. Whoever connects to `control` has all connections cut.
struct Balancer {
    address: SocketAddr,
    control: SocketAddr,
}

impl Balancer {
    async fn new(replicas: [SocketAddr; 2]) -> Balancer {
        let bind = async || TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let (listener, control) = (bind().await, bind().await);
        let balancer = Balancer { address: listener.local_addr().unwrap(), control: control.local_addr().unwrap() };
        let cuts = watch::Sender::new(0);
        let mut cut = cuts.subscribe();
        support::runtime().spawn(async move {
            while let Ok((mut asked, _)) = control.accept().await {
                cuts.send_modify(|cuts| *cuts += 1);
                asked.write_all(b"cut").await.ok();
            }
        });
        let next = AtomicUsize::new(0);
        support::runtime().spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                cut.borrow_and_update();
                let mut cut = cut.clone();
                let replica = replicas[next.fetch_add(1, Ordering::Relaxed) % replicas.len()];
                tokio::spawn(async move {
                    let mut replica = TcpStream::connect(replica).await.unwrap();
                    tokio::select! {
                        _ = copy_bidirectional(&mut client, &mut replica) => {}
                        _ = cut.changed() => {}
                    }
                });
            }
        });
        balancer
    }

    fn served(&self) -> Served {
        Served::elsewhere(self.address)
    }
}

impl Kept {
    /// The same session on a connection of its own: at the next replica.
    async fn hop(&mut self, served: &Served) {
        let mut client = Client::new(super::channel(served).await);
        client.set_token(self.token.clone());
        client.set_header("cookie", self.cookie());
        self.client = client;
    }
}

async fn pair() -> ([Replica; 2], Balancer) {
    let replicas = [Replica::new().await, Replica::new().await];
    let balancer = Balancer::new([replicas[0].served.address, replicas[1].served.address]).await;
    (replicas, balancer)
}

/// What frida sees with the purpose, and what without.
fn seen() -> [Value; 2] {
    let gateway = support::gateway();
    [Some("fraud"), None].map(|purpose| {
        let session = support::session(&gateway, "frida", purpose);
        let (_, batches) = block_on(support::rows(&gateway, &session, CUSTOMERS)).unwrap();
        Value::Array(batches.iter().flat_map(support::texts).collect())
    })
}

fn both_answered(replicas: &[Replica; 2]) {
    let answered = [replicas[0].answered(), replicas[1].answered()];
    assert!(answered.iter().all(|answers| *answers > 1), "{answered:?}");
}

#[test]
fn every_replica_has_what_a_session_set_at_another() {
    let (replicas, balancer) = block_on(pair());
    let served = balancer.served();
    block_on(async {
        let mut frida = Kept::login(&served, "frida").await;
        let masked = texts(&frida.query(CUSTOMERS).await, "customer_id");
        let sets = [
            "SET purpose = 'fraud'",
            "SET schema = 'orders'",
            "SET TIME ZONE 'Asia/Tokyo'",
            "SET as_of = '2100-01-01'",
        ];
        for set in sets {
            frida.hop(&served).await;
            frida.query(set).await;
        }
        let sql = "SELECT customer_id, now() AS t FROM order_events ORDER BY order_id LIMIT 20";
        let mut prepared = None;
        for _ in 0..4 {
            frida.hop(&served).await;
            let expect = [
                ("as_of", "2099-12-31 15:00:00Z"),
                ("catalog", "mesh"),
                ("purpose", "fraud"),
                ("schema", "orders"),
                ("time_zone", "Asia/Tokyo"),
            ];
            let mut options: Vec<_> = get(&mut frida).await.into_iter().collect();
            options.sort();
            assert_eq!(options, expect.map(|(name, value)| (name.to_owned(), value.to_owned())));
            frida.hop(&served).await;
            let rows = frida.query(sql).await;
            assert!(texts(&rows, "customer_id").is_disjoint(&masked), "the purpose holds everywhere");
            let tokyo = DataType::Timestamp(TimeUnit::Nanosecond, Some("Asia/Tokyo".into()));
            assert_eq!(rows[0].schema().field(1).data_type(), &tokyo);
            prepared = Some(frida.client.prepare(sql.to_owned(), None).await.unwrap());
        }
        // A ticket has all of it, for who comes with the ticket and without the session.
        let info = prepared.unwrap().execute().await.unwrap();
        let mut other = super::login(&served, "frida").await;
        let rows = super::fetch(&mut other, info).await.1;
        assert!(texts(&rows, "customer_id").is_disjoint(&masked));
        frida.hop(&served).await;
        frida.query("SET purpose = DEFAULT").await;
        frida.hop(&served).await;
        assert_eq!(texts(&frida.query(CUSTOMERS).await, "customer_id"), masked);
    });
    both_answered(&replicas);
}

/// Runs a client that has its connections cut again and again, and returns what it found out.
fn facts(command: &mut Command, balancer: &Balancer) -> Value {
    command.args([balancer.address.to_string(), balancer.control.to_string(), "frida".to_owned()]);
    let text = support::output_of(command);
    serde_json::from_str(text.lines().last().unwrap()).unwrap()
}

#[test]
fn external_pyarrow_keeps_its_session_across_replicas() {
    let Some(python) = support::python() else { return };
    let (replicas, balancer) = block_on(pair());
    let [clear, masked] = seen();
    let script = support::root().join("tests/clients/python/pyarrow_replicas.py");
    let facts = facts(Command::new(python).arg(script), &balancer);
    assert_eq!(facts["by_header"], json!([clear, clear, clear, clear]));
    assert_eq!(facts["with_cookies"], json!([clear, clear, clear, clear]));
    assert_eq!(facts["taken_back"], json!([masked, masked]));
    let refused = facts["without_cookies"].as_str().unwrap();
    assert!(refused.contains("this client keeps none"), "{refused}");
    both_answered(&replicas);
}

#[test]
fn external_adbc_keeps_its_session_across_replicas() {
    let Some(python) = support::python() else { return };
    let (replicas, balancer) = block_on(pair());
    let [clear, masked] = seen();
    let script = support::root().join("tests/clients/python/adbc_replicas.py");
    let gateway = &replicas[0].gateway;
    let token = gateway.issue_token(&gateway.local_session("frida").unwrap()).unwrap();
    let facts = facts(Command::new(python).arg(script).env("TOKEN", token), &balancer);
    for way in ["without_cookies", "by_header"] {
        for ask in ["sql", "option", "schema"] {
            let refused = facts[way][ask].as_str().unwrap_or("it was accepted");
            assert!(refused.contains("this client keeps none"), "{way}, {ask}: {refused}");
        }
    }
    assert_eq!(facts["without_cookies"]["rows"], masked);
    assert_eq!(facts["by_header"]["rows"], clear);
    for way in ["password", "token"] {
        let facts = &facts[way];
        assert_eq!(facts["set"], json!([clear, clear, clear, clear]), "{way}");
        let options = json!({"catalog": "mesh", "purpose": "fraud", "schema": "orders", "time_zone": "Asia/Tokyo"});
        assert_eq!(facts["options"], json!([options, options, options]), "{way}");
        assert_eq!(facts["schema"], "orders", "{way}");
        assert_eq!(facts["unqualified"], json!([clear, clear]), "{way}");
        assert_eq!(facts["zone"], json!(["Asia/Tokyo", "Asia/Tokyo"]), "{way}");
        assert_eq!(facts["prepared"], json!([clear, clear]), "{way}");
        assert_eq!(facts["taken_back"], json!([masked, masked]), "{way}");
    }
    both_answered(&replicas);
}

#[test]
fn external_jdbc_keeps_its_session_across_replicas() {
    let Some(mut java) = crate::clients::jdbc("UTC", "JdbcReplicas.java") else { return };
    let (replicas, balancer) = block_on(pair());
    let [clear, masked] = seen();
    let facts = facts(&mut java, &balancer);
    assert_eq!(facts["set"], json!([clear, clear, clear, clear]));
    assert_eq!(facts["unqualified"], json!([clear, clear]));
    assert_eq!(facts["prepared"], json!([clear, clear]));
    assert_eq!(facts["taken_back"], json!([masked, masked]));
    both_answered(&replicas);
}
