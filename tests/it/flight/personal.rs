//! Personal access tokens over the wire: made, used and revoked as people do.

use std::ffi::OsString;
use std::path::Path;
use std::time::{Duration, Instant};

use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::CommandGetTables;
use futures::TryStreamExt;
use portcullis_gateway::config::Span;
use portcullis_gateway::{Config, Gateway};
use serde_json::Value;
use tempfile::TempDir;
use tonic::{Code, Status};

use super::{channel, descriptor, failure, statement, texts, token, with};
use crate::keycloak::bearer;
use crate::support::{self, Served, block_on};

const ORDERS: &str = "SELECT region, count(*) AS n FROM orders.order_events GROUP BY region ORDER BY region";
const CUSTOMERS: &str = "SELECT count(*) AS n FROM customers.customer_profiles";

async fn portcullis(mesh: &Path, arguments: &[&str]) -> (u8, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let front = ["portcullis", "--mesh", mesh.to_str().unwrap(), "token"];
    let mut streams = portcullis::Streams { out: &mut out, err: &mut err, interactive: false };
    let code = portcullis::run(front.iter().chain(arguments).map(OsString::from), &mut streams).await;
    (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

/// A token of ana's, as the command line makes it.
pub fn create(mesh: &Path, more: &[&str]) -> String {
    let (code, out, err) = block_on(portcullis(mesh, &[&["create", "--user", "ana"], more].concat()));
    assert_eq!(code, portcullis::OK, "{err}");
    let token = out.trim_end().to_owned();
    assert!(!err.contains(token.splitn(3, '_').nth(2).unwrap()), "the token is printed once");
    token
}

fn listed(mesh: &Path) -> Vec<Value> {
    let (code, out, err) = block_on(portcullis(mesh, &["list", "-f", "json"]));
    assert_eq!((code, err.as_str()), (portcullis::OK, ""));
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A gateway that watches a mesh of its own.
fn watching() -> (TempDir, Served) {
    let mesh = support::copy_of_mesh();
    let mut config = Config::load(mesh.path()).unwrap();
    config.identity.revocation_age = Span::millis(100);
    let gateway = block_on(Gateway::open(mesh.path(), config)).unwrap();
    let served = support::serve(gateway, None);
    (mesh, served)
}

/// Waits until a token is accepted or not: the gateway was not told.
async fn until(served: &Served, token: &str, wanted: bool) -> Option<Status> {
    let began = Instant::now();
    let mut raw = FlightServiceClient::new(channel(served).await);
    loop {
        let answer = raw.get_flight_info(with(token, descriptor(&statement("SELECT 1")))).await;
        if answer.is_ok() == wanted {
            return answer.err();
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{answer:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[test]
fn a_token_is_made_used_listed_and_revoked() {
    let (mesh, served) = watching();
    let scoped = create(mesh.path(), &["--domain", "orders", "--name", "nightly", "--expires", "2d"]);
    let other = create(mesh.path(), &["--all-domains"]);
    let all = listed(mesh.path());
    let fact = |at: usize, key: &str| all[at][key].clone();
    assert_eq!((fact(0, "user"), fact(0, "name"), fact(0, "state")), ("ana".into(), "nightly".into(), "valid".into()));
    assert_eq!((fact(0, "domains"), fact(1, "domains")), (serde_json::json!(["orders"]), serde_json::json!(["*"])));
    block_on(async {
        until(&served, &scoped, true).await;
        until(&served, &other, true).await;
        let mut raw = FlightServiceClient::new(channel(&served).await);
        let rows = async |token: &str, ticket| -> Result<Vec<_>, Status> {
            let mut raw = FlightServiceClient::new(channel(&served).await);
            raw.do_get(with(token, ticket)).await?.into_inner().try_collect().await
        };
        let info = raw.get_flight_info(with(&scoped, descriptor(&statement(ORDERS)))).await.unwrap().into_inner();
        assert!(rows(&scoped, info.endpoint[0].ticket.clone().unwrap()).await.unwrap().len() > 1);
        assert_eq!(failure(&served, &scoped, CUSTOMERS).await.code(), Code::NotFound);

        // The same person's ticket, made where the scope did not hold, opens nothing where it holds.
        let password = token(&served, "ana").await;
        let info = raw.get_flight_info(with(&password, descriptor(&statement(CUSTOMERS)))).await.unwrap().into_inner();
        let ticket = info.endpoint[0].ticket.clone().unwrap();
        assert!(rows(&password, ticket.clone()).await.is_ok());
        assert_eq!(rows(&scoped, ticket).await.unwrap_err().code(), Code::NotFound);

        // Metadata knows no more.
        let schemas = async |token: &str| {
            let mut client = arrow_flight::sql::client::FlightSqlServiceClient::new(channel(&served).await);
            client.set_token(token.to_owned());
            let info = client.get_tables(CommandGetTables::default()).await.unwrap();
            texts(&super::fetch(&mut client, info).await.1, "db_schema_name")
        };
        assert_eq!(schemas(&scoped).await, ["orders".to_owned()].into());
        assert!(schemas(&other).await.contains("customers"));

        let (code, out, err) = portcullis(mesh.path(), &["revoke", all[0]["id"].as_str().unwrap()]).await;
        assert_eq!((code, err.as_str()), (portcullis::OK, ""));
        assert_eq!(out, format!("revoked {} of ana\n", all[0]["id"].as_str().unwrap()));
        let status = until(&served, &scoped, false).await.unwrap();
        assert_eq!(status.code(), Code::Unauthenticated);
        assert!(status.message().contains("was revoked"), "{status}");
        until(&served, &other, true).await;
        portcullis(mesh.path(), &["revoke", "--user", "ana"]).await;
        until(&served, &other, false).await;
    });
    assert!(listed(mesh.path()).iter().all(|token| token["state"] == "revoked"));
    let (code, _, err) = block_on(portcullis(mesh.path(), &["revoke", "nothing"]));
    assert_eq!(code, portcullis::FAILED);
    assert!(err.contains("there is no token `nothing`"), "{err}");
}

/// pyarrow and ADBC take it as they take any bearer token.
#[test]
fn external_clients_use_personal_tokens() {
    let Some(python) = support::python() else { return };
    let (mesh, served) = watching();
    let token = create(mesh.path(), &["--domain", "orders"]);
    block_on(until(&served, &token, true));
    let ask = |token: &str, sql: &str| bearer(&python, &served.address.to_string(), token, sql, None);
    let gateway = support::gateway();
    let session = support::session(&gateway, "ana", None);
    let (_, batches) = block_on(support::rows(&gateway, &session, ORDERS)).unwrap();
    let expected: Value = batches.iter().flat_map(support::texts).collect();
    let facts = ask(&token, ORDERS);
    assert_eq!((&facts["pyarrow"], &facts["adbc"]), (&expected, &expected), "{facts}");
    let refused = |facts: Value, reason: &str| {
        for client in ["pyarrow_error", "adbc_error"] {
            assert!(facts[client].as_str().unwrap().contains(reason), "{facts}");
        }
    };
    refused(ask(&token, CUSTOMERS), "table `customers.customer_profiles` not found");
    refused(ask(&format!("{}A", &token[..token.len() - 2]), ORDERS), "the personal access token is not valid");
    block_on(portcullis(mesh.path(), &["revoke", "--user", "ana"]));
    block_on(until(&served, &token, false));
    refused(ask(&token, ORDERS), "was revoked");
}
