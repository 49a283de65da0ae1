//! Session options of the Flight protocol, as far as clients cannot do without: the JDBC driver sends the `catalog` of
//! its URL as one, and does not connect if that fails. `purpose` and `break_glass` are the session's settings of SQL.

use std::collections::HashMap;

use portcullis_gateway::{Gateway, Session};

use crate::metadata::CATALOG;

/// A value of an option. Only texts mean anything here; the rest is there to be told from them.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct OptionValue {
    #[prost(string, optional, tag = "1")]
    pub(crate) text: Option<String>,
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

/// The options that say what a session is for, as `SET` does.
const SETTINGS: [&str; 2] = ["purpose", "break_glass"];

/// Sets options: the catalog can only be the one that there is. An empty or missing text takes a setting back.
pub(crate) async fn set(gateway: &Gateway, session: &Session, request: SetRequest) -> SetResult {
    let mut errors = HashMap::new();
    for (name, value) in request.options {
        let text = value.text.as_deref();
        let error = match name.as_str() {
            "catalog" if text == Some(CATALOG) => continue,
            "catalog" => ErrorValue::InvalidValue,
            setting if SETTINGS.contains(&setting) => {
                match gateway.set_option(session, setting, text.filter(|text| !text.is_empty())).await {
                    Ok(()) => continue,
                    Err(error) => {
                        tracing::info!(option = setting, error = error.kind.as_str(), "a session option was refused");
                        ErrorValue::InvalidValue
                    }
                }
            }
            _ => ErrorValue::InvalidName,
        };
        errors.insert(name, OptionError { value: error.into() });
    }
    SetResult { errors }
}

/// The options of every session.
pub(crate) fn get() -> GetResult {
    let catalog = OptionValue { text: Some(CATALOG.to_owned()) };
    GetResult { options: HashMap::from([("catalog".to_owned(), catalog)]) }
}

/// The answer once a session is closed.
pub(crate) fn closed() -> CloseResult {
    CloseResult { status: 1 }
}
