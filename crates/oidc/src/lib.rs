//! Tokens of outside identity providers (OpenID Connect): signed JWTs, checked against the keys that their issuers
//! publish.
//!
//! What comes in: the issuers that are trusted, and a token with the instant at which it is shown. What goes out: its
//! claims, or why it is refused. Keys are discovered, cached, and looked for again when a token names one that is not
//! known. And the other way round: a login from a terminal or with a browser, which ends in a token. This crate must never know principals, policies, or how a token travelled.

mod code;
mod device;
mod error;
mod issuer;
mod jwk;
mod keys;
mod provider;
mod token;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Map, Value};

pub use code::{Client, CodeLogin, Pending};
pub use device::DeviceLogin;
pub use error::OidcError;
pub use issuer::{Algorithm, Issuer};

use keys::Keys;
use token::Token;

/// Whether what comes from this URL cannot have been changed on the way: over https, or on this machine.
pub fn is_trustworthy(url: &str) -> bool {
    url::Url::parse(url).is_ok_and(|url| issuer::trustworthy(&url))
}

/// A token that was accepted.
#[derive(Debug, Clone, PartialEq)]
pub struct Verified {
    /// The issuer, as in [`Issuer::issuer`].
    pub issuer: String,
    /// All claims of the token.
    pub claims: Map<String, Value>,
    /// When it ends to be valid (`exp`), in milliseconds since 1970.
    pub expires_ms: i64,
}

/// The issuers that are trusted, with their keys.
#[derive(Debug)]
pub struct Issuers {
    issuers: HashMap<String, Trusted>,
}

#[derive(Debug)]
struct Trusted {
    issuer: Arc<Issuer>,
    keys: Keys,
}

impl Issuers {
    /// No issuer is contacted yet.
    ///
    /// # Errors
    ///
    /// `Configuration`, if an issuer could not be trusted as it is written: twice there, not a URL, not over HTTPS
    /// (except on this machine), or without an audience.
    pub fn new(issuers: Vec<Issuer>) -> Result<Issuers, OidcError> {
        let mut trusted = HashMap::new();
        for issuer in issuers {
            issuer.check()?;
            let issuer = Arc::new(issuer);
            let keys = Keys::new(Arc::clone(&issuer))?;
            let name = issuer.issuer.clone();
            if trusted.insert(name.clone(), Trusted { issuer, keys }).is_some() {
                return Err(OidcError::Configuration(format!("the issuer `{name}` is there twice")));
            }
        }
        Ok(Issuers { issuers: trusted })
    }

    /// Checks a token that is shown at `now_ms` (milliseconds since 1970): signature, algorithm, issuer, audience, times.
    ///
    /// # Errors
    ///
    /// `Refused`, if it is not one that a trusted issuer made for this gateway and this moment; `Unavailable`, if the
    /// keys that it needs cannot be had.
    pub async fn verify(&self, text: &str, now_ms: i64) -> Result<Verified, OidcError> {
        let token = Token::parse(text)?;
        let named = token.issuer().ok_or(OidcError::Refused("it names no issuer"))?;
        let Trusted { issuer, keys } =
            self.issuers.get(named).ok_or(OidcError::Refused("its issuer is not trusted"))?;
        let algorithm = token.algorithm(&issuer.algorithms)?;
        // Cheap and without the network: what fails here need not ask anybody for a key.
        let expires_ms = token.check_claims(issuer, now_ms)?;
        let key = keys.find(token.key_id(), algorithm).await?;
        if !key.verifies(algorithm, token.signed(), token.signature()) {
            return Err(OidcError::Refused("its signature is wrong"));
        }
        Ok(Verified { issuer: issuer.issuer.clone(), claims: token.into_claims(), expires_ms })
    }
}
