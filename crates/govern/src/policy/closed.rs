//! Policies that cannot be judged against the contracts: they name a column that is not there, or can never apply.
//!
//! A contract that drops or renames a column must not stop the policies of all domains from being loaded, and a policy
//! must not show more because of it. So such a policy is *closed*, where that touches nobody else: a permit grants
//! nothing, a forbid forbids everything that its scope names. It is an error that `check` fails on; it does not refuse
//! the set. Where a policy's scope names no table and no domain, closing it would hide what others have: then the set is
//! refused, but for a permit that can never apply, which grants nothing as it is.

use cedar_policy::{Effect, Policy, PolicyId, ResourceConstraint};
use portcullis_contract::Finding;

use super::check::split_column;
use super::load::LoadedPolicy;

/// How a closed policy is in force.
#[derive(Debug)]
pub(crate) enum Closed {
    /// A permit that grants nothing.
    Nothing,
    /// A forbid without its conditions.
    Everything(Box<Policy>),
}

/// The closed form of a policy, if it has one that touches nobody else.
pub(crate) fn close(policy: &LoadedPolicy, never_applies: bool) -> Option<Closed> {
    let limited = !matches!(policy.policy.resource_constraint(), ResourceConstraint::Any);
    match policy.policy.effect() {
        Effect::Permit => (limited || never_applies).then_some(Closed::Nothing),
        Effect::Forbid if limited => Some(Closed::Everything(Box::new(unconditional(policy)?))),
        Effect::Forbid => None,
    }
}

/// The policy without its conditions; one for a single column, which may be called otherwise now, is for its table.
fn unconditional(policy: &LoadedPolicy) -> Option<Policy> {
    let mut json = policy.policy.to_json().ok()?;
    *json.get_mut("conditions")? = serde_json::json!([]);
    let scope = json.get_mut("resource")?;
    let entity = scope.get("entity");
    if entity.and_then(|entity| entity.get("type")).and_then(|kind| kind.as_str()) == Some("Column") {
        let (table, _) = split_column(entity?.get("id")?.as_str()?)?;
        *scope = serde_json::json!({"op": "in", "entity": {"type": "Table", "id": table}});
    }
    Policy::from_json(Some(PolicyId::new(&policy.id)), json).ok()
}

impl Closed {
    /// What to say of it.
    pub(crate) fn finding(&self, policy: &LoadedPolicy) -> Finding {
        let effect = match self {
            Closed::Nothing => "it permits nothing",
            Closed::Everything(_) => "it forbids everything that its scope names",
        };
        let message = format!("policy `{}` cannot be judged, so it is closed: {effect}", policy.id);
        let finding = Finding::error("policy-closed", policy.place.position(), message);
        finding.with_hint("mend the policy, or the contract that it is about")
    }
}
