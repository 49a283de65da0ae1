//! Connections: TLS, limits, clients that hang up.

use std::path::Path;
use std::time::{Duration, Instant};

use arrow_flight::sql::client::FlightSqlServiceClient;
use futures::TryStreamExt;
use portcullis_audit::{Entry, EntryStatus, Query};
use portcullis_flight::TlsConfig;
use portcullis_gateway::{Config, Gateway};
use tonic::Code;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint};

use super::{failure, login, number, query, token, with};
use crate::support::{self, block_on, served};

#[test]
fn a_client_that_hangs_up_cancels_its_query() {
    block_on(async {
        let mut client = login(served(), "frida").await;
        let sql = "SELECT a.order_id, b.order_id AS other FROM orders.order_events a CROSS JOIN orders.order_events b";
        let info = client.execute(sql.to_owned(), None).await.unwrap();
        let token = client.token().unwrap().clone();
        let ticket = info.endpoint[0].ticket.clone().unwrap();
        let response = client.inner_mut().do_get(with(&token, ticket)).await.unwrap();
        let id = response.metadata().get("x-portcullis-query-id").unwrap().to_str().unwrap().to_owned();
        let mut messages = response.into_inner();
        messages.try_next().await.unwrap().unwrap();
        drop((messages, client));
        entry(&id).await;
    });
}

/// What is refused when it is to be run has its record, and the client has the record's name.
#[test]
fn a_refused_query_is_named_as_the_journal_does() {
    block_on(async {
        let mut client = login(served(), "frida").await;
        let info = client.execute("SELECT $1".to_owned(), None).await.unwrap();
        let token = client.token().unwrap().clone();
        let request = with(&token, info.endpoint[0].ticket.clone().unwrap());
        let refused = client.inner_mut().do_get(request).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        let id = refused.metadata().get("x-portcullis-query-id").unwrap().to_str().unwrap().to_owned();
        let message = "the statement has 1 parameters, and none were bound";
        assert_eq!(refused.message(), format!("{message} (query {id})"));
        let search = Query { text: Some(id), ..Query::default() };
        let journal = support::mesh().join(".portcullis/audit");
        let recorded = portcullis_audit::search(&journal, &search).unwrap().flatten().next().unwrap();
        assert_eq!((recorded.begin.principal.as_str(), recorded.status), ("frida", EntryStatus::Error));
        let described = failure(served(), &token, "SELECT nothing").await;
        let id = described.metadata().get("x-portcullis-query-id").unwrap().to_str().unwrap().to_owned();
        let search = Query { text: Some(id), ..Query::default() };
        let recorded: Vec<_> = portcullis_audit::search(&journal, &search).unwrap().flatten().collect();
        let outcomes: Vec<_> = recorded.iter().map(|entry| (entry.begin.principal.as_str(), entry.status)).collect();
        assert_eq!(outcomes, [("frida", EntryStatus::Error)], "what is refused when it is described has a record, too");
    });
}

/// The journal's entry of a query of the shared gateway, once that has ended.
pub async fn entry(id: &str) -> Entry {
    cancelled(&support::mesh().join(&support::gateway().config().audit.dir), id).await
}

