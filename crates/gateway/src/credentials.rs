//! Credentials: passwords become sessions, sessions become tokens, and what is handed out is signed.

use std::net::SocketAddr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::certificates::ClientCertificate;
use crate::config::Span;
use crate::error::{ErrorKind, GatewayError};
use crate::gateway::Gateway;
use crate::identity;
use crate::personal::is_personal_token;
use crate::refusals::{Refusal, What};
use crate::session::Session;
use crate::signer::{Broken, Claims, Window, is_own_token};
use crate::state::State;

/// How far the clocks of replicas may be apart.
const SKEW_MS: i64 = 60_000;
/// What a session has set, sealed.
const OPTIONS: &str = "session";

impl Gateway {
    /// Checks a password. A refusal is in the audit journal.
    ///
    /// # Errors
    ///
    /// `Unauthenticated` if user or password is wrong, `ResourceExhausted` after too many failed attempts as this user
    /// or from this address.
    pub async fn login(&self, user: &str, password: &str, client: Option<SocketAddr>) -> Result<Session, GatewayError> {
        let state = self.state();
        if let Err(error) = self.logins.check(&state.users, user, password, client.map(|client| client.ip())).await {
            tracing::warn!(user, kind = error.kind.as_str(), "login refused");
            self.refusals.note(Refusal::new(What::Login, "password", &error, Some(user), client)).await;
            return Err(error);
        }
        Ok(Session::new(user.to_owned(), "password", None).with_client(client))
    }

    /// A session of the command line on this machine (`--as`), which asks for no password.
    ///
    /// # Errors
    ///
    /// `NotFound` if there is no such user.
    pub fn local_session(&self, user: &str) -> Result<Session, GatewayError> {
        match self.state().principal(user) {
            Some(_) => Ok(Session::local(user)),
            None => {
                let message = format!("there is no user `{user}` in `{}`", self.config().identity.users.display());
                Err(GatewayError::new(ErrorKind::NotFound, message))
            }
        }
    }

    /// A signed, expiring bearer token for a session.
    ///
    /// # Errors
    ///
    /// `Unauthenticated` if the user has been removed meanwhile.
    pub fn issue_token(&self, session: &Session) -> Result<String, GatewayError> {
        let claims = Claims {
            user: session.user().to_owned(),
            purpose: session.purpose().map(str::to_owned),
            issued_ms: self.clock.now_ms(),
            credential: self.signer.mark(password(&self.state(), session.user())?),
        };
        self.signer.token(&claims, self.after(self.config().identity.token_lifetime))
    }

    /// The session of a user for whom this session's principal may act. A refusal is in the audit journal.
    ///
    /// # Errors
    ///
    /// `PermissionDenied`, unless a policy with the action `impersonate` lets it; whether there is such a user is not told.
    pub async fn act_for(&self, session: Session, user: &str) -> Result<Session, GatewayError> {
        let twice = session.actor().is_some();
        let acting = session.acting_for(user.to_owned());
        match twice {
            false => self.may_act(acting).await,
            // The journal has a place for one.
            true => {
                let message = "who acts for a user already cannot act for another one by way of that";
                self.may_not_act(&acting, GatewayError::new(ErrorKind::PermissionDenied, message)).await
            }
        }
    }

    /// The session as it goes on with what it has set: for the user that it has chosen to act for, if it has.
    ///
    /// # Errors
    ///
    /// As [`Gateway::act_for`].
    pub async fn going_on(&self, session: Session) -> Result<Session, GatewayError> {
        let own = session.before_choice().clone();
        match own.options().on_behalf_of {
            Some(user) => Ok(self.act_for(own, &user).await?.by_choice()),
            None => Ok(own),
        }
    }

    /// The session, if its actor may act for its user.
    async fn may_act(&self, session: Session) -> Result<Session, GatewayError> {
        match self.subject(&self.state(), &session) {
            Ok(_) => Ok(session),
            Err(error) => self.may_not_act(&session, error).await,
        }
    }

    async fn may_not_act(&self, session: &Session, error: GatewayError) -> Result<Session, GatewayError> {
        let (actor, user) = (session.actor(), session.user());
        tracing::warn!(actor, user, %error, "acting for a user was refused");
        let (way, client) = (session.authentication(), session.client());
        self.refusals.note(Refusal::new(What::Impersonation, way, &error, actor, client)).await;
        Err(error)
    }

    /// What the session has set, for the client to keep: sealed for its principal, and as text. For whom it
    /// has chosen to act is part of it.
    ///
    /// # Errors
    ///
    /// `Internal`, if it cannot be written.
    pub fn seal_options(&self, session: &Session) -> Result<String, GatewayError> {
        let payload = serde_json::to_vec(&session.options()).map_err(|e| GatewayError::internal(e.to_string()))?;
        let expires_ms = self.after(self.config().identity.token_lifetime);
        Ok(URL_SAFE_NO_PAD.encode(self.signer.seal(OPTIONS, &session.before_choice().audience(), &payload, expires_ms)))
    }

