//! Every door there is: each command, action, call, function, table and listener has its case here, and one that is added
//! upstream or by us does not compile, or fails, until somebody has said who may pass it.
//!
//! Kinds of statements and plan nodes have their lists where they are decided: `govern/src/sql/doors.rs`, and
//! `govern/src/plan/nodes.rs`, which govern's rewriting and the engine's `verify` share.

mod commands;
mod functions;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use portcullis_gateway::config::Listen;
use portcullis_gateway::{Gateway, NewToken, Session};
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
    tables.iter().for_each(|table| is_closed(&stranger.gateway, &nell, table));
    for sql in ["SHOW TABLES", "SHOW SCHEMAS", "SELECT * FROM information_schema.columns"] {
        let (_, batches) = block_on(rows(&stranger.gateway, &nell, sql)).unwrap();
        assert_eq!(has_secret(format!("{batches:?}").as_bytes()), None, "{sql}");
    }
}

/// A table reads as if it were not there, however it is asked for.
fn is_closed(gateway: &Gateway, who: &Session, table: &str) {
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
        let error = block_on(rows(gateway, who, &sql)).unwrap_err().to_string();
        let missing = error.replace(&format!("mesh.{table}"), "T").replace(table, "T");
        assert_eq!(
            missing, "table `T` not found: write `domain.table`, `SHOW TABLES` lists what you may discover",
            "{sql}"
        );
        let mistyped = sql.replace(name, "no_such_table");
        let other = block_on(rows(gateway, who, &mistyped)).unwrap_err().to_string();
        assert_eq!(other.replace("no_such_table", name), error, "a table that is not there reads the same: {sql}");
    }
}

/// A personal access token is a door of its own: behind it are its domains, and what its user may see of them.
#[test]
fn every_table_is_closed_to_a_token_of_another_domain() {
    let mesh = support::copy_of_mesh();
    let config = portcullis_gateway::Config::load(mesh.path()).unwrap();
    let new = |domain: &str| NewToken {
        user: "frida".to_owned(),
        name: String::new(),
        domains: [domain.to_owned()].into(),
        lifetime: config.identity.personal_token_lifetime,
    };
    let make = |domain| portcullis_gateway::create_personal_token(mesh.path(), &config, new(domain)).unwrap().1;
    let tokens = [("orders", make("orders")), ("inventory", make("inventory"))];
    let gateway = block_on(support::open(mesh.path())).unwrap();
    let frida = session(&gateway, "frida", None);
    let sees = |who: &Session| gateway.visible_tables(who).unwrap();
    assert!(sees(&frida).iter().any(|table| table.domain == "orders"));
    for (domain, token) in tokens {
        let who = block_on(gateway.bearer_session(&token, None)).unwrap();
        let open = |table: &portcullis_gateway::VisibleTable| table.domain == domain;
        let expected: Vec<_> = sees(&frida).into_iter().filter(open).map(|table| table.table).collect();
        assert_eq!(sees(&who).into_iter().map(|table| table.table).collect::<Vec<_>>(), expected);
        for table in gateway.table_names().iter().filter(|table| table.split('.').next() != Some(domain)) {
            is_closed(&gateway, &who, table);
        }
    }
}

/// Sends a request by hand, and returns all that comes back.
fn http(address: SocketAddr, method: &str, path: &str) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    stream.write_all(format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes()).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    answer
}

const PATHS: [&str; 16] = [
    "/token",
    "/token/callback",
    "/token/login",
    "/",
    "/metrics",
    "/health",
    "/healthz",
    "/readyz",
    "/ready",
    "/api",
    "/ui",
    "/debug/pprof",
    "/system",
    "/catalog",
    "/metrics/../system",
    "/config",
];

/// There are two listeners: for gRPC, and for health and metrics. Another one does not compile here until its routes have
/// their cases.
#[test]
fn the_grpc_listener_has_no_http_routes() {
    let Listen { flight: _, tls_certificate: _, tls_key: _, tls_client_ca: _, http: _ } = Listen::default();
    let served = &stranger().served;
    for path in PATHS {
        let answer = http(served.address, "GET", path);
        assert!(!answer.starts_with(b"HTTP/1.1 2"), "{path}: {}", String::from_utf8_lossy(&answer));
        assert_eq!(has_secret(&answer), None, "{path}");
    }
}

