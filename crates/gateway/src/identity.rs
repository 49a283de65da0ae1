//! Principals of outside identity providers: from the claims of a verified token to id, groups and attributes.

use std::collections::{BTreeMap, BTreeSet};

use portcullis_govern::policy::AttributeType;
use portcullis_govern::{AttributeValue, PolicySnapshot, Principal};
use portcullis_oidc::{Issuers, OidcError, Verified};
use serde_json::{Map, Value};

use crate::config::{Identity as Settings, TrustedIssuer};
use crate::error::{ErrorKind, GatewayError};

/// The claim that says who acts.
const ACTOR: &str = "act";
/// Longer ids are not accepted.
const LONGEST_ID: usize = 256;

/// The issuers that the configuration trusts.
pub(crate) struct Identity {
    issuers: Issuers,
    rules: Vec<TrustedIssuer>,
}

impl Identity {
    /// No issuer is contacted yet.
    ///
    /// # Errors
    ///
    /// `InvalidArgument`, if one could not be trusted as it is written.
    pub(crate) fn new(settings: &Settings) -> Result<Identity, GatewayError> {
        let rules = settings.issuers.clone();
        let issuers = rules.iter().map(TrustedIssuer::verifier).collect::<Result<Vec<_>, _>>();
        let issuers = Issuers::new(issuers.map_err(GatewayError::invalid)?);
        let issuers = issuers.map_err(|error| GatewayError::invalid(format!("`identity.issuers`: {error}")))?;
        Ok(Identity { issuers, rules })
    }

    /// Whether tokens of any issuer are accepted.
    pub(crate) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The claims of a token, with the rules of who made it.
    pub(crate) async fn verify(&self, token: &str, now_ms: i64) -> Result<(Verified, &TrustedIssuer), GatewayError> {
        let verified = self.issuers.verify(token, now_ms).await.map_err(refused)?;
        let rules = self.rules.iter().find(|rules| rules.issuer == verified.issuer);
        let rules = rules.ok_or_else(|| GatewayError::internal("an issuer without rules"))?;
        Ok((verified, rules))
    }
}

pub(crate) fn refused(error: OidcError) -> GatewayError {
    match error {
        OidcError::Refused(_) | OidcError::Expired | OidcError::Login(_) => {
            GatewayError::unauthenticated(error.to_string())
        }
        OidcError::Unavailable { .. } => {
            GatewayError::new(ErrorKind::Unavailable, format!("{error}: try again, or log in in another way"))
        }
        OidcError::Configuration(_) => GatewayError::internal(error.to_string()),
    }
}

/// The principal that claims stand for, in the words of the vocabulary.
///
/// # Errors
///
/// `Unauthenticated`, if the id is missing, or a claim that the rules name has another type than the vocabulary says: a
/// principal without one of its groups or attributes might be let in too far.
pub(crate) fn principal(
    rules: &TrustedIssuer,
    claims: &Map<String, Value>,
    snapshot: &PolicySnapshot,
) -> Result<Principal, GatewayError> {
    let id = id(rules, claims, "")?;
    let named = match claim(claims, &rules.groups_claim) {
        None | Some(Value::Null) => Vec::new(),
        Some(value) => texts(value).ok_or_else(|| wrong(&rules.groups_claim, "is not a list of groups"))?,
    };
    let known: BTreeSet<&str> = snapshot.vocabulary().groups().collect();
    let group = |name: &str| match rules.groups.is_empty() {
        true => known.get(name).map(|group| (*group).to_owned()),
        false => rules.groups.get(name).cloned(),
    };
    let groups = named.into_iter().filter_map(group).collect();

    let kinds: BTreeMap<&str, AttributeType> = snapshot.vocabulary().attributes().collect();
    let mut attributes = BTreeMap::new();
    for (attribute, name) in &rules.attributes {
        let value = match claim(claims, name) {
            None | Some(Value::Null) => continue,
            Some(value) => value,
        };
        let value = kinds.get(attribute.as_str()).and_then(|kind| attribute_value(*kind, value));
        let value = value.ok_or_else(|| wrong(name, &format!("does not fit the attribute `{attribute}`")))?;
        attributes.insert(attribute.clone(), value);
    }
    let principal = Principal { id, groups, attributes };
    // A group of the configuration that the vocabulary does not have.
    snapshot.check_principal(&principal).map_err(|reasons| {
        GatewayError::unauthenticated(format!("the token's principal is refused: {}", reasons.join("; ")))
    })?;
    Ok(principal)
}

