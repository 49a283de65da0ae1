//! Everything that comes back for one question, byte for byte, as a client of Flight SQL gets it.

use std::collections::BTreeMap;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::{
    ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult, Any, CommandPreparedStatementQuery,
    CommandStatementQuery, DoPutPreparedStatementResult, ProstMessageExt, TicketStatementQuery,
};
use arrow_flight::{Action, FlightData, FlightDescriptor, FlightInfo, Ticket};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use prost::Message;
use regex::bytes::Regex;
use tonic::metadata::{KeyAndValueRef, MetadataMap};
use tonic::transport::Channel;
use tonic::{Request, Status};

use super::generator::Ask;

/// The header and trailer that names a query in the journal.
const QUERY_ID: &str = "x-portcullis-query-id";
/// What seals add: version, key and expiry before, a tag behind.
const SEAL: (usize, usize) = (13, 32);
/// The header with what a session has set, sealed.
const SET_COOKIE: &str = "set-cookie";

/// The answer to a question: each part with its name, in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Response {
    pub parts: Vec<(String, Vec<u8>)>,
    /// The messages that carry rows, to show and to sort them.
    pub messages: Vec<(Bytes, Bytes)>,
    /// Whether the statement was executed to its end.
    pub succeeded: bool,
}

/// A client of one world, with one principal's token and a session that has set nothing.
#[derive(Clone)]
pub struct Door {
    pub client: FlightServiceClient<Channel>,
    pub token: String,
    pub cookie: String,
}

impl Response {
    fn add(&mut self, name: &str, bytes: impl AsRef<[u8]>) {
        self.parts.push((name.to_owned(), bytes.as_ref().to_vec()));
    }

    /// An error: code, text, details and trailers. Of these only the query's id is left out: it is drawn at random for each query,
    /// before anything is known of it.
    fn error(&mut self, status: &Status) {
        let mut message = status.message().to_owned();
        if let Some(id) = status.metadata().get(QUERY_ID).and_then(|id| id.to_str().ok()) {
            message = message.replace(id, "…");
        }
        self.add("error", format!("{:?}: {message}", status.code()));
        self.add("error details", status.details());
        self.metadata("trailers", status.metadata());
    }

    fn metadata(&mut self, name: &str, metadata: &MetadataMap) {
        let mut all = BTreeMap::new();
        for entry in metadata.iter() {
            match entry {
                // Drawn at random, see above. The date is the server's clock's.
                KeyAndValueRef::Ascii(key, _) if key.as_str() == QUERY_ID || key.as_str() == "date" => {}
                KeyAndValueRef::Ascii(key, value) if key.as_str() == SET_COOKIE => {
                    let sealed = value.to_str().unwrap().strip_prefix("portcullis-session=").unwrap();
                    let sealed = URL_SAFE_NO_PAD.decode(sealed).unwrap().into();
                    drop(all.insert(key.to_string(), unsealed(&sealed).to_vec()));
                }
                KeyAndValueRef::Ascii(key, value) => drop(all.insert(key.to_string(), value.as_bytes().to_vec())),
                KeyAndValueRef::Binary(key, value) => {
                    drop(all.insert(key.to_string(), value.as_encoded_bytes().to_vec()))
                }
            }
        }
        self.add(name, format!("{all:?}"));
    }

    /// Rows as text, with column names first.
    pub fn rows(&self) -> Vec<String> {
        futures::executor::block_on(async {
            let data = self.messages.iter().map(|(header, body)| {
                Ok(FlightData { data_header: header.clone(), data_body: body.clone(), ..FlightData::default() })
            });
            let stream = FlightRecordBatchStream::new_from_flight_data(futures::stream::iter(data.collect::<Vec<_>>()));
            let batches: Vec<RecordBatch> = stream.try_collect().await.unwrap_or_default();
            batches.iter().flat_map(rows_of).collect()
        })
    }

    pub fn has_rows(&self) -> bool {
        self.messages.len() > 1 && !self.rows().is_empty()
    }
}

/// Rows as text.
pub fn rows_of(batch: &RecordBatch) -> Vec<String> {
    let options = FormatOptions::default().with_null("∅");
    // A statement can make types that have no text, such as times in a zone that is none: of those, the bytes.
    let columns: Vec<_> = batch
        .columns()
        .iter()
        .map(|column| (column, ArrayFormatter::try_new(column.as_ref(), &options).ok()))
        .collect();
    let value = |(column, formatter): &(&ArrayRef, Option<ArrayFormatter<'_>>), row| match formatter {
        Some(formatter) => formatter.value(row).to_string(),
        None => format!("{:?}", column.slice(row, 1).to_data()),
    };
    let row = |row| columns.iter().map(|column| value(column, row)).collect::<Vec<_>>().join(" | ");
    (0..batch.num_rows()).map(row).collect()
}

