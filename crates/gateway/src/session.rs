//! A session: who is asking, how they proved it, from where, for which purpose, and what they have set.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use portcullis_govern::{Defaults, Principal};
use tokio::sync::watch;

use crate::certificates::ClientCertificate;
use crate::options::SessionOptions;
use crate::personal::PersonalToken;
use crate::trace::TraceParent;

/// The authentication of a session within this process.
pub(crate) const LOCAL: &str = "local";

/// An authenticated principal. Groups and attributes of users of the users file are not part of it: they are looked up
/// at each call, so that a change there (or the removal of a user) is felt at once. Those of a principal of an identity
/// provider are what the token of this very call says.
///
/// What `SET` sets is shared by a session's clones. Beyond a call it is the client's to keep.
#[derive(Debug, Clone)]
pub struct Session {
    user: String,
    claimed: Option<Arc<Principal>>,
    /// The session of who acts for the user, where somebody does.
    actor: Option<Arc<Session>>,
    /// Whether that is by an option of the actor's session.
    chosen: bool,
    credential: Option<Credential>,
    authentication: &'static str,
    purpose: Option<String>,
    defaults: Option<Defaults>,
    client: Option<SocketAddr>,
    expires_ms: Option<i64>,
    options: Arc<Mutex<SessionOptions>>,
    keeps_options: bool,
    trace: Option<TraceParent>,
}

/// A credential that has a name, and can be revoked.
#[derive(Debug, Clone)]
pub(crate) enum Credential {
    Token(Arc<PersonalToken>),
    Certificate(Arc<ClientCertificate>),
}

impl Credential {
    /// A token's id, a certificate's fingerprint.
    fn name(&self) -> &str {
        match self {
            Credential::Token(token) => &token.id,
            Credential::Certificate(certificate) => certificate.fingerprint(),
        }
    }

    /// The domains that it is good for; None: all.
    pub(crate) fn scope(&self) -> Option<BTreeSet<String>> {
        match self {
            Credential::Token(token) => token.scope(),
            Credential::Certificate(_) => None,
        }
    }
}

impl Session {
    pub(crate) fn new(user: String, authentication: &'static str, expires_ms: Option<i64>) -> Session {
        Session {
            user,
            claimed: None,
            actor: None,
            chosen: false,
            credential: None,
            authentication,
            purpose: None,
            defaults: None,
            client: None,
            expires_ms,
            options: Arc::default(),
            keeps_options: false,
            trace: None,
        }
    }

    /// A session within this process, which keeps its options itself.
    pub(crate) fn local(user: &str) -> Session {
        Session { keeps_options: true, ..Session::new(user.to_owned(), LOCAL, None) }
    }

    /// The session of a principal that an identity provider vouches for.
    pub(crate) fn claimed(principal: Principal, expires_ms: i64) -> Session {
        let user = principal.id.clone();
        Session { claimed: Some(Arc::new(principal)), ..Session::new(user, "oidc", Some(expires_ms)) }
    }

    /// The session of a personal access token.
    pub(crate) fn personal(token: PersonalToken) -> Session {
        let session = Session::new(token.user.clone(), "personal_token", Some(token.expires.ms()));
        Session { credential: Some(Credential::Token(Arc::new(token))), ..session }
    }

    /// The session of a client certificate.
    pub(crate) fn certified(user: String, certificate: ClientCertificate) -> Session {
        let session = Session::new(user, "certificate", None);
        Session { credential: Some(Credential::Certificate(Arc::new(certificate))), ..session }
    }

    /// The session of a user, in whose stead this one's principal asks: with the user's rights, and what this session
    /// came with. That it may is for the caller to decide, and again with each statement.
    pub(crate) fn acting_for(self, user: String) -> Session {
        let session = self.clone();
        Session { user, claimed: None, actor: Some(Arc::new(self)), ..session }
    }

    /// The same session of a principal for whom, by the same token, another acts. That it may is for the caller to decide, and again with
    /// each statement.
    pub(crate) fn acted_by(self, actor: Session) -> Session {
        Session { actor: Some(Arc::new(actor)), ..self }
    }

    /// The same session, which acts for its user because that option is set.
    pub(crate) fn by_choice(self) -> Session {
        Session { chosen: true, ..self }
    }

    /// The session as it logged in, whatever user it has chosen to act for.
    pub(crate) fn before_choice(&self) -> &Session {
        self.actor.as_deref().filter(|_| self.chosen).unwrap_or(self)
    }

