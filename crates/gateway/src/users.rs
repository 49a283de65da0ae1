//! The users file: who there is, with which password, in which groups, with which attributes.

use std::collections::{BTreeMap, BTreeSet};

use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use portcullis_contract::yaml::{Codes, Entry, Mapping, Node, Reader, Value};
use portcullis_contract::{Finding, Level, SourceFile};
use portcullis_govern::policy::AttributeType;
use portcullis_govern::{AttributeValue, PolicySnapshot, Principal};
use ring::rand::{SecureRandom, SystemRandom};

use crate::error::GatewayError;

const CODES: Codes = Codes::new("users-syntax", "users-unknown-key", "users-missing-key", "users-bad-value");
const PASSWORD: &str = "users-password";
const PRINCIPAL: &str = "users-principal";

/// Parameters of new hashes (OWASP's second choice for argon2id: 19 MiB, two passes). A hash carries its own, so the
/// users file may mix them.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// One entry of the users file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct User {
    pub principal: Principal,
    /// The PHC string; None: this user has no password, and logs in by other means or not at all.
    pub password: Option<String>,
}

/// The users file. Entries with errors are left out, and only they.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Users {
    users: BTreeMap<String, User>,
}

impl Users {
    pub(crate) fn get(&self, id: &str) -> Option<&User> {
        self.users.get(id)
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = &str> {
        self.users.keys().map(String::as_str)
    }

    pub(crate) fn into_principals(self) -> impl Iterator<Item = Principal> {
        self.users.into_values().map(|user| user.principal)
    }

    /// A hash to check the password of an unknown user against, so that the answer takes as long as for a known one.
    pub(crate) fn any_password(&self) -> Option<&str> {
        self.users.values().find_map(|user| user.password.as_deref())
    }

    /// Reads the file. None if it is not YAML or not of the right shape, so that nothing of it can be trusted.
    pub(crate) fn parse(source: &SourceFile, snapshot: &PolicySnapshot) -> (Option<Users>, Vec<Finding>) {
        let reader = Reader::new(source.path.as_str(), CODES);
        let users = parse(&reader, &source.text, snapshot);
        (users, reader.into_findings())
    }
}

fn parse(reader: &Reader, text: &str, snapshot: &PolicySnapshot) -> Option<Users> {
    let root = reader.parse(text)?;
    let file = reader.mapping(&root, "the users file")?;
    let node = file.require("users");
    file.finish(Level::Error);
    let entries = reader.mapping(node?, "`users`")?;
    let parsed = entries.entries().iter().filter_map(|entry| user(reader, entry, snapshot));
    Some(Users { users: parsed.map(|user| (user.principal.id.clone(), user)).collect() })
}

fn user(reader: &Reader, entry: &Entry, snapshot: &PolicySnapshot) -> Option<User> {
    let fields = reader.mapping(&entry.value, &format!("user `{}`", entry.key))?;
    let password = fields.string("password");
    let groups: BTreeSet<String> = fields.strings("groups").into_iter().collect();
    let (attributes, whole) = attributes(reader, &fields, snapshot);
    fields.finish(Level::Error);

    let mut problems = Vec::new();
    if entry.key.is_empty() || entry.key.chars().any(char::is_control) {
        problems.push((PRINCIPAL, "a user's id must not be empty or have control characters".to_owned()));
    }
    if let Some(reason) = password.as_deref().and_then(|hash| check_hash(hash).err()) {
        problems.push((PASSWORD, format!("user `{}`: {reason}", entry.key)));
    }
    let principal = Principal { id: entry.key.clone(), groups, attributes };
    if let Err(reasons) = snapshot.check_principal(&principal) {
        problems.extend(reasons.into_iter().map(|reason| (PRINCIPAL, format!("user `{}`: {reason}", entry.key))));
    }
    let sound = problems.is_empty() && whole;
    problems.into_iter().for_each(|(code, message)| reader.error(&entry.value, code, message));
    sound.then_some(User { principal, password })
}

/// The attributes, and whether all of them could be read: a user without one of them might be let in too far.
fn attributes(
    reader: &Reader,
    fields: &Mapping<'_>,
    snapshot: &PolicySnapshot,
) -> (BTreeMap<String, AttributeValue>, bool) {
    let Some(node) = fields.get("attributes") else { return (BTreeMap::new(), true) };
    let Some(entries) = reader.mapping(node, "`attributes`") else { return (BTreeMap::new(), false) };
    let entries = entries.entries();
    let is_text = |name: &str| {
        snapshot.vocabulary().attributes().any(|(known, kind)| known == name && kind == AttributeType::String)
    };
    let read = |entry: &Entry| value(reader, &entry.key, &entry.value, is_text(&entry.key));
    let values: BTreeMap<_, _> = entries.iter().filter_map(|entry| Some((entry.key.clone(), read(entry)?))).collect();
    let whole = values.len() == entries.len();
    (values, whole)
}

/// The value as it is written; `007` is a text where the vocabulary wants one.
fn value(reader: &Reader, name: &str, node: &Node, is_text: bool) -> Option<AttributeValue> {
    match &node.value {
        Value::Scalar(_) if is_text => reader.string(node, &format!("attribute `{name}`")).map(AttributeValue::String),
        Value::Scalar(scalar) if scalar.plain && matches!(scalar.text.as_str(), "true" | "false") => {
            Some(AttributeValue::Bool(scalar.text == "true"))
        }
        Value::Scalar(scalar) if scalar.plain && !node.is_null() && scalar.text.parse::<i64>().is_ok() => {
            scalar.text.parse().ok().map(AttributeValue::Long)
        }
        Value::Sequence(_) => Some(AttributeValue::Set(reader.strings(node, &format!("attribute `{name}`")))),
        _ => reader.string(node, &format!("attribute `{name}`")).map(AttributeValue::String),
    }
}

fn check_hash(hash: &str) -> Result<(), String> {
    let parsed = PasswordHash::new(hash).map_err(|_| {
        "the password is not an argon2 PHC string (`$argon2id$…`): make one with `portcullis user hash`".to_owned()
    })?;
    Algorithm::try_from(parsed.algorithm)
        .and_then(|_| Params::try_from(&parsed).map_err(|_| argon2::password_hash::Error::ParamsMaxExceeded))
        .map_err(|_| "the password's hash is not argon2, or has parameters out of range".to_owned())?;
    Ok(())
}

/// Whether the password is the one behind this hash. Takes as long as the hash's parameters say: never on an async
/// thread.
pub(crate) fn verify(password: &str, hash: &str) -> bool {
    let Ok(parsed) = PasswordHash::new(hash) else { return false };
    Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok()
}

/// The JSON Schema of the users file, for editors.
pub fn users_json_schema() -> serde_json::Value {
    serde_json::json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Users",
        "type": "object",
        "required": ["users"],
        "additionalProperties": false,
        "properties": {
            "users": {
                "description": "Users by their id, which policies know as User::\"<id>\".",
                "type": "object",
                "additionalProperties": {
                    "type": "object",
                    "additionalProperties": false,
                    "patternProperties": { "^x-": {} },
                    "properties": {
                        "password": {
                            "description": "An argon2 PHC string. Without it, the user cannot log in with a password.",
                            "type": "string",
                            "pattern": "^\\$argon2(id|i|d)\\$"
                        },
                        "groups": {
                            "description": "Groups of policies/vocabulary.yaml that the user belongs to directly.",
                            "type": "array",
                            "items": { "type": "string" }
                        },
                        "attributes": {
                            "description": "Attributes of policies/vocabulary.yaml, each of the type declared there.",
                            "type": "object",
                            "additionalProperties": {
                                "type": ["string", "integer", "boolean", "array"],
                                "items": { "type": "string" }
                            }
                        }
                    }
                }
            }
        }
    })
}

/// Hashes a password for the users file, as an argon2id PHC string.
///
/// # Errors
///
/// `Internal` if the system gives no random numbers.
pub fn hash_password(password: &str) -> Result<String, GatewayError> {
    hash_with(password, MEMORY_KIB, PASSES)
}

pub(crate) fn hash_with(password: &str, memory_kib: u32, passes: u32) -> Result<String, GatewayError> {
    let failed = |error: argon2::password_hash::Error| GatewayError::internal(format!("cannot hash: {error}"));
    let mut random = [0; 16];
    SystemRandom::new().fill(&mut random).map_err(|_| GatewayError::internal("the system gives no random numbers"))?;
    let salt = SaltString::encode_b64(&random).map_err(failed)?;
    let params = Params::new(memory_kib, passes, LANES, None)
        .map_err(|error| GatewayError::internal(format!("cannot hash: {error}")))?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    Ok(argon2.hash_password(password.as_bytes(), &salt).map_err(failed)?.to_string())
}
