//! The page on which people get a token, as `portcullis.toml` has it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::KeyRef;

/// The page of the HTTP port on which people log in at an identity provider and are shown the token that it made for them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Page {
    /// Where browsers reach the HTTP port: `https://gateway.example.com`. Without it there is no page. The identity provider must let its client send
    /// people back to `/token/callback` below it. Over https, except on this machine.
    pub url: Option<String>,
    /// Which of `identity.issuers`; not needed where there is one.
    pub issuer: Option<String>,
    /// The client's name at the identity provider; its tokens must be made for the issuer's `audience`.
    pub client_id: String,
    /// What the client proves itself with, where it is not a public one.
    pub client_secret: Option<KeyRef>,
    /// The scopes that are asked for, with blanks between them; `openid` is one of them.
    pub scope: String,
}

impl Default for Page {
    fn default() -> Page {
        Page { url: None, issuer: None, client_id: String::new(), client_secret: None, scope: "openid".to_owned() }
    }
}