/// Who acts for the principal, where the token was exchanged and says so (`act`, RFC 8693, section 4.1): known by its id alone. Who
/// acted for that one before is not looked at.
///
/// # Errors
///
/// `Unauthenticated`, if what it says names nobody, or somebody of another issuer: who acts would not be known.
pub(crate) fn actor(rules: &TrustedIssuer, claims: &Map<String, Value>) -> Result<Option<Principal>, GatewayError> {
    let Some(act) = claims.get(ACTOR) else { return Ok(None) };
    let act = act.as_object().ok_or_else(|| wrong(ACTOR, "names no principal"))?;
    if act.get("iss").is_some_and(|issuer| issuer.as_str() != Some(&rules.issuer)) {
        return Err(wrong(ACTOR, "names a principal of another issuer"));
    }
    let id = id(rules, act, "act.")?;
    Ok(Some(Principal { id, groups: BTreeSet::new(), attributes: BTreeMap::new() }))
}

/// The id of a principal, among the claims that stand `within` others.
fn id(rules: &TrustedIssuer, claims: &Map<String, Value>, within: &str) -> Result<String, GatewayError> {
    let name = format!("{within}{}", rules.principal_claim);
    let id = claim(claims, &rules.principal_claim).and_then(Value::as_str).filter(|id| !id.is_empty());
    let id = id.ok_or_else(|| wrong(&name, "names no principal"))?;
    let id = format!("{}{id}", rules.principal_prefix);
    if id.len() > LONGEST_ID || id.chars().any(char::is_control) {
        return Err(wrong(&name, "is no id of a principal"));
    }
    Ok(id)
}

fn wrong(claim: &str, what: &str) -> GatewayError {
    GatewayError::unauthenticated(format!("the token is refused: its claim `{claim}` {what}"))
}

/// What is wrong with the rules under these policies: groups and attributes that the vocabulary does not have.
pub(crate) fn unknown_names(rules: &TrustedIssuer, snapshot: &PolicySnapshot) -> Vec<String> {
    let issuer = &rules.issuer;
    let groups: BTreeSet<&str> = snapshot.vocabulary().groups().collect();
    let attributes: BTreeSet<&str> = snapshot.vocabulary().attributes().map(|(name, _)| name).collect();
    let unknown_groups = rules.groups.values().filter(|group| !groups.contains(group.as_str()));
    let unknown_attributes = rules.attributes.keys().filter(|name| !attributes.contains(name.as_str()));
    let say = |what: &str, name: &String| {
        format!("issuer `{issuer}`: the {what} `{name}` is not in policies/vocabulary.yaml")
    };
    unknown_groups.map(|name| say("group", name)).chain(unknown_attributes.map(|name| say("attribute", name))).collect()
}

/// The claim of this name; else along its dots.
fn claim<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    if let Some(value) = claims.get(name) {
        return Some(value);
    }
    let (first, rest) = name.split_once('.')?;
    claim(claims.get(first)?.as_object()?, rest)
}

fn texts(value: &Value) -> Option<Vec<&str>> {
    match value {
        Value::String(text) => Some(vec![text]),
        Value::Array(items) => items.iter().map(Value::as_str).collect(),
        _ => None,
    }
}

fn attribute_value(kind: AttributeType, value: &Value) -> Option<AttributeValue> {
    match kind {
        AttributeType::String => value.as_str().map(|text| AttributeValue::String(text.to_owned())),
        AttributeType::Long => value.as_i64().map(AttributeValue::Long),
        AttributeType::Bool => value.as_bool().map(AttributeValue::Bool),
        AttributeType::StringSet | AttributeType::PurposeSet => {
            Some(AttributeValue::Set(texts(value)?.into_iter().map(str::to_owned).collect()))
        }
    }
}