    /// The session with what it had set, as the client has kept it; and whether that should be sealed anew soon. A refusal
    /// is in the audit journal.
    ///
    /// # Errors
    ///
    /// `Unauthenticated`, if it is not this principal's, or has expired: without it, a purpose would be dropped in silence.
    /// `PermissionDenied`, if it may not act any longer for whom it has chosen to.
    pub async fn resume(&self, session: Session, kept: &str) -> Result<(Session, bool), GatewayError> {
        let lifetime = self.config().identity.token_lifetime;
        let sealed = URL_SAFE_NO_PAD.decode(kept).unwrap_or_default();
        let opened = self.signer.unseal(OPTIONS, &session.audience(), &sealed, self.window(lifetime));
        let read = opened.and_then(|(payload, expires_ms)| {
            let options = serde_json::from_slice(payload).map_err(|_| Broken::Forged)?;
            Ok((options, expires_ms))
        });
        match read {
            Ok((options, expires_ms)) => {
                let left = expires_ms.saturating_sub(self.clock.now_ms());
                let session = self.going_on(session.with_options(options, true)).await?;
                Ok((session, left < millis(lifetime) / 2))
            }
            Err(broken) => {
                let what = match broken {
                    Broken::Expired => "have expired",
                    Broken::Early => "are of a time that has not come",
                    Broken::Forged => "are not those of this principal",
                };
                let error = GatewayError::unauthenticated(format!(
                    "the options that this session has kept {what}, and are forgotten: set purpose, schema and time zone again"
                ));
                let (way, user) = (session.authentication(), session.user());
                self.refusals.note(Refusal::new(What::Token, way, &error, Some(user), session.client())).await;
                Err(error)
            }
        }
    }

    /// The session that a bearer token stands for: one of the gateway's own, a personal access token, or one of a trusted
    /// identity provider. A refusal is in the audit journal.
    ///
    /// # Errors
    ///
    /// `Unauthenticated` if it is not accepted, `Unavailable` if its issuer's keys cannot be had.
    pub async fn bearer_session(&self, token: &str, client: Option<SocketAddr>) -> Result<Session, GatewayError> {
        let (kind, session) = if is_personal_token(token) {
            ("personal_token", self.personal_session(token))
        } else if self.identity.is_empty() || is_own_token(token) {
            ("token", self.own_session(token))
        } else {
            ("oidc", self.claimed_session(token).await.map_err(|error| (None, error)))
        };
        match session {
            Ok(session) if session.actor().is_some() => self.may_act(session.with_client(client)).await,
            Ok(session) => Ok(session.with_client(client)),
            Err((user, error)) => {
                tracing::warn!(kind, %error, "a token was refused");
                self.refusals.note(Refusal::new(What::Token, kind, &error, user.as_deref(), client)).await;
                Err(error)
            }
        }
    }

    async fn claimed_session(&self, token: &str) -> Result<Session, GatewayError> {
        let (verified, rules) = self.identity.verify(token, self.clock.now_ms()).await?;
        let state = self.state();
        let principal = identity::principal(rules, &verified.claims, &state.snapshot)?;
        let actor = identity::actor(rules, &verified.claims)?;
        if [&principal].into_iter().chain(&actor).any(|named| state.users.get(&named.id).is_some()) {
            let message =
                "the token's principal is also a user of the users file: set `principal_prefix` for its issuer";
            return Err(GatewayError::unauthenticated(message));
        }
        let session = Session::claimed(principal, verified.expires_ms);
        Ok(match actor {
            Some(actor) => session.acted_by(Session::claimed(actor, verified.expires_ms)),
            None => session,
        })
    }

    /// The session that a token of the gateway's own stands for; where it is refused (it is forged or expired, or its user
    /// was removed or has another password now), with the user that a genuine one names.
    fn own_session(&self, token: &str) -> Result<Session, (Option<String>, GatewayError)> {
        let window = self.window(self.config().identity.token_lifetime);
        let (claims, expires_ms) = self.signer.claims(token, window).map_err(|broken| {
            let message = match broken {
                Broken::Expired => "the token has expired: log in again",
                Broken::Early => "the token is of a time that has not come: log in again",
                Broken::Forged => "the token is not valid: log in again",
            };
            (None, GatewayError::unauthenticated(message))
        })?;
        let refused = |error| (Some(claims.user.clone()), error);
        let state = self.state();
        let password = password(&state, &claims.user).map_err(refused)?;
        if !self.signer.is_mark(&claims.credential, password) {
            let message = "the token is of before a change of password: log in again";
            return Err(refused(GatewayError::unauthenticated(message)));
        }
        Ok(Session::new(claims.user, "token", Some(expires_ms)).with_purpose(claims.purpose))
    }

    /// The session of who has shown a certificate that was verified. A refusal is in the audit journal.
    ///
    /// # Errors
    ///
    /// `Unauthenticated` if it is revoked, or stands for no user.
    pub async fn certificate_session(
        &self,
        certificate: ClientCertificate,
        client: Option<SocketAddr>,
    ) -> Result<Session, GatewayError> {
        match self.holder(&certificate) {
            Ok(user) => Ok(Session::certified(user, certificate).with_client(client)),
            Err(error) => {
                let name = certificate.fingerprint();
                tracing::warn!(certificate = name, %error, "a client certificate was refused");
                self.refusals.note(Refusal::new(What::Certificate, "certificate", &error, Some(name), client)).await;
                Err(error)
            }
        }
    }

