//! `SET`: which options of a session there are, and which values they take.

use std::sync::Arc;

use datafusion::arrow::array::timezone::Tz;
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use portcullis_govern::Subject;
use portcullis_govern::sql::Setting;

use crate::error::GatewayError;
use crate::options::OptionStore;
use crate::session::Session;
use crate::state::State;

/// The schema of the answer to a `SET`: no columns, no rows.
pub(crate) fn schema() -> SchemaRef {
    Arc::new(Schema::empty())
}

/// Whether a setting has a value that can be.
pub(crate) fn check(state: &State, setting: &Setting) -> Result<(), GatewayError> {
    match setting {
        Setting::Purpose(Some(purpose)) => known(state, purpose),
        Setting::TimeZone(Some(zone)) => zone_known(zone),
        Setting::Purpose(None) | Setting::TimeZone(None) => Ok(()),
    }
}

/// Remembers a setting for the session. A setting without a value goes back to what the connection said.
pub(crate) fn apply(options: &OptionStore, session: &Session, setting: &Setting) {
    options.update(session.id(), |options| match setting {
        Setting::Purpose(purpose) => options.purpose.clone_from(purpose),
        Setting::TimeZone(zone) => options.time_zone.clone_from(zone),
    });
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

/// An IANA name or an offset, as Arrow reads them.
fn zone_known(zone: &str) -> Result<(), GatewayError> {
    if zone.parse::<Tz>().is_ok() {
        return Ok(());
    }
    Err(GatewayError::invalid("that is not a time zone: write a name like 'Europe/Vienna' or an offset like '+02:00'"))
}