/// Waits until the journal says that a query was cancelled.
async fn cancelled(journal: &Path, id: &str) -> Entry {
    let started = Instant::now();
    loop {
        let search = Query { text: Some(id.to_owned()), ..Query::default() };
        let entry = portcullis_audit::search(journal, &search).unwrap().flatten().next().unwrap();
        if entry.status == EntryStatus::Cancelled {
            return entry;
        }
        assert!(started.elapsed() < Duration::from_secs(20), "{:?}", entry.status);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The query waits for a client that does not read, whatever the size of the result; and when the client is killed, its
/// turn goes to the next one.
#[test]
fn a_client_that_stops_reading_holds_the_query_back_until_it_is_killed() {
    let mesh = support::copy_of_mesh();
    let gateway = block_on(async {
        let mut config = Config::load(mesh.path()).unwrap();
        config.catalogue.watch = false;
        config.limits.concurrent_queries = 1;
        Gateway::open(mesh.path(), config).await.unwrap()
    });
    let journal = mesh.path().join(&gateway.config().audit.dir);
    let served = support::serve(gateway.clone(), None);
    // The client has a runtime of its own: that is what is killed, with its sockets.
    let doomed = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (id, messages) = doomed.block_on(async {
        let mut client = login(&served, "frida").await;
        let sql = "SELECT g.value, e.* FROM generate_series(1, 1000000) g CROSS JOIN orders.order_events e";
        let info = client.execute(sql.to_owned(), None).await.unwrap();
        let token = client.token().unwrap().clone();
        let response = client.inner_mut().do_get(with(&token, info.endpoint[0].ticket.clone().unwrap())).await.unwrap();
        let id = response.metadata().get("x-portcullis-query-id").unwrap().to_str().unwrap().to_owned();
        let mut messages = response.into_inner();
        for _ in 0..3 {
            messages.try_next().await.unwrap().unwrap();
        }
        (id, messages)
    });
    // Time enough to run away; a query that is held back does not need it.
    std::thread::sleep(Duration::from_secs(2));
    let next = std::thread::scope(|scope| {
        let next = scope.spawn(|| {
            block_on(async {
                number(&query(&mut login(&served, "dev").await, "SELECT count(*) FROM orders.order_events").await)
            })
        });
        std::thread::sleep(Duration::from_millis(200));
        assert!(!next.is_finished(), "the only turn is taken");
        doomed.shutdown_background();
        next.join().unwrap()
    });
    assert!(next > 0);
    drop(messages);
    let entry = block_on(cancelled(&journal, &id));
    let bytes = entry.bytes.unwrap();
    assert!(bytes < 64 << 20, "{bytes} bytes were computed for a client that read three messages");
    block_on(gateway.shutdown());
}

#[test]
fn large_headers_pass_and_oversized_statements_are_refused() {
    block_on(async {
        let mut client = login(served(), "dev").await;
        for number in 0..10 {
            client.set_header(format!("x-parameter-{number}"), "v".repeat(5_000));
        }
        assert_eq!(number(&query(&mut client, "SELECT 1 AS one").await), 1);
        let token = token(served(), "dev").await;
        let status = failure(served(), &token, &format!("SELECT '{}'", "x".repeat(1 << 20))).await;
        assert_eq!(status.code(), Code::ResourceExhausted);
        let message = "statement of 1048585 bytes exceeds the limit of 262144 bytes; shorten it or bind parameters";
        let id = status.metadata().get("x-portcullis-query-id").unwrap().to_str().unwrap();
        assert_eq!(status.message(), format!("{message} (query {id})"));
    });
}

#[test]
fn tls() {
    let file = |name: &str| support::root().join("tests/clients/tls").join(name);
    let tls = TlsConfig::new(file("certificate.pem"), file("key.pem"));
    let served = support::serve(support::gateway(), Some(tls));
    block_on(async {
        let authority = Certificate::from_pem(std::fs::read(file("certificate.pem")).unwrap());
        let trusting = ClientTlsConfig::new().ca_certificate(authority).domain_name("localhost");
        let endpoint = Endpoint::from_shared(format!("https://{}", served.address)).unwrap();
        let channel = endpoint.tls_config(trusting).unwrap().connect().await.unwrap();
        let mut client = FlightSqlServiceClient::new(channel);
        client.handshake("dev", "dev").await.unwrap();
        assert_eq!(number(&query(&mut client, "SELECT 1 AS one").await), 1);
        let plain = Endpoint::from_shared(format!("http://{}", served.address)).unwrap().connect().await;
        if let Ok(channel) = plain {
            assert!(FlightSqlServiceClient::new(channel).handshake("dev", "dev").await.is_err());
        }
    });
}

#[test]
fn tls_files_that_cannot_be_used_are_named() {
    let key = support::root().join("tests/clients/tls/key.pem");
    block_on(async {
        let serve = async |certificate: &Path| {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let tls = TlsConfig::new(certificate, &key);
            portcullis_flight::serve(support::gateway(), listener, Some(tls), std::future::ready(())).await
        };
        let error = serve("nowhere.pem".as_ref()).await.unwrap_err().to_string();
        assert!(error.starts_with("cannot read `nowhere.pem` for TLS: "), "{error}");
        let error = serve(&support::root().join("Cargo.toml")).await.unwrap_err().to_string();
        assert!(error.starts_with("the certificate or key for TLS cannot be used: "), "{error}");
    });
}
