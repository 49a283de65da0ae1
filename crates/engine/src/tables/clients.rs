//! Clients of clouds' stores, with the connection's credentials, else the environment's; those of S3 with what a catalogue
//! hands out before that.

use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};
use portcullis_contract::{SecretRef, StoreOptions};

use super::bucket::Bucket;
use super::fault::Fault;
use super::lent::Lent;
use super::store::Stores;

impl Stores {
    /// A client of one bucket.
    pub(super) fn client(
        &self,
        connection: &str,
        bucket: &Bucket,
        options: &StoreOptions,
        lent: &Lent,
    ) -> Result<Arc<dyn ObjectStore>, Fault> {
        match bucket {
            Bucket::S3(bucket) => self.s3(connection, bucket, options, lent),
            Bucket::Gcs(bucket) => self.gcs(connection, bucket, options),
            Bucket::Azure { container, account } => self.azure(connection, container, account.as_deref(), options),
        }
    }

    fn optional(&self, connection: &str, reference: Option<&SecretRef>) -> Result<Option<String>, Fault> {
        reference.map(|reference| self.secret(connection, reference)).transpose()
    }

    fn client_options(&self, options: &StoreOptions) -> ClientOptions {
        ClientOptions::new()
            .with_allow_http(options.allow_http)
            .with_connect_timeout(self.timeout.min(Duration::from_secs(3)))
    }

    fn retry(&self) -> RetryConfig {
        RetryConfig {
            max_retries: 4,
            retry_timeout: self.timeout,
            backoff: BackoffConfig {
                init_backoff: Duration::from_millis(100),
                max_backoff: Duration::from_secs(2),
                base: 2.0,
            },
        }
    }

    fn gcs(&self, connection: &str, bucket: &str, options: &StoreOptions) -> Result<Arc<dyn ObjectStore>, Fault> {
        let mut builder = match self.optional(connection, options.service_account_key.as_ref())? {
            Some(key) => GoogleCloudStorageBuilder::new().with_service_account_key(key),
            None => GoogleCloudStorageBuilder::from_env(),
        };
        if let Some(endpoint) = endpoint(options) {
            builder = builder.with_base_url(&endpoint);
        }
        let builder = builder.with_bucket_name(bucket).with_client_options(self.client_options(options));
        built(connection, builder.with_retry(self.retry()).build())
    }

    fn azure(
        &self,
        connection: &str,
        container: &str,
        account: Option<&str>,
        options: &StoreOptions,
    ) -> Result<Arc<dyn ObjectStore>, Fault> {
        let account = account.ok_or_else(|| Fault::Withheld(format!("connection `{connection}` names no account")))?;
        let key = self.optional(connection, options.account_key.as_ref())?;
        let signature = self.optional(connection, options.sas_token.as_ref())?;
        let mut builder = match key.is_some() || signature.is_some() {
            true => MicrosoftAzureBuilder::new(),
            false => MicrosoftAzureBuilder::from_env(),
        };
        if let Some(key) = key {
            builder = builder.with_access_key(key);
        }
        if let Some(signature) = signature {
            builder = builder.with_config(AzureConfigKey::SasKey, signature);
        }
        if let Some(endpoint) = endpoint(options) {
            builder = builder.with_endpoint(endpoint);
        }
        let builder = builder.with_account(account).with_container_name(container);
        let builder = builder.with_allow_http(options.allow_http).with_client_options(self.client_options(options));
        built(connection, builder.with_retry(self.retry()).build())
    }

    fn s3(
        &self,
        connection: &str,
        bucket: &str,
        options: &StoreOptions,
        lent: &Lent,
    ) -> Result<Arc<dyn ObjectStore>, Fault> {
        let own = self.optional(connection, options.access_key_id.as_ref())?;
        let has_keys = own.is_some() || lent.keys.is_some();
        let mut builder = if has_keys { AmazonS3Builder::new() } else { AmazonS3Builder::from_env() };
        let region = options.region.clone().or_else(|| lent.region.clone());
        if has_keys || region.is_some() {
            builder = builder.with_region(region.unwrap_or_else(|| "us-east-1".into()));
        }
        // A host that a catalogue names, perhaps from a table's own properties, gets the credentials that the catalogue
        // lends with it, and never the platform's.
        let named = || lent.endpoint.clone().filter(|_| lent.keys.is_some());
        if let Some(endpoint) = endpoint(options).or_else(named) {
            builder = builder.with_endpoint(endpoint);
        }
        if let Some(id) = own {
            builder = builder.with_access_key_id(id);
            if let Some(key) = self.optional(connection, options.secret_access_key.as_ref())? {
                builder = builder.with_secret_access_key(key);
            }
            if let Some(token) = self.optional(connection, options.session_token.as_ref())? {
                builder = builder.with_token(token);
            }
        } else if let Some(keys) = &lent.keys {
            builder = builder.with_credentials(Arc::clone(keys) as _);
        }
        let builder = builder.with_bucket_name(bucket).with_virtual_hosted_style_request(options.virtual_hosted);
        let builder = builder.with_allow_http(options.allow_http).with_client_options(self.client_options(options));
        built(connection, builder.with_retry(self.retry()).build())
    }
}

/// A client, unless what it was to be built from does not fit.
fn built(connection: &str, client: object_store::Result<impl ObjectStore>) -> Result<Arc<dyn ObjectStore>, Fault> {
    match client {
        Ok(client) => Ok(Arc::new(client)),
        Err(error) => Err(Fault::store(connection, &error)),
    }
}

/// Where a store is, as clients take it.
fn endpoint(options: &StoreOptions) -> Option<String> {
    options.endpoint.as_deref().map(|endpoint| endpoint.trim_end_matches('/').to_owned())
}
