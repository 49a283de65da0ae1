//! Personal access tokens: bearer tokens of users of the users file that last, for some domains each. The gateway keeps a
//! file of what they are good for, in which there is no token: whoever reads it cannot make one.

mod store;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use portcullis_contract::{Finding, Position, SourceFile};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};

use crate::error::GatewayError;

pub(crate) use store::read;
pub use store::{NewToken, create_personal_token, personal_tokens, revoke_personal_tokens};

/// Tokens start with this, so that one that leaked into a log or a repository is recognised for what it is.
const PREFIX: &str = "pcp_";
const ID_BYTES: usize = 6;
const SECRET_BYTES: usize = 32;
/// Stands for all domains, those to come included.
pub(crate) const ALL_DOMAINS: &str = "*";
const UNREADABLE: &str = "tokens-unreadable";

/// Whether a text claims to be a personal access token.
pub(crate) fn is_personal_token(text: &str) -> bool {
    text.starts_with(PREFIX)
}

/// What the tokens file says of one token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PersonalToken {
    /// Names it, in lists and in the audit journal.
    pub id: String,
    /// Whose it is.
    pub user: String,
    /// What it is for, in its owner's words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The domains that it is good for; `*` is all of them.
    pub domains: BTreeSet<String>,
    /// When it was made, as RFC 3339.
    pub created: Instant,
    /// When it ends, as RFC 3339.
    pub expires: Instant,
    /// When it was revoked, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<Instant>,
    /// Vouches for the token's secret, and for user, domains and expiry: who changes one of them here ends the token.
    digest: String,
}

/// Milliseconds since 1970, written as RFC 3339 in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Instant(i64);

impl Instant {
    /// So many milliseconds after 1970 began, cut to seconds.
    pub(crate) fn from_ms(ms: i64) -> Instant {
        Instant(ms - ms.rem_euclid(1_000))
    }

    /// As milliseconds since 1970.
    pub fn ms(self) -> i64 {
        self.0
    }
}

impl TryFrom<String> for Instant {
    type Error = String;

    fn try_from(text: String) -> Result<Instant, String> {
        let at: Result<Timestamp, _> = text.parse();
        at.map(|at| Instant(at.as_millisecond())).map_err(|_| format!("`{text}` is not an instant of RFC 3339"))
    }
}

impl From<Instant> for String {
    fn from(at: Instant) -> String {
        at.to_string()
    }
}

impl std::fmt::Display for Instant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match Timestamp::from_millisecond(self.0) {
            Ok(at) => write!(f, "{at}"),
            Err(_) => write!(f, "{}", self.0),
        }
    }
}

impl PersonalToken {
    /// A new token's entry, and the token.
    fn new(user: String, name: String, domains: BTreeSet<String>, now_ms: i64, expires_ms: i64) -> Made {
        let mut random = [0; ID_BYTES + SECRET_BYTES];
        let drawn = SystemRandom::new().fill(&mut random);
        drawn.map_err(|_| GatewayError::internal("the system gives no random numbers"))?;
        let (id, secret) = random.split_at(ID_BYTES);
        let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut token = PersonalToken {
            id,
            user,
            name,
            domains,
            created: Instant::from_ms(now_ms),
            expires: Instant::from_ms(expires_ms),
            revoked: None,
            digest: String::new(),
        };
        token.digest = URL_SAFE_NO_PAD.encode(hmac::sign(&key(secret), &token.vouched()));
        let text = format!("{PREFIX}{}_{}", token.id, URL_SAFE_NO_PAD.encode(secret));
        Ok((token, text))
    }

    /// The domains that it is good for; None: all.
    pub(crate) fn scope(&self) -> Option<BTreeSet<String>> {
        (!self.domains.contains(ALL_DOMAINS)).then(|| self.domains.clone())
    }

