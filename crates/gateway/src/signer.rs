//! Signatures on what the gateway hands out and gets back: bearer tokens, tickets, handles, options of sessions. Signed,
//! not hidden: whoever holds one can read it, and nobody can make or change one.
//!
//! One key signs, any number of others are accepted, so that keys can be changed while replicas run. What is sealed names
//! its key by an id that the key itself gives, so there is nothing to be mixed up in configurations.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use serde::{Deserialize, Serialize};

use crate::error::GatewayError;

const VERSION: u8 = 2;
const ID: usize = 4;
const EXPIRY: usize = size_of::<i64>();
const TAG: usize = 32;
const TOKEN: &str = "token";
/// Tokens start with this, so that one that leaked into a log or a repository is recognised for what it is.
const TOKEN_PREFIX: &str = "pcl_";

/// Whether a text claims to be a token of ours.
pub(crate) fn is_own_token(text: &str) -> bool {
    text.starts_with(TOKEN_PREFIX)
}

/// What a bearer token says. One that says more than this replica knows is not accepted: it may say that it is for less.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Claims {
    pub user: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
    pub issued_ms: i64,
    /// Marks the user's password of that time, so that a new password ends the tokens of the old one.
    pub credential: String,
}

struct Key {
    id: [u8; ID],
    key: hmac::Key,
}

impl Key {
    fn new(secret: &[u8]) -> Key {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let tag = hmac::sign(&key, &signed("key id", "", &[]));
        let id = tag.as_ref().first_chunk().copied().unwrap_or_default();
        Key { id, key }
    }

    fn mark(&self, text: &str) -> String {
        let tag = hmac::sign(&self.key, &signed("mark", "", text.as_bytes()));
        URL_SAFE_NO_PAD.encode(tag.as_ref().get(..9).unwrap_or_default())
    }
}

pub(crate) struct Signer {
    signing: Key,
    accepted: Vec<Key>,
}

impl Signer {
    pub(crate) fn new(signing: &[u8], accepted: &[Vec<u8>]) -> Signer {
        Signer { signing: Key::new(signing), accepted: accepted.iter().map(|key| Key::new(key)).collect() }
    }

    /// The ids of the key that signs and of the others, as text.
    pub(crate) fn ids(&self) -> Vec<String> {
        self.keys().map(|key| format!("{:08x}", u32::from_be_bytes(key.id))).collect()
    }

    fn keys(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.signing).chain(&self.accepted)
    }

    /// Version, key, expiry, payload and a tag over them, the kind, and whom it is for (empty: for any bearer).
    pub(crate) fn seal(&self, kind: &str, audience: &str, payload: &[u8], expires_ms: i64) -> Vec<u8> {
        let mut sealed = Vec::with_capacity(1 + ID + EXPIRY + payload.len() + TAG);
        sealed.push(VERSION);
        sealed.extend(self.signing.id);
        sealed.extend(expires_ms.to_be_bytes());
        sealed.extend(payload);
        let tag = hmac::sign(&self.signing.key, &signed(kind, audience, &sealed));
        sealed.extend(tag.as_ref());
        sealed
    }

    /// The payload and its expiry, if the seal is genuine, of this kind, for this audience, and of this time.
    pub(crate) fn unseal<'a>(
        &self,
        kind: &str,
        audience: &str,
        sealed: &'a [u8],
        window: Window,
    ) -> Result<(&'a [u8], i64), Broken> {
        let (body, tag) = sealed.split_last_chunk::<TAG>().ok_or(Broken::Forged)?;
        let (version, rest) = body.split_first().ok_or(Broken::Forged)?;
        let (id, rest) = rest.split_first_chunk::<ID>().ok_or(Broken::Forged)?;
        let (expiry, payload) = rest.split_first_chunk::<EXPIRY>().ok_or(Broken::Forged)?;
        let text = signed(kind, audience, body);
        let genuine = self.keys().any(|key| key.id == *id && hmac::verify(&key.key, &text, tag).is_ok());
        if *version != VERSION || !genuine {
            return Err(Broken::Forged);
        }
        let expires_ms = i64::from_be_bytes(*expiry);
        match expires_ms {
            expired if expired <= window.now_ms => Err(Broken::Expired),
            early if early > window.latest_ms => Err(Broken::Early),
            _ => Ok((payload, expires_ms)),
        }
    }

    pub(crate) fn token(&self, claims: &Claims, expires_ms: i64) -> Result<String, GatewayError> {
        let payload = serde_json::to_vec(claims).map_err(|error| GatewayError::internal(error.to_string()))?;
        Ok(format!("{TOKEN_PREFIX}{}", URL_SAFE_NO_PAD.encode(self.seal(TOKEN, "", &payload, expires_ms))))
    }

    pub(crate) fn claims(&self, token: &str, window: Window) -> Result<(Claims, i64), Broken> {
        let encoded = token.strip_prefix(TOKEN_PREFIX).ok_or(Broken::Forged)?;
        let sealed = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| Broken::Forged)?;
        let (payload, expires_ms) = self.unseal(TOKEN, "", &sealed, window)?;
        let claims = serde_json::from_slice(payload).map_err(|_| Broken::Forged)?;
        Ok((claims, expires_ms))
    }

    /// A short mark of a text that does not betray it.
    pub(crate) fn mark(&self, text: &str) -> String {
        self.signing.mark(text)
    }

    /// Whether that is the mark of a text, by any of the keys.
    pub(crate) fn is_mark(&self, mark: &str, text: &str) -> bool {
        self.keys().any(|key| key.mark(text) == mark)
    }
}

/// Why something sealed is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broken {
    Forged,
    Expired,
    /// It expires later than anything that was made until now: the clock was set back, or lifetimes were shortened.
    Early,
}

/// When something that is accepted now expires: after now, and no later than if it were made now.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    pub now_ms: i64,
    pub latest_ms: i64,
}

/// What is signed. The lengths keep `("ab", "c")` and `("a", "bc")` apart.
fn signed(kind: &str, audience: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = b"portcullis seal 1".to_vec();
    for part in [kind.as_bytes(), audience.as_bytes(), body] {
        bytes.extend((part.len() as u64).to_be_bytes());
        bytes.extend(part);
    }
    bytes
}
