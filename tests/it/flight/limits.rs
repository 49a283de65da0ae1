//! Limits as clients meet them.

use std::sync::Arc;
use std::time::Duration;

use arrow_flight::flight_service_client::FlightServiceClient;
use futures::TryStreamExt;
use portcullis_gateway::config::{LimitClass, Limits, Size, Span};
use portcullis_gateway::{Config, Gateway};
use tempfile::TempDir;
use tonic::Code;
use tonic::transport::Endpoint;

use super::{channel, descriptor, login, number, query, statement, token, with};
use crate::support::{self, Served, block_on};

const LONG: &str = "SELECT g.value, e.* FROM generate_series(1, 1000000) g CROSS JOIN orders.order_events e";

struct Limited {
    _mesh: TempDir,
    gateway: Arc<Gateway>,
    served: Served,
}

async fn limited(limits: Limits) -> Limited {
    limited_by(limits, "").await
}

/// With a policy more, and with what that may give.
async fn limited_by(limits: Limits, policy: &str) -> Limited {
    let mesh = support::copy_of_mesh();
    if !policy.is_empty() {
        let names: Vec<&str> = limits.classes.keys().map(String::as_str).collect();
        let path = mesh.path().join("policies/vocabulary.yaml");
        let vocabulary = std::fs::read_to_string(&path).unwrap();
        std::fs::write(path, format!("{vocabulary}\nlimits: [{}]\n", names.join(", "))).unwrap();
        std::fs::write(mesh.path().join("policies/limits.cedar"), policy).unwrap();
    }
    let mut config = Config::load(mesh.path()).unwrap();
    config.catalogue.watch = false;
    config.limits = limits;
    let gateway = Gateway::open(mesh.path(), config).await.unwrap();
    let served = support::serve(Arc::clone(&gateway), None);
    Limited { _mesh: mesh, gateway, served }
}

impl Limited {
    fn count(&self, metric: &str) -> u64 {
        let text = self.gateway.metrics_text();
        let line =
            text.lines().find_map(|line| line.strip_prefix(metric)).unwrap_or_else(|| panic!("{metric}: {text}"));
        line.trim().parse().unwrap()
    }

    /// Begins a query and leaves it unread; its messages.
    async fn begin(&self, user: &str) -> tonic::Streaming<arrow_flight::FlightData> {
        let token = token(&self.served, user).await;
        let mut raw = FlightServiceClient::new(channel(&self.served).await);
        let info = raw.get_flight_info(with(&token, descriptor(&statement(LONG)))).await.unwrap().into_inner();
        let mut messages =
            raw.do_get(with(&token, info.endpoint[0].ticket.clone().unwrap())).await.unwrap().into_inner();
        // The schema, and a batch.
        for _ in 0..2 {
            messages.try_next().await.unwrap().unwrap();
        }
        messages
    }
}

#[test]
fn a_full_queue_tells_clients_when_to_come_again() {
    block_on(async {
        let limits = Limits { concurrent_queries: 1, queued_queries: 0, ..Limits::default() };
        let limited = limited(limits).await;
        let running = limited.begin("frida").await;
        let token = token(&limited.served, "dev").await;
        let mut raw = FlightServiceClient::new(channel(&limited.served).await);
        let info = raw.get_flight_info(with(&token, descriptor(&statement("SELECT 1")))).await.unwrap().into_inner();
        let ticket = info.endpoint[0].ticket.clone().unwrap();
        let status = raw.do_get(with(&token, ticket.clone())).await.unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert_eq!(status.message(), "too many queries are waiting already: try again in 1 s");
        assert_eq!(status.metadata().get("grpc-retry-pushback-ms").unwrap(), "1000");
        assert_eq!(limited.count("portcullis_limits_total{limit=\"queue\"}"), 1);
        assert_eq!(limited.count("portcullis_refusals_total{what=\"query\"}"), 1);
        assert_eq!(limited.count("portcullis_queries_running"), 1);
        drop(running);
        let mut answered = raw.do_get(with(&token, ticket.clone())).await;
        while answered.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
            answered = raw.do_get(with(&token, ticket.clone())).await;
        }
    });
}

/// ana and frida are readers by way of other groups.
#[test]
fn a_bound_on_a_group_holds_for_members_of_its_members() {
    block_on(async {
        let groups = [("readers".to_owned(), 1)].into();
        let limited = limited(Limits { groups, queued_queries: 0, ..Limits::default() }).await;
        let running = limited.begin("frida").await;
        let run = async |user: &str| {
            let mut client = login(&limited.served, user).await;
            let info = client.execute("SELECT 1 AS one".to_owned(), None).await.unwrap();
            client.do_get(info.endpoint[0].ticket.clone().unwrap()).await.map(drop)
        };
        let refused = run("ana").await.unwrap_err().to_string();
        assert!(refused.contains("too many queries are waiting already"), "{refused}");
        run("petra").await.expect("petra is no reader");
        drop(running);
    });
}

