//! The words that policies may use: groups, purposes, user attributes, tags, classes of limits.

use std::collections::{BTreeMap, BTreeSet};

use super::subject::AttributeValue;

/// Tables that the gateway makes itself, in the domain `system`.
pub const SYSTEM_TABLES: [&str; 5] = ["access_log", "columns", "findings", "policies", "products"];

/// The domain of the gateway's own tables.
pub const SYSTEM_DOMAIN: &str = "system";

/// The tag that every column with `pii: true` has.
pub const PII_TAG: &str = "pii";

/// The type of a user attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttributeType {
    /// A text.
    String,
    /// A whole number.
    Long,
    /// A truth value.
    Bool,
    /// A set of texts.
    StringSet,
    /// A set of purposes, each declared.
    PurposeSet,
}

impl AttributeType {
    /// All types.
    pub const ALL: [AttributeType; 5] = [
        AttributeType::String,
        AttributeType::Long,
        AttributeType::Bool,
        AttributeType::StringSet,
        AttributeType::PurposeSet,
    ];

    /// The word in `vocabulary.yaml`.
    pub fn as_str(self) -> &'static str {
        match self {
            AttributeType::String => "string",
            AttributeType::Long => "long",
            AttributeType::Bool => "bool",
            AttributeType::StringSet => "set<string>",
            AttributeType::PurposeSet => "set<purpose>",
        }
    }

    /// The reverse of [`AttributeType::as_str`].
    pub fn parse(text: &str) -> Option<AttributeType> {
        AttributeType::ALL.into_iter().find(|t| t.as_str() == text)
    }

    /// The type's name in a Cedar schema.
    pub(crate) fn cedar(self) -> &'static str {
        match self {
            AttributeType::String => "String",
            AttributeType::Long => "Long",
            AttributeType::Bool => "Bool",
            AttributeType::StringSet => "Set<String>",
            AttributeType::PurposeSet => "Set<Purpose>",
        }
    }
}

/// The platform's vocabulary, from `policies/vocabulary.yaml`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Vocabulary {
    pub(crate) groups: BTreeMap<String, BTreeSet<String>>,
    pub(crate) purposes: BTreeSet<String>,
    pub(crate) attributes: BTreeMap<String, AttributeType>,
    pub(crate) tags: BTreeSet<String>,
    pub(crate) limits: BTreeSet<String>,
}

impl Vocabulary {
    /// Groups in order of their names.
    pub fn groups(&self) -> impl Iterator<Item = &str> {
        self.groups.keys().map(String::as_str)
    }

    /// The groups that a group belongs to directly.
    pub fn parents(&self, group: &str) -> impl Iterator<Item = &str> {
        self.groups.get(group).into_iter().flatten().map(String::as_str)
    }

    /// Purposes that a request may declare, in order.
    pub fn purposes(&self) -> impl Iterator<Item = &str> {
        self.purposes.iter().map(String::as_str)
    }

    /// User attributes and their types, in order of their names.
    pub fn attributes(&self) -> impl Iterator<Item = (&str, AttributeType)> {
        self.attributes.iter().map(|(name, t)| (name.as_str(), *t))
    }

    /// Tags beyond those that contracts use, in order.
    pub fn tags(&self) -> impl Iterator<Item = &str> {
        self.tags.iter().map(String::as_str)
    }

    /// Classes of limits that policies may give to principals, in order.
    pub fn limits(&self) -> impl Iterator<Item = &str> {
        self.limits.iter().map(String::as_str)
    }

    /// These groups and all that they belong to. Undeclared groups are left out: nobody can have granted them anything.
    pub fn memberships<'a>(&'a self, groups: impl IntoIterator<Item = &'a String>) -> BTreeSet<&'a str> {
        let mut found = BTreeSet::new();
        let mut open: Vec<&'a String> = groups.into_iter().collect();
        while let Some(group) = open.pop() {
            if let Some((name, parents)) = self.groups.get_key_value(group)
                && found.insert(name.as_str())
            {
                open.extend(parents);
            }
        }
        found
    }

    /// A group that belongs to itself through others, if there is one.
    pub(crate) fn circular_group(&self) -> Option<&str> {
        let belongs_to_itself =
            |(name, parents): &(&String, &BTreeSet<String>)| self.memberships(parents.iter()).contains(name.as_str());
        self.groups.iter().find(belongs_to_itself).map(|(name, _)| name.as_str())
    }

    /// Whether a value has the attribute's type; if not, what would be right.
    pub(crate) fn check_attribute(&self, name: &str, value: &AttributeValue) -> Result<(), String> {
        let Some(expected) = self.attributes.get(name) else {
            return Err(format!("attribute `{name}` is not in policies/vocabulary.yaml"));
        };
        let fits = match (expected, value) {
            (AttributeType::String, AttributeValue::String(_))
            | (AttributeType::Long, AttributeValue::Long(_))
            | (AttributeType::Bool, AttributeValue::Bool(_))
            | (AttributeType::StringSet, AttributeValue::Set(_)) => true,
            (AttributeType::PurposeSet, AttributeValue::Set(items)) => {
                if let Some(unknown) = items.iter().find(|item| !self.purposes.contains(*item)) {
                    return Err(format!("attribute `{name}`: purpose `{unknown}` is not in policies/vocabulary.yaml"));
                }
                true
            }
            _ => false,
        };
        if fits { Ok(()) } else { Err(format!("attribute `{name}` must be a {}", expected.as_str())) }
    }
}
