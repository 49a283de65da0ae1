//! By what decisions are remembered.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::subject::{Principal, RequestContext, Subject};

/// Everything that a decision depends on besides the snapshot, which owns the memory, and the time, for which decisions
/// are not kept.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    /// The table, or whatever else is judged.
    about: String,
    principal: Principal,
    purpose: Option<String>,
    break_glass: bool,
    client_address: Option<IpAddr>,
    authentication: String,
    actor: Option<String>,
    domains: Option<BTreeSet<String>>,
}

impl Key {
    pub(crate) fn new(about: &str, subject: &Subject) -> Self {
        // Without `..`: whatever else policies can be told of a request is a part of the key.
        let Subject { principal, context } = subject;
        let RequestContext { purpose, break_glass, client_address, authentication, actor, domains, now_ms: _ } =
            context;
        Key {
            about: about.to_owned(),
            principal: principal.clone(),
            purpose: purpose.clone(),
            break_glass: break_glass.is_some(),
            client_address: *client_address,
            authentication: authentication.clone(),
            actor: actor.clone(),
            domains: domains.clone(),
        }
    }
}