/// The whole process holds more than this, so one query runs at a time.
#[test]
fn while_memory_is_short_one_query_runs_alone() {
    block_on(async {
        let limited = limited(Limits { process_memory: Some(Size::mib(1)), ..Limits::default() }).await;
        let mut dev = login(&limited.served, "dev").await;
        assert_eq!(number(&query(&mut dev, "SELECT 1").await), 1);
        let running = limited.begin("frida").await;
        let info = dev.execute("SELECT 1".to_owned(), None).await.unwrap();
        let ticket = info.endpoint[0].ticket.clone().unwrap();
        let token = token(&limited.served, "dev").await;
        let mut raw = FlightServiceClient::new(channel(&limited.served).await);
        let status = raw.do_get(with(&token, ticket)).await.unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert_eq!(status.message(), "the gateway has too little memory left: try again in 1 s");
        assert_eq!(status.metadata().get("grpc-retry-pushback-ms").unwrap(), "1000");
        assert_eq!(limited.count("portcullis_limits_total{limit=\"process_memory\"}"), 1);
        assert_eq!(limited.count("portcullis_memory_limit_bytes"), 1 << 20);
        assert!(limited.count("portcullis_memory_resident_bytes") > 1 << 20);
        drop(running);
    });
}

#[test]
fn a_client_that_does_not_read_is_cut_off() {
    block_on(async {
        let (client_wait, queue_wait) = (Span::seconds(2), Span::minutes(30));
        let limits = Limits { concurrent_queries: 1, client_wait, queue_wait, ..Limits::default() };
        let limited = limited(limits).await;
        let mut stalled = limited.begin("frida").await;
        // It waits for the only turn, which comes back although the other client is still there.
        let mut dev = login(&limited.served, "dev").await;
        assert!(number(&query(&mut dev, "SELECT count(*) FROM orders.order_events").await) > 0);
        let status = loop {
            match stalled.try_next().await {
                Ok(message) => assert!(message.is_some(), "the stream ended as if it were whole"),
                Err(status) => break status,
            }
        };
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert!(status.message().starts_with("the client did not read for 2s"), "{status}");
        assert_eq!(limited.count("portcullis_limits_total{limit=\"client_wait\"}"), 1);
    });
}

#[test]
fn rows_and_bytes_of_an_answer_are_bounded() {
    block_on(async {
        let limits = Limits { rows: Some(100), bytes: Some(Size::kib(512)), ..Limits::default() };
        let limited = limited(limits).await;
        let mut client = login(&limited.served, "frida").await;
        for (sql, limit) in
            [("SELECT * FROM generate_series(1, 101)", "rows"), ("SELECT repeat('x', 1000000)", "bytes")]
        {
            let info = client.execute(sql.to_owned(), None).await.unwrap();
            let stream = client.do_get(info.endpoint[0].ticket.clone().unwrap()).await;
            let error = match stream {
                Ok(stream) => stream.try_collect::<Vec<_>>().await.unwrap_err().to_string(),
                Err(error) => error.to_string(),
            };
            assert!(error.contains("exceeded the limit of") && error.contains(limit), "{error}");
            assert_eq!(limited.count(&format!("portcullis_limits_total{{limit=\"{limit}\"}}")), 1, "{limit}");
        }
        assert_eq!(query(&mut client, "SELECT * FROM generate_series(1, 100)").await[0].num_rows(), 100);
    });
}

