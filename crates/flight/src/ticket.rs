//! Tickets and handles: what they carry, and how they are sealed.
//!
//! Both are self-contained, signed, expiring and bound to the principal, so that any replica serves them and a stolen
//! one is of no use. They carry no decision: whoever comes with one is authorised again when it is used.

use arrow::record_batch::RecordBatch;
use arrow_flight::Ticket;
use arrow_flight::sql::{Any, Command, CommandPreparedStatementQuery, ProstMessageExt, TicketStatementQuery};
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use bytes::Bytes;
use portcullis_gateway::{Defaults, Gateway, Session, SessionOptions};
use prost::Message;
use tonic::Status;

use crate::command;
use crate::status;

/// Most bytes of parameters that a prepared statement's handle carries.
const MAX_PARAMETERS: usize = 1 << 20;

const STATEMENT: &str = "flight-statement";
const PREPARED: &str = "flight-prepared";

/// A statement to be run, with all that its session said when it was asked for.
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
    /// What the session had set, for who comes with the ticket but without the session. As JSON; empty for nothing.
    #[prost(bytes = "bytes", tag = "5")]
    pub(crate) options: Bytes,
    /// The domain of its tables without one: the session may have set another since.
    #[prost(string, optional, tag = "6")]
    pub(crate) schema: Option<String>,
    /// It has set what it sets, and nothing is left to be done.
    #[prost(bool, tag = "7")]
    pub(crate) set: bool,
    /// The time of its tables whose version it does not ask for, in microseconds since 1970.
    #[prost(int64, optional, tag = "8")]
    pub(crate) as_of: Option<i64>,
}

impl Statement {
    /// A statement without parameters, as this session asks for it.
    pub(crate) fn new(gateway: &Gateway, session: &Session, sql: String) -> Statement {
        let defaults = gateway.defaults(session);
        Statement {
            sql,
            purpose: session.purpose().map(str::to_owned),
            parameters: Bytes::new(),
            time_zone: defaults.time_zone.to_string(),
            options: session.options().to_bytes().into(),
            schema: defaults.schema.map(|schema| schema.to_string()),
            set: false,
            as_of: defaults.as_of,
        }
    }

    /// The same statement, once it has set what it sets.
    pub(crate) fn was_set(self) -> Statement {
        Statement { set: true, ..self }
    }

    /// The session in which it runs: what the call says goes before what was sealed. Names and times are read as they were
    /// announced in any case.
    pub(crate) fn session(&self, session: &Session) -> Session {
        let schema = self.schema.as_deref().map(Into::into);
        let defaults = Defaults { time_zone: self.time_zone.as_str().into(), schema, as_of: self.as_of };
        let mut session = session.clone().with_defaults(defaults);
        if !session.keeps_options() {
            session = session.with_options(self.options().unwrap_or_default(), false);
        }
        match session.purpose() {
            Some(_) => session,
            None => session.with_purpose(self.purpose.clone()),
        }
    }

    fn options(&self) -> Option<SessionOptions> {
        SessionOptions::from_bytes(&self.options)
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

    /// The same ticket, sealed anew; tickets for metadata are not sealed, and stay as they are.
    pub(crate) fn renewed(gateway: &Gateway, session: &Session, ticket: &Ticket) -> Result<Ticket, Status> {
        let command = match command::of_ticket(&ticket.ticket)? {
            Command::TicketStatementQuery(sealed) => {
                Self::from_ticket(gateway, session, &sealed)?.into_ticket(gateway, session)
            }
            Command::CommandPreparedStatementQuery(query) => {
                let statement = Self::from_handle(gateway, session, &query.prepared_statement_handle)?;
                let prepared_statement_handle = statement.into_handle(gateway, session);
                CommandPreparedStatementQuery { prepared_statement_handle }.as_any()
            }
            other => other.into_any(),
        };
        Ok(Ticket { ticket: command.encode_to_vec().into() })
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
        let read = Statement::decode(payload.as_slice());
        let statement = read.map_err(|error| status::internal("reading a sealed statement", error))?;
        match statement.options() {
            Some(_) => Ok(statement),
            None => Err(status::internal("reading a sealed statement", "its session's options cannot be read")),
        }
    }
}

fn encode(batch: &RecordBatch) -> Result<Bytes, arrow::error::ArrowError> {
    let mut writer = StreamWriter::try_new(Vec::new(), batch.schema_ref())?;
    writer.write(batch)?;
    Ok(writer.into_inner()?.into())
}
