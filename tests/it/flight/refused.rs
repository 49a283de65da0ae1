//! A statement that is refused where it is only described has one record in the audit journal; one that may run has none until it does.

use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch};
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::{
    ActionCreatePreparedStatementRequest, CommandStatementSubstraitPlan, CommandStatementUpdate, ProstMessageExt,
};
use arrow_flight::{Action, FlightData, Ticket};
use futures::stream;
use portcullis_audit::{Entry, EntryStatus, Order, Query};
use prost::Message;
use tempfile::TempDir;
use tonic::transport::Channel;
use tonic::{Code, Status};

use super::poll::polled;
use super::{channel, descriptor, login, statement, token, with};
use crate::support::{self, Served, block_on, served};

type Raw = FlightServiceClient<Channel>;

/// By policy (petra may discover it), as unknown, by what it means, by what it is, by its text, by a limit.
const REFUSED: [(&str, Code, EntryStatus); 6] = [
    ("SELECT 'secret' FROM orders.order_events", Code::PermissionDenied, EntryStatus::Denied),
    ("SELECT 'secret' FROM nowhere.at_all", Code::NotFound, EntryStatus::Denied),
    ("SELECT secret", Code::InvalidArgument, EntryStatus::Error),
    ("DELETE FROM secret.secrets", Code::Unimplemented, EntryStatus::Error),
    ("SELECT 'secret' FROM (", Code::InvalidArgument, EntryStatus::Error),
    ("SELECT ((((((((((((((((((((1))))))))))))))))))))", Code::ResourceExhausted, EntryStatus::Error),
];

/// The calls by which a statement is described.
const CALLS: [&str; 4] = ["GetFlightInfo", "GetSchema", "PollFlightInfo", "CreatePreparedStatement"];

async fn call(raw: &mut Raw, token: &str, name: &str, sql: &str) -> Result<(), Status> {
    match name {
        "GetFlightInfo" => raw.get_flight_info(with(token, descriptor(&statement(sql)))).await.map(drop),
        "GetSchema" => raw.get_schema(with(token, descriptor(&statement(sql)))).await.map(drop),
        "PollFlightInfo" => polled(raw, token, descriptor(&statement(sql))).await.map(drop),
        _ => {
            let request = ActionCreatePreparedStatementRequest { query: sql.to_owned(), transaction_id: None };
            let body = request.as_any().encode_to_vec();
            raw.do_action(with(token, Action::new("CreatePreparedStatement", body))).await.map(drop)
        }
    }
}

/// A gateway of its own that takes no deep statements.
async fn strict() -> (TempDir, Arc<portcullis_gateway::Gateway>, Served) {
    let mesh = support::copy_of_mesh();
    std::fs::write(mesh.path().join("portcullis.toml"), "[limits]\nstatement_depth = 16\n").unwrap();
    let gateway = support::open(mesh.path()).await.unwrap();
    let served = support::serve(Arc::clone(&gateway), None);
    (mesh, gateway, served)
}

async fn journal(mesh: &TempDir, gateway: &portcullis_gateway::Gateway) -> Vec<Entry> {
    gateway.shutdown().await;
    let query = Query { order: Order::OldestFirst, ..Query::default() };
    portcullis_audit::search(&mesh.path().join(".portcullis/audit"), &query).unwrap().map(Result::unwrap).collect()
}

#[test]
fn each_refusal_of_a_description_has_one_record() {
    block_on(async {
        let (mesh, gateway, served) = strict().await;
        let mut raw = FlightServiceClient::new(channel(&served).await);
        let petra = token(&served, "petra").await;
        let mut expected = Vec::new();
        for name in CALLS {
            for (sql, code, status) in REFUSED {
                let refused = call(&mut raw, &petra, name, sql).await.unwrap_err();
                assert_eq!(refused.code(), code, "{name}: {sql}: {refused}");
                let id = refused.metadata().get("x-portcullis-query-id").map(|id| id.to_str().unwrap().to_owned());
                expected.push((id.unwrap_or_else(|| panic!("{name}: {sql}: {refused}")), status));
            }
        }
        let entries = journal(&mesh, &gateway).await;
        let found: Vec<_> = entries.iter().map(|entry| (entry.begin.query_id.clone(), entry.status)).collect();
        assert_eq!(found, expected, "one record for each refusal, in their order");
        assert!(entries.iter().all(|entry| entry.begin.principal == "petra"));
        assert!(!format!("{entries:?}").contains("'secret'"), "no literal is in a record: {entries:?}");
    });
}

