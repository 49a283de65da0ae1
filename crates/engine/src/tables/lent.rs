//! What a catalogue says about reaching the files of a table, the credentials that it lends among that.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use object_store::aws::AwsCredential;
use object_store::{CredentialProvider, Result};
use portcullis_contract::StoreOptions;
use tokio::sync::Mutex;

use super::fault::Fault;

/// Credentials are not used in their last moments.
const EXPIRING: Duration = Duration::from_secs(60);
/// When credentials are renewed of which nobody says how long they are good.
const UNTOLD: Duration = Duration::from_secs(300);
/// The least time from one renewal to the next.
const AT_LEAST: Duration = Duration::from_secs(2);
const LONGEST: Duration = Duration::from_secs(86_400);

/// Of a catalogue's answer, what a client of the store needs.
#[derive(Debug, Default)]
pub(super) struct Lent {
    /// Where the store is.
    pub(super) endpoint: Option<String>,
    /// Its region.
    pub(super) region: Option<String>,
    /// Credentials, where the connection has none of its own.
    pub(super) keys: Option<Arc<LentKeys>>,
}

/// Who can be asked for credentials again, while a query runs.
#[async_trait]
pub(super) trait Lender: fmt::Debug + Send + Sync {
    /// What the catalogue says now about reaching the same files.
    async fn lend(&self) -> std::result::Result<HashMap<String, String>, Fault>;
}

impl Lent {
    /// By an answer with these properties, from this lender.
    pub(super) fn by(
        properties: &HashMap<String, String>,
        options: &StoreOptions,
        lender: Option<Arc<dyn Lender>>,
    ) -> Self {
        let property = |name: &str| properties.get(name).cloned();
        let (endpoint, region) = (property("s3.endpoint"), property("s3.region"));
        let loan = Loan::by(properties, lender).filter(|_| options.access_key_id.is_none());
        let keys = loan.map(|loan| {
            let endpoint = endpoint.clone();
            Arc::new(LentKeys { endpoint, loan: RwLock::new(loan), renewing: Mutex::default() })
        });
        Self { endpoint, region, keys }
    }
}

/// Credentials, until they should be renewed.
#[derive(Clone)]
struct Loan {
    credential: Arc<AwsCredential>,
    renewed_at: Instant,
    lender: Option<Arc<dyn Lender>>,
}

impl Loan {
    fn by(properties: &HashMap<String, String>, lender: Option<Arc<dyn Lender>>) -> Option<Self> {
        let property = |name: &str| properties.get(name).cloned();
        let (key_id, secret_key) = property("s3.access-key-id").zip(property("s3.secret-access-key"))?;
        let credential = Arc::new(AwsCredential { key_id, secret_key, token: property("s3.session-token") });
        let expires = property("s3.session-token-expires-at-ms").and_then(|text| text.parse().ok());
        let good_for = match expires.map(Duration::from_millis) {
            Some(expires) => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                let left = expires.saturating_sub(now).min(LONGEST);
                left.saturating_sub(EXPIRING.min(left / 5))
            }
            None => UNTOLD,
        };
        Some(Self { credential, renewed_at: Instant::now() + good_for.max(AT_LEAST), lender })
    }
}

/// Credentials that are renewed in place: whatever reads for the table goes on with the newest.
pub(super) struct LentKeys {
    /// The store that they are for, where the catalogue named it.
    endpoint: Option<String>,
    loan: RwLock<Loan>,
    renewing: Mutex<()>,
}

/// Without what is secret.
impl fmt::Debug for LentKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LentKeys").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

impl LentKeys {
    fn loan(&self) -> Loan {
        self.loan.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, loan: Loan) {
        *self.loan.write().unwrap_or_else(PoisonError::into_inner) = loan;
    }

    /// Takes those of `other`, which are for the same store.
    pub(super) fn renew(&self, other: &LentKeys) {
        self.set(other.loan());
    }

    /// The lender who is to be asked now, if it is time.
    fn due(&self) -> Option<(Arc<dyn Lender>, Loan)> {
        let loan = self.loan();
        Some((loan.lender.clone().filter(|_| Instant::now() >= loan.renewed_at)?, loan))
    }

    /// Asks for newer ones, if it is time. Whoever needs them waits for who is asking.
    async fn renewed(&self) {
        if self.due().is_none() {
            return;
        }
        let _asking = self.renewing.lock().await;
        let Some((lender, old)) = self.due() else { return };
        let newest = match lender.lend().await {
            // Credentials for another store are not shown to this one.
            Ok(properties) if properties.get("s3.endpoint") == self.endpoint.as_ref() => {
                Loan::by(&properties, Some(lender))
            }
            Ok(_) => None,
            Err(fault) => {
                tracing::warn!(?fault, "credentials that a catalogue lends could not be renewed");
                None
            }
        };
        // The store says so when the old ones are good no more.
        self.set(newest.unwrap_or_else(|| Loan { renewed_at: Instant::now() + AT_LEAST, ..old }));
    }
}

#[async_trait]
impl CredentialProvider for LentKeys {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> Result<Arc<AwsCredential>> {
        self.renewed().await;
        Ok(self.loan().credential)
    }
}

#[cfg(test)]
impl LentKeys {
    /// As if all the time had passed for which they are good.
    pub(super) fn age(&self) {
        self.set(Loan { renewed_at: Instant::now(), ..self.loan() });
    }
}

#[cfg(test)]
mod tests;
