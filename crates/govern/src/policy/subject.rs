//! Who asks, and under which circumstances.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// A value of a user attribute, as `users.yaml` or an identity provider gives it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AttributeValue {
    /// A text.
    String(String),
    /// A whole number.
    Long(i64),
    /// A truth value.
    Bool(bool),
    /// A set of texts (or of purposes, where the vocabulary says so); order and repetition mean nothing.
    Set(Vec<String>),
}

/// A person or service that asks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Principal {
    /// Unique name; `User::"<id>"` in policies.
    pub id: String,
    /// Groups the principal belongs to directly; their parents come from the vocabulary.
    pub groups: BTreeSet<String>,
    /// Attributes, each declared in the vocabulary.
    pub attributes: BTreeMap<String, AttributeValue>,
}

/// The circumstances of one request: `context` in policies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestContext {
    /// The declared purpose; absent when the client named none.
    pub purpose: Option<String>,
    /// The reason for which the session asks for what policies open in an emergency only; absent otherwise.
    pub break_glass: Option<String>,
    /// The client's address, where there is a network.
    pub client_address: Option<IpAddr>,
    /// How the principal proved who it is: `password`, `token`, `personal_token`, `certificate`, `oidc` or `local`.
    pub authentication: String,
    /// Who asks in the principal's stead, with a right to; absent when the principal asks.
    pub actor: Option<String>,
    /// The domains that the credential is good for, whatever policies say; None: all of them.
    pub domains: Option<BTreeSet<String>>,
    /// Milliseconds since 1970-01-01T00:00:00Z, read by the caller: nothing below reads a clock.
    pub now_ms: i64,
}

/// A principal together with the circumstances of its request: what every decision is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// Who asks.
    pub principal: Principal,
    /// Under which circumstances.
    pub context: RequestContext,
}
