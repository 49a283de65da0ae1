//! The calls of Arrow Flight. Each authenticates before it looks at what is asked.

use std::sync::Arc;

use arrow_flight::error::FlightError;
use arrow_flight::flight_service_server::FlightService;
use arrow_flight::sql::Command;
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest, HandshakeResponse,
    PollInfo, PutResult, SchemaResult, Ticket,
};
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use portcullis_gateway::{Gateway, Session};
use tonic::metadata::MetadataValue;
use tonic::{Request, Response, Status, Streaming};

use crate::auth::{self, Caller};
use crate::encode::{self, Encoder};
use crate::metadata::Metadata;
use crate::poll::{self, Asked};
use crate::running::Running;
use crate::statement::{Answer as Described, Rows};
use crate::ticket::Statement;
use crate::{action, command, info, listener, prepared, put, statement, status};

/// Headers have little room: most clients take 8 KiB of them.
const MOST_NOTICES: usize = 10;
const LONGEST_NOTICE: usize = 300;

type Answer<T> = Result<Response<T>, Status>;
type Messages<T> = BoxStream<'static, Result<T, Status>>;

/// The Flight SQL service over a gateway.
pub(crate) struct FlightSql {
    gateway: Arc<Gateway>,
    metadata: Metadata,
    running: Arc<Running>,
}

impl FlightSql {
    /// A service over this gateway.
    pub(crate) fn new(gateway: Arc<Gateway>) -> Result<FlightSql, FlightError> {
        let metadata = Metadata::new(gateway.config())?;
        Ok(FlightSql { gateway, metadata, running: Arc::default() })
    }

    async fn caller<T>(&self, request: &Request<T>) -> Result<Caller<'_>, Status> {
        auth::authenticate(&self.gateway, request).await
    }

    /// The schema of what a command returns and the ticket that gets it.
    async fn describe(&self, session: &Session, command: Command) -> Result<Described, Status> {
        if let Some(schema) = Metadata::schema(&command) {
            return Ok(Described { schema, ticket: command.into_any(), notices: Vec::new(), sets: None });
        }
        match command {
            Command::CommandStatementQuery(query) => statement::describe(&self.gateway, session, query).await,
            Command::CommandPreparedStatementQuery(query) => prepared::describe(&self.gateway, session, query).await,
            other => Err(command::refused(&other)),
        }
    }

    /// What a command will return. What sets an option of the session sets it now: whoever keeps cookies takes up those of this
    /// answer, and of a stream perhaps later than with the next call.
    async fn info(&self, session: &Session, descriptor: FlightDescriptor) -> Result<FlightInfo, Status> {
        let command = command::of_descriptor(&descriptor)?;
        let Described { schema, mut ticket, notices, sets } = self.describe(session, command).await?;
        if let Some(statement) = sets {
            statement::run_update(&self.gateway, session, &statement).await?;
            // The client comes with what was set: as somebody else, perhaps.
            let next = self.gateway.going_on(session.clone()).await.map_err(status::from_gateway)?;
            ticket = statement.was_set().into_ticket(&self.gateway, &next);
        }
        info::flight_info(&self.gateway, &schema, descriptor, &ticket, &notices)
    }

    /// As [`FlightSql::info`]; where that takes long, what to ask with again comes first.
    async fn poll(&self, session: &Session, descriptor: FlightDescriptor) -> Result<PollInfo, Status> {
        let name = descriptor.cmd.clone();
        match poll::asked(&self.gateway, session, descriptor)? {
            Asked::First(first) => match poll::at_once(self.info(session, first.clone())).await {
                Some(info) => info.map(poll::done),
                None => Ok(poll::again(&self.gateway, session, &first)),
            },
            Asked::Again(first, session) => {
                let call = self.running.begin(&session.audience(), &name);
                call.unless_cancelled(self.info(&session, first)).await.map(poll::done)
            }
        }
    }

    async fn schema(&self, session: &Session, descriptor: &FlightDescriptor) -> Result<SchemaResult, Status> {
        let command = command::of_descriptor(descriptor)?;
        info::schema_result(&self.describe(session, command).await?.schema)
    }

    async fn stream(&self, session: &Session, request: &Request<Ticket>) -> Answer<Messages<FlightData>> {
        let options = encode::options(request.metadata())?;
        let call = self.running.begin(&session.audience(), &request.get_ref().ticket);
        let rows = call.unless_cancelled(self.rows(session, request.get_ref())).await?;
        rows.query.into_iter().for_each(|query| call.runs(query));
        // The call is there to be cancelled as long as its stream.
        let batches = rows.batches.map(move |batch| call.part(batch)).boxed();
        let mut response = Response::new(Encoder::new(rows.schema, batches, options).boxed());
        if let Some(id) = rows.query_id.and_then(|id| MetadataValue::try_from(id).ok()) {
            response.metadata_mut().insert(status::QUERY_ID, id);
        }
        for notice in rows.notices.iter().take(MOST_NOTICES) {
            // Names of columns may have any characters, headers only some.
            let plain: String =
                notice.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).collect();
            if let Ok(notice) = MetadataValue::try_from(plain.chars().take(LONGEST_NOTICE).collect::<String>()) {
                response.metadata_mut().append(status::NOTICE, notice);
            }
        }
        Ok(response)
    }

    async fn rows(&self, session: &Session, ticket: &Ticket) -> Result<Rows, Status> {
        let command = command::of_ticket(&ticket.ticket)?;
        let statement = match &command {
            Command::TicketStatementQuery(ticket) => Statement::from_ticket(&self.gateway, session, ticket)?,
            Command::CommandPreparedStatementQuery(query) => {
                Statement::from_handle(&self.gateway, session, &query.prepared_statement_handle)?
            }
            _ => return self.metadata.answer(&self.gateway, session, &command).map(Rows::of),
        };
        statement::run(&self.gateway, session, &statement).await
    }

    async fn login(&self, request: Request<Streaming<HandshakeRequest>>) -> Result<Caller<'_>, Status> {
        let from_header = auth::credential(request.metadata())?;
        let peer = listener::peer(&request);
        let (metadata, _, mut messages) = request.into_parts();
        let credential = match from_header {
            Some(credential) => credential,
            None => {
                let first = messages.try_next().await?;
                match first.and_then(|first| auth::handshake_credential(&first.payload)) {
                    Some(credential) => credential,
                    None => peer.credential()?.ok_or_else(auth::missing)?,
                }
            }
        };
        auth::login(&self.gateway, credential, &metadata, peer.address).await
    }
}

