//! Logging in with a browser (OpenID Connect Core 1.0, section 3.1; PKCE, RFC 7636): a person is sent to the identity provider, comes
//! back with a code, and the code is exchanged for a token.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::issuer::Issuer;
use crate::provider::Provider;
use crate::{Issuers, OidcError};

/// A client of an identity provider that people log in at with a browser.
#[derive(Debug)]
pub struct CodeLogin {
    provider: Provider,
    /// Verifies what is said of who has logged in, which is for this client and for nobody else.
    identities: Issuers,
    client: Client,
}

/// How the identity provider knows the client.
#[derive(Clone)]
pub struct Client {
    /// Its name there.
    pub id: String,
    /// What it proves itself with; a public client has none.
    pub secret: Option<String>,
    /// Where people come back to, word for word as the identity provider has it.
    pub redirect_uri: String,
    /// The scopes that are asked for; `openid` must be among them.
    pub scope: String,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A login that has begun: what only the browser that began it may know, and show when it comes back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pending {
    state: String,
    nonce: String,
    verifier: String,
}

/// What the identity provider sends a person back with.
#[derive(Debug, Default)]
struct Returned {
    state: Option<String>,
    code: Option<String>,
    error: Option<String>,
    issuer: Option<String>,
}

#[derive(Deserialize)]
struct Answer {
    access_token: Option<String>,
    id_token: Option<String>,
    token_type: Option<String>,
}

impl CodeLogin {
    /// The issuer is not contacted yet; of its settings, all but the audience count.
    ///
    /// # Errors
    ///
    /// `Configuration`, if issuer or client could not be trusted as they are written.
    pub fn new(issuer: Issuer, client: Client) -> Result<CodeLogin, OidcError> {
        let wrong = |what: &str| Err(OidcError::Configuration(what.to_owned()));
        if client.id.is_empty() {
            return wrong("the client needs an id");
        }
        if !client.scope.split(' ').any(|scope| scope == "openid") {
            return wrong("the scopes must have `openid` among them");
        }
        let provider = Provider::new(&issuer.issuer, issuer.timeout)?;
        let identities = Issuers::new(vec![Issuer { audiences: vec![client.id.clone()], ..issuer }])?;
        Ok(CodeLogin { provider, identities, client })
    }

    /// Where the person is to be sent, and what is to be kept until they are back.
    ///
    /// # Errors
    ///
    /// `Unavailable`, if the issuer does not answer, or has no such logins.
    pub async fn begin(&self) -> Result<(Url, Pending), OidcError> {
        let metadata = self.provider.discover().await?;
        let place = self.provider.place(metadata.authorization_endpoint.as_deref(), "page to log in")?;
        let mut url = Url::parse(&place).map_err(|_| self.provider.unavailable("its page to log in is no URL"))?;
        let pending = Pending { state: random()?, nonce: random()?, verifier: random()? };
        let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, pending.verifier.as_bytes()));
        url.query_pairs_mut().extend_pairs([
            ("response_type", "code"),
            ("client_id", &self.client.id),
            ("redirect_uri", &self.client.redirect_uri),
            ("scope", &self.client.scope),
            ("state", &pending.state),
            ("nonce", &pending.nonce),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ]);
        Ok((url, pending))
    }

    /// The access token of a person who is back with this query, in the browser that `pending` was kept in.
    ///
    /// # Errors
    ///
    /// `Login`, if they are not, or have refused; `Refused`, if what is said of them is not the issuer's, or not for this login; `Unavailable`,
    /// if the issuer does not answer.
    pub async fn finish(&self, pending: &Pending, query: &str, now_ms: i64) -> Result<String, OidcError> {
        let login = |what: &str| OidcError::Login(what.to_owned());
        let Returned { state, code, error, issuer } =
            Returned::read(query).ok_or_else(|| login("it came back with something twice"))?;
        // Compared by what only the right one hashes to: how long that takes tells nothing.
        let same = |one: &str, other: &str| {
            digest(&SHA256, one.as_bytes()).as_ref() == digest(&SHA256, other.as_bytes()).as_ref()
        };
        if !state.is_some_and(|state| same(&state, &pending.state)) {
            return Err(login("it was not begun in this browser"));
        }
        if issuer.is_some_and(|issuer| issuer != self.provider.issuer()) {
            return Err(login("it came back from another identity provider"));
        }
        if error.is_some() {
            return Err(login("it was refused"));
        }
        let code = code.ok_or_else(|| login("it came back with no code"))?;
        let answer = self.exchange(&code, &pending.verifier).await?;
        let bearer = answer.token_type.as_deref().is_some_and(|kind| kind.eq_ignore_ascii_case("bearer"));
        let (Some(token), Some(identity), true) = (answer.access_token, answer.id_token, bearer) else {
            return Err(login("the identity provider answered with no token"));
        };
        let said = self.identities.verify(&identity, now_ms).await?;
        if said.claims.get("azp").is_some_and(|party| party.as_str() != Some(&self.client.id)) {
            return Err(OidcError::Refused("it was made for another client"));
        }
        match said.claims.get("nonce").and_then(|nonce| nonce.as_str()) {
            Some(nonce) if same(nonce, &pending.nonce) => Ok(token),
            _ => Err(OidcError::Refused("it was made for another login")),
        }
    }

    async fn exchange(&self, code: &str, verifier: &str) -> Result<Answer, OidcError> {
        let metadata = self.provider.discover().await?;
        let place = self.provider.place(metadata.token_endpoint.as_deref(), "place for tokens")?;
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &self.client.redirect_uri),
            ("client_id", &self.client.id),
            ("code_verifier", verifier),
        ];
        form.extend(self.client.secret.as_deref().map(|secret| ("client_secret", secret)));
        let (status, body) = self.provider.post(&place, &form).await?;
        if status != 200 {
            // Used already, too old, or of another login.
            return Err(OidcError::Login("the identity provider did not take the code: begin again".to_owned()));
        }
        serde_json::from_slice(&body).map_err(|_| self.provider.unavailable("its answer cannot be read"))
    }
}

impl Returned {
    /// None if something that counts is there twice.
    fn read(query: &str) -> Option<Returned> {
        let mut returned = Returned::default();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let place = match name.as_ref() {
                "state" => &mut returned.state,
                "code" => &mut returned.code,
                "error" => &mut returned.error,
                "iss" => &mut returned.issuer,
                _ => continue,
            };
            if place.replace(value.into_owned()).is_some() {
                return None;
            }
        }
        Some(returned)
    }
}

/// 256 bits that nobody guesses, as text.
fn random() -> Result<String, OidcError> {
    let mut bytes = [0; 32];
    let drawn = SystemRandom::new().fill(&mut bytes);
    drawn.map_err(|_| OidcError::Configuration("the system gives no random numbers".to_owned()))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}
