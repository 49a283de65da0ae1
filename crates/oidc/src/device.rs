//! Logging in from a terminal (RFC 8628): a person opens a page of the identity provider on any device and enters a code, and
//! the token comes here.

use std::time::Duration;

use serde::Deserialize;
use tokio::time::{Instant, sleep};

use crate::OidcError;
use crate::issuer::Issuer;
use crate::provider::Provider;

/// How long a request may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How often the issuer is asked, where it does not say (section 3.2).
const INTERVAL: u64 = 5;
/// How much less often, whenever it asks for that (section 3.5).
const SLOWER: Duration = Duration::from_secs(5);
/// An issuer that does not answer is asked again so many times.
const PATIENCE: u32 = 5;
const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// A login that waits for its person.
#[derive(Debug)]
pub struct DeviceLogin {
    provider: Provider,
    token_endpoint: String,
    client_id: String,
    asked: Asked,
}

#[derive(Debug, Deserialize)]
struct Asked {
    device_code: String,
    user_code: String,
    verification_uri: String,
    verification_uri_complete: Option<String>,
    expires_in: u64,
    interval: Option<u64>,
}

#[derive(Deserialize)]
struct Answer {
    access_token: Option<String>,
    token_type: Option<String>,
    error: Option<String>,
}

impl DeviceLogin {
    /// Asks the issuer for a code, as one of its public clients.
    ///
    /// # Errors
    ///
    /// `Configuration`, if the issuer could not be trusted as it is written; `Unavailable`, if it does not answer or has no
    /// such logins; `Login`, if it does not know the client.
    pub async fn begin(issuer: &str, client_id: &str, scope: &str) -> Result<DeviceLogin, OidcError> {
        Issuer::new(issuer, vec!["any".to_owned()]).check()?;
        let provider = Provider::new(issuer, TIMEOUT)?;
        let metadata = provider.discover().await?;
        let token_endpoint = provider.place(metadata.token_endpoint.as_deref(), "place for tokens")?;
        let place =
            provider.place(metadata.device_authorization_endpoint.as_deref(), "place for logins from a terminal")?;
        let (status, body) = provider.post(&place, &[("client_id", client_id), ("scope", scope)]).await?;
        if status != 200 {
            return Err(OidcError::Login(format!("the identity provider does not let the client `{client_id}` ask")));
        }
        let asked: Asked =
            serde_json::from_slice(&body).map_err(|_| provider.unavailable("its answer cannot be read"))?;
        provider.place(Some(&asked.verification_uri), "page for the code")?;
        if let Some(complete) = &asked.verification_uri_complete {
            provider.place(Some(complete), "page for the code")?;
        }
        Ok(DeviceLogin { provider, token_endpoint, client_id: client_id.to_owned(), asked })
    }

    /// What the person is to enter, or to see on the page.
    pub fn user_code(&self) -> &str {
        &self.asked.user_code
    }

    /// The page to open: with the code in it, where the issuer has such a page.
    pub fn page(&self) -> &str {
        self.asked.verification_uri_complete.as_ref().unwrap_or(&self.asked.verification_uri)
    }

    /// Waits until the person has agreed, and returns the access token.
    ///
    /// # Errors
    ///
    /// `Login`, if the person refuses, or does nothing for too long; `Unavailable`, if the issuer does not answer any more.
    pub async fn token(self) -> Result<String, OidcError> {
        let mut interval = Duration::from_secs(self.asked.interval.unwrap_or(INTERVAL).max(1));
        let end = Instant::now() + Duration::from_secs(self.asked.expires_in);
        let form = [("grant_type", GRANT), ("device_code", &self.asked.device_code), ("client_id", &self.client_id)];
        let mut failures = 0;
        while Instant::now() < end {
            sleep(interval).await;
            let body = match self.provider.post(&self.token_endpoint, &form).await {
                Ok((_, body)) => body,
                Err(error) if failures >= PATIENCE => return Err(error),
                Err(_) => {
                    failures += 1;
                    continue;
                }
            };
            failures = 0;
            let answer: Answer =
                serde_json::from_slice(&body).map_err(|_| self.provider.unavailable("its answer cannot be read"))?;
            let bearer = answer.token_type.as_deref().is_some_and(|kind| kind.eq_ignore_ascii_case("bearer"));
            match (answer.access_token, answer.error.as_deref()) {
                (Some(token), None) if bearer => return Ok(token),
                (None, Some("authorization_pending")) => {}
                (None, Some("slow_down")) => interval += SLOWER,
                (None, Some("access_denied")) => return Err(OidcError::Login("it was refused".to_owned())),
                (None, Some("expired_token")) => break,
                _ => return Err(OidcError::Login("the identity provider answered with no token".to_owned())),
            }
        }
        Err(OidcError::Login("nobody entered the code in time".to_owned()))
    }
}
