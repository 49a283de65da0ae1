//! The page on which people get a token: they are sent to an identity provider, come back to the gateway's HTTP port, and are shown the
//! token that it made for them. That is the credential of a bearer as any other: it is accepted or not as if it had come with a call.

use std::net::SocketAddr;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_oidc::{Client, CodeLogin, OidcError, Pending, is_trustworthy};

use crate::config::{Identity as Settings, Span};
use crate::error::{ErrorKind, GatewayError};
use crate::gateway::Gateway;
use crate::identity;
use crate::keys;
use crate::personal::Instant;
use crate::refusals::{Refusal, What};
use crate::signer::Window;

/// Where people come back to, below the page's address.
pub const CALLBACK: &str = "/token/callback";
/// How long a login may take.
pub const LOGIN_TIME: Span = Span::minutes(10);
const SEAL: &str = "page-login";

/// The page, where the configuration has one.
pub struct Page {
    login: CodeLogin,
    /// Whether browsers reach it over TLS.
    secure: bool,
}

/// A login that has begun.
#[derive(Debug)]
pub struct PageLogin {
    /// Where the browser is to go.
    pub location: String,
    /// What it is to keep until it is back: sealed, and for nobody else to see.
    pub kept: String,
}

/// What the page shows.
#[derive(Debug)]
pub struct PageToken {
    /// The bearer token.
    pub token: String,
    /// Who its bearer is.
    pub user: String,
    /// When it expires, in RFC 3339.
    pub expires: String,
}

impl Page {
    /// The page as it is configured; None, if it is not.
    ///
    /// # Errors
    ///
    /// `InvalidArgument`, if it cannot be as it is configured.
    pub(crate) fn open(settings: &Settings, mesh_dir: &Path) -> Result<Option<Page>, GatewayError> {
        let page = &settings.page;
        let Some(url) = &page.url else { return Ok(None) };
        let wrong = |what: &str| GatewayError::invalid(format!("`identity.page`: {what}"));
        let url = url.trim_end_matches('/');
        if !is_trustworthy(url) {
            return Err(wrong("the `url` must be one over https (plain http is accepted on this machine only)"));
        }
        let named = |issuer: &str| settings.issuers.iter().find(|rules| rules.issuer == issuer);
        let rules = match (&page.issuer, settings.issuers.as_slice()) {
            (Some(issuer), _) => named(issuer).ok_or_else(|| wrong("the `issuer` is none of `identity.issuers`"))?,
            (None, [one]) => one,
            (None, _) => return Err(wrong("it needs an `issuer`, of `identity.issuers`")),
        };
        let secret =
            page.client_secret.as_ref().map(|secret| keys::secret("identity.page.client_secret", secret, mesh_dir));
        let secret = secret.transpose()?.map(String::from_utf8).transpose();
        let client = Client {
            id: page.client_id.clone(),
            secret: secret.map_err(|_| wrong("the `client_secret` is no text"))?,
            redirect_uri: format!("{url}{CALLBACK}"),
            scope: page.scope.clone(),
        };
        let issuer = rules.verifier().map_err(GatewayError::invalid)?;
        let login = CodeLogin::new(issuer, client).map_err(|error| wrong(&error.to_string()))?;
        Ok(Some(Page { login, secure: url.starts_with("https:") }))
    }

    /// Whether browsers reach it over TLS.
    pub fn is_secure(&self) -> bool {
        self.secure
    }
}

impl Gateway {
    /// The page on which people get a token, if there is one.
    pub fn page(&self) -> Option<&Page> {
        self.page.as_ref()
    }

    /// Begins a login on the page.
    ///
    /// # Errors
    ///
    /// `NotFound` without a page, `Unavailable` if the identity provider does not answer.
    pub async fn begin_page_login(&self) -> Result<PageLogin, GatewayError> {
        let page = self.page().ok_or_else(no_page)?;
        let (location, pending) = page.login.begin().await.map_err(identity::refused)?;
        let payload = serde_json::to_vec(&pending).map_err(|error| GatewayError::internal(error.to_string()))?;
        let sealed = self.signer.seal(SEAL, "", &payload, self.after(LOGIN_TIME));
        Ok(PageLogin { location: location.into(), kept: URL_SAFE_NO_PAD.encode(sealed) })
    }

    /// The token of a person who is back with this query, and with what the browser has `kept`. A refusal is in the audit journal.
    ///
    /// # Errors
    ///
    /// `NotFound` without a page; `Unauthenticated` if the login was not begun in this browser, was refused, or ended in a token that is not
    /// accepted here; `Unavailable` if the identity provider does not answer.
    pub async fn finish_page_login(
        &self,
        query: &str,
        kept: Option<&str>,
        client: Option<SocketAddr>,
    ) -> Result<PageToken, GatewayError> {
        let page = self.page().ok_or_else(no_page)?;
        let finished = match self.pending(kept) {
            Some(pending) => page.login.finish(&pending, query, self.clock.now_ms()).await,
            None => Err(OidcError::Login("it was not begun in this browser, or took too long".to_owned())),
        };
        match finished.map_err(identity::refused) {
            Ok(token) => {
                let session = self.bearer_session(&token, client).await?;
                let expires = Instant::from_ms(session.expires_ms().unwrap_or_default()).to_string();
                Ok(PageToken { token, user: session.user().to_owned(), expires })
            }
            Err(error) => {
                tracing::warn!(%error, "a login on the page for tokens was refused");
                self.refusals.note(Refusal::new(What::Login, "oidc", &error, None, client)).await;
                Err(error)
            }
        }
    }

    fn pending(&self, kept: Option<&str>) -> Option<Pending> {
        let sealed = URL_SAFE_NO_PAD.decode(kept?).ok()?;
        let window = Window { now_ms: self.clock.now_ms(), latest_ms: self.latest(LOGIN_TIME) };
        let (payload, _) = self.signer.unseal(SEAL, "", &sealed, window).ok()?;
        serde_json::from_slice(payload).ok()
    }
}

fn no_page() -> GatewayError {
    GatewayError::new(ErrorKind::NotFound, "there is no page for tokens")
}
