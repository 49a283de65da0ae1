//! Many short queries of many connections, in a process that serves nothing else: what they needed is given back.
#![cfg(target_os = "linux")]

use std::time::Duration;

use futures::TryStreamExt;
use tonic::transport::Endpoint;

use crate::shutdown::Serving;
use crate::support;

/// Queries that are counted; `PORTCULLIS_SOAK` says how many, for longer runs.
const QUERIES: usize = 2_000;
/// Those before, after which nothing more is made once and kept.
const WARM: usize = 400;
/// Connections at the same time; each has its own, over and over.
const CONNECTIONS: usize = 8;
/// What a connection asks before another takes its place.
const ASKED: usize = 20;

/// Rows, an aggregate, an error, a refusal, and a stream that nobody reads to its end.
const STATEMENTS: [(&str, bool); 5] = [
    ("SELECT 1", true),
    ("SELECT region, count(*) FROM orders.order_events GROUP BY region", true),
    ("SELECT * FROM orders.nowhere", false),
    ("SELECT order_id, region FROM orders.order_events ORDER BY order_id LIMIT 5", true),
    ("SELECT g.value, e.region FROM generate_series(1, 1000) g CROSS JOIN orders.order_events e", true),
];

/// One connection's questions.
async fn ask(address: String, first: usize) {
    let channel = Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
    let mut client = crate::flight::Client::new(channel);
    client.handshake("ana", "ana").await.unwrap();
    for (sql, good) in STATEMENTS.iter().cycle().skip(first % STATEMENTS.len()).take(ASKED) {
        match client.execute((*sql).to_owned(), None).await {
            Ok(info) => {
                let mut rows = client.do_get(info.endpoint[0].ticket.clone().unwrap()).await.unwrap();
                rows.try_next().await.unwrap();
                if sql.len() < 80 {
                    rows.try_collect::<Vec<_>>().await.unwrap();
                }
            }
            Err(error) => assert!(!good, "{sql}: {error}"),
        }
    }
}

async fn ask_all(address: &str, queries: usize) {
    let mut running = tokio::task::JoinSet::new();
    for first in 0..queries.div_ceil(ASKED) {
        while running.len() >= CONNECTIONS {
            running.join_next().await.unwrap().unwrap();
        }
        running.spawn(ask(address.to_owned(), first));
    }
    while let Some(asked) = running.join_next().await {
        asked.unwrap();
    }
}

/// Open files (sockets among them), threads, and bytes in memory, once everything that was cancelled has ended.
fn held(serving: &Serving) -> (usize, usize, u64) {
    let number = |name: &str| -> u64 {
        let metrics = serving.get("/metrics").unwrap();
        let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).unwrap();
        value.trim().parse().unwrap()
    };
    while number("portcullis_queries_running") + number("portcullis_connections") > 0 {
        std::thread::sleep(Duration::from_millis(50));
    }
    let count = |what: &str| std::fs::read_dir(format!("/proc/{}/{what}", serving.id())).unwrap().count();
    (count("fd"), count("task"), number("portcullis_memory_resident_bytes"))
}

#[test]
fn short_queries_leak_nothing() {
    let queries = std::env::var("PORTCULLIS_SOAK").map_or(QUERIES, |text| text.parse().unwrap());
    let mesh = support::copy_of_mesh();
    std::fs::write(mesh.path().join("portcullis.toml"), "[listen]\nhttp = \"127.0.0.1:0\"\n").unwrap();
    let mut serving = Serving::start(mesh.path(), "error");
    let client = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    client.block_on(ask_all(&serving.flight, WARM));
    let before = held(&serving);
    client.block_on(ask_all(&serving.flight, queries));
    let after = held(&serving);
    println!("{queries} queries: files, threads, bytes {before:?}, then {after:?}");
    // A socket of ours may be open while we look; threads that block come and go.
    assert!(after.0 <= before.0 + 4, "files: {before:?}, then {after:?}");
    assert!(after.1 <= before.1 + 64, "threads: {before:?}, then {after:?}");
    let most = before.2 + before.2 / 2 + (queries as u64) * 2_048;
    assert!(after.2 <= most, "memory: {before:?}, then {after:?}");
    serving.terminate();
    assert_eq!(serving.ended(), Some(0));
}
