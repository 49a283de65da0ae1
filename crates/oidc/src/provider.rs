//! Requests to an identity provider: to no other place than it names, and within bounds.

use std::time::Duration;

use reqwest::{Client, RequestBuilder, redirect};
use serde::Deserialize;
use url::Url;

use crate::OidcError;
use crate::issuer::trustworthy;

/// Longer answers are not read.
const LONGEST_ANSWER: usize = 1 << 20;

/// One issuer, to be asked.
#[derive(Debug)]
pub(crate) struct Provider {
    issuer: String,
    client: Client,
}

/// What an issuer says of itself (OpenID Connect Discovery 1.0, RFC 8628).
#[derive(Debug, Deserialize)]
pub(crate) struct Metadata {
    issuer: String,
    pub(crate) jwks_uri: String,
    pub(crate) authorization_endpoint: Option<String>,
    pub(crate) token_endpoint: Option<String>,
    pub(crate) device_authorization_endpoint: Option<String>,
}

impl Provider {
    pub(crate) fn new(issuer: &str, timeout: Duration) -> Result<Provider, OidcError> {
        // Two crypto libraries are linked, so none is the default until one is named. An earlier choice stands.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .timeout(timeout)
            // What is trusted is named: an answer from elsewhere is not from the issuer.
            .redirect(redirect::Policy::none())
            .build()
            .map_err(|error| OidcError::Configuration(format!("no HTTP client can be made: {error}")))?;
        Ok(Provider { issuer: issuer.to_owned(), client })
    }

    pub(crate) fn issuer(&self) -> &str {
        &self.issuer
    }

    /// What it says of itself (section 4).
    pub(crate) async fn discover(&self) -> Result<Metadata, OidcError> {
        let url = format!("{}/.well-known/openid-configuration", self.issuer.trim_end_matches('/'));
        let metadata: Metadata = serde_json::from_slice(&self.get(&url).await?)
            .map_err(|_| self.unavailable("its discovery document cannot be read"))?;
        if metadata.issuer != self.issuer {
            return Err(self.unavailable("its discovery document is another issuer's"));
        }
        Ok(metadata)
    }

    /// A place that the issuer names, if it can be trusted.
    pub(crate) fn place(&self, named: Option<&str>, what: &str) -> Result<String, OidcError> {
        let named = named.ok_or_else(|| self.unavailable(&format!("it names no {what}")))?;
        if !Url::parse(named).is_ok_and(|url| trustworthy(&url)) {
            return Err(self.unavailable(&format!("its {what} is not reached over https")));
        }
        Ok(named.to_owned())
    }

    pub(crate) async fn get(&self, url: &str) -> Result<Vec<u8>, OidcError> {
        match self.answer(self.client.get(url)).await? {
            (200..=299, body) => Ok(body),
            (status, _) => Err(self.unavailable(&format!("it answered with status {status}"))),
        }
    }

    /// Sends a form. The status of the answer, and the answer.
    pub(crate) async fn post(&self, url: &str, form: &[(&str, &str)]) -> Result<(u16, Vec<u8>), OidcError> {
        self.answer(self.client.post(url).form(form)).await
    }

    async fn answer(&self, request: RequestBuilder) -> Result<(u16, Vec<u8>), OidcError> {
        let failed = |error: reqwest::Error| self.unavailable(reason(&error));
        let mut response = request.send().await.map_err(failed)?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            body.extend_from_slice(&chunk);
            if body.len() > LONGEST_ANSWER {
                return Err(self.unavailable("its answer is too long"));
            }
        }
        Ok((response.status().as_u16(), body))
    }

    pub(crate) fn unavailable(&self, reason: &str) -> OidcError {
        OidcError::Unavailable { issuer: self.issuer.clone(), reason: reason.to_owned() }
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
