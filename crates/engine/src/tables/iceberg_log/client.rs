//! Iceberg's REST protocol, as far as reading needs it: the catalogue's configuration, tokens, tables.
//!
//! What the catalogue says of a table is taken as text, since the library's client gives up on a table with a type that it
//! does not know, and does not tell which restrictions the catalogue puts on reading.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use portcullis_contract::RestAuth;
use reqwest::header::{ACCEPT, ETAG, HeaderName, IF_NONE_MATCH};
use reqwest::{RequestBuilder, Response, StatusCode, Url, redirect};
use serde::Deserialize;
use tokio::sync::Mutex;

use super::rest::RestConnection;
use crate::tables::fault::Fault;
use crate::tables::store::Stores;

/// Longer answers are not read.
const LONGEST_ANSWER: usize = 256 << 20;
/// How often a request is sent again to a catalogue that is not ready for it.
const RETRIES: u32 = 3;
/// The first wait before that, doubled for each further one.
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// A token is not used in its last moments.
const EXPIRING: Duration = Duration::from_secs(30);
/// How long a token is used whose lifetime the server does not tell.
const LIFETIME: Duration = Duration::from_secs(3600);
/// The status of a token that has expired, in Iceberg's protocol.
const TOKEN_EXPIRED: u16 = 419;
const DELEGATION: HeaderName = HeaderName::from_static("x-iceberg-access-delegation");

/// A catalogue.
pub(super) struct RestClient {
    http: reqwest::Client,
    connection: String,
    login: Login,
    token: Mutex<Option<Token>>,
    /// Up to the namespaces.
    base: String,
    /// What the catalogue says of all its tables.
    pub(super) properties: HashMap<String, String>,
}

enum Login {
    Nobody,
    Bearer(String),
    Credentials { endpoint: Url, form: Vec<(&'static str, String)> },
}

struct Token {
    text: String,
    until: Instant,
}

/// An answer, and the tag of what it says.
pub(super) struct Said {
    pub(super) body: Bytes,
    pub(super) tag: Option<String>,
}

/// Without what it says or was told, which may hold credentials.
impl fmt::Debug for RestClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RestClient").field("connection", &self.connection).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Configuration {
    #[serde(default)]
    defaults: HashMap<String, Option<String>>,
    #[serde(default)]
    overrides: HashMap<String, Option<String>>,
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    #[serde(default)]
    expires_in: Option<u64>,
}

impl RestClient {
    /// The catalogue of a connection, after it was asked for its configuration.
    pub(super) async fn open(connection: RestConnection<'_>, stores: &Stores) -> Result<Self, Fault> {
        // Two crypto libraries are linked, so none is the default until one is named. An earlier choice stands.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .timeout(stores.timeout)
            .connect_timeout(stores.timeout.min(Duration::from_secs(3)))
            // Credentials go where connections.yaml says, and nowhere else.
            .redirect(redirect::Policy::none())
            .build()
            .map_err(|error| Fault::Internal(format!("no HTTP client can be made: {error}")))?;
        let uri = format!("{}/v1", connection.uri.trim_end_matches('/'));
        let mut client = Self {
            http,
            connection: connection.name.to_owned(),
            login: login(connection, stores, &uri)?,
            token: Mutex::default(),
            base: uri.clone(),
            properties: HashMap::new(),
        };
        let mut url = client.url(&format!("{uri}/config"))?;
        if let Some(warehouse) = connection.warehouse {
            url.query_pairs_mut().append_pair("warehouse", warehouse);
        }
        let answer = client.get(url, false, None).await?.ok_or_else(|| client.nonsense())?;
        let said: Configuration = serde_json::from_slice(&answer.body).map_err(|_| client.nonsense())?;
        let own = |uri: &str| uri.trim_end_matches('/') == connection.uri.trim_end_matches('/');
        if said.overrides.get("uri").is_some_and(|uri| !uri.as_deref().is_some_and(own)) {
            let name = connection.name;
            return Err(Fault::Withheld(format!(
                "the catalogue of connection `{name}` sends its clients to another address; name that one as its `uri`"
            )));
        }
        let all = [said.defaults, said.overrides.clone()].into_iter().flatten();
        client.properties = all.filter_map(|(name, value)| Some((name, value?))).collect();
        let overridden = said.overrides.get("prefix").cloned().flatten();
        let prefix = overridden.or_else(|| connection.prefix.map(str::to_owned));
        if let Some(prefix) = prefix.or_else(|| client.properties.get("prefix").cloned()) {
            client.base = format!("{uri}/{}", path(prefix.trim_matches('/')));
        }
        Ok(client)
    }

