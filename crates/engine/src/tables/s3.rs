//! Clients of S3, with the connection's credentials, else those that the catalogue hands out, else the environment's.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};
use portcullis_contract::{SecretRef, StoreOptions};

use super::fault::Fault;
use super::store::Stores;

impl Stores {
    /// A client of one bucket.
    pub(super) fn s3(
        &self,
        connection: &str,
        bucket: &str,
        options: &StoreOptions,
        vended: &HashMap<String, String>,
    ) -> Result<Arc<dyn ObjectStore>, Fault> {
        let secret = |reference: &Option<SecretRef>| {
            reference.as_ref().map(|reference| self.secret(connection, reference)).transpose()
        };
        let from_catalogue = |name: &str| vended.get(name).cloned();
        let (key_id, key, token) = match secret(&options.access_key_id)? {
            Some(id) => (Some(id), secret(&options.secret_access_key)?, secret(&options.session_token)?),
            None => (
                from_catalogue("s3.access-key-id"),
                from_catalogue("s3.secret-access-key"),
                from_catalogue("s3.session-token"),
            ),
        };
        let mut builder = if key_id.is_some() { AmazonS3Builder::new() } else { AmazonS3Builder::from_env() };
        let region = options.region.clone().or_else(|| from_catalogue("s3.region"));
        if key_id.is_some() || region.is_some() {
            builder = builder.with_region(region.unwrap_or_else(|| "us-east-1".into()));
        }
        // A host that a catalogue names, perhaps from a table's own properties, gets the credentials that the catalogue
        // hands out with it, and never the platform's.
        let vended_keys = options.access_key_id.is_none() && key_id.is_some();
        let named = || from_catalogue("s3.endpoint").filter(|_| vended_keys);
        if let Some(endpoint) = options.endpoint.clone().or_else(named) {
            builder = builder.with_endpoint(endpoint);
        }
        if let (Some(id), Some(key)) = (key_id, key) {
            builder = builder.with_access_key_id(id).with_secret_access_key(key);
        }
        if let Some(token) = token {
            builder = builder.with_token(token);
        }
        let client = ClientOptions::new()
            .with_allow_http(options.allow_http)
            .with_connect_timeout(self.timeout.min(Duration::from_secs(3)));
        let retry = RetryConfig {
            max_retries: 4,
            retry_timeout: self.timeout,
            backoff: BackoffConfig {
                init_backoff: Duration::from_millis(100),
                max_backoff: Duration::from_secs(2),
                base: 2.0,
            },
        };
        let store = builder
            .with_bucket_name(bucket)
            .with_allow_http(options.allow_http)
            .with_virtual_hosted_style_request(options.virtual_hosted)
            .with_client_options(client)
            .with_retry(retry)
            .build()
            .map_err(|error| Fault::store(connection, &error))?;
        Ok(Arc::new(store))
    }
}
