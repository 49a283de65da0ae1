//! Tables in Azure (azurite) and Google Cloud Storage (fake-gcs-server), with credentials by reference.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use portcullis_contract::{ConnectionKind, SecretRef, SourcePath, StoreOptions, Table, TableFormat};

use super::java::cache;
use super::support::{Columns, beside_expected_in, declared_in, fixtures, python, run, same, skip};
use super::{delta, iceberg};
use crate::ErrorKind;
use crate::tables::{Tables, TablesOptions};

const ACCOUNT: &str = "mesh";
/// Of the account, as Azure writes keys; it opens nothing but the server of this test.
const KEY: &str = "a2V5IG9mIGEgdGVzdCwgYW5kIG9mIG5vdGhpbmcgZWxzZQ==";
const COLUMNS: Columns<'_> = &[("id", "long"), ("region", "string"), ("amount", "double")];

/// A server of this test, killed with it.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(program: &Path, port: u16, arguments: &[&str], directory: &Path) -> Server {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(directory).env("AZURITE_ACCOUNTS", format!("{ACCOUNT}:{KEY}"));
    let server = Server(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let started = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(started.elapsed() < Duration::from_secs(120), "{} does not start", program.display());
        std::thread::sleep(Duration::from_millis(100));
    }
    server
}

fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

fn programs() -> Option<(PathBuf, PathBuf)> {
    let azure = cache().join("azurite/node_modules/.bin/azurite-blob");
    let gcs = cache().join("gcs/fake-gcs-server");
    (azure.exists() && gcs.exists()).then_some((azure, gcs))
}

fn table(url: &str, name: &str, format: TableFormat, store: &StoreOptions) -> Table {
    let kind = ConnectionKind::Directory { url: url.to_owned(), store: store.clone() };
    declared_in(kind, SourcePath::Url(format!("{url}/{name}")), name, format, COLUMNS)
}

fn tables(mesh: &Path) -> Tables {
    let mut options = TablesOptions::new(mesh);
    options.refresh_age = Duration::ZERO;
    Tables::new(options)
}

async fn are_read(mesh: &Path, url: &str, store: &StoreOptions, lakes: [(&Path, TableFormat); 2]) {
    for (lake, format) in lakes {
        let name = lake.file_name().unwrap().to_str().unwrap();
        let table = table(&format!("{url}/{name}"), "events", format, store);
        let ctx = beside_expected_in(tables(mesh), lake, &table).await;
        for query in [
            "select id, region, amount from {}",
            "select count(*), min(id), max(id) from {}",
            "select id, amount from {} where region = 'us' and id between 100 and 2000",
        ] {
            same(&ctx, query).await;
        }
    }
}

async fn refused(mesh: &Path, url: &str, store: &StoreOptions, lake: &Path) -> String {
    let name = lake.file_name().unwrap().to_str().unwrap();
    let table = table(&format!("{url}/{name}"), "events", TableFormat::Iceberg, store);
    let error = tables(mesh).pin(&table).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    error.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn external_clouds_are_read_with_credentials_by_reference() {
    let (Some((azurite, fake_gcs)), Some(iceberg), Some(delta)) = (programs(), iceberg::lake(), delta::lake()) else {
        skip("no azurite or fake-gcs-server (run `cargo xtask setup`), or no Python");
        return;
    };
    let mesh = tempfile::TempDir::new().unwrap();
    let here = mesh.path();
    let (azure, gcs) = (free_port(), free_port());
    let (port_of_azure, port_of_gcs) = (azure.to_string(), gcs.to_string());
    let arguments = ["--blobHost", "127.0.0.1", "--blobPort", &port_of_azure, "--inMemoryPersistence", "--silent"];
    let _azure = start(&azurite, azure, &[&arguments[..], &["--skipApiVersionCheck"]].concat(), here);
    let public = format!("127.0.0.1:{gcs}");
    let arguments = ["-scheme", "http", "-host", "127.0.0.1", "-port", &port_of_gcs, "-public-host", &public];
    let _gcs = start(&fake_gcs, gcs, &[&arguments[..], &["-backend", "memory"]].concat(), here);
    let (azure, gcs) = (format!("http://127.0.0.1:{azure}/{ACCOUNT}"), format!("http://127.0.0.1:{gcs}"));
    let mut writer = Command::new(python().unwrap());
    writer.arg(fixtures().join("make_clouds.py")).args([&azure, ACCOUNT, KEY, &gcs, "lake"]);
    run(writer.args([iceberg.path().join("events"), delta.path().join("events")].map(|table| {
        // Each below the name of its own lake.
        let lake = here.join("up").join(table.parent().unwrap().file_name().unwrap());
        std::fs::create_dir_all(&lake).unwrap();
        run(Command::new("cp").arg("-r").arg(&table).arg(&lake));
        lake
    })));

    let secret = |name: &str, text: &str| {
        std::fs::write(here.join(name), text).unwrap();
        Some(SecretRef::File(name.into()))
    };
    let lakes = [(iceberg.path(), TableFormat::Iceberg), (delta.path(), TableFormat::Delta)];
    let in_azure = StoreOptions {
        endpoint: Some(azure),
        account: Some(ACCOUNT.into()),
        account_key: secret("key", KEY),
        allow_http: true,
        ..StoreOptions::default()
    };
    are_read(here, "az://lake", &in_azure, lakes).await;
    let named = StoreOptions { account: None, ..in_azure.clone() };
    are_read(here, "abfss://lake@mesh.dfs.core.windows.net", &named, lakes).await;
    let wrong = KEY.replace("a2V5", "b2V5");
    let other = StoreOptions { account_key: secret("wrong", &wrong), ..in_azure.clone() };
    let error = refused(here, "az://lake", &other, iceberg.path()).await;
    assert!(error.contains("refused the gateway's credentials") && !error.contains(&wrong), "{error}");
    let nowhere = StoreOptions { account_key: Some(SecretRef::File("nowhere".into())), ..in_azure.clone() };
    let error = refused(here, "az://lake", &nowhere, iceberg.path()).await;
    assert!(error.contains("needs the secret file `nowhere`"), "{error}");

    let key = r#"{"client_email": "", "private_key": "", "private_key_id": "", "disable_oauth": true}"#;
    let in_gcs = StoreOptions {
        endpoint: Some(gcs),
        service_account_key: secret("gcs.json", key),
        allow_http: true,
        ..StoreOptions::default()
    };
    are_read(here, "gs://lake", &in_gcs, lakes).await;
    let error = refused(here, "gs://elsewhere", &in_gcs, iceberg.path()).await;
    assert!(error.contains("in connection `lake`") || error.contains("of connection `lake`"), "{error}");
}
