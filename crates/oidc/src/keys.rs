//! An issuer's keys: discovered, cached, fetched anew by age or when a token names one that is not known.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use reqwest::{Client, redirect};
use serde::Deserialize;
use url::Url;

use crate::issuer::trustworthy;
use crate::jwk::Jwk;
use crate::{Algorithm, Issuer, OidcError};

/// The issuer is asked at most this often for a key that is not known: anybody can make up names of keys.
const LEAST_WAIT: Duration = Duration::from_secs(2);
/// An issuer that did not answer is asked again after this long, while its keys of before are good.
const RETRY: Duration = Duration::from_secs(15);
/// Longer answers are not read.
const LONGEST_ANSWER: usize = 1 << 20;

/// The keys of one issuer.
#[derive(Debug)]
pub(crate) struct Keys {
    issuer: Arc<Issuer>,
    client: Client,
    state: Mutex<State>,
    /// Held by whoever asks the issuer: one at a time.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    keys: Vec<Arc<Jwk>>,
    /// When the keys were fetched.
    fetched: Option<Instant>,
    /// When the issuer was last asked, and why that failed, if it did.
    asked: Option<(Instant, Option<OidcError>)>,
}

#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    jwks_uri: String,
}

impl Keys {
    pub(crate) fn new(issuer: Arc<Issuer>) -> Result<Keys, OidcError> {
        // Two crypto libraries are linked, so none is the default until one is named. An earlier choice stands.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .timeout(issuer.timeout)
            // What is trusted is named: an answer from elsewhere is not from the issuer.
            .redirect(redirect::Policy::none())
            .build()
            .map_err(|error| OidcError::Configuration(format!("no HTTP client can be made: {error}")))?;
        Ok(Keys { issuer, client, state: Mutex::default(), asking: tokio::sync::Mutex::default() })
    }

    /// The key of this name that may have signed in this way. Without a name: the only one that may.
    pub(crate) async fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Result<Arc<Jwk>, OidcError> {
        let (known, fresh) = self.known(id, algorithm);
        let asking = match known {
            Some(key) if fresh => return Ok(key),
            // Nobody waits for keys that somebody else fetches already, as long as those of before are good.
            Some(key) => match self.asking.try_lock() {
                Ok(asking) => asking,
                Err(_) => return Ok(key),
            },
            None => self.asking.lock().await,
        };
        let (known, fresh) = self.known(id, algorithm);
        let wait = if known.is_some() { RETRY } else { LEAST_WAIT };
        let done = known.is_some() && fresh;
        if !done && self.state().asked.as_ref().is_none_or(|(at, _)| at.elapsed() >= wait) {
            let fetched = self.fetch().await;
            self.state().take(fetched);
        }
        drop(asking);
        let state = self.state();
        match (state.pick(id, algorithm, self.issuer.keys_lifetime), &state.asked) {
            (Some(key), _) => Ok(key),
            (None, Some((_, Some(error)))) => Err(error.clone()),
            (None, _) => Err(OidcError::Refused("it is signed with a key that its issuer does not publish")),
        }
    }

    /// The key, as far as it is known, and whether the keys are young enough not to be looked at anew.
    fn known(&self, id: Option<&str>, algorithm: Algorithm) -> (Option<Arc<Jwk>>, bool) {
        let state = self.state();
        let fresh = state.fetched.is_some_and(|at| at.elapsed() < self.issuer.keys_age);
        (state.pick(id, algorithm, self.issuer.keys_lifetime), fresh)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn fetch(&self) -> Result<Vec<Arc<Jwk>>, OidcError> {
        let metadata: Metadata = serde_json::from_slice(&self.get(&self.issuer.discovery()).await?)
            .map_err(|_| self.unavailable("its discovery document cannot be read"))?;
        if metadata.issuer != self.issuer.issuer {
            return Err(self.unavailable("its discovery document is another issuer's"));
        }
        if !Url::parse(&metadata.jwks_uri).is_ok_and(|url| trustworthy(&url)) {
            return Err(self.unavailable("its keys are not published over https"));
        }
        let keys = Jwk::read_set(&self.get(&metadata.jwks_uri).await?)
            .ok_or_else(|| self.unavailable("its keys cannot be read"))?;
        Ok(keys.into_iter().map(Arc::new).collect())
    }

    async fn get(&self, url: &str) -> Result<Vec<u8>, OidcError> {
        let failed = |error: reqwest::Error| self.unavailable(reason(&error));
        let mut response = self.client.get(url).send().await.map_err(failed)?;
        if !response.status().is_success() {
            return Err(self.unavailable(&format!("it answered with status {}", response.status().as_u16())));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            body.extend_from_slice(&chunk);
            if body.len() > LONGEST_ANSWER {
                return Err(self.unavailable("its answer is too long"));
            }
        }
        Ok(body)
    }

    fn unavailable(&self, reason: &str) -> OidcError {
        OidcError::Unavailable { issuer: self.issuer.issuer.clone(), reason: reason.to_owned() }
    }
}

impl State {
    /// What came of asking the issuer. Keys of before stay when it did not answer.
    fn take(&mut self, fetched: Result<Vec<Arc<Jwk>>, OidcError>) {
        let now = Instant::now();
        match fetched {
            Ok(keys) => (self.keys, self.fetched, self.asked) = (keys, Some(now), Some((now, None))),
            Err(error) => {
                tracing::warn!(%error, "the keys of an issuer could not be fetched");
                self.asked = Some((now, Some(error)));
            }
        }
    }

    fn pick(&self, id: Option<&str>, algorithm: Algorithm, lifetime: Duration) -> Option<Arc<Jwk>> {
        self.fetched.filter(|at| at.elapsed() < lifetime)?;
        let mut fitting = self.keys.iter().filter(|key| key.fits(algorithm));
        match id {
            Some(id) => fitting.find(|key| key.id.as_deref() == Some(id)).cloned(),
            None => fitting.next().filter(|_| fitting.next().is_none()).cloned(),
        }
    }
}

/// What failed, without the URL that reqwest would add.
fn reason(error: &reqwest::Error) -> &'static str {
    if error.is_timeout() {
        "it did not answer in time"
    } else if error.is_connect() {
        "it cannot be reached"
    } else {
        "its answer broke off"
    }
}