    /// The session of who acts for the user.
    pub(crate) fn acting(&self) -> Option<&Session> {
        self.actor.as_deref()
    }

    /// Who acts for the user, if not the user.
    pub fn actor(&self) -> Option<&str> {
        self.actor.as_ref().map(|actor| actor.user())
    }

    /// Whom tickets, handles and kept options are for: the user, and who acts for the user. Ids have no control
    /// characters, so no two are the same.
    pub fn audience(&self) -> String {
        match self.actor() {
            None => self.user.clone(),
            Some(actor) => format!("{}\n{actor}", self.user),
        }
    }

    /// What it came with, where that can be revoked by itself.
    pub(crate) fn revocable(&self) -> Option<&Credential> {
        self.credential.as_ref()
    }

    /// Which of its principal's credentials it came with, where that has a name.
    pub fn credential(&self) -> Option<&str> {
        self.credential.as_ref().map(Credential::name)
    }

    /// The principal as its token describes it; None for a user of the users file.
    pub(crate) fn claimed_principal(&self) -> Option<&Principal> {
        self.claimed.as_deref()
    }

    /// The principal's id.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// How the principal authenticated: `password`, `token`, `personal_token`, `certificate`, `oidc` or `local`.
    pub fn authentication(&self) -> &str {
        self.authentication
    }

    /// The purpose stated with the credentials or the call (`SET purpose` comes before it).
    pub fn purpose(&self) -> Option<&str> {
        self.purpose.as_deref()
    }

    /// What was fixed for the call, if anything was.
    pub(crate) fn defaults(&self) -> Option<&Defaults> {
        self.defaults.as_ref()
    }

    /// The client's address, None for the command line.
    pub fn client(&self) -> Option<SocketAddr> {
        self.client
    }

    /// The caller's span that its queries are a part of.
    pub(crate) fn trace(&self) -> Option<TraceParent> {
        self.trace
    }

    /// Tells when it may be that what it came with is not good any more, beside the mesh directory's changes.
    pub(crate) fn vouched(&self) -> Option<watch::Receiver<u64>> {
        match (&self.credential, &self.actor) {
            (Some(Credential::Certificate(certificate)), _) => certificate.changes(),
            (_, Some(actor)) => actor.vouched(),
            _ => None,
        }
    }

    /// When the token that this session came from expires, in milliseconds since 1970.
    pub fn expires_ms(&self) -> Option<i64> {
        self.expires_ms
    }

    /// What the session has set.
    pub fn options(&self) -> SessionOptions {
        self.options.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the next call of this session will have what this one sets. Where it will not, nothing can be set: a
    /// purpose must not be dropped in silence.
    pub fn keeps_options(&self) -> bool {
        self.keeps_options
    }

    /// Changes what the session has set.
    pub(crate) fn set(&self, change: impl FnOnce(&mut SessionOptions)) {
        change(&mut self.options.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Forgets all that the session has set.
    pub fn reset(&self) {
        self.set(|options| *options = SessionOptions::default());
    }

    /// The same session with these options, apart from it; `kept` is whether the client has shown that it keeps them.
    #[must_use]
    pub fn with_options(mut self, options: SessionOptions, kept: bool) -> Session {
        self.options = Arc::new(Mutex::new(options));
        self.keeps_options = kept;
        self
    }

    /// The same session for a call that can set nothing.
    #[must_use]
    pub fn fixed(self) -> Session {
        let options = self.options();
        self.with_options(options, false)
    }

    /// The same session with this purpose; an empty text or None keeps the one it has.
    #[must_use]
    pub fn with_purpose(mut self, purpose: Option<String>) -> Session {
        let stated = purpose.map(|purpose| purpose.trim().to_owned()).filter(|purpose| !purpose.is_empty());
        self.purpose = stated.or(self.purpose);
        self
    }

    /// The same session in this time zone and schema, whatever it has set: those in which a statement was announced.
    #[must_use]
    pub fn with_defaults(mut self, defaults: Defaults) -> Session {
        self.defaults = Some(defaults);
        self
    }

    /// The same session, its queries parts of this trace.
    #[must_use]
    pub fn with_trace(mut self, trace: Option<TraceParent>) -> Session {
        self.trace = trace;
        self
    }

    /// The same session, as seen from this address.
    #[must_use]
    pub fn with_client(mut self, client: Option<SocketAddr>) -> Session {
        self.client = client.or(self.client);
        self
    }
}
