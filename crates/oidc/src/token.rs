//! A JWT in its compact form (RFC 7519, RFC 7515): taken apart, its claims checked. Without signature it proves nothing.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use crate::{Algorithm, Issuer, OidcError};

/// Longer tokens are not looked at.
const LONGEST: usize = 16 * 1024;
/// The greatest time that a token may name, in seconds since 1970: beyond it nothing is meant that we could compare.
const LATEST: f64 = 253_402_300_800.0;

/// A token that was taken apart.
pub(crate) struct Token<'a> {
    header: Map<String, Value>,
    claims: Map<String, Value>,
    signed: &'a str,
    signature: Vec<u8>,
}

impl fmt::Debug for Token<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

impl<'a> Token<'a> {
    pub(crate) fn parse(text: &'a str) -> Result<Token<'a>, OidcError> {
        const MALFORMED: OidcError = OidcError::Refused("it is not a signed JWT");
        if text.len() > LONGEST {
            return Err(OidcError::Refused("it is too long"));
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(MALFORMED)?;
        let (header, claims) = signed.split_once('.').ok_or(MALFORMED)?;
        let bytes = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| MALFORMED);
        let object = |part: &str| serde_json::from_slice::<Map<String, Value>>(&bytes(part)?).map_err(|_| MALFORMED);
        let token = Token { header: object(header)?, claims: object(claims)?, signed, signature: bytes(signature)? };
        // What is critical must be understood (RFC 7515, 4.1.11), and nothing is.
        if token.header.contains_key("crit") {
            return Err(OidcError::Refused("its header demands what this gateway does not know"));
        }
        Ok(token)
    }

    /// Who made it, as it says.
    pub(crate) fn issuer(&self) -> Option<&str> {
        self.claims.get("iss")?.as_str()
    }

    /// The key that it is signed with, as it says.
    pub(crate) fn key_id(&self) -> Option<&str> {
        self.header.get("kid")?.as_str()
    }

    /// How it is signed, if that is one of `allowed`.
    pub(crate) fn algorithm(&self, allowed: &[Algorithm]) -> Result<Algorithm, OidcError> {
        let named = self.header.get("alg").and_then(Value::as_str).and_then(Algorithm::from_name);
        let allowed = named.filter(|algorithm| allowed.contains(algorithm));
        allowed.ok_or(OidcError::Refused("it is not signed in a way that is accepted from its issuer"))
    }

    /// What is signed.
    pub(crate) fn signed(&self) -> &[u8] {
        self.signed.as_bytes()
    }

    pub(crate) fn signature(&self) -> &[u8] {
        &self.signature
    }

    pub(crate) fn into_claims(self) -> Map<String, Value> {
        self.claims
    }

    /// Whether the claims are for us and for now. Returns when they end, in milliseconds since 1970.
    pub(crate) fn check_claims(&self, issuer: &Issuer, now_ms: i64) -> Result<i64, OidcError> {
        if self.issuer() != Some(issuer.issuer.as_str()) {
            return Err(OidcError::Refused("its issuer is not trusted"));
        }
        if !self.is_for(&issuer.audiences) {
            return Err(OidcError::Refused("it was made for another audience"));
        }
        let skew = i64::try_from(issuer.clock_skew.as_millis()).unwrap_or(i64::MAX);
        let expires_ms = self.time("exp")?.ok_or(OidcError::Refused("it never expires"))?;
        if expires_ms.saturating_add(skew) <= now_ms {
            return Err(OidcError::Expired);
        }
        for start in ["nbf", "iat"] {
            if self.time(start)?.is_some_and(|from| from > now_ms.saturating_add(skew)) {
                return Err(OidcError::Refused("it is not valid yet"));
            }
        }
        Ok(expires_ms.saturating_add(skew))
    }

    fn is_for(&self, audiences: &[String]) -> bool {
        let ours = |value: &Value| value.as_str().is_some_and(|name| audiences.iter().any(|ours| ours == name));
        match self.claims.get("aud") {
            Some(Value::Array(names)) => names.iter().any(ours),
            Some(name) => ours(name),
            None => false,
        }
    }

    /// A time among the claims, in milliseconds since 1970. One that is there and is no time refuses the token.
    fn time(&self, claim: &str) -> Result<Option<i64>, OidcError> {
        let Some(value) = self.claims.get(claim) else { return Ok(None) };
        let seconds = value.as_f64().filter(|seconds| (0.0..=LATEST).contains(seconds));
        let seconds = seconds.ok_or(OidcError::Refused("a time in it is not one"))?;
        Ok(Some((seconds * 1000.0) as i64))
    }
}