    fn holder(&self, certificate: &ClientCertificate) -> Result<String, GatewayError> {
        let state = self.state();
        let user = certificate.user(&self.config().identity.certificates)?;
        if state.principal(user).is_none() {
            return Err(GatewayError::unauthenticated("the client certificate stands for no user of this gateway"));
        }
        state.revoked.accepts(certificate)?;
        Ok(user.to_owned())
    }

    /// The session that a personal access token stands for; where a genuine one is refused, with its user.
    fn personal_session(&self, token: &str) -> Result<Session, (Option<String>, GatewayError)> {
        let state = self.state();
        let unknown = || (None, GatewayError::unauthenticated("the personal access token is not valid"));
        let token = state.tokens.genuine(token).ok_or_else(unknown)?;
        let refused = |error| (Some(token.user.clone()), error);
        state.tokens.stands(token).map_err(refused)?;
        let ends = |what: &str| {
            let message = format!("the personal access token `{}` {what}: ask for a new one", token.id);
            Err(refused(GatewayError::unauthenticated(message)))
        };
        if token.expires.ms() <= self.clock.now_ms() {
            return ends("has expired");
        }
        if token.expires.ms() > self.latest(self.config().identity.personal_token_lifetime) {
            return ends("lives longer than `identity.personal_token_lifetime` allows");
        }
        if state.principal(&token.user).is_none() {
            return Err(refused(removed()));
        }
        Ok(Session::personal(token.clone()))
    }

    /// Signs a payload (a ticket, a handle) so that any replica can trust it until it expires. Whoever holds it can
    /// read it.
    pub fn seal(&self, kind: &str, payload: &[u8]) -> Vec<u8> {
        self.signer.seal(kind, "", payload, self.handles_expire_ms())
    }

    /// The payload of something sealed.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` if it is forged, of another kind, or expired.
    pub fn unseal(&self, kind: &str, sealed: &[u8]) -> Result<Vec<u8>, GatewayError> {
        self.open_seal(kind, "", sealed)
    }

    /// When tickets and handles expire that are sealed now, in milliseconds since 1970.
    pub fn handles_expire_ms(&self) -> i64 {
        self.after(self.config().identity.handle_lifetime)
    }

    /// As [`Gateway::seal`], and only this session's principal can unseal it.
    pub fn seal_for(&self, session: &Session, kind: &str, payload: &[u8]) -> Vec<u8> {
        self.signer.seal(kind, &session.audience(), payload, self.handles_expire_ms())
    }

    /// As [`Gateway::unseal`], for what was sealed for this session's principal.
    ///
    /// # Errors
    ///
    /// As [`Gateway::unseal`], and if it was sealed for somebody else.
    pub fn unseal_for(&self, session: &Session, kind: &str, sealed: &[u8]) -> Result<Vec<u8>, GatewayError> {
        self.open_seal(kind, &session.audience(), sealed)
    }

    /// When something may expire that was made no longer than `lifetime` ago, and is still of use.
    fn window(&self, lifetime: Span) -> Window {
        Window { now_ms: self.clock.now_ms(), latest_ms: self.latest(lifetime) }
    }

    /// This much later than now.
    pub(crate) fn after(&self, span: Span) -> i64 {
        self.clock.now_ms().saturating_add(millis(span))
    }

    /// The latest time that another replica may call this much later than now.
    pub(crate) fn latest(&self, span: Span) -> i64 {
        self.after(span).saturating_add(SKEW_MS)
    }

    fn open_seal(&self, kind: &str, audience: &str, sealed: &[u8]) -> Result<Vec<u8>, GatewayError> {
        match self.signer.unseal(kind, audience, sealed, self.window(self.config().identity.handle_lifetime)) {
            Ok((payload, _)) => Ok(payload.to_vec()),
            Err(Broken::Early) => {
                Err(GatewayError::invalid(format!("the {kind} is of a time that has not come: ask for a new one")))
            }
            Err(Broken::Expired) => Err(GatewayError::invalid(format!("the {kind} has expired: ask for a new one"))),
            Err(Broken::Forged) => {
                let message = format!("the {kind} is not one that this gateway made for this principal");
                Err(GatewayError::invalid(message))
            }
        }
    }
}

/// The user is not in the users file any more.
pub(crate) fn removed() -> GatewayError {
    GatewayError::unauthenticated("there is no such user any more: log in again")
}

/// The hash that a user's password has now; empty, if there is none.
fn password<'a>(state: &'a State, user: &str) -> Result<&'a str, GatewayError> {
    let user = state.users.get(user).ok_or_else(removed)?;
    Ok(user.password.as_deref().unwrap_or_default())
}

fn millis(span: Span) -> i64 {
    i64::try_from(span.duration().as_millis()).unwrap_or(i64::MAX)
}
