//! An SQL catalogue on a PostgreSQL server of this test, in which pyiceberg writes.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use portcullis_contract::{ConnectionKind, SecretRef, SourcePath, SqlDatabase, StoreOptions, Table, TableFormat};
use tempfile::TempDir;

use super::support::{Columns, beside_expected_in, declared_in, fixtures, python, run, same, skip};
use crate::tables::{Tables, TablesOptions};

const COLUMNS: Columns<'_> = &[("id", "long"), ("region", "string"), ("amount", "double")];
const PASSWORD: &str = "a throw-away password";

/// Where the server's programs are: those of Debian are not on the path.
pub(in crate::tables) fn programs() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let debian = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut debian: Vec<PathBuf> = debian.map(|version| version.path().join("bin")).collect();
    debian.sort();
    let mut all = debian.into_iter().rev().chain(std::env::split_paths(&path));
    all.find(|directory| ["initdb", "postgres", "pg_isready"].iter().all(|name| directory.join(name).exists()))
}

/// A program of the server, which does not run as root.
fn program(programs: &Path, name: &str) -> Command {
    match is_root() {
        true => {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"]).arg(programs.join(name));
            command
        }
        false => Command::new(programs.join(name)),
    }
}

fn is_root() -> bool {
    run(Command::new("id").arg("-u")).trim() == "0"
}

/// A server of this test, which ends with it.
pub(in crate::tables) struct Server {
    process: Child,
    /// Where it listens.
    pub(in crate::tables) port: u16,
}

impl Server {
    /// What its user `mesh` has to say.
    pub(in crate::tables) const PASSWORD: &str = PASSWORD;

    fn start(programs: &Path, home: &Path, port: Option<u16>) -> Self {
        Self::start_with(programs, home, port, &[])
    }

    /// One that can encrypt.
    pub(in crate::tables) fn start_encrypted(programs: &Path, home: &Path, certificate: &str, key: &str) -> Self {
        for (name, text) in [("server.pem", certificate), ("server.key", key)] {
            std::fs::write(home.join(name), text).unwrap();
            run(Command::new("chmod").arg("600").arg(home.join(name)));
        }
        let file = |name: &str| home.join(name).display().to_string();
        let settings =
            [format!("ssl_cert_file={}", file("server.pem")), format!("ssl_key_file={}", file("server.key"))];
        Self::start_with(programs, home, None, &[&settings[0], &settings[1], "ssl=on"])
    }

