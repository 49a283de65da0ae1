//! Flight SQL over the wire, with the Rust client and with bare gRPC calls.

mod access;
mod options;
mod prepared;
mod results;
mod session;
mod transport;

use std::collections::BTreeSet;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, SchemaRef};
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::sql::{CommandStatementQuery, ProstMessageExt};
use arrow_flight::{FlightDescriptor, FlightInfo};
use futures::{StreamExt, TryStreamExt};
use prost::Message;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use crate::support::Served;

pub type Client = FlightSqlServiceClient<Channel>;

const EVENTS: &str = "SELECT * FROM orders.order_events";

pub async fn channel(served: &Served) -> Channel {
    Endpoint::from_shared(format!("http://{}", served.address)).unwrap().connect().await.unwrap()
}

/// A client that has logged in; the password of each of the demo's people is the name.
pub async fn login(served: &Served, user: &str) -> Client {
    let mut client = FlightSqlServiceClient::new(channel(served).await);
    client.handshake(user, user).await.unwrap();
    client
}

pub async fn fetch(client: &mut Client, info: FlightInfo) -> (SchemaRef, Vec<RecordBatch>) {
    let ticket = info.endpoint[0].ticket.clone().unwrap();
    let mut stream = client.do_get(ticket).await.unwrap();
    let batches: Vec<RecordBatch> = stream.by_ref().try_collect().await.unwrap();
    (stream.schema().unwrap().clone(), batches)
}

pub async fn query(client: &mut Client, sql: &str) -> Vec<RecordBatch> {
    let info = client.execute(sql.to_owned(), None).await.unwrap();
    fetch(client, info).await.1
}

pub fn texts(batches: &[RecordBatch], column: &str) -> BTreeSet<String> {
    let of = |batch: &RecordBatch| {
        let column = batch.column_by_name(column).unwrap();
        column.as_string::<i32>().iter().flatten().map(str::to_owned).collect::<Vec<_>>()
    };
    batches.iter().flat_map(of).collect()
}

pub fn number(batches: &[RecordBatch]) -> i64 {
    batches[0].column(0).as_primitive::<Int64Type>().value(0)
}

pub fn descriptor(command: &impl ProstMessageExt) -> FlightDescriptor {
    FlightDescriptor::new_cmd(command.as_any().encode_to_vec())
}

pub fn statement(sql: &str) -> CommandStatementQuery {
    CommandStatementQuery { query: sql.to_owned(), transaction_id: None }
}

/// A request with a token.
pub fn with<T>(token: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    request
}

pub async fn token(served: &Served, user: &str) -> String {
    login(served, user).await.token().unwrap().clone()
}

/// What describing a statement fails with.
async fn failure(served: &Served, token: &str, sql: &str) -> Status {
    let mut raw = FlightServiceClient::new(channel(served).await);
    raw.get_flight_info(with(token, descriptor(&statement(sql)))).await.unwrap_err()
}
