//! What a catalogue says about reaching the files of a table, the credentials that it lends among that.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use object_store::aws::AwsCredential;
use object_store::{CredentialProvider, Result};
use portcullis_contract::StoreOptions;

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

impl Lent {
    /// By an answer with these properties.
    pub(super) fn by(properties: &HashMap<String, String>, options: &StoreOptions) -> Self {
        let property = |name: &str| properties.get(name).cloned();
        let pair = property("s3.access-key-id").zip(property("s3.secret-access-key"));
        let keys = pair.filter(|_| options.access_key_id.is_none()).map(|(key_id, secret_key)| {
            let credential = AwsCredential { key_id, secret_key, token: property("s3.session-token") };
            Arc::new(LentKeys(RwLock::new(Arc::new(credential))))
        });
        Self { endpoint: property("s3.endpoint"), region: property("s3.region"), keys }
    }
}

/// Credentials that are renewed in place: whatever reads for the table goes on with the newest.
#[derive(Debug)]
pub(super) struct LentKeys(RwLock<Arc<AwsCredential>>);

impl LentKeys {
    fn newest(&self) -> Arc<AwsCredential> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes those of `other`.
    pub(super) fn renew(&self, other: &LentKeys) {
        let newest = other.newest();
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = newest;
    }
}

#[async_trait]
impl CredentialProvider for LentKeys {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> Result<Arc<AwsCredential>> {
        Ok(self.newest())
    }
}
