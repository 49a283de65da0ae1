//! Options of a session, set in SQL and by the protocol's own action.

use std::collections::HashMap;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{DataType, Date32Type, TimeUnit};
use arrow_flight::sql::{
    ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult, Any, CommandPreparedStatementQuery,
    ProstMessageExt,
};
use arrow_flight::{Action, FlightData, Ticket};
use futures::TryStreamExt;
use prost::Message;
use tonic::transport::Endpoint;
use tonic::{Code, Response, Status, Streaming};

use super::{Client, Kept, descriptor, fetch, number, statement, texts};
use crate::support::{block_on, served};

/// The protocol's `SessionOptionValue`, as far as it is sent here.
#[derive(Clone, PartialEq, Message)]
struct Value {
    #[prost(string, optional, tag = "1")]
    text: Option<String>,
    #[prost(bool, optional, tag = "2")]
    truth: Option<bool>,
}

/// `SetSessionOptionsRequest` and `GetSessionOptionsResult`.
#[derive(Clone, PartialEq, Message)]
struct Options {
    #[prost(map = "string, message", tag = "1")]
    options: HashMap<String, Value>,
}

#[derive(Clone, PartialEq, Message)]
struct Error {
    #[prost(int32, tag = "1")]
    value: i32,
}

/// `SetSessionOptionsResult`.
#[derive(Clone, PartialEq, Message)]
struct Errors {
    #[prost(map = "string, message", tag = "1")]
    errors: HashMap<String, Error>,
}

const INVALID_NAME: i32 = 1;
const INVALID_VALUE: i32 = 2;

async fn act(kept: &mut Kept, name: &str, body: Vec<u8>) -> Vec<u8> {
    let request = kept.with(Action::new(name, body));
    let answer = kept.client.inner_mut().do_action(request).await.unwrap();
    kept.take(answer.metadata());
    let mut results: Vec<arrow_flight::Result> = answer.into_inner().try_collect().await.unwrap();
    results.pop().unwrap().body.to_vec()
}

/// Sets one option; the error's number, if it was not set.
async fn set(kept: &mut Kept, name: &str, value: Value) -> Option<i32> {
    let request = Options { options: HashMap::from([(name.to_owned(), value)]) };
    let answer = act(kept, "SetSessionOptions", request.encode_to_vec()).await;
    Errors::decode(answer.as_slice()).unwrap().errors.get(name).map(|error| error.value)
}

pub async fn get(kept: &mut Kept) -> HashMap<String, String> {
    let answer = Options::decode(act(kept, "GetSessionOptions", Vec::new()).await.as_slice()).unwrap();
    answer.options.into_iter().filter_map(|(name, value)| Some((name, value.text?))).collect()
}

fn text(value: &str) -> Value {
    Value { text: Some(value.to_owned()), truth: None }
}

fn zone_of_first_column(batches: &[RecordBatch]) -> DataType {
    batches[0].schema().field(0).data_type().clone()
}

#[test]
fn options_are_set_by_the_protocol_as_by_sql() {
    block_on(async {
        let mut frida = Kept::login(served(), "frida").await;
        assert_eq!(get(&mut frida).await, HashMap::from([("catalog", "mesh"), ("time_zone", "+00:00")].map(owned)));
        for (name, value, error) in [
            ("catalog", text("mesh"), None),
            ("catalog", text("other"), Some(INVALID_VALUE)),
            ("catalog", Value::default(), Some(INVALID_VALUE)),
            ("colour", text("red"), Some(INVALID_NAME)),
            ("time_zone", text("Europe/Atlantis"), Some(INVALID_VALUE)),
            ("time_zone", Value { text: None, truth: Some(true) }, Some(INVALID_VALUE)),
            ("time_zone", text("x'; SET purpose = 'fraud"), Some(INVALID_VALUE)),
            ("purpose", text("frod"), Some(INVALID_VALUE)),
            ("schema", text("nowhere"), Some(INVALID_VALUE)),
            ("schema", Value { text: None, truth: Some(true) }, Some(INVALID_VALUE)),
            ("as_of", text("yesterday"), Some(INVALID_VALUE)),
            ("as_of", Value { text: None, truth: Some(true) }, Some(INVALID_VALUE)),
            ("schema", text("customers"), None),
            ("time_zone", text("Asia/Tokyo"), None),
            ("purpose", text("fraud"), None),
        ] {
            assert_eq!(set(&mut frida, name, value.clone()).await, error, "{name} {value:?}");
        }
        let expect = [("catalog", "mesh"), ("schema", "customers"), ("time_zone", "Asia/Tokyo"), ("purpose", "fraud")];
        assert_eq!(get(&mut frida).await, HashMap::from(expect.map(owned)));
        let names = "SELECT name FROM customer_profiles";
        assert!(!texts(&frida.query(names).await, "name").contains("[redacted]"), "the purpose holds");
        let tokyo = DataType::Timestamp(TimeUnit::Nanosecond, Some("Asia/Tokyo".into()));
        assert_eq!(zone_of_first_column(&frida.query("SELECT now()").await), tokyo);
        assert_eq!(set(&mut frida, "purpose", Value::default()).await, None);
        assert_eq!(texts(&frida.query(names).await, "name").into_iter().collect::<Vec<_>>(), ["[redacted]"]);
        frida.query("SET TIME ZONE DEFAULT").await;
        assert_eq!(get(&mut frida).await["time_zone"], "+00:00");
    });
}