/// Who looks into a fraud may have more rows, longer statements and more of them; others may not, and neither may she for another
/// purpose.
#[test]
fn policies_give_some_other_limits() {
    const POLICY: &str = "@id(\"heavy\") permit (principal in Group::\"fraud\", action == Action::\"useLimits\", \
                          resource == Limits::\"heavy\") when { context has purpose && context.purpose == Purpose::\"fraud\" };";
    let heavy = LimitClass {
        rows: Some(1_000),
        statement: Some(Size::kib(64)),
        principal_queries: Some(2),
        query_memory: Some(Size::mib(1)),
        ..LimitClass::default()
    };
    let limits = Limits {
        rows: Some(10),
        statement: Size::kib(1),
        principal_queries: 1,
        principal_queued_queries: 0,
        classes: [("heavy".to_owned(), heavy)].into(),
        ..Limits::default()
    };
    let long = format!("SELECT {} AS long", "1 + ".repeat(200) + &" ".repeat(1_024) + "1");
    block_on(async {
        let limited = limited_by(limits, POLICY).await;
        let run = async |user: &str, purpose: Option<&str>, sql: &str| {
            let mut client = login(&limited.served, user).await;
            if let Some(purpose) = purpose {
                client.set_header("purpose", purpose);
            }
            let info = client.execute(sql.to_owned(), None).await.map_err(|error| error.to_string())?;
            let rows = client.do_get(info.endpoint[0].ticket.clone().unwrap()).await.map_err(|e| e.to_string())?;
            let rows: Result<Vec<_>, _> = rows.try_collect().await;
            rows.map(|batches| batches.iter().map(|batch| batch.num_rows()).sum::<usize>()).map_err(|e| e.to_string())
        };
        let rows = |count: u32| format!("SELECT * FROM generate_series(1, {count})");
        assert_eq!(run("frida", Some("fraud"), &rows(1_000)).await, Ok(1_000));
        assert!(run("frida", Some("fraud"), &rows(1_001)).await.unwrap_err().contains("limit of 1000 rows"));
        assert_eq!(run("frida", Some("fraud"), &long).await, Ok(1));
        let retains = "SELECT cardinality(array_agg(value)) FROM generate_series(1, 1000000)";
        assert!(run("frida", Some("fraud"), retains).await.unwrap_err().contains("memory"), "less than others have");
        for (user, purpose) in [("frida", None), ("frida", Some("analytics")), ("ana", Some("fraud"))] {
            assert_eq!(run(user, purpose, &rows(10)).await, Ok(10));
            assert!(
                run(user, purpose, &rows(11)).await.unwrap_err().contains("limit of 10 rows"),
                "{user} {purpose:?}"
            );
            assert!(run(user, purpose, &long).await.unwrap_err().contains("1024"), "{user} {purpose:?}");
            assert_eq!(run(user, purpose, retains).await, Ok(1));
        }
    });
}

#[test]
fn connections_that_begin_too_fast_are_closed_at_once() {
    block_on(async {
        let limited = limited(Limits { handshakes: 1, ..Limits::default() }).await;
        let closed = "portcullis_limits_total{limit=\"handshakes\"}";
        let text = limited.gateway.metrics_text();
        assert!(!text.contains(closed), "{text}");
        let address = limited.served.address;
        let mut opened = Vec::new();
        while !limited.gateway.metrics_text().contains(closed) {
            opened.push(tokio::net::TcpStream::connect(address).await.unwrap());
            tokio::task::yield_now().await;
        }
        drop(opened);
        let connections = || limited.gateway.metrics().connections.get();
        while connections() > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // Whoever comes at leisure is let in.
        let mut opened = Vec::new();
        while connections() == 0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            opened.push(tokio::net::TcpStream::connect(address).await.unwrap());
        }
        assert!(limited.count("portcullis_connections_refused_total") > 0);
    });
}

#[test]
fn connections_beyond_the_limit_are_closed_at_once() {
    block_on(async {
        let limited = limited(Limits { connections: 2, ..Limits::default() }).await;
        let (mut one, two) = (login(&limited.served, "dev").await, login(&limited.served, "ana").await);
        let third = Endpoint::from_shared(format!("http://{}", limited.served.address)).unwrap().connect().await;
        let refused = match third {
            Err(_) => true,
            Ok(channel) => super::Client::new(channel).handshake("dev", "dev").await.is_err(),
        };
        assert!(refused, "there are two already");
        assert!(limited.count("portcullis_connections_refused_total") >= 1);
        assert_eq!(number(&query(&mut one, "SELECT 1 AS one").await), 1, "who is in stays in");
        drop(two);
        while limited.count("portcullis_connections ") > 1 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        login(&limited.served, "frida").await;
    });
}

/// A hash join cannot spill: the query fails, the others do not.
#[test]
fn the_memory_of_a_query_is_bounded() {
    block_on(async {
        let limits = Limits { query_memory: Size::mib(1), ..Limits::default() };
        let limited = limited(limits).await;
        let mut client = login(&limited.served, "frida").await;
        let sql =
            "SELECT count(*) FROM generate_series(1, 500000) a JOIN generate_series(1, 500000) b ON a.value = b.value";
        let info = client.execute(sql.to_owned(), None).await.unwrap();
        let error = match client.do_get(info.endpoint[0].ticket.clone().unwrap()).await {
            Ok(stream) => stream.try_collect::<Vec<_>>().await.unwrap_err().to_string(),
            Err(error) => error.to_string(),
        };
        assert!(error.contains("memory or spill space"), "{error}");
        assert_eq!(limited.count("portcullis_limits_total{limit=\"memory\"}"), 1);
        assert!(number(&query(&mut client, "SELECT count(*) FROM orders.order_events").await) > 0);
    });
}