    fn is_of(&self, secret: &[u8]) -> bool {
        let digest = URL_SAFE_NO_PAD.decode(&self.digest).unwrap_or_default();
        hmac::verify(&key(secret), &self.vouched(), &digest).is_ok()
    }

    /// What the digest is made over. The lengths keep `("ab", "c")` and `("a", "bc")` apart.
    fn vouched(&self) -> Vec<u8> {
        let mut bytes = b"portcullis personal access token 1".to_vec();
        let instants = [self.created, self.expires].map(|at| at.ms().to_string());
        let texts = [&self.id, &self.user].into_iter().chain(&instants).chain(&self.domains);
        for text in texts {
            bytes.extend((text.len() as u64).to_be_bytes());
            bytes.extend(text.as_bytes());
        }
        bytes
    }
}

type Made = Result<(PersonalToken, String), GatewayError>;

fn key(secret: &[u8]) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, secret)
}

/// The tokens file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    tokens: Vec<PersonalToken>,
}

impl File {
    fn parse(source: &SourceFile) -> Result<File, Finding> {
        let file: File = serde_json::from_str(&source.text).map_err(|error| {
            let line = u32::try_from(error.line()).unwrap_or(u32::MAX);
            let column = u32::try_from(error.column()).unwrap_or(u32::MAX);
            let position = Position::at(source.path.as_str(), line, column);
            closed(position, "is not what `portcullis token` writes")
        })?;
        let ids: BTreeSet<&str> = file.tokens.iter().map(|token| token.id.as_str()).collect();
        if ids.len() < file.tokens.len() {
            return Err(closed(Position::file(source.path.as_str()), "has an id twice"));
        }
        Ok(file)
    }
}

/// Nothing of the file can be trusted.
fn closed(position: Position, reason: &str) -> Finding {
    let message = format!("the file of personal access tokens {reason}: none is accepted until it is mended");
    Finding::error(UNREADABLE, position, message)
}

/// What can be said of the tokens file: its text, or why it could not be read.
pub(crate) type Source = Result<SourceFile, (String, String)>;

/// The tokens that there are, by their ids.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PersonalTokens(BTreeMap<String, PersonalToken>);

impl PersonalTokens {
    /// Reads the file; without one there are none. A file with a mistake is none either: no token is accepted.
    pub(crate) fn read(source: Option<&Source>) -> (PersonalTokens, Vec<Finding>) {
        let file = match source {
            None => return Default::default(),
            Some(Ok(source)) => File::parse(source),
            Some(Err((path, reason))) => Err(closed(Position::file(path.as_str()), reason)),
        };
        match file {
            Ok(file) => {
                (PersonalTokens(file.tokens.into_iter().map(|token| (token.id.clone(), token)).collect()), Vec::new())
            }
            Err(finding) => (PersonalTokens::default(), vec![finding]),
        }
    }

    /// The entry of a token, if it is genuine: of what has an id here, and its secret. Whether it is still good is not
    /// asked.
    pub(crate) fn genuine(&self, text: &str) -> Option<&PersonalToken> {
        let (id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
        let secret = URL_SAFE_NO_PAD.decode(secret).ok().filter(|secret| secret.len() == SECRET_BYTES)?;
        self.0.get(id).filter(|token| token.is_of(&secret))
    }

    /// Whether a token that was accepted before is there as it was, and not revoked.
    ///
    /// # Errors
    ///
    /// `Unauthenticated`, if not.
    pub(crate) fn stands(&self, token: &PersonalToken) -> Result<(), GatewayError> {
        match self.0.get(&token.id) {
            Some(now) if now.revoked.is_none() && now.digest == token.digest && now.domains == token.domains => Ok(()),
            _ => Err(revoked(&token.id)),
        }
    }
}

/// The token is not good any more.
fn revoked(id: &str) -> GatewayError {
    GatewayError::unauthenticated(format!(
        "the personal access token `{id}` was revoked, or changed: ask for a new one"
    ))
}
