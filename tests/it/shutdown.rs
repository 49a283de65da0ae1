//! `portcullis serve` in a process of its own, which is told to stop by a signal.
#![cfg(unix)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use arrow_flight::FlightData;
use arrow_flight::flight_service_client::FlightServiceClient;
use futures::TryStreamExt;
use portcullis_audit::{Entry, EntryStatus, Query};
use tokio::runtime::Runtime;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Streaming};

use crate::flight::{descriptor, statement, with};
use crate::support;

const LONG: &str = "SELECT g.value, e.* FROM generate_series(1, 1000000) g CROSS JOIN orders.order_events e";
const MESH: &str = "PORTCULLIS_TEST_SERVE";

/// The process that the tests below start; nothing without them.
#[test]
fn child_that_serves() {
    let Some(mesh) = std::env::var_os(MESH) else { return };
    let arguments =
        ["portcullis".into(), "--mesh".into(), mesh, "serve".into(), "--listen".into(), "127.0.0.1:0".into()];
    let (mut out, mut err) = (std::io::sink(), std::io::stderr());
    use tracing_subscriber::layer::SubscriberExt;
    let filter = portcullis::log::filter_from_env();
    let layer = portcullis::log::layer(portcullis::log::Format::from_env(), filter, std::io::stderr);
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(layer)).unwrap();
    let mut streams = portcullis::Streams { out: &mut out, err: &mut err, interactive: false };
    std::process::exit(support::block_on(portcullis::run(arguments, &mut streams)).into());
}

pub struct Serving {
    child: Child,
    pub flight: String,
    pub http: String,
    /// What it has written to the log since it serves.
    pub log: Arc<Mutex<String>>,
}

