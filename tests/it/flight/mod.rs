//! Flight SQL over the wire, with the Rust client and with bare gRPC calls.

mod access;
mod cancel;
mod certificates;
mod impersonation;
mod limits;
mod options;
pub mod personal;
pub mod poll;
mod prepared;
mod refused;
mod replicas;
mod results;
mod session;
mod transport;

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, SchemaRef};
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::sql::{CommandGetTables, CommandStatementQuery, CommandStatementUpdate, ProstMessageExt};
use arrow_flight::{Empty, FlightData, FlightDescriptor, FlightInfo};
use futures::{StreamExt, TryStreamExt};
use prost::Message;
use tonic::metadata::MetadataMap;
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

/// A session as a client keeps it that keeps cookies.
pub struct Kept {
    pub client: Client,
    token: String,
    cookies: BTreeMap<String, String>,
}

impl Kept {
    pub async fn login(served: &Served, user: &str) -> Kept {
        Kept::resume(login(served, user).await).await
    }

    /// What a client has after its first call.
    pub async fn resume(mut client: Client) -> Kept {
        let token = client.token().unwrap().clone();
        let answer = client.inner_mut().list_actions(with(&token, Empty {})).await.unwrap();
        let mut kept = Kept { client, token, cookies: BTreeMap::new() };
        kept.take(answer.metadata());
        assert_eq!(kept.cookie(), "portcullis-cookies=1", "what a stream offers says nothing");
        kept
    }

    /// Takes up the cookies of an answer.
    pub fn take(&mut self, metadata: &MetadataMap) {
        for cookie in metadata.get_all("set-cookie") {
            let (name, value) = cookie.to_str().unwrap().split_once('=').unwrap();
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        self.client.set_header("cookie", self.cookie());
    }

    pub fn cookie(&self) -> String {
        self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }

    /// A request of this session.
    pub fn with<T>(&self, message: T) -> Request<T> {
        let mut request = with(&self.token, message);
        request.metadata_mut().insert("cookie", self.cookie().parse().unwrap());
        request
    }

    /// What comes of a statement, with the cookies of the answer taken up.
    pub async fn info(&mut self, sql: &str) -> Result<FlightInfo, Status> {
        let request = self.with(descriptor(&statement(sql)));
        let answer = self.client.inner_mut().get_flight_info(request).await?;
        self.take(answer.metadata());
        Ok(answer.into_inner())
    }

    pub async fn query(&mut self, sql: &str) -> Vec<RecordBatch> {
        let info = self.info(sql).await.unwrap();
        fetch(&mut self.client, info).await.1
    }

    /// Runs a `SET` as clients run updates.
    pub async fn update(&mut self, sql: &str) -> Result<(), Status> {
        let command = CommandStatementUpdate { query: sql.to_owned(), transaction_id: None };
        let put = FlightData { flight_descriptor: Some(descriptor(&command)), ..FlightData::default() };
        let request = self.with(futures::stream::iter([put]));
        let answer = self.client.inner_mut().do_put(request).await?;
        self.take(answer.metadata());
        Ok(())
    }
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

/// The names of all tables that a session is told of.
pub async fn metadata_of(kept: &mut Kept) -> BTreeSet<String> {
    let request = kept.with(descriptor(&CommandGetTables { include_schema: true, ..CommandGetTables::default() }));
    let info = kept.client.inner_mut().get_flight_info(request).await.unwrap().into_inner();
    texts(&fetch(&mut kept.client, info).await.1, "table_name")
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