    fn start_with(programs: &Path, home: &Path, port: Option<u16>, settings: &[&str]) -> Self {
        let data = home.join("data");
        if !data.exists() {
            std::fs::write(home.join("password"), PASSWORD).unwrap();
            if is_root() {
                run(Command::new("chown").args(["-R", "nobody:nogroup"]).arg(home));
            }
            let mut initdb = program(programs, "initdb");
            initdb.args(["-U", "mesh", "--auth=scram-sha-256", "-E", "UTF8", "--no-sync"]).arg("-D").arg(&data);
            run(initdb.arg(format!("--pwfile={}", home.join("password").display())));
        }
        let free = || TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let port = port.unwrap_or_else(free);
        let mut postgres = program(programs, "postgres");
        postgres.arg("-D").arg(&data).args(["-p", &port.to_string(), "-c", "fsync=off"]);
        postgres.args(["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]);
        postgres.args(settings.iter().flat_map(|setting| ["-c", setting]));
        let process = postgres.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let server = Self { process, port };
        let started = Instant::now();
        let is_ready = || {
            let mut asked = Command::new(programs.join("pg_isready"));
            let asked = asked.args(["-q", "-h", "127.0.0.1", "-p", &port.to_string()]).status();
            asked.unwrap().success()
        };
        while !is_ready() {
            assert!(started.elapsed() < Duration::from_secs(60), "PostgreSQL does not start");
            std::thread::sleep(Duration::from_millis(100));
        }
        server
    }

    fn stop(self) -> u16 {
        self.port
    }

    fn write(&self, python: &Path, home: &Path) {
        let uri = format!("postgresql+psycopg2://mesh:{PASSWORD}@127.0.0.1:{}/postgres", self.port).replace(' ', "%20");
        run(Command::new(python).arg(fixtures().join("make_postgres.py")).arg(uri).arg(home));
    }

    fn orders(&self, change: impl FnOnce(&mut SqlDatabase)) -> Table {
        let mut database = SqlDatabase::Postgres {
            host: "127.0.0.1".into(),
            port: self.port,
            database: "postgres".into(),
            user: "mesh".into(),
            password: Some(SecretRef::File("password".into())),
            tls: false,
        };
        change(&mut database);
        let kind = ConnectionKind::IcebergSql {
            database,
            catalog: "gold".into(),
            warehouse: "lake".into(),
            store: StoreOptions::default(),
        };
        declared_in(kind, SourcePath::Table("sales.orders".into()), "orders", TableFormat::Iceberg, COLUMNS)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // With all of its processes, and its connections cut.
        let _ = Command::new("kill").arg("-INT").arg(self.process.id().to_string()).status();
        let _ = self.process.wait();
    }
}

fn tables(home: &Path) -> Tables {
    let mut options = TablesOptions::new(home);
    options.refresh_age = Duration::ZERO;
    options.store_timeout = Duration::from_secs(5);
    Tables::new(options)
}

async fn compared(home: &Path, table: &Table) {
    let ctx = beside_expected_in(tables(home), home, table).await;
    for query in [
        "select id, region, amount from {}",
        "select count(*), sum(amount) from {} where region = 'eu'",
        "select id from {} where id between 95 and 105 or id = 1500",
    ] {
        same(&ctx, query).await;
    }
}

/// Whether there is a server to be started.
pub(super) fn is_here() -> bool {
    python().is_some() && programs().is_some()
}

/// A table is what pyiceberg reads, found through its catalogue on a server; where there is none, nothing is said.
pub(super) async fn is_equal() {
    let (Some(python), Some(programs)) = (python(), programs()) else { return };
    let directory = TempDir::new().unwrap();
    let server = Server::start(&programs, directory.path(), None);
    server.write(&python, directory.path());
    compared(directory.path(), &server.orders(|_| {})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn external_postgres_catalogue_is_read_refuses_and_comes_back() {
    let (Some(python), Some(programs)) = (python(), programs()) else {
        skip("no Python with pyiceberg, or no PostgreSQL server (Debian's package `postgresql`)");
        return;
    };
    let directory = TempDir::new().unwrap();
    let home = directory.path();
    let server = Server::start(&programs, home, None);
    server.write(&python, home);
    let orders = server.orders(|_| {});
    compared(home, &orders).await;

    // One connection serves all questions, and sees what is written meanwhile.
    let tables = tables(home);
    let first = tables.pin(&orders).await.unwrap().snapshot().to_owned();
    server.write(&python, home);
    assert_ne!(tables.pin(&orders).await.unwrap().snapshot(), first);
    compared(home, &orders).await;

    std::fs::write(home.join("wrong"), "not the password").unwrap();
    let refused = "the database of connection `lake` refused the gateway's credentials";
    for (table, expected) in [
        (server.orders(|database| set(database, |_, password, _| *password = "wrong".into())), refused),
        (server.orders(|database| set(database, |user, _, _| *user = "nobody".into())), refused),
        (
            server.orders(|database| {
                if let SqlDatabase::Postgres { password, .. } = database {
                    *password = None;
                }
            }),
            "the database of connection `lake` asks for a password, and there is none",
        ),
        (
            server.orders(|database| set(database, |_, _, name| *name = "template1".into())),
            "the database of connection `lake` holds no Iceberg catalogue",
        ),
        (
            server.orders(|database| set(database, |_, _, name| *name = "nowhere".into())),
            "the server of connection `lake` has no such database",
        ),
        (
            server.orders(|database| {
                if let SqlDatabase::Postgres { tls, .. } = database {
                    *tls = true;
                }
            }),
            "the database of connection `lake` did not answer",
        ),
    ] {
        let error = tables.pin(&table).await.unwrap_err().to_string();
        assert_eq!(error, format!("table `test.orders` is not available: {expected}; try again later"));
    }

    // Away while it is in use, and away when it is first asked; back for both.
    let port = server.stop();
    let others = self::tables(home);
    for tables in [&tables, &others] {
        let error = tables.pin(&orders).await.unwrap_err().to_string();
        let expected = "the database of connection `lake` did not answer";
        assert_eq!(error, format!("table `test.orders` is not available: {expected}; try again later"));
    }
    let _server = Server::start(&programs, home, Some(port));
    for tables in [&tables, &others] {
        tables.pin(&orders).await.unwrap();
    }
}

/// Changes the user, the password's file or the database's name.
fn set(database: &mut SqlDatabase, change: impl FnOnce(&mut String, &mut String, &mut String)) {
    if let SqlDatabase::Postgres { user, password: Some(SecretRef::File(password)), database, .. } = database {
        change(user, password, database);
    }
}
