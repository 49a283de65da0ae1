//! An issuer's keys: discovered, cached, fetched anew by age or when a token names one that is not known.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::jwk::Jwk;
use crate::provider::Provider;
use crate::{Algorithm, Issuer, OidcError};

/// The issuer is asked at most this often for a key that is not known: anybody can make up names of keys.
const LEAST_WAIT: Duration = Duration::from_secs(2);
/// An issuer that did not answer is asked again after this long, while its keys of before are good.
const RETRY: Duration = Duration::from_secs(15);

/// The keys of one issuer.
#[derive(Debug)]
pub(crate) struct Keys {
    issuer: Arc<Issuer>,
    provider: Provider,
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

impl Keys {
    pub(crate) fn new(issuer: Arc<Issuer>) -> Result<Keys, OidcError> {
        let provider = Provider::new(&issuer.issuer, issuer.timeout)?;
        Ok(Keys { issuer, provider, state: Mutex::default(), asking: tokio::sync::Mutex::default() })
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
        let metadata = self.provider.discover().await?;
        let place = self.provider.place(Some(&metadata.jwks_uri), "place for keys")?;
        let keys = Jwk::read_set(&self.provider.get(&place).await?)
            .ok_or_else(|| self.provider.unavailable("its keys cannot be read"))?;
        Ok(keys.into_iter().map(Arc::new).collect())
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
