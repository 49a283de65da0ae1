//! A session: who is asking, how they proved it, from where, and for which purpose.

use std::net::SocketAddr;
use std::sync::Arc;

use portcullis_govern::Principal;
use uuid::Uuid;

/// An authenticated principal. Groups and attributes of users of the users file are not part of it: they are looked up
/// at each call, so that a change there (or the removal of a user) is felt at once. Those of a principal of an identity
/// provider are what the token of this very call says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    id: String,
    user: String,
    claimed: Option<Arc<Principal>>,
    authentication: &'static str,
    purpose: Option<String>,
    time_zone: Option<String>,
    client: Option<SocketAddr>,
    expires_ms: Option<i64>,
}

impl Session {
    pub(crate) fn new(user: &str, authentication: &'static str) -> Session {
        Session::resumed(Uuid::new_v4().simple().to_string(), user.to_owned(), authentication, None)
    }

    pub(crate) fn resumed(id: String, user: String, authentication: &'static str, expires_ms: Option<i64>) -> Session {
        Session { id, user, claimed: None, authentication, purpose: None, time_zone: None, client: None, expires_ms }
    }

    /// The session of a principal that an identity provider vouches for.
    pub(crate) fn claimed(id: String, principal: Principal, expires_ms: i64) -> Session {
        let user = principal.id.clone();
        Session { claimed: Some(Arc::new(principal)), ..Session::resumed(id, user, "oidc", Some(expires_ms)) }
    }

    /// The principal as its token describes it; None for a user of the users file.
    pub(crate) fn claimed_principal(&self) -> Option<&Principal> {
        self.claimed.as_deref()
    }

    /// The id of the session. A token keeps it, so options set in a session hold for all calls with its token.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The principal's id.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// How the principal authenticated: `password`, `token`, `oidc` or `local`.
    pub fn authentication(&self) -> &str {
        self.authentication
    }

    /// The purpose stated with the credentials or the call (`SET purpose` comes before it).
    pub fn purpose(&self) -> Option<&str> {
        self.purpose.as_deref()
    }

    /// The time zone that was fixed for the call, if one was.
    pub fn time_zone(&self) -> Option<&str> {
        self.time_zone.as_deref()
    }

    /// The client's address, None for the command line.
    pub fn client(&self) -> Option<SocketAddr> {
        self.client
    }

    /// When the token that this session came from expires, in milliseconds since 1970.
    pub fn expires_ms(&self) -> Option<i64> {
        self.expires_ms
    }

    /// The same session with this purpose; an empty text or None keeps the one it has.
    #[must_use]
    pub fn with_purpose(mut self, purpose: Option<String>) -> Session {
        let stated = purpose.map(|purpose| purpose.trim().to_owned()).filter(|purpose| !purpose.is_empty());
        self.purpose = stated.or(self.purpose);
        self
    }

    /// The same session in this time zone, whatever `SET TIME ZONE` says: that in which a statement was announced.
    #[must_use]
    pub fn with_time_zone(mut self, zone: Option<String>) -> Session {
        self.time_zone = zone.or(self.time_zone);
        self
    }

    /// The same session, as seen from this address.
    #[must_use]
    pub fn with_client(mut self, client: Option<SocketAddr>) -> Session {
        self.client = client.or(self.client);
        self
    }
}