    /// What the catalogue says of a table, by its dotted name; with `delegation`, credentials for its files too. None if it has the
    /// very version that this tag names.
    pub(super) async fn table(&self, name: &str, delegation: bool, tag: Option<&str>) -> Result<Option<Said>, Fault> {
        let wrong = || Fault::Withheld(format!("`{name}` is not a name of a table with its namespace"));
        let (namespace, table) = name.rsplit_once('.').ok_or_else(wrong)?;
        if table.is_empty() || namespace.split('.').any(str::is_empty) {
            return Err(wrong());
        }
        let namespace = encoded(&namespace.replace('.', "\u{1F}"));
        let url = self.url(&format!("{}/namespaces/{namespace}/tables/{}", self.base, encoded(table)))?;
        self.get(url, delegation, tag).await
    }

    async fn get(&self, url: Url, delegation: bool, tag: Option<&str>) -> Result<Option<Said>, Fault> {
        let mut renewed = false;
        let mut retries = 0;
        loop {
            let token = self.token().await?;
            let mut request = self.http.get(url.clone()).header(ACCEPT, "application/json");
            if let Some(token) = &token {
                request = request.bearer_auth(token);
            }
            if delegation {
                request = request.header(DELEGATION, "vended-credentials");
            }
            if let Some(tag) = tag {
                request = request.header(IF_NONE_MATCH, tag);
            }
            let response = self.send(request, &mut retries).await?;
            let Some(response) = response else { continue };
            match response.status() {
                StatusCode::OK => {
                    let tag = response.headers().get(ETAG).and_then(|tag| tag.to_str().ok()).map(str::to_owned);
                    return Ok(Some(Said { tag, body: self.body(response).await? }));
                }
                StatusCode::NOT_MODIFIED if tag.is_some() => return Ok(None),
                status if !renewed && self.may_have_expired(status) => {
                    renewed = true;
                    self.forget(token.as_deref()).await;
                }
                status => return Err(self.refused(status)),
            }
        }
    }

    /// An answer; none if the request is to be sent again.
    async fn send(&self, request: RequestBuilder, retries: &mut u32) -> Result<Option<Response>, Fault> {
        let ready = |status: StatusCode| !matches!(status.as_u16(), 429 | 502 | 503 | 504);
        match request.send().await {
            Ok(response) if ready(response.status()) || *retries >= RETRIES => return Ok(Some(response)),
            Ok(_) => {}
            Err(error) if error.is_connect() && *retries < RETRIES => {}
            Err(error) => {
                tracing::warn!(connection = self.connection, error = %error.without_url(), "the catalogue failed");
                return Err(Fault::Unavailable(format!(
                    "the catalogue of connection `{}` did not answer",
                    self.connection
                )));
            }
        }
        let wait = FIRST_WAIT * 2u32.pow(*retries);
        // So that not all come back at once.
        let jitter = u32::try_from(RandomState::new().hash_one(*retries) % 1000).unwrap_or(0);
        *retries += 1;
        tokio::time::sleep(wait / 2 + wait * jitter / 1000).await;
        Ok(None)
    }

    async fn body(&self, mut response: Response) -> Result<Bytes, Fault> {
        let mut body = BytesMut::new();
        while let Some(part) = response.chunk().await.map_err(|error| {
            tracing::warn!(connection = self.connection, error = %error.without_url(), "the catalogue failed");
            Fault::Unavailable(format!("the catalogue of connection `{}` did not answer", self.connection))
        })? {
            if body.len() + part.len() > LONGEST_ANSWER {
                return Err(self.nonsense());
            }
            body.extend_from_slice(&part);
        }
        Ok(body.freeze())
    }

    fn may_have_expired(&self, status: StatusCode) -> bool {
        let is_login = status == StatusCode::UNAUTHORIZED || status.as_u16() == TOKEN_EXPIRED;
        is_login && matches!(self.login, Login::Credentials { .. })
    }

