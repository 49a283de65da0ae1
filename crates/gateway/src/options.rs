//! Options of a session (`SET purpose`, `SET schema`, `SET as_of`, `SET break_glass`, `SET on_behalf_of`, `SET TIME ZONE`). The gateway keeps none of them:
//! they are a session's own, and travel with the client, sealed, so that any replica has them.

use serde::{Deserialize, Serialize};

/// What a session has set.
///
/// What a newer replica has sealed and this one does not know is not passed over: it may say that less is to be seen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SessionOptions {
    /// `SET schema`: the domain of tables that are named without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// `SET purpose`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
    /// `SET TIME ZONE`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// `SET as_of`, in microseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub as_of: Option<i64>,
    /// `SET break_glass`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub break_glass: Option<BrokenGlass>,
    /// `SET on_behalf_of`: the user for whom the session's principal asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_behalf_of: Option<String>,
}

/// A reason to see more, for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BrokenGlass {
    /// Why.
    pub reason: String,
    /// In milliseconds since 1970.
    pub until_ms: i64,
}

impl SessionOptions {
    /// As bytes, to be sealed in something; none where nothing is set.
    pub fn to_bytes(&self) -> Vec<u8> {
        if *self == SessionOptions::default() {
            return Vec::new();
        }
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// What [`SessionOptions::to_bytes`] made, once its seal is checked; None if this gateway cannot read it.
    pub fn from_bytes(bytes: &[u8]) -> Option<SessionOptions> {
        if bytes.is_empty() { Some(SessionOptions::default()) } else { serde_json::from_slice(bytes).ok() }
    }

    /// The reason, while it holds: now, and no longer than if the glass were broken now.
    pub(crate) fn reason(&self, now_ms: i64, latest_ms: i64) -> Option<&str> {
        let holds = |broken: &&BrokenGlass| now_ms < broken.until_ms && broken.until_ms <= latest_ms;
        self.break_glass.as_ref().filter(holds).map(|broken| broken.reason.as_str())
    }
}
