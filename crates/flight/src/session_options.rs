//! Session options of the Flight protocol: what SQL sets with `SET`, and the `catalog`, which the JDBC driver sends if its
//! URL has one: it does not connect if that fails.

use std::collections::HashMap;

use portcullis_gateway::{ErrorKind, Gateway, Session};
use tonic::Status;

use crate::metadata::CATALOG;
use crate::status;

/// A value of an option: one of these, or none to unset it. Only texts mean anything here.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct OptionValue {
    #[prost(string, optional, tag = "1")]
    pub(crate) text: Option<String>,
    #[prost(bool, optional, tag = "2")]
    pub(crate) truth: Option<bool>,
    #[prost(sfixed64, optional, tag = "3")]
    pub(crate) integer: Option<i64>,
    #[prost(double, optional, tag = "4")]
    pub(crate) double: Option<f64>,
    #[prost(message, optional, tag = "5")]
    pub(crate) texts: Option<Texts>,
}

impl OptionValue {
    fn of(text: String) -> OptionValue {
        OptionValue { text: Some(text), ..OptionValue::default() }
    }

    fn is_text_or_none(&self) -> bool {
        self.truth.is_none() && self.integer.is_none() && self.double.is_none() && self.texts.is_none()
    }
}

/// A list of texts.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Texts {
    #[prost(string, repeated, tag = "1")]
    pub(crate) values: Vec<String>,
}

/// `SetSessionOptionsRequest`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct SetRequest {
    #[prost(map = "string, message", tag = "1")]
    pub(crate) options: HashMap<String, OptionValue>,
}

/// Why an option was not set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(crate) enum ErrorValue {
    /// Not used.
    Unspecified = 0,
    /// There is no option of this name.
    InvalidName = 1,
    /// The option cannot have this value.
    InvalidValue = 2,
}

/// An option that was not set.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct OptionError {
    #[prost(enumeration = "ErrorValue", tag = "1")]
    pub(crate) value: i32,
}

/// `SetSessionOptionsResult`: the options that were not set.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct SetResult {
    #[prost(map = "string, message", tag = "1")]
    pub(crate) errors: HashMap<String, OptionError>,
}

/// `GetSessionOptionsResult`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct GetResult {
    #[prost(map = "string, message", tag = "1")]
    pub(crate) options: HashMap<String, OptionValue>,
}

/// `CloseSessionResult`; 1 is "closed".
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct CloseResult {
    #[prost(int32, tag = "1")]
    pub(crate) status: i32,
}

/// Sets options: those that SQL knows as it sets them, with all that follows; the catalog can only be the one there is.
/// An empty text takes an option back, as none does.
pub(crate) async fn set(gateway: &Gateway, session: &Session, request: SetRequest) -> Result<SetResult, Status> {
    let mut errors = HashMap::new();
    // For whom comes first: the others are that user's to set.
    let mut options: Vec<_> = request.options.into_iter().collect();
    options.sort_by_key(|(name, _)| name != ON_BEHALF_OF);
    let mut session = session.clone();
    for (name, value) in options {
        let error = match name.as_str() {
            "catalog" if value.text.as_deref() == Some(CATALOG) => None,
            TIME_ZONE | SCHEMA | PURPOSE | AS_OF | BREAK_GLASS | ON_BEHALF_OF if value.is_text_or_none() => {
                set_one(gateway, &session, &name, value.text.as_deref()).await?
            }
            "catalog" | TIME_ZONE | SCHEMA | PURPOSE | AS_OF | BREAK_GLASS | ON_BEHALF_OF => {
                Some(ErrorValue::InvalidValue)
            }
            _ => Some(ErrorValue::InvalidName),
        };
        if name == ON_BEHALF_OF && error.is_none() {
            session = gateway.going_on(session).await.map_err(status::from_gateway)?;
        }
        errors.extend(error.map(|value| (name, OptionError { value: value.into() })));
    }
    Ok(SetResult { errors })
}

const TIME_ZONE: &str = "time_zone";
const SCHEMA: &str = "schema";
const PURPOSE: &str = "purpose";
const AS_OF: &str = "as_of";
const BREAK_GLASS: &str = "break_glass";
const ON_BEHALF_OF: &str = "on_behalf_of";

async fn set_one(
    gateway: &Gateway,
    session: &Session,
    name: &str,
    text: Option<&str>,
) -> Result<Option<ErrorValue>, Status> {
    match gateway.set_option(session, name, text.filter(|text| !text.is_empty())).await {
        Ok(()) => Ok(None),
        Err(error) if matches!(error.kind, ErrorKind::InvalidArgument | ErrorKind::PermissionDenied) => {
            tracing::info!(option = name, error = error.kind.as_str(), "a session option was refused");
            Ok(Some(ErrorValue::InvalidValue))
        }
        Err(error) => Err(status::from_gateway(error)),
    }
}

/// The options of the session as they hold for its next statement, each that has a value.
pub(crate) fn get(gateway: &Gateway, session: &Session) -> GetResult {
    let set = session.options();
    let purpose = set.purpose.or_else(|| session.purpose().map(str::to_owned));
    let of = |name: &str, value: Option<String>| Some((name.to_owned(), OptionValue::of(value?)));
    let catalog = of("catalog", Some(CATALOG.to_owned()));
    let all = [
        catalog,
        of(SCHEMA, set.schema),
        of(TIME_ZONE, Some(gateway.defaults(session).time_zone.to_string())),
        of(PURPOSE, purpose),
        of(AS_OF, gateway.as_of(session)),
        of(BREAK_GLASS, gateway.break_glass(session)),
        of(ON_BEHALF_OF, set.on_behalf_of),
    ];
    GetResult { options: all.into_iter().flatten().collect() }
}

/// The answer once a session is closed.
pub(crate) fn closed() -> CloseResult {
    CloseResult { status: 1 }
}
