//! What can be tested without a gateway: credentials, encoding, statuses, options.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, LargeListArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, TimeUnit};
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use arrow_flight::sql::{Command, CommandStatementQuery, ProstMessageExt};
use arrow_flight::{BasicAuth, FlightData, FlightDescriptor};
use arrow_ipc::writer::IpcWriteOptions;
use futures::{StreamExt, TryStreamExt, stream};
use portcullis_gateway::{ErrorKind, GatewayError};
use prost::Message;
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};

use crate::auth::{self, Credential};
use crate::encode::{self, Encoder};
use crate::{command, status, wire};

fn headers(pairs: &[(&'static str, &str)]) -> MetadataMap {
    let mut metadata = MetadataMap::new();
    for (name, value) in pairs {
        metadata.append(*name, value.parse().unwrap());
    }
    metadata
}

fn basic(user: &str, password: &str) -> Option<Credential> {
    Some(Credential::Basic { user: user.to_owned(), password: password.to_owned() })
}

#[test]
fn credentials_in_headers() {
    let of = |pairs: &[(&'static str, &str)]| auth::credential(&headers(pairs)).map_err(|status| status.code());
    assert_eq!(of(&[]), Ok(None));
    assert_eq!(of(&[("authorization", "Basic YW5hOnNlY3JldA==")]), Ok(basic("ana", "secret")));
    assert_eq!(of(&[("authorization", "basic YW5hOmE6Yg")]), Ok(basic("ana", "a:b")), "unpadded, with a colon");
    assert_eq!(of(&[("authorization", "Bearer abc")]), Ok(Some(Credential::Bearer("abc".to_owned()))));
    assert_eq!(
        of(&[("authorization", "Basic YW5hOnNlY3JldA=="), ("authorization", "BEARER abc")]),
        Ok(Some(Credential::Bearer("abc".to_owned())))
    );
    for bad in ["", "Bearer", "Digest abc", "Basic ?", "Basic YW5h"] {
        assert_eq!(of(&[("authorization", bad)]), Err(Code::Unauthenticated), "{bad}");
    }
}

#[test]
fn credentials_in_a_handshake() {
    let message = BasicAuth { username: "ana".to_owned(), password: "secret".to_owned() };
    assert_eq!(auth::handshake_credential(&message.encode_to_vec()), basic("ana", "secret"));
    assert_eq!(auth::handshake_credential(b""), None);
    assert_eq!(auth::handshake_credential(b"\xff\xff"), None);
}

#[test]
fn each_kind_of_error_has_its_code() {
    let codes = [
        (ErrorKind::InvalidArgument, Code::InvalidArgument),
        (ErrorKind::NotFound, Code::NotFound),
        (ErrorKind::PermissionDenied, Code::PermissionDenied),
        (ErrorKind::Unauthenticated, Code::Unauthenticated),
        (ErrorKind::Unavailable, Code::Unavailable),
        (ErrorKind::ResourceExhausted, Code::ResourceExhausted),
        (ErrorKind::Unimplemented, Code::Unimplemented),
        (ErrorKind::Internal, Code::Internal),
        (ErrorKind::Cancelled, Code::Cancelled),
    ];
    for (kind, code) in codes {
        let status = status::from_gateway(GatewayError::new(kind, "what happened"));
        assert_eq!((status.code(), status.message()), (code, "what happened"));
    }
}

#[test]
fn an_error_of_a_query_names_the_query_and_stays_below_the_limit_of_headers() {
    let status = status::from_query(GatewayError::new(ErrorKind::Unavailable, "é".repeat(9000)), "q-17");
    assert!(status.message().ends_with("… (query q-17)"), "{}", status.message());
    assert!(status.message().len() < 2100);
    assert_eq!(status.metadata().get(status::QUERY_ID).unwrap(), "q-17");
}

#[test]
fn commands_of_descriptors() {
    let query = CommandStatementQuery { query: "SELECT 1".to_owned(), transaction_id: None };
    let descriptor = FlightDescriptor::new_cmd(query.as_any().encode_to_vec());
    assert_eq!(command::of_descriptor(&descriptor).unwrap(), Command::CommandStatementQuery(query));
    let path = FlightDescriptor::new_path(vec!["orders".to_owned()]);
    assert_eq!(command::of_descriptor(&path).unwrap_err().code(), Code::InvalidArgument);
    let text = FlightDescriptor::new_cmd("SELECT 1");
    assert_eq!(command::of_descriptor(&text).unwrap_err().code(), Code::InvalidArgument);
    assert!(command::no_transaction(Some(b"")).is_ok());
    assert_eq!(command::no_transaction(Some(b"t")).unwrap_err().code(), Code::Unimplemented);
}

#[test]
fn results_have_one_form_of_schema() {
    let remarks = HashMap::from([("ARROW:FLIGHT:SQL:REMARKS".to_owned(), "an id".to_owned())]);
    let literal = Schema::new(vec![Field::new("id", DataType::Int64, false).with_metadata(remarks)]);
    let unknown = Schema::new(vec![Field::new("id", DataType::Int64, true)]);
    let announced = wire::schema(&unknown);
    assert_eq!(wire::schema(&literal), announced);
    let ids: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
    let batch = RecordBatch::try_new(Arc::new(literal), vec![ids]).unwrap();
    let sent = wire::batch(batch, &announced).unwrap();
    assert_eq!((sent.schema(), sent.num_rows()), (announced, 2));
    let instant = |unit| Field::new("$3", DataType::Timestamp(unit, Some("+00:00".into())), true);
    let views = DataType::List(Arc::new(Field::new("item", DataType::Utf8View, true)));
    let parameters = Schema::new(vec![
        Field::new("$1", DataType::Utf8View, false),
        Field::new("$2", views, true),
        instant(TimeUnit::Microsecond),
    ]);
    let texts = DataType::List(Arc::new(Field::new("item", DataType::Utf8, true)));
    let wanted = Schema::new(vec![
        Field::new("$1", DataType::Utf8, true),
        Field::new("$2", texts, true),
        instant(TimeUnit::Millisecond),
    ]);
    assert_eq!(*wire::parameters(&parameters), wanted);
}

async fn messages(
    batches: Vec<Result<RecordBatch, Status>>,
    options: IpcWriteOptions,
) -> Vec<Result<FlightData, Status>> {
    let schema = sample(0).schema();
    Encoder::new(schema, stream::iter(batches).boxed(), options).collect().await
}

fn sample(rows: i64) -> RecordBatch {
    let text = StringArray::from_iter_values((0..rows).map(|row| format!("{row:0>1000}")));
    let list = LargeListArray::from_iter_primitive::<Int64Type, _, _>((0..rows).map(|row| Some(vec![Some(row)])));
    let columns: [(&str, ArrayRef); 3] =
        [("id", Arc::new(Int64Array::from_iter_values(0..rows))), ("text", Arc::new(text)), ("list", Arc::new(list))];
    RecordBatch::try_from_iter(columns).unwrap()
}

async fn decode(messages: Vec<Result<FlightData, Status>>) -> Vec<RecordBatch> {
    let messages = stream::iter(messages).map_err(|status| FlightError::Tonic(Box::new(status)));
    FlightRecordBatchStream::new_from_flight_data(messages).try_collect().await.unwrap()
}

#[tokio::test]
async fn big_batches_are_split_and_nothing_is_lost() {
    let sent = messages(vec![Ok(sample(10_000)), Ok(sample(0)), Ok(sample(1))], IpcWriteOptions::default()).await;
    assert!(sent.len() > 5, "10 MB in {} messages", sent.len());
    assert!(sent.iter().flatten().all(|message| message.data_body.len() < 3 << 20));
    let batches = decode(sent).await;
    assert!(batches.iter().all(|batch| batch.schema() == sample(0).schema() && batch.num_rows() > 0));
    let ids: Vec<i64> =
        batches.iter().flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values().to_vec()).collect();
    assert_eq!(ids, (0..10_000).chain([0]).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_slice_of_a_big_batch_is_one_small_message() {
    let slice = sample(10_000).slice(5_000, 3);
    let sent = messages(vec![Ok(slice)], IpcWriteOptions::default()).await;
    assert_eq!(sent.len(), 2);
    assert!(sent[1].as_ref().unwrap().data_body.len() < 10_000);
}

#[tokio::test]
async fn a_result_without_rows_is_a_schema_and_one_empty_batch() {
    for batches in [vec![], vec![Ok(sample(0)), Ok(sample(0))]] {
        let sent = messages(batches, IpcWriteOptions::default()).await;
        assert_eq!(sent.len(), 2);
        let batches = decode(sent).await;
        assert_eq!((batches.len(), batches[0].num_rows(), batches[0].num_columns()), (1, 0, 3));
    }
    let nothing = Arc::new(Schema::empty());
    let encoder = Encoder::new(nothing, stream::empty().boxed(), IpcWriteOptions::default());
    assert_eq!(encoder.count().await, 1, "a result without columns has no batch either");
}

#[tokio::test]
async fn an_error_ends_the_stream() {
    let sent =
        messages(vec![Ok(sample(1)), Err(Status::aborted("no")), Ok(sample(1))], IpcWriteOptions::default()).await;
    assert_eq!(sent.len(), 3);
    assert_eq!(sent[2].as_ref().unwrap_err().code(), Code::Aborted);
}

#[tokio::test]
async fn one_batch_is_pulled_at_a_time() {
    let pulled = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counter = Arc::clone(&pulled);
    let batches = stream::iter(0..100).map(move |_| {
        counter.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        Ok(sample(5_000))
    });
    let mut encoder = Encoder::new(sample(0).schema(), batches.boxed(), IpcWriteOptions::default());
    for (asked, wanted) in [(1, 0), (2, 1), (3, 1), (4, 1), (5, 2)] {
        assert!(encoder.next().await.unwrap().is_ok());
        assert_eq!(pulled.load(std::sync::atomic::Ordering::SeqCst), wanted, "after {asked} messages");
    }
}

#[tokio::test]
async fn batches_are_compressed_on_request() {
    let options = |value: &str| encode::options(&headers(&[("x-portcullis-compression", value)]));
    let size = |sent: &[Result<FlightData, Status>]| -> usize {
        sent.iter().flatten().map(|message| message.data_body.len()).sum()
    };
    let plain = messages(vec![Ok(sample(1000))], options("none").unwrap()).await;
    for codec in ["lz4", "zstd"] {
        let sent = messages(vec![Ok(sample(1000))], options(codec).unwrap()).await;
        assert!(size(&sent) * 5 < size(&plain), "{codec}");
        assert_eq!(decode(sent).await[0], sample(1000));
    }
    assert_eq!(options("gzip").unwrap_err().code(), Code::InvalidArgument);
}
