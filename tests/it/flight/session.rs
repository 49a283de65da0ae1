//! Options of a session, set in SQL and by the protocol's own action.

use std::collections::HashMap;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{DataType, Date32Type, TimeUnit};
use arrow_flight::Action;
use arrow_flight::flight_service_client::FlightServiceClient;
use futures::TryStreamExt;
use prost::Message;

use super::{channel, fetch, login, query, texts, with};
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

async fn act(token: &str, name: &str, body: Vec<u8>) -> Vec<u8> {
    let mut raw = FlightServiceClient::new(channel(served()).await);
    let results = raw.do_action(with(token, Action::new(name, body))).await.unwrap().into_inner();
    let mut results: Vec<arrow_flight::Result> = results.try_collect().await.unwrap();
    results.pop().unwrap().body.to_vec()
}

/// Sets one option; the error's number, if it was not set.
async fn set(token: &str, name: &str, value: Value) -> Option<i32> {
    let request = Options { options: HashMap::from([(name.to_owned(), value)]) };
    let answer = act(token, "SetSessionOptions", request.encode_to_vec()).await;
    Errors::decode(answer.as_slice()).unwrap().errors.get(name).map(|error| error.value)
}

async fn get(token: &str) -> HashMap<String, String> {
    let answer = Options::decode(act(token, "GetSessionOptions", Vec::new()).await.as_slice()).unwrap();
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
        let mut client = login(served(), "frida").await;
        let token = client.token().unwrap().clone();
        assert_eq!(get(&token).await, HashMap::from([("catalog", "mesh"), ("time_zone", "+00:00")].map(owned)));
        for (name, value, error) in [
            ("catalog", text("mesh"), None),
            ("catalog", text("other"), Some(INVALID_VALUE)),
            ("catalog", Value::default(), Some(INVALID_VALUE)),
            ("colour", text("red"), Some(INVALID_NAME)),
            ("time_zone", text("Europe/Atlantis"), Some(INVALID_VALUE)),
            ("time_zone", Value { text: None, truth: Some(true) }, Some(INVALID_VALUE)),
            ("time_zone", text("x'; SET purpose = 'fraud"), Some(INVALID_VALUE)),
            ("purpose", text("frod"), Some(INVALID_VALUE)),
            ("time_zone", text("Asia/Tokyo"), None),
            ("purpose", text("fraud"), None),
        ] {
            assert_eq!(set(&token, name, value.clone()).await, error, "{name} {value:?}");
        }
        let expect = [("catalog", "mesh"), ("time_zone", "Asia/Tokyo"), ("purpose", "fraud")];
        assert_eq!(get(&token).await, HashMap::from(expect.map(owned)));
        let names = "SELECT name FROM customers.customer_profiles";
        assert!(!texts(&query(&mut client, names).await, "name").contains("[redacted]"), "the purpose holds");
        let tokyo = DataType::Timestamp(TimeUnit::Nanosecond, Some("Asia/Tokyo".into()));
        assert_eq!(zone_of_first_column(&query(&mut client, "SELECT now()").await), tokyo);
        assert_eq!(set(&token, "purpose", Value::default()).await, None);
        assert_eq!(texts(&query(&mut client, names).await, "name").into_iter().collect::<Vec<_>>(), ["[redacted]"]);
        query(&mut client, "SET TIME ZONE DEFAULT").await;
        assert_eq!(get(&token).await["time_zone"], "+00:00");
    });
}

fn owned((name, value): (&str, &str)) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// A statement is run in the time zone that it was announced in, also if another was set since.
#[test]
fn a_ticket_keeps_its_time_zone() {
    block_on(async {
        let mut client = login(served(), "dev").await;
        let sql = "SELECT now() AS t, CAST(CAST('2026-07-01 01:00:00' AS TIMESTAMP WITH TIME ZONE) AS DATE) AS day";
        query(&mut client, "SET TIME ZONE 'Europe/Vienna'").await;
        let mut prepared = client.prepare(sql.to_owned(), None).await.unwrap();
        let info = client.execute(sql.to_owned(), None).await.unwrap();
        query(&mut client, "SET TIME ZONE '-11:00'").await;
        let announced = info.clone().try_decode_schema().unwrap();
        let (schema, batches) = fetch(&mut client, info).await;
        assert_eq!(*schema, announced);
        let vienna = DataType::Timestamp(TimeUnit::Nanosecond, Some("Europe/Vienna".into()));
        assert_eq!(schema.field(0).data_type(), &vienna);
        assert_eq!(prepared.dataset_schema().unwrap(), &announced);
        let info = prepared.execute().await.unwrap();
        assert_eq!(*fetch(&mut client, info).await.0, announced);
        let first_of_july = 20_635;
        assert_eq!(batches[0].column(1).as_primitive::<Date32Type>().value(0), first_of_july);
        let now = query(&mut client, "SELECT now()").await;
        assert_eq!(zone_of_first_column(&now), DataType::Timestamp(TimeUnit::Nanosecond, Some("-11:00".into())));
    });
}
