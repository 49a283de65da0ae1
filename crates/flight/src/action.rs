//! `DoAction`: what can be asked for beside queries.

use arrow_flight::sql::{
    ActionClosePreparedStatementRequest, ActionCreatePreparedStatementRequest, Any, ProstMessageExt,
};
use arrow_flight::{Action, ActionType};
use portcullis_gateway::{Gateway, Session};
use prost::Message;
use tonic::Status;

use crate::prepared;
use crate::session_options::{self, SetRequest};
use crate::status;

const CREATE_PREPARED_STATEMENT: &str = "CreatePreparedStatement";
const CLOSE_PREPARED_STATEMENT: &str = "ClosePreparedStatement";
const SET_SESSION_OPTIONS: &str = "SetSessionOptions";
const GET_SESSION_OPTIONS: &str = "GetSessionOptions";
const CLOSE_SESSION: &str = "CloseSession";

/// The type URL of the answer that arrow-flight has no complete message for.
const CREATED: &str = "type.googleapis.com/arrow.flight.protocol.sql.ActionCreatePreparedStatementResult";

/// The actions that are answered, and what they do.
const ACTIONS: [(&str, &str); 5] = [
    (CREATE_PREPARED_STATEMENT, "Plans a statement and returns a handle for it."),
    (CLOSE_PREPARED_STATEMENT, "Ends the use of a handle."),
    (
        SET_SESSION_OPTIONS,
        "Sets options of the session: `schema`, `purpose`, `break_glass`, `time_zone`; `catalog` can be `mesh`.",
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

fn refused(action: &str) -> Status {
    match action {
        "BeginTransaction" | "EndTransaction" => status::unsupported("transactions"),
        "BeginSavepoint" | "EndSavepoint" => status::unsupported("savepoints"),
        "CreatePreparedSubstraitPlan" => status::unsupported("Substrait plans"),
        "CancelQuery" | "CancelFlightInfo" => {
            Status::unimplemented("cancelling by action is not supported: close the stream to cancel a query")
        }
        "RenewFlightEndpoint" => Status::unimplemented("tickets cannot be renewed: ask for the flight again"),
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