fn owned((name, value): (&str, &str)) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// A statement is run in the time zone that it was announced in, also if another was set since.
#[test]
fn a_ticket_keeps_its_time_zone() {
    block_on(async {
        let mut dev = Kept::login(served(), "dev").await;
        let sql = "SELECT now() AS t, CAST(CAST('2026-07-01 01:00:00' AS TIMESTAMP WITH TIME ZONE) AS DATE) AS day";
        dev.query("SET TIME ZONE 'Europe/Vienna'").await;
        let mut prepared = dev.client.prepare(sql.to_owned(), None).await.unwrap();
        let info = dev.client.execute(sql.to_owned(), None).await.unwrap();
        dev.query("SET TIME ZONE '-11:00'").await;
        let announced = info.clone().try_decode_schema().unwrap();
        let (schema, batches) = fetch(&mut dev.client, info).await;
        assert_eq!(*schema, announced);
        let vienna = DataType::Timestamp(TimeUnit::Nanosecond, Some("Europe/Vienna".into()));
        assert_eq!(schema.field(0).data_type(), &vienna);
        assert_eq!(prepared.dataset_schema().unwrap(), &announced);
        let info = prepared.execute().await.unwrap();
        assert_eq!(*fetch(&mut dev.client, info).await.0, announced);
        let first_of_july = 20_635;
        assert_eq!(batches[0].column(1).as_primitive::<Date32Type>().value(0), first_of_july);
        let now = dev.query("SELECT now()").await;
        assert_eq!(zone_of_first_column(&now), DataType::Timestamp(TimeUnit::Nanosecond, Some("-11:00".into())));
    });
}

/// What a session has set, what it tells of it, and what a ticket keeps of it.
#[test]
fn a_time_is_a_session_option_and_a_ticket_keeps_it() {
    let versions = "SELECT count(*) AS n FROM customers.customer_profiles";
    block_on(async {
        let mut frida = Kept::login(served(), "frida").await;
        let now = number(&frida.query(versions).await);
        assert_eq!(set(&mut frida, "time_zone", text("+02:00")).await, None);
        assert_eq!(set(&mut frida, "as_of", text("2100-01-01 02:00:00")).await, None);
        assert_eq!(get(&mut frida).await["as_of"], "2100-01-01 00:00:00Z");
        assert_eq!(number(&frida.query(versions).await), now, "a time to come means the newest version");
        let later = frida.info(versions).await.unwrap();
        let mut prepared = frida.client.prepare(versions.to_owned(), None).await.unwrap();
        assert_eq!(set(&mut frida, "as_of", text("1999-12-31T00:00:00Z")).await, None);
        let refused = frida.info(versions).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert!(refused.message().contains("customers.customer_profiles` cannot be read as of then"), "{refused}");
        assert_eq!(number(&fetch(&mut frida.client, later).await.1), now, "as it was announced");
        let info = prepared.execute().await.unwrap();
        assert_eq!(number(&fetch(&mut frida.client, info).await.1), now);
        // Metadata is of now.
        let mut tables = super::metadata_of(&mut frida).await;
        assert!(tables.remove("customer_profiles"), "{tables:?}");
        assert_eq!(set(&mut frida, "as_of", Value::default()).await, None);
        assert_eq!(get(&mut frida).await.get("as_of"), None);
        assert_eq!(number(&frida.query(versions).await), now);
        // Where it was announced without one, it has none.
        let plain = frida.info(versions).await.unwrap();
        assert_eq!(set(&mut frida, "as_of", text("1999-12-31")).await, None);
        assert_eq!(number(&fetch(&mut frida.client, plain).await.1), now);
        frida.query("SET as_of = DEFAULT").await;
        assert_eq!(get(&mut frida).await.get("as_of"), None);
    });
}