impl Serving {
    /// Its log is as `level` says.
    pub fn start(mesh: &Path, level: &str) -> Serving {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "shutdown::child_that_serves", "--nocapture"])
            .env(MESH, mesh)
            .env("PORTCULLIS_LOG", level)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut after = |text: &str| {
            let line = lines.by_ref().map(Result::unwrap).find(|line| line.starts_with(text)).expect(text);
            line.strip_prefix(text).unwrap().to_owned()
        };
        let flight = after("serving Flight SQL on grpc+tcp://");
        let http = after("serving health and metrics on http://");
        // What it says later must not fill the pipe.
        let log = Arc::new(Mutex::new(String::new()));
        let kept = Arc::clone(&log);
        std::thread::spawn(move || {
            let keep =
                |line: std::io::Result<String>| kept.lock().unwrap().push_str(&(line.unwrap_or_default() + "\n"));
            lines.for_each(keep);
        });
        Serving { child, flight, http, log }
    }

    /// What its HTTP port says to a `GET`, if there is anybody to ask.
    pub fn get(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(&self.http).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        Some(text)
    }

    /// The status line of the readiness probe, if there is anybody to ask.
    fn ready(&self) -> Option<String> {
        self.get("/readyz")?.lines().next().map(str::to_owned)
    }

    pub fn terminate(&self) {
        self.signal("-TERM");
    }

    /// The process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    fn stop(&self) {
        self.terminate();
        let began = Instant::now();
        while self.ready().as_deref() != Some("HTTP/1.1 503 Service Unavailable") {
            assert!(began.elapsed() < Duration::from_secs(60), "it stays ready: {:?}", self.ready());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn ended(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A client of its own: where other tests keep the shared runtime's threads busy, a connection on it does not answer the server's
/// pings in time, and is closed.
fn client() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

type Raw = FlightServiceClient<Channel>;

/// A query that runs, of which one message is read.
async fn begin(serving: &Serving) -> (Raw, String, Streaming<FlightData>) {
    let channel = Endpoint::from_shared(format!("http://{}", serving.flight)).unwrap().connect().await.unwrap();
    let mut client = crate::flight::Client::new(channel.clone());
    client.handshake("frida", "frida").await.unwrap();
    let token = client.token().unwrap().clone();
    let mut raw = FlightServiceClient::new(channel);
    let info = raw.get_flight_info(with(&token, descriptor(&statement(LONG)))).await.unwrap().into_inner();
    let ticket = info.endpoint[0].ticket.clone().unwrap();
    let mut messages = raw.do_get(with(&token, ticket)).await.unwrap().into_inner();
    messages.try_next().await.unwrap().unwrap();
    (raw, token, messages)
}

fn mesh(drain: &str) -> (tempfile::TempDir, PathBuf) {
    let mesh = support::copy_of_mesh();
    let file = mesh.path().join("portcullis.toml");
    let settings = format!("[listen]\nhttp = \"127.0.0.1:0\"\n[limits]\ndrain = \"{drain}\"\n");
    std::fs::write(file, settings).unwrap();
    let journal = mesh.path().join(".portcullis/audit");
    (mesh, journal)
}

fn entry(journal: &Path) -> Entry {
    let all = portcullis_audit::search(journal, &Query::default()).unwrap().map(Result::unwrap);
    let mut long: Vec<_> = all.filter(|entry| entry.begin.statement.contains("generate_series")).collect();
    assert_eq!(long.len(), 1);
    long.remove(0)
}

#[test]
fn what_runs_at_the_signal_goes_on_and_nothing_new_begins() {
    let (mesh, journal) = mesh("10m");
    let mut serving = Serving::start(mesh.path(), "error");
    assert_eq!(serving.ready().as_deref(), Some("HTTP/1.1 200 OK"));
    let client = client();
    let (mut raw, token, mut messages) = client.block_on(begin(&serving));
    serving.stop();
    client.block_on(async {
        // The connection takes no new call, or takes it only to refuse it.
        if let Ok(info) = raw.get_flight_info(with(&token, descriptor(&statement("SELECT 1")))).await {
            let ticket = info.into_inner().endpoint[0].ticket.clone().unwrap();
            raw.do_get(with(&token, ticket)).await.unwrap_err();
        }
        for _ in 0..50 {
            messages.try_next().await.unwrap().expect("the stream is not cut");
        }
        drop((messages, raw));
    });
    assert_eq!(serving.ended(), Some(0));
    assert_eq!(entry(&journal).status, EntryStatus::Cancelled, "the client had enough");
}

#[test]
fn what_runs_longer_than_the_drain_ends_with_an_error() {
    let (mesh, journal) = mesh("1s");
    let mut serving = Serving::start(mesh.path(), "error");
    let client = client();
    let (_raw, _, mut messages) = client.block_on(begin(&serving));
    serving.stop();
    let status = client.block_on(async {
        loop {
            match messages.try_next().await {
                Ok(message) => drop(message.expect("the stream ended as if it were whole")),
                Err(status) => break status,
            }
        }
    });
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().starts_with("the gateway is shutting down (query "), "{status}");
    assert_eq!(serving.ended(), Some(0));
    let entry = entry(&journal);
    assert_eq!((entry.status, entry.error_kind.as_deref()), (EntryStatus::Error, Some("unavailable")));
}

/// Nothing of the journal that a client has seen data for is missing, and the next process serves.
#[test]
fn what_a_client_saw_is_in_the_journal_after_a_kill() {
    let (mesh, journal) = mesh("1s");
    let mut serving = Serving::start(mesh.path(), "error");
    let client = client();
    let running = client.block_on(begin(&serving));
    serving.signal("-KILL");
    assert_eq!(serving.ended(), None, "killed");
    drop(running);
    assert_eq!(entry(&journal).begin.principal, "frida");
    let serving = Serving::start(mesh.path(), "error");
    assert_eq!(serving.ready().as_deref(), Some("HTTP/1.1 200 OK"));
    assert_eq!(entry(&journal).status, EntryStatus::Interrupted);
}

/// Where nobody watches the files.
#[test]
fn a_hangup_takes_up_policies_and_limits() {
    let (mesh, _) = mesh("1s");
    let file = mesh.path().join("portcullis.toml");
    let settings = std::fs::read_to_string(&file).unwrap() + "[catalogue]\nwatch = false\n";
    std::fs::write(&file, &settings).unwrap();
    let serving = Serving::start(mesh.path(), "error");
    client().block_on(async {
        let channel = Endpoint::from_shared(format!("http://{}", serving.flight)).unwrap().connect().await.unwrap();
        let mut frida = crate::flight::Client::new(channel);
        frida.handshake("frida", "frida").await.unwrap();
        let mut ask = async |sql: &str| {
            let info = frida.execute(sql.to_owned(), None).await.map_err(|error| error.to_string())?;
            let rows = frida.do_get(info.endpoint[0].ticket.clone().unwrap()).await.map_err(|e| e.to_string())?;
            let rows: Result<Vec<_>, _> = rows.try_collect().await;
            rows.map(|_| ()).map_err(|error| error.to_string())
        };
        let (two, orders) = ("SELECT * FROM generate_series(1, 2)", "SELECT count(*) FROM orders.order_events");
        std::fs::write(&file, settings.replace("[limits]\n", "[limits]\nrows = 1\n")).unwrap();
        for policy in std::fs::read_dir(mesh.path().join("policies")).unwrap().map(|entry| entry.unwrap().path()) {
            if policy.extension().is_some_and(|extension| extension == "cedar") {
                std::fs::remove_file(policy).unwrap();
            }
        }
        ask(two).await.unwrap();
        ask(orders).await.unwrap();
        serving.signal("-HUP");
        let began = Instant::now();
        while ask(orders).await.is_ok() {
            assert!(began.elapsed() < Duration::from_secs(60), "it is not felt");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(ask(two).await.unwrap_err().contains("limit of 1 rows"));
    });
    assert_eq!(serving.ready().as_deref(), Some("HTTP/1.1 200 OK"));
}
