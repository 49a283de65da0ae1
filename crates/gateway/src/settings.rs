//! `SET`: which options of a session there are, and which values they take.

use std::sync::Arc;

use datafusion::arrow::array::timezone::Tz;
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use portcullis_contract::Table;
use portcullis_govern::Subject;
use portcullis_govern::sql::Setting;

use crate::error::{ErrorKind, GatewayError};
use crate::gateway::principal;
use crate::options::{BrokenGlass, SessionOptions};
use crate::session::{LOCAL, Session};
use crate::state::State;
use crate::tables;

/// A reason that an auditor can do something with, and a line of the journal can hold.
const SHORTEST_REASON: usize = 10;
const LONGEST_REASON: usize = 500;

/// The schema of the answer to a `SET`: no columns, no rows.
pub(crate) fn schema() -> SchemaRef {
    Arc::new(Schema::empty())
}

/// Whether a setting has a value that can be.
pub(crate) fn check(
    state: &State,
    session: &Session,
    subject: &Subject,
    setting: &Setting,
) -> Result<(), GatewayError> {
    match setting {
        Setting::BreakGlass(Some(reason)) => may_break_glass(state, subject, reason),
        Setting::OnBehalfOf(user) => may_act(state, session, subject, user.as_deref()),
        Setting::Purpose(Some(purpose)) => known(state, purpose),
        Setting::TimeZone(Some(zone)) => zone_known(zone),
        Setting::Schema(Some(schema)) => schema_known(state, subject, schema),
        Setting::Schema(None) | Setting::Purpose(None) | Setting::TimeZone(None) | Setting::BreakGlass(None) => Ok(()),
        // A time is one, once it is parsed; which tables had a version then is for statements to ask.
        Setting::AsOf(_) => Ok(()),
    }
}

/// Whether the session will have with its next call what it sets with this one.
pub(crate) fn kept(session: &Session) -> Result<(), GatewayError> {
    if session.keeps_options() {
        return Ok(());
    }
    let message = "`SET` holds for a session, and this client keeps none: it sends no cookies back, so that the next call would \
                   not have what was set; turn its cookies on, or send the header `purpose` with each call";
    Err(GatewayError::new(ErrorKind::Unimplemented, message))
}

/// Sets it for the session. A setting without a value goes back to what the connection said. A glass that is broken now
/// stays so until `glass_ms`.
pub(crate) fn apply(session: &Session, setting: &Setting, glass_ms: i64) {
    session.set(|options| match setting {
        Setting::Schema(schema) => options.schema.clone_from(schema),
        Setting::Purpose(purpose) => options.purpose.clone_from(purpose),
        Setting::TimeZone(zone) => options.time_zone.clone_from(zone),
        Setting::AsOf(time) => options.as_of = *time,
        // What was set before was set by, or for, somebody else.
        Setting::OnBehalfOf(user) if options.on_behalf_of != *user => {
            *options = SessionOptions { on_behalf_of: user.clone(), ..SessionOptions::default() };
        }
        Setting::OnBehalfOf(_) => {}
        Setting::BreakGlass(reason) => {
            options.break_glass = reason.clone().map(|reason| BrokenGlass { reason, until_ms: glass_ms });
            match reason {
                Some(reason) => tracing::warn!(principal = session.user(), ?reason, glass_ms, "the glass is broken"),
                None => tracing::warn!(principal = session.user(), "the broken glass is mended"),
            }
        }
    });
}

/// Whether the session may go on for a user, or as who has logged in.
fn may_act(state: &State, session: &Session, subject: &Subject, user: Option<&str>) -> Result<(), GatewayError> {
    let own = session.before_choice();
    let refused = |message: &str| Err(GatewayError::new(ErrorKind::PermissionDenied, message));
    match user {
        None => Ok(()),
        Some(_) if own.actor().is_some() => {
            refused("who acts for a user already cannot act for another one by way of that")
        }
        Some(_) if own.authentication() == LOCAL => refused("a session of the command line asks for who `--as` says"),
        Some(user) => {
            let acting = own.clone().acting_for(user.to_owned());
            principal(state, &acting, &subject.context).map(drop)
        }
    }
}

/// Whether some policy lets the subject break the glass for some table, and the reason says something.
fn may_break_glass(state: &State, subject: &Subject, reason: &str) -> Result<(), GatewayError> {
    if reason.trim().chars().count() < SHORTEST_REASON || reason.len() > LONGEST_REASON {
        let message = format!("`SET break_glass` wants a reason of {SHORTEST_REASON} to {LONGEST_REASON} characters");
        return Err(GatewayError::invalid(message));
    }
    let mut asking = subject.clone();
    asking.context.break_glass = Some(reason.to_owned());
    let may = |table: &Arc<Table>| {
        let decision = state.snapshot.decide(&asking, table);
        decision.break_glass.as_ref().is_some_and(|access| access.allowed)
    };
    match state.snapshot.catalogue().tables().any(may) {
        true => Ok(()),
        false => {
            Err(GatewayError::new(ErrorKind::PermissionDenied, "no policy lets you break the glass for any table"))
        }
    }
}

/// Whether the purpose of a request, however it was stated, is one of the vocabulary's. Whether this principal may
/// state it, and what follows from it, is for policies to decide.
pub(crate) fn purpose_known(state: &State, subject: &Subject) -> Result<(), GatewayError> {
    subject.context.purpose.as_ref().map_or(Ok(()), |purpose| known(state, purpose))
}

fn known(state: &State, purpose: &str) -> Result<(), GatewayError> {
    let vocabulary = state.snapshot.vocabulary();
    if vocabulary.purposes().any(|known| known == purpose) {
        return Ok(());
    }
    let purposes: Vec<&str> = vocabulary.purposes().collect();
    Err(GatewayError::invalid(format!("unknown purpose `{purpose}`: use one of {}", purposes.join(", "))))
}

/// A domain that the subject may discover something of.
fn schema_known(state: &State, subject: &Subject, schema: &str) -> Result<(), GatewayError> {
    if tables::visible(state, subject).iter().any(|table| table.domain == schema) {
        return Ok(());
    }
    let message = format!("there is no schema `{schema}`: `SHOW SCHEMAS` lists the domains that you may discover");
    Err(GatewayError::invalid(message))
}

/// An IANA name or an offset, as Arrow reads them.
fn zone_known(zone: &str) -> Result<(), GatewayError> {
    if zone.parse::<Tz>().is_ok() {
        return Ok(());
    }
    Err(GatewayError::invalid("that is not a time zone: write a name like 'Europe/Vienna' or an offset like '+02:00'"))
}
