//! Who is trusted, and for what.

use std::net::IpAddr;
use std::time::Duration;

use url::{Host, Url};

use crate::OidcError;

/// How tokens may be signed: with a private key that only the issuer has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// RSASSA-PSS with SHA-384.
    Ps384,
    /// RSASSA-PSS with SHA-512.
    Ps512,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// All that there are. `none` and those with a shared key are not among them.
    pub const ALL: [Algorithm; 9] = [
        Algorithm::Rs256,
        Algorithm::Rs384,
        Algorithm::Rs512,
        Algorithm::Ps256,
        Algorithm::Ps384,
        Algorithm::Ps512,
        Algorithm::Es256,
        Algorithm::Es384,
        Algorithm::EdDsa,
    ];

    /// The name in a token's header (RFC 7518, RFC 8037).
    pub fn as_str(self) -> &'static str {
        match self {
            Algorithm::Rs256 => "RS256",
            Algorithm::Rs384 => "RS384",
            Algorithm::Rs512 => "RS512",
            Algorithm::Ps256 => "PS256",
            Algorithm::Ps384 => "PS384",
            Algorithm::Ps512 => "PS512",
            Algorithm::Es256 => "ES256",
            Algorithm::Es384 => "ES384",
            Algorithm::EdDsa => "EdDSA",
        }
    }

    /// The algorithm of this name.
    pub fn from_name(name: &str) -> Option<Algorithm> {
        Algorithm::ALL.into_iter().find(|algorithm| algorithm.as_str() == name)
    }
}

/// An issuer whose tokens are accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer {
    /// Its URL, word for word as in the claim `iss`; discovery begins below it.
    pub issuer: String,
    /// The claim `aud` must name one of these.
    pub audiences: Vec<String>,
    /// How its tokens may be signed.
    pub algorithms: Vec<Algorithm>,
    /// How far its clock may be from ours.
    pub clock_skew: Duration,
    /// Keys of this age are fetched anew when they are next needed.
    pub keys_age: Duration,
    /// Keys that could not be fetched anew for this long are not used any more.
    pub keys_lifetime: Duration,
    /// How long a request to it may take.
    pub timeout: Duration,
}

impl Issuer {
    /// An issuer with the usual settings: tokens signed with RS256 or ES256, 30 s of skew, keys fetched anew after five
    /// minutes and used for an hour at most.
    pub fn new(issuer: impl Into<String>, audiences: Vec<String>) -> Issuer {
        Issuer {
            issuer: issuer.into(),
            audiences,
            algorithms: vec![Algorithm::Rs256, Algorithm::Es256],
            clock_skew: Duration::from_secs(30),
            keys_age: Duration::from_secs(300),
            keys_lifetime: Duration::from_secs(3600),
            timeout: Duration::from_secs(5),
        }
    }

    pub(crate) fn check(&self) -> Result<(), OidcError> {
        let issuer = &self.issuer;
        let wrong = |what: &str| Err(OidcError::Configuration(format!("the issuer `{issuer}` {what}")));
        let Ok(url) = Url::parse(issuer) else { return wrong("is not a URL") };
        if !trustworthy(&url) {
            return wrong("must be reached over https (plain http is accepted on this machine only)");
        }
        if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() || url.password().is_some() {
            return wrong("must have neither query nor fragment nor credentials");
        }
        if self.audiences.is_empty() || self.audiences.iter().any(String::is_empty) {
            return wrong("needs an audience: without one, tokens made for other services would be accepted");
        }
        if self.algorithms.is_empty() {
            return wrong("needs an algorithm");
        }
        Ok(())
    }
}

/// Whether what comes from there cannot have been changed on the way.
pub(crate) fn trustworthy(url: &Url) -> bool {
    let local = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        None => false,
    };
    match url.scheme() {
        "https" => url.host().is_some(),
        "http" => local,
        _ => false,
    }
}
