//! `DoAction`: what can be asked for beside queries.

use arrow_flight::sql::{
    ActionCancelQueryRequest, ActionCancelQueryResult, ActionClosePreparedStatementRequest,
    ActionCreatePreparedStatementRequest, Any, ProstMessageExt,
};
use arrow_flight::{
    Action, ActionType, CancelFlightInfoRequest, CancelFlightInfoResult, CancelStatus, FlightEndpoint, FlightInfo,
    RenewFlightEndpointRequest,
};
use portcullis_gateway::{Gateway, Session};
use prost::Message;
use tonic::Status;

use crate::info;
use crate::prepared;
use crate::running::Running;
use crate::session_options::{self, SetRequest};
use crate::status;
use crate::ticket::Statement;

const CREATE_PREPARED_STATEMENT: &str = "CreatePreparedStatement";
const CLOSE_PREPARED_STATEMENT: &str = "ClosePreparedStatement";
const CANCEL_FLIGHT_INFO: &str = "CancelFlightInfo";
const CANCEL_QUERY: &str = "CancelQuery";
const RENEW_FLIGHT_ENDPOINT: &str = "RenewFlightEndpoint";
const SET_SESSION_OPTIONS: &str = "SetSessionOptions";
const GET_SESSION_OPTIONS: &str = "GetSessionOptions";
const CLOSE_SESSION: &str = "CloseSession";

/// The type URL of the answer that arrow-flight has no complete message for.
const CREATED: &str = "type.googleapis.com/arrow.flight.protocol.sql.ActionCreatePreparedStatementResult";

/// The actions that are answered, and what they do.
const ACTIONS: [(&str, &str); 8] = [
    (CREATE_PREPARED_STATEMENT, "Plans a statement and returns a handle for it."),
    (CLOSE_PREPARED_STATEMENT, "Ends the use of a handle."),
    (CANCEL_FLIGHT_INFO, "Stops what runs, or is polled for, by the tickets of a FlightInfo at this replica."),
    (CANCEL_QUERY, "As CancelFlightInfo, for older clients."),
    (RENEW_FLIGHT_ENDPOINT, "Returns an endpoint whose ticket expires later."),
    (
        SET_SESSION_OPTIONS,
        "Sets options of the session: `schema`, `purpose`, `as_of`, `break_glass`, `time_zone`; `catalog` can be `mesh`.",
    ),
    (GET_SESSION_OPTIONS, "Returns the options of the session."),
    (CLOSE_SESSION, "Ends the session."),
];

/// The answer to `ListActions`.
pub(crate) fn list() -> Vec<ActionType> {
    let action =
        |(name, description): (&str, &str)| ActionType { r#type: name.to_owned(), description: description.to_owned() };
    ACTIONS.into_iter().map(action).collect()
}

/// Answers an action: the bodies of its results. `late` is whether the client takes up an update's cookies too late.
pub(crate) async fn run(
    gateway: &Gateway,
    running: &Running,
    session: &Session,
    action: Action,
    late: bool,
) -> Result<Vec<Vec<u8>>, Status> {
    match action.r#type.as_str() {
        CREATE_PREPARED_STATEMENT => {
            let request: ActionCreatePreparedStatementRequest = unpack(&action)?;
            let created = prepared::create(gateway, session, request, late).await?;
            let any = Any { type_url: CREATED.to_owned(), value: created.encode_to_vec().into() };
            Ok(vec![any.encode_to_vec()])
        }
        CLOSE_PREPARED_STATEMENT => {
            let _: ActionClosePreparedStatementRequest = unpack(&action)?;
            Ok(Vec::new())
        }
        CANCEL_FLIGHT_INFO => {
            let request = CancelFlightInfoRequest::decode(action.body.clone()).map_err(|_| unreadable(&action))?;
            cancel(running, session, &request.info.ok_or_else(|| unreadable(&action))?)?;
            Ok(vec![CancelFlightInfoResult::new(CancelStatus::Cancelled).encode_to_vec()])
        }
        CANCEL_QUERY => {
            let request: ActionCancelQueryRequest = unpack(&action)?;
            cancel(running, session, &FlightInfo::decode(request.info).map_err(|_| unreadable(&action))?)?;
            let result = ActionCancelQueryResult { result: CancelStatus::Cancelled.into() };
            Ok(vec![result.as_any().encode_to_vec()])
        }
        RENEW_FLIGHT_ENDPOINT => {
            let request = RenewFlightEndpointRequest::decode(action.body.clone()).map_err(|_| unreadable(&action))?;
            let endpoint = request.endpoint.ok_or_else(|| unreadable(&action))?;
            Ok(vec![renew(gateway, session, endpoint)?.encode_to_vec()])
        }
        SET_SESSION_OPTIONS => {
            let request = SetRequest::decode(action.body.clone()).map_err(|_| unreadable(&action))?;
            Ok(vec![session_options::set(gateway, session, request).await?.encode_to_vec()])
        }
        GET_SESSION_OPTIONS => Ok(vec![session_options::get(gateway, session).encode_to_vec()]),
        CLOSE_SESSION => {
            session.reset();
            Ok(vec![session_options::closed().encode_to_vec()])
        }
        other => Err(refused(other)),
    }
}

/// Stops what this principal runs for these tickets, and the poll that waits for them.
fn cancel(running: &Running, session: &Session, info: &FlightInfo) -> Result<(), Status> {
    let tickets = info.endpoint.iter().filter_map(|endpoint| Some(&endpoint.ticket.as_ref()?.ticket));
    let polled = info.flight_descriptor.iter().map(|descriptor| &descriptor.cmd);
    let stopped = tickets.chain(polled).filter(|name| running.cancel(&session.audience(), name)).count();
    if stopped > 0 {
        return Ok(());
    }
    let message = "nothing of yours runs for these tickets at this replica: it has ended, has not begun, or runs at another \
                   replica, where closing its stream cancels it";
    Err(Status::not_found(message))
}

/// An endpoint with the same ticket, sealed anew.
fn renew(gateway: &Gateway, session: &Session, endpoint: FlightEndpoint) -> Result<FlightEndpoint, Status> {
    let ticket = endpoint.ticket.as_ref().ok_or_else(|| status::invalid("the endpoint has no ticket"))?;
    let ticket = Some(Statement::renewed(gateway, session, ticket)?);
    let expiration_time = Some(info::expiration(gateway));
    Ok(FlightEndpoint { ticket, expiration_time, location: Vec::new(), app_metadata: endpoint.app_metadata })
}

fn refused(action: &str) -> Status {
    match action {
        "BeginTransaction" | "EndTransaction" => status::unsupported("transactions"),
        "BeginSavepoint" | "EndSavepoint" => status::unsupported("savepoints"),
        "CreatePreparedSubstraitPlan" => status::no_substrait(),
        other => Status::unimplemented(format!("there is no action `{other}`; ListActions names those there are")),
    }
}

fn unpack<M: ProstMessageExt>(action: &Action) -> Result<M, Status> {
    let any = Any::decode(action.body.clone()).map_err(|_| unreadable(action))?;
    any.unpack().ok().flatten().ok_or_else(|| unreadable(action))
}

fn unreadable(action: &Action) -> Status {
    status::invalid(format!("the body of the action `{}` cannot be read", action.r#type))
}
