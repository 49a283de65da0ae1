//! `PollFlightInfo`: what `GetFlightInfo` says, or, where that takes long, what to ask with again.
//!
//! The first poll gives planning a moment; one that is asked again waits until there is an answer, for as long as its client
//! does. Nothing is kept between them, and nothing is planned while nobody waits: what is asked with again is the command, with all that
//! its session said, sealed for its principal, so that any replica goes on with it, from what the caches know by then.

use std::time::Duration;

use arrow_flight::sql::{Any, Command};
use arrow_flight::{FlightDescriptor, FlightInfo, PollInfo};
use bytes::Bytes;
use portcullis_gateway::{Gateway, Session};
use prost::Message;
use tonic::Status;

use crate::command;
use crate::info;
use crate::status;
use crate::ticket::Statement;

/// How long planning may take before the first poll is answered without it.
const MOMENT: Duration = Duration::from_millis(500);
/// The type of what is asked with again, as commands have one.
const AGAIN: &str = "type.googleapis.com/portcullis.PollAgain";
const SEAL: &str = "flight-poll";

/// What a poll asks for.
pub(crate) enum Asked {
    /// A command, for the first time.
    First(FlightDescriptor),
    /// The command again, in the session in which it was asked for first.
    Again(FlightDescriptor, Box<Session>),
}

/// What is sealed for the next poll.
#[derive(Clone, PartialEq, prost::Message)]
struct Again {
    /// The command, as it came.
    #[prost(bytes = "bytes", tag = "1")]
    command: Bytes,
    /// What its session said, as it is said of a statement.
    #[prost(message, optional, tag = "2")]
    said: Option<Statement>,
}

/// Reads what a poll asks for.
pub(crate) fn asked(gateway: &Gateway, session: &Session, descriptor: FlightDescriptor) -> Result<Asked, Status> {
    let Command::Unknown(any) = command::of_descriptor(&descriptor)? else { return Ok(Asked::First(descriptor)) };
    if any.type_url != AGAIN {
        return Ok(Asked::First(descriptor));
    }
    let payload = gateway.unseal_for(session, SEAL, &any.value).map_err(status::from_gateway)?;
    let again = Again::decode(payload.as_slice()).map_err(|error| status::internal("reading a poll", error))?;
    let said = again.said.ok_or_else(|| status::internal("reading a poll", "it says nothing of its session"))?;
    Ok(Asked::Again(FlightDescriptor::new_cmd(again.command), Box::new(said.session(session))))
}

/// What planning comes to, if that takes a moment only.
pub(crate) async fn at_once<T>(work: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(MOMENT, work).await.ok()
}

/// All there is.
pub(crate) fn done(info: FlightInfo) -> PollInfo {
    PollInfo { info: Some(info), flight_descriptor: None, progress: Some(1.0), expiration_time: None }
}

/// Nothing yet: what to ask with again, and until when. Of the progress of planning nothing is known.
pub(crate) fn again(gateway: &Gateway, session: &Session, first: &FlightDescriptor) -> PollInfo {
    let said = Some(Statement::new(gateway, session, String::new()));
    let again = Again { command: first.cmd.clone(), said }.encode_to_vec();
    let value = gateway.seal_for(session, SEAL, &again).into();
    let next = FlightDescriptor::new_cmd(Any { type_url: AGAIN.to_owned(), value }.encode_to_vec());
    // For `CancelFlightInfo`, which takes nothing else.
    let info = FlightInfo {
        flight_descriptor: Some(next.clone()),
        total_records: -1,
        total_bytes: -1,
        ..FlightInfo::default()
    };
    let expiration_time = Some(info::expiration(gateway));
    PollInfo { info: Some(info), flight_descriptor: Some(next), progress: None, expiration_time }
}