#[test]
fn what_may_run_has_no_record_until_it_does() {
    block_on(async {
        let (mesh, gateway, served) = strict().await;
        let mut raw = FlightServiceClient::new(channel(&served).await);
        let ana = token(&served, "ana").await;
        for name in CALLS {
            call(&mut raw, &ana, name, "SELECT region FROM orders.order_events WHERE order_id = ?").await.unwrap();
            call(&mut raw, &ana, name, "EXPLAIN SELECT region FROM orders.order_events").await.unwrap();
        }
        // A `SET` that is only described sets nothing; `GetFlightInfo` is where it is set.
        for name in ["GetSchema", "CreatePreparedStatement"] {
            call(&mut raw, &ana, name, "SET TIME ZONE 'Europe/Vienna'").await.unwrap();
        }
        let info = raw.get_flight_info(with(&ana, descriptor(&statement("SELECT 1 AS one")))).await.unwrap();
        let ticket = info.into_inner().endpoint.remove(0).ticket.unwrap();
        let rows = raw.do_get(with(&ana, ticket)).await.unwrap().into_inner();
        futures::TryStreamExt::try_collect::<Vec<_>>(rows).await.unwrap();
        let entries = journal(&mesh, &gateway).await;
        let found: Vec<_> = entries.iter().map(|entry| (entry.begin.statement.as_str(), entry.status)).collect();
        assert_eq!(found, [("SELECT ? AS one", EntryStatus::Success)]);
    });
}

#[test]
fn a_refused_setting_or_value_has_one_record() {
    block_on(async {
        let (mesh, gateway, served) = strict().await;
        let mut client = login(&served, "ana").await;
        let ana = client.token().unwrap().clone();
        let sql = "SET break_glass = 'nobody lets me, but I need it'";
        let mut raw = FlightServiceClient::new(channel(&served).await);
        for name in CALLS {
            assert_eq!(call(&mut raw, &ana, name, sql).await.unwrap_err().code(), Code::PermissionDenied, "{name}");
        }
        // As an update it is described before it is run, and refused once.
        let update = CommandStatementUpdate { query: "SET purpose = 'none'".to_owned(), transaction_id: None };
        let put = FlightData { flight_descriptor: Some(descriptor(&update)), ..FlightData::default() };
        assert_eq!(raw.do_put(with(&ana, stream::iter([put]))).await.unwrap_err().code(), Code::InvalidArgument);
        // A parameter too many: the statement was prepared, and what is bound to it is refused when that is described.
        let mut prepared = client.prepare("SELECT ?::bigint AS one".to_owned(), None).await.unwrap();
        let one: arrow::array::ArrayRef = Arc::new(Int64Array::from(vec![1]));
        let two = RecordBatch::try_from_iter([("a", Arc::clone(&one)), ("b", one)]).unwrap();
        prepared.set_parameters(two).unwrap();
        prepared.execute().await.unwrap_err();
        let entries = journal(&mesh, &gateway).await;
        let found: Vec<_> = entries.iter().map(|entry| (entry.begin.statement.as_str(), entry.status)).collect();
        let glass = ("SET break_glass = ?", EntryStatus::Denied);
        let rest = [("SET purpose = ?", EntryStatus::Error), ("SELECT $1::BIGINT AS one", EntryStatus::Error)];
        assert_eq!(found, [&[glass; 4][..], &rest[..]].concat());
        assert!(entries[0].begin.break_glass.is_some(), "the reason that was given is kept");
    });
}

#[test]
fn without_a_journal_a_refusal_says_so() {
    block_on(async {
        let (mesh, gateway, served) = strict().await;
        let mut raw = FlightServiceClient::new(channel(&served).await);
        let petra = token(&served, "petra").await;
        assert_eq!(journal(&mesh, &gateway).await.len(), 0);
        for name in CALLS {
            let status = call(&mut raw, &petra, name, REFUSED[0].0).await.unwrap_err();
            assert_eq!(status.code(), Code::Unavailable, "{name}: {status}");
        }
    });
}

#[test]
fn substrait_plans_are_refused_with_what_to_do_instead() {
    block_on(async {
        let mut raw = FlightServiceClient::new(channel(served()).await);
        let dev = token(served(), "dev").await;
        let plan = CommandStatementSubstraitPlan::default();
        let ticket = Ticket { ticket: plan.as_any().encode_to_vec().into() };
        let put = FlightData { flight_descriptor: Some(descriptor(&plan)), ..FlightData::default() };
        let answers = [
            raw.get_flight_info(with(&dev, descriptor(&plan))).await.map(drop),
            raw.get_schema(with(&dev, descriptor(&plan))).await.map(drop),
            raw.poll_flight_info(with(&dev, descriptor(&plan))).await.map(drop),
            raw.do_get(with(&dev, ticket)).await.map(drop),
            raw.do_put(with(&dev, stream::iter([put]))).await.map(drop),
        ];
        for answer in answers {
            let status = answer.unwrap_err();
            let message = "Substrait plans are not supported: send the statement as SQL";
            assert_eq!((status.code(), status.message()), (Code::Unimplemented, message));
        }
    });
}