/// Whoever reaches the port gets these, and nothing of what is behind: not even to count by whom.
#[test]
fn every_http_route_has_its_case_and_tells_no_names() {
    // A gateway that has a lot to tell: ana's queries, a refused login, a broken contract.
    let mesh = support::copy_of_mesh();
    std::fs::write(mesh.path().join("catalogs/orders/broken.yaml"), "kind: DataProduct\n").unwrap();
    let gateway = block_on(support::open(mesh.path())).unwrap();
    let served = support::serve(Arc::clone(&gateway), None);
    block_on(async {
        let mut ana = crate::flight::login(&served, "ana").await;
        crate::flight::query(&mut ana, "SELECT customer_id FROM orders.order_events WHERE region = 'secret-value'")
            .await;
        ana.execute("SELECT * FROM fintech_core.inventory".to_owned(), None).await.unwrap_err();
        crate::flight::Client::new(crate::flight::channel(&served).await)
            .handshake("frida", "wrong")
            .await
            .unwrap_err();
    });
    let listener = block_on(tokio::net::TcpListener::bind(("127.0.0.1", 0))).unwrap();
    let address = listener.local_addr().unwrap();
    support::runtime().spawn(portcullis_http::serve(Arc::clone(&gateway), listener));

    assert_eq!(
        portcullis_http::ROUTES,
        ["/healthz", "/metrics", "/readyz"],
        "a route that is served has its case here"
    );
    assert_eq!(
        portcullis_http::PAGE_ROUTES,
        ["/token", "/token/callback", "/token/login"],
        "tests/it/token_page.rs has theirs"
    );
    assert!(gateway.page().is_none());
    for path in PATHS {
        for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "CONNECT"] {
            let answer = String::from_utf8(http(address, method, path)).unwrap();
            let expect = match (portcullis_http::ROUTES.contains(&path), method) {
                (true, "GET" | "HEAD") => "HTTP/1.1 200 OK\r\n",
                (true, _) if method != "CONNECT" => "HTTP/1.1 405 ",
                _ => "HTTP/1.1 4",
            };
            assert!(answer.starts_with(expect), "{method} {path}: {answer}");
            assert_eq!(has_secret(answer.as_bytes()), None, "{method} {path}");
            for told in ["ana", "secret-value", "orders", "fintech", "127.0.0.1", "broken"] {
                let words = answer.split(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '.');
                assert!(!words.into_iter().any(|word| word == told), "{method} {path} tells `{told}`: {answer}");
            }
        }
    }
    let metrics = String::from_utf8(http(address, "GET", "/metrics")).unwrap();
    for line in [
        "portcullis_queries_total{outcome=\"success\"} 1",
        "portcullis_refusals_total{what=\"login\"} 1",
        "portcullis_errors_total{kind=\"unauthenticated\"} 1",
        "portcullis_query_seconds_count 1",
        "portcullis_ready 1",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line}: {metrics}");
    }
    // Each line is a comment or a number with labels of this code.
    let sound = regex::Regex::new(
        "^(# (HELP|TYPE) .*|portcullis_[a-z_]+(\\{([a-z]+=\"[a-z_0-9.+I]*[a-z]*\",?)+\\})? [0-9.]+)$",
    )
    .unwrap();
    let body = metrics.split("\r\n\r\n").nth(1).unwrap();
    assert!(body.lines().all(|line| sound.is_match(line)), "{body}");

    gateway.close();
    let answer = String::from_utf8(http(address, "GET", "/readyz")).unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.ends_with("shutting down\n"), "{answer}");
    assert!(http(address, "GET", "/healthz").starts_with(b"HTTP/1.1 200 "), "it still lives");
}

/// gRPC health tells one number, to whoever asks.
#[test]
fn grpc_health_has_its_case() {
    use portcullis_flight::health::{HealthCheckRequest, HealthCheckResponse};
    let mesh = support::copy_of_mesh();
    let gateway = block_on(support::open(mesh.path())).unwrap();
    let served = support::serve(Arc::clone(&gateway), None);
    block_on(async {
        let ask = async |method: &'static str, service: &str| {
            let mut grpc = tonic::client::Grpc::new(crate::flight::channel(&served).await);
            grpc.ready().await.unwrap();
            let codec = portcullis_flight::health::codec();
            let path = tonic::codegen::http::uri::PathAndQuery::from_static(method);
            let request = HealthCheckRequest { service: service.to_owned() };
            let answer: Result<tonic::Response<HealthCheckResponse>, _> =
                grpc.unary(tonic::Request::new(request), path, codec).await;
            answer.map(|answer| answer.get_ref().status)
        };
        const CHECK: &str = "/grpc.health.v1.Health/Check";
        assert_eq!(ask(CHECK, "").await.unwrap(), 1);
        assert_eq!(ask(CHECK, "arrow.flight.protocol.FlightService").await.unwrap(), 1);
        assert_eq!(ask(CHECK, "orders").await.unwrap_err().code(), tonic::Code::NotFound);
        assert_eq!(ask("/grpc.health.v1.Health/Watch", "").await.unwrap_err().code(), tonic::Code::Unimplemented);
        for path in
            ["/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", "/grpc.channelz.v1.Channelz/GetServers"]
        {
            assert_eq!(ask(path, "").await.unwrap_err().code(), tonic::Code::Unimplemented, "{path}");
        }
        gateway.close();
        assert_eq!(ask(CHECK, "").await.unwrap(), 2, "not serving");
    });
}