#[tonic::async_trait]
impl FlightService for FlightSql {
    type HandshakeStream = Messages<HandshakeResponse>;
    type ListFlightsStream = Messages<FlightInfo>;
    type DoGetStream = Messages<FlightData>;
    type DoPutStream = Messages<PutResult>;
    type DoExchangeStream = Messages<FlightData>;
    type DoActionStream = Messages<arrow_flight::Result>;
    type ListActionsStream = Messages<ActionType>;

    async fn handshake(&self, request: Request<Streaming<HandshakeRequest>>) -> Answer<Self::HandshakeStream> {
        let caller = self.login(request).await?;
        let payload = caller.token().map(|token| Bytes::copy_from_slice(token.as_bytes())).unwrap_or_default();
        caller.answer(Ok(Response::new(of([HandshakeResponse { protocol_version: 0, payload }]))))
    }

    async fn list_flights(&self, request: Request<Criteria>) -> Answer<Self::ListFlightsStream> {
        let caller = self.caller(&request).await?;
        caller.answer(Ok(Response::new(of([]))))
    }

    async fn get_flight_info(&self, request: Request<FlightDescriptor>) -> Answer<FlightInfo> {
        let caller = self.caller(&request).await?;
        caller.answer_one(self.info(&caller.session, request.into_inner()).await)
    }

    async fn poll_flight_info(&self, request: Request<FlightDescriptor>) -> Answer<PollInfo> {
        let caller = self.caller(&request).await?;
        let polled = self.poll(&caller.session, request.into_inner()).await;
        caller.answer_one(polled)
    }

    async fn get_schema(&self, request: Request<FlightDescriptor>) -> Answer<SchemaResult> {
        let caller = self.caller(&request).await?;
        caller.answer_one(self.schema(&caller.session, request.get_ref()).await)
    }

    async fn do_get(&self, request: Request<Ticket>) -> Answer<Self::DoGetStream> {
        let caller = self.caller(&request).await?;
        let response = self.stream(&caller.session, &request).await;
        caller.answer(response)
    }

    async fn do_put(&self, request: Request<Streaming<FlightData>>) -> Answer<Self::DoPutStream> {
        let caller = self.caller(&request).await?;
        let late = auth::is_late(request.metadata());
        let result = put::put(&self.gateway, &caller.session, request.into_inner(), late).await;
        caller.answer(result.map(|result| Response::new(of([result]))))
    }

    async fn do_exchange(&self, request: Request<Streaming<FlightData>>) -> Answer<Self::DoExchangeStream> {
        let caller = self.caller(&request).await?;
        caller.answer(Err(status::unsupported("exchanges")))
    }

    async fn do_action(&self, request: Request<Action>) -> Answer<Self::DoActionStream> {
        let caller = self.caller(&request).await?;
        let late = auth::is_late(request.metadata());
        let bodies = action::run(&self.gateway, &self.running, &caller.session, request.into_inner(), late).await;
        let result = |body: Vec<u8>| arrow_flight::Result { body: body.into() };
        caller.answer(bodies.map(|bodies| Response::new(of(bodies.into_iter().map(result).collect::<Vec<_>>()))))
    }

    async fn list_actions(&self, request: Request<Empty>) -> Answer<Self::ListActionsStream> {
        let caller = self.caller(&request).await?;
        caller.answer(Ok(Response::new(of(action::list()))))
    }
}

/// A stream of these messages.
fn of<T: Send + 'static>(messages: impl IntoIterator<Item = T, IntoIter: Send + 'static>) -> Messages<T> {
    stream::iter(messages.into_iter().map(Ok)).boxed()
}
