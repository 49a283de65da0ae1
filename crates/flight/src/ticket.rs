//! Tickets and handles: what they carry, and how they are sealed.
//!
//! Both are self-contained, signed, expiring and bound to the principal, so that any replica serves them and a stolen
//! one is of no use. They carry no decision: whoever comes with one is authorised again when it is used.

use arrow::record_batch::RecordBatch;
use arrow_flight::sql::{Any, ProstMessageExt, TicketStatementQuery};
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use bytes::Bytes;
use portcullis_gateway::{Gateway, Session};
use prost::Message;
use tonic::Status;

use crate::status;

/// Most bytes of parameters that a prepared statement's handle carries.
const MAX_PARAMETERS: usize = 1 << 20;

const STATEMENT: &str = "flight-statement";
const PREPARED: &str = "flight-prepared";

/// A statement to be run, with the purpose and the time zone that it was asked for in.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Statement {
    /// The statement's text.
    #[prost(string, tag = "1")]
    pub(crate) sql: String,
    /// The purpose stated when the statement was described or prepared.
    #[prost(string, optional, tag = "2")]
    pub(crate) purpose: Option<String>,
    /// One batch of one row, in Arrow's stream format; empty without parameters.
    #[prost(bytes = "bytes", tag = "3")]
    pub(crate) parameters: Bytes,
    /// The time zone in which the statement was announced: types of its columns may depend on it.
    #[prost(string, tag = "4")]
    pub(crate) time_zone: String,
}

impl Statement {
    /// A statement without parameters, as this session asks for it.
    pub(crate) fn new(gateway: &Gateway, session: &Session, sql: String) -> Statement {
        let purpose = session.purpose().map(str::to_owned);
        Statement { sql, purpose, parameters: Bytes::new(), time_zone: gateway.time_zone(session) }
    }

    /// The session in which it runs: the call's own purpose goes before the one that it was sealed with.
    pub(crate) fn session(&self, session: &Session) -> Session {
        let session = session.clone().with_time_zone(Some(self.time_zone.clone()));
        match session.purpose() {
            Some(_) => session,
            None => session.with_purpose(self.purpose.clone()),
        }
    }

    /// The same statement with these parameters bound.
    pub(crate) fn bind(mut self, parameters: Option<&RecordBatch>) -> Result<Statement, Status> {
        self.parameters = match parameters {
            None => Bytes::new(),
            Some(batch) => encode(batch).map_err(|error| status::internal("binding the parameters", error))?,
        };
        if self.parameters.len() > MAX_PARAMETERS {
            return Err(Status::resource_exhausted(format!(
                "the parameters take {} bytes; at most {MAX_PARAMETERS} bytes can be bound",
                self.parameters.len()
            )));
        }
        Ok(self)
    }

    /// The parameters that are bound.
    pub(crate) fn parameters(&self) -> Result<Option<RecordBatch>, Status> {
        if self.parameters.is_empty() {
            return Ok(None);
        }
        let batch =
            StreamReader::try_new(self.parameters.as_ref(), None).and_then(|mut batches| batches.next().transpose());
        batch.map_err(|error| status::internal("reading the bound parameters", error))
    }

    /// The ticket of a statement.
    pub(crate) fn into_ticket(self, gateway: &Gateway, session: &Session) -> Any {
        let statement_handle = gateway.seal_for(session, STATEMENT, &self.encode_to_vec()).into();
        TicketStatementQuery { statement_handle }.as_any()
    }

    /// The statement of a ticket.
    pub(crate) fn from_ticket(
        gateway: &Gateway,
        session: &Session,
        ticket: &TicketStatementQuery,
    ) -> Result<Self, Status> {
        Self::unseal(gateway, session, STATEMENT, &ticket.statement_handle)
    }

    /// The handle of a prepared statement.
    pub(crate) fn into_handle(self, gateway: &Gateway, session: &Session) -> Bytes {
        gateway.seal_for(session, PREPARED, &self.encode_to_vec()).into()
    }

    /// The prepared statement of a handle.
    pub(crate) fn from_handle(gateway: &Gateway, session: &Session, handle: &[u8]) -> Result<Self, Status> {
        Self::unseal(gateway, session, PREPARED, handle)
    }

    fn unseal(gateway: &Gateway, session: &Session, kind: &str, sealed: &[u8]) -> Result<Self, Status> {
        let payload = gateway.unseal_for(session, kind, sealed).map_err(status::from_gateway)?;
        Statement::decode(payload.as_slice()).map_err(|error| status::internal("reading a sealed statement", error))
    }
}

fn encode(batch: &RecordBatch) -> Result<Bytes, arrow::error::ArrowError> {
    let mut writer = StreamWriter::try_new(Vec::new(), batch.schema_ref())?;
    writer.write(batch)?;
    Ok(writer.into_inner()?.into())
}
