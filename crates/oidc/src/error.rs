//! What can go wrong.

use thiserror::Error;

/// Why there are no claims. No variant carries anything of a token.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum OidcError {
    /// The token is not accepted.
    #[error("the token is refused: {0}")]
    Refused(&'static str),
    /// The token is over.
    #[error("the token has expired: get a new one from the identity provider")]
    Expired,
    /// The issuer's keys cannot be had now.
    #[error("the identity provider `{issuer}` is not available: {reason}")]
    Unavailable {
        /// The issuer.
        issuer: String,
        /// What failed.
        reason: String,
    },
    /// A person did not log in.
    #[error("the login did not succeed: {0}")]
    Login(String),
    /// The issuers are not configured so that they could be trusted.
    #[error("{0}")]
    Configuration(String),
}