async fn get_rows(kept: &mut Kept, ticket: &Ticket) -> Result<Response<Streaming<FlightData>>, Status> {
    let request = kept.with(ticket.clone());
    kept.client.inner_mut().do_get(request).await
}

/// Clients take up the headers of a stream late, some when they read its end, so what `SET` sets comes with the answer to
/// `GetFlightInfo`, and only with that.
#[test]
fn a_set_takes_effect_when_it_is_asked_for_and_once() {
    block_on(async {
        let mut frida = Kept::login(served(), "frida").await;
        let request = frida.with(descriptor(&statement("SET purpose = 'fraud'")));
        frida.client.inner_mut().get_schema(request).await.unwrap();
        assert_eq!(get(&mut frida).await.get("purpose"), None, "to describe is not to set");
        let info = frida.info("SET purpose = 'fraud'").await.unwrap();
        assert_eq!(get(&mut frida).await["purpose"], "fraud");
        frida.query("SET purpose = DEFAULT").await;
        let ticket = info.endpoint[0].ticket.clone().unwrap();
        for _ in 0..2 {
            let answer = get_rows(&mut frida, &ticket).await.unwrap();
            for header in ["set-cookie", "x-portcullis-query-id"] {
                assert!(!answer.metadata().contains_key(header), "{header}: nothing is left to be done");
            }
            answer.into_inner().try_collect::<Vec<_>>().await.unwrap();
        }
        assert_eq!(get(&mut frida).await.get("purpose"), None, "a ticket sets nothing");

        let request =
            ActionCreatePreparedStatementRequest { query: "SET purpose = 'fraud'".to_owned(), transaction_id: None };
        let created = act(&mut frida, "CreatePreparedStatement", request.as_any().encode_to_vec()).await;
        let created: ActionCreatePreparedStatementResult =
            Any::decode(created.as_slice()).unwrap().unpack().unwrap().unwrap();
        let command = CommandPreparedStatementQuery { prepared_statement_handle: created.prepared_statement_handle };
        let direct = Ticket { ticket: command.as_any().encode_to_vec().into() };
        let refused = get_rows(&mut frida, &direct).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unimplemented, "it would be forgotten: {refused}");
        let request = frida.with(descriptor(&command));
        let answer = frida.client.inner_mut().get_flight_info(request).await.unwrap();
        frida.take(answer.metadata());
        assert_eq!(get(&mut frida).await["purpose"], "fraud");
    });
}

/// A part of `ActionCreatePreparedStatementResult`.
#[derive(Clone, PartialEq, prost::Message)]
struct Created {
    #[prost(bool, optional, tag = "4")]
    is_update: Option<bool>,
}

/// Go's client reads one message of the answer to an update, and takes up its headers when the stream is garbage.
#[test]
fn a_client_that_takes_up_cookies_of_updates_late_sets_by_query() {
    block_on(async {
        let agent = "ADBC Flight SQL Driver v1 grpc-go/1.7";
        let address = format!("http://{}", served().address);
        let channel = Endpoint::from_shared(address).unwrap().user_agent(agent).unwrap().connect().await.unwrap();
        let mut client = Client::new(channel);
        client.handshake("frida", "frida").await.unwrap();
        let mut frida = Kept::resume(client).await;
        let refused = frida.update("SET purpose = 'fraud'").await.unwrap_err();
        assert_eq!(refused.code(), Code::Unimplemented);
        assert!(refused.message().contains("run `SET` as a query"), "{refused}");
        let request =
            ActionCreatePreparedStatementRequest { query: "SET purpose = 'fraud'".to_owned(), transaction_id: None };
        let created = act(&mut frida, "CreatePreparedStatement", request.as_any().encode_to_vec()).await;
        let created = Created::decode(Any::decode(created.as_slice()).unwrap().value).unwrap();
        assert_eq!(created.is_update, Some(false), "it would run it as an update");
        assert_eq!(get(&mut frida).await.get("purpose"), None);
        frida.query("SET purpose = 'fraud'").await;
        assert_eq!(get(&mut frida).await["purpose"], "fraud");
    });
}