impl Door {
    fn with<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", format!("Bearer {}", self.token).parse().unwrap());
        request.metadata_mut().insert("cookie", format!("portcullis-session={}", self.cookie).parse().unwrap());
        request
    }

    /// Asks, and keeps all that comes back.
    pub async fn ask(&self, ask: &Ask) -> Response {
        let mut response = Response::default();
        let asked = match ask {
            Ask::Sql(sql) => {
                let command = CommandStatementQuery { query: sql.clone(), transaction_id: None };
                self.flight(command.as_any().encode_to_vec(), &mut response).await
            }
            Ask::Schema(sql) => {
                let command = CommandStatementQuery { query: sql.clone(), transaction_id: None };
                self.schema(command.as_any().encode_to_vec(), &mut response).await
            }
            Ask::Command(_, command) => self.flight(command.clone(), &mut response).await,
            Ask::Prepared(sql, batch) => self.prepared(sql, batch, &mut response).await,
        };
        match asked {
            Ok(()) => response.succeeded = true,
            Err(status) => response.error(&status),
        }
        response
    }

    async fn flight(&self, command: Vec<u8>, response: &mut Response) -> Result<(), Status> {
        let mut client = self.client.clone();
        let answer = client.get_flight_info(self.with(FlightDescriptor::new_cmd(command))).await?;
        response.metadata("headers of the info", answer.metadata());
        let ticket = info(answer.into_inner(), response);
        self.rows(ticket, response).await
    }

    async fn schema(&self, command: Vec<u8>, response: &mut Response) -> Result<(), Status> {
        let mut client = self.client.clone();
        let answer = client.get_schema(self.with(FlightDescriptor::new_cmd(command))).await?;
        response.metadata("headers of the schema", answer.metadata());
        response.add("schema", answer.into_inner().schema);
        Ok(())
    }

    async fn rows(&self, ticket: Ticket, response: &mut Response) -> Result<(), Status> {
        let mut client = self.client.clone();
        let answer = client.do_get(self.with(ticket)).await?;
        response.metadata("headers of the rows", answer.metadata());
        let mut stream = answer.into_inner();
        while let Some(message) = stream.message().await? {
            response.add("message header", &message.data_header);
            response.add("message body", &message.data_body);
            response.add("message metadata", &message.app_metadata);
            response.messages.push((message.data_header, message.data_body));
        }
        if let Some(trailers) = stream.trailers().await? {
            response.metadata("trailers", &trailers);
        }
        Ok(())
    }

    async fn prepared(&self, sql: &str, batch: &RecordBatch, response: &mut Response) -> Result<(), Status> {
        let mut client = self.client.clone();
        let request = ActionCreatePreparedStatementRequest { query: sql.to_owned(), transaction_id: None };
        let action = Action::new("CreatePreparedStatement", request.as_any().encode_to_vec());
        let answer = client.do_action(self.with(action)).await?;
        response.metadata("headers of the handle", answer.metadata());
        let results: Vec<_> = answer.into_inner().try_collect().await?;
        let any = Any::decode(results[0].body.clone()).unwrap();
        let mut created = ActionCreatePreparedStatementResult::decode(any.value.clone()).unwrap();
        let handle = created.prepared_statement_handle.clone();
        created.prepared_statement_handle = unsealed(&handle);
        response.add("prepared statement", created.encode_to_vec());

        let command = |handle: Bytes| {
            CommandPreparedStatementQuery { prepared_statement_handle: handle }.as_any().encode_to_vec()
        };
        let rows = futures::stream::iter([Ok(batch.clone())]);
        let encoder = FlightDataEncoderBuilder::new()
            .with_flight_descriptor(Some(FlightDescriptor::new_cmd(command(handle))))
            .build(rows)
            .map(Result::unwrap);
        let mut put = client.do_put(self.with(encoder)).await?.into_inner();
        let bound = put.message().await?.unwrap();
        let bound = DoPutPreparedStatementResult::decode(bound.app_metadata).unwrap();
        let bound = bound.prepared_statement_handle.unwrap_or_default();
        response.add("bound statement", unsealed(&bound));
        let info =
            client.get_flight_info(self.with(FlightDescriptor::new_cmd(command(bound.clone())))).await?.into_inner();
        response.add("schema of the bound statement", &info.schema);
        self.rows(Ticket::new(command(bound)), response).await
    }
}

/// What is sealed, without the time and the tag that the seal adds, and the time at which a broken glass mends.
fn unsealed(sealed: &Bytes) -> Bytes {
    let (before, behind) = SEAL;
    let Some(whole) = sealed.len().checked_sub(before + behind) else { return sealed.clone() };
    let mends = Regex::new(r#""until_ms":\d+"#).unwrap();
    mends.replace(&sealed[before..before + whole], b"".as_slice()).into_owned().into()
}

/// Adds a description with its ticket unsealed; returns the ticket as it was.
fn info(mut info: FlightInfo, response: &mut Response) -> Ticket {
    let ticket = info.endpoint[0].ticket.take().unwrap_or_default();
    let shown = Any::decode(ticket.ticket.clone()).ok();
    let shown = shown.and_then(|any| any.unpack::<TicketStatementQuery>().ok().flatten());
    let shown = shown.map_or(ticket.ticket.clone(), |sealed| unsealed(&sealed.statement_handle));
    // The time that the seal has as well.
    info.endpoint[0].expiration_time = None;
    response.add("ticket", &shown);
    response.add("flight info", info.encode_to_vec());
    ticket
}