    fn refused(&self, status: StatusCode) -> Fault {
        let name = &self.connection;
        tracing::warn!(connection = name, %status, "the catalogue refused");
        match status {
            StatusCode::NOT_FOUND => Fault::Absent(format!("the catalogue of connection `{name}` does not have it")),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Fault::Refused(format!("the catalogue of connection `{name}` refused the gateway's credentials"))
            }
            status if status.is_redirection() && status != StatusCode::NOT_MODIFIED => Fault::Unavailable(format!(
                "the catalogue of connection `{name}` sends its clients to another address, where they do not go"
            )),
            status if status.as_u16() == TOKEN_EXPIRED => {
                Fault::Refused(format!("the catalogue of connection `{name}` takes the gateway's token for expired"))
            }
            _ => Fault::Unavailable(format!("the catalogue of connection `{name}` did not answer as it should")),
        }
    }

    /// Of an answer that is not what the protocol says.
    pub(super) fn nonsense(&self) -> Fault {
        Fault::Unavailable(format!("the catalogue of connection `{}` did not answer as it should", self.connection))
    }

    fn url(&self, text: &str) -> Result<Url, Fault> {
        Url::parse(text).map_err(|_| Fault::Withheld(format!("connection `{}` has no valid address", self.connection)))
    }

    /// The token of now. Whoever needs one waits for who is asking for it.
    async fn token(&self) -> Result<Option<String>, Fault> {
        let (endpoint, form) = match &self.login {
            Login::Nobody => return Ok(None),
            Login::Bearer(token) => return Ok(Some(token.clone())),
            Login::Credentials { endpoint, form } => (endpoint, form),
        };
        let mut known = self.token.lock().await;
        if let Some(token) = known.as_ref().filter(|token| Instant::now() < token.until) {
            return Ok(Some(token.text.clone()));
        }
        let mut retries = 0;
        let response = loop {
            let request = self.http.post(endpoint.clone()).header(ACCEPT, "application/json").form(form);
            if let Some(response) = self.send(request, &mut retries).await? {
                break response;
            }
        };
        let status = response.status();
        if status != StatusCode::OK {
            // Whatever it says: nothing else was asked of it than to take the credentials.
            tracing::warn!(connection = self.connection, %status, "no token was granted");
            return Err(match status.is_client_error() {
                true => self.refused(StatusCode::UNAUTHORIZED),
                false => self.refused(status),
            });
        }
        let granted: Granted = serde_json::from_slice(&self.body(response).await?).map_err(|_| self.nonsense())?;
        let lifetime = granted.expires_in.map_or(LIFETIME, Duration::from_secs);
        let used = lifetime.saturating_sub(EXPIRING.min(lifetime / 10));
        let until = Instant::now().checked_add(used.min(LIFETIME * 24)).unwrap_or_else(Instant::now);
        let token = known.insert(Token { text: granted.access_token, until });
        Ok(Some(token.text.clone()))
    }

    /// Forgets a token that was refused, unless another took its place meanwhile.
    async fn forget(&self, refused: Option<&str>) {
        let mut known = self.token.lock().await;
        if known.as_ref().map(|token| token.text.as_str()) == refused {
            *known = None;
        }
    }
}

fn login(connection: RestConnection<'_>, stores: &Stores, uri: &str) -> Result<Login, Fault> {
    Ok(match connection.auth {
        RestAuth::None => Login::Nobody,
        RestAuth::Bearer { token } => Login::Bearer(stores.secret(connection.name, token)?),
        RestAuth::ClientCredentials { client_id, client_secret, scope, token_uri } => {
            let endpoint = token_uri.clone().unwrap_or_else(|| format!("{uri}/oauth/tokens"));
            let invalid = |_| Fault::Withheld(format!("connection `{}` has no valid `token_uri`", connection.name));
            let form = vec![
                ("grant_type", "client_credentials".to_owned()),
                ("client_id", client_id.clone()),
                ("client_secret", stores.secret(connection.name, client_secret)?),
                ("scope", scope.clone().unwrap_or_else(|| "catalog".to_owned())),
            ];
            Login::Credentials { endpoint: Url::parse(&endpoint).map_err(invalid)?, form }
        }
    })
}

/// A part of a path, which nothing in it can end.
fn encoded(part: &str) -> String {
    escaped(part, "-_~")
}

/// Parts of a path, of which some may be encoded already: servers do not take `|` as it is, which Nessie has in its prefixes.
fn path(parts: &str) -> String {
    escaped(parts, "-_~./%:@!$&'()*+,;=")
}

/// Letters, digits and these as they are.
fn escaped(part: &str, kept: &str) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(part.len());
    for byte in part.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => text.push(char::from(byte)),
            byte if kept.contains(char::from(byte)) => text.push(char::from(byte)),
            other => {
                let _ = write!(text, "%{other:02X}");
            }
        }
    }
    text
}
