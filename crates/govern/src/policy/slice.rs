//! Which policies can matter to a request, by their scope alone.
//!
//! Leaving out a policy whose scope cannot match changes no decision and no reason: it could only have been unsatisfied.

use std::collections::{BTreeSet, HashSet};

use cedar_policy::pst::Clause;
use cedar_policy::{ActionConstraint, EntityUid, Policy, PolicySet, PrincipalConstraint, ResourceConstraint};

use super::entities::{EntityData, Reason, uid};
use super::walk::Reads;

/// Acting for another user: what no policy grants that does not name it.
pub(crate) const IMPERSONATE: &str = "impersonate";

/// Having the limits of a class: as above.
pub(crate) const USE_LIMITS: &str = "useLimits";

/// The actions that policies decide one by one.
pub(crate) const ACTIONS: [&str; 15] = [
    "discover",
    "query",
    "aggregateOnly",
    "breakGlass",
    "viewNotice",
    IMPERSONATE,
    USE_LIMITS,
    "readRow",
    "viewClear",
    "viewPartial",
    "viewBucket",
    "viewHash",
    "viewRedact",
    "viewNull",
    "viewJoinOnly",
];

/// A policy with what its scope and its conditions say about where it matters.
#[derive(Debug, Clone)]
pub(crate) struct IndexedPolicy {
    pub(crate) id: String,
    pub(crate) policy: Policy,
    pub(crate) reads: Reads,
    /// The actions of [`ACTIONS`] that it covers.
    actions: BTreeSet<&'static str>,
    /// Actions that its scope names one by one.
    named_actions: BTreeSet<String>,
    principal: Who,
    resource: ResourceConstraint,
    /// The entity type that the scope's `is` names.
    resource_type: Option<String>,
}

impl IndexedPolicy {
    pub(crate) fn new(id: String, policy: Policy, clauses: &[Clause]) -> Self {
        let named: Option<Vec<EntityUid>> = match policy.action_constraint() {
            ActionConstraint::Any => None,
            ActionConstraint::Eq(action) => Some(vec![action]),
            ActionConstraint::In(actions) => Some(actions),
        };
        let named_actions: BTreeSet<String> =
            named.iter().flatten().map(|action| action.id().unescaped().to_owned()).collect();
        let covers = |action: &&str| {
            named.is_none()
                || named_actions.contains(*action)
                || groups_of(action).iter().any(|g| named_actions.contains(*g))
        };
        let resource = policy.resource_constraint();
        let resource_type = match &resource {
            ResourceConstraint::Is(of) | ResourceConstraint::IsIn(of, _) => Some(of.to_string()),
            ResourceConstraint::Any | ResourceConstraint::In(_) | ResourceConstraint::Eq(_) => None,
        };
        IndexedPolicy {
            actions: ACTIONS.into_iter().filter(covers).collect(),
            named_actions,
            principal: Who::of(policy.principal_constraint()),
            resource,
            resource_type,
            reads: Reads::of(clauses),
            id,
            policy,
        }
    }

    /// Whether the scope names this very action, not a group of actions.
    pub(crate) fn names_action(&self, action: &str) -> bool {
        self.named_actions.contains(action)
    }

    /// Whether the scope covers an action, by name or through a group of actions.
    pub(crate) fn covers_action(&self, action: &str) -> bool {
        self.actions.contains(action)
    }

    /// `groups`: all that the principal is in.
    pub(crate) fn covers_principal(&self, principal: &EntityUid, groups: &BTreeSet<&str>) -> bool {
        match &self.principal {
            Who::Anyone => true,
            Who::Group(group) => groups.contains(group.as_str()),
            Who::Entity(entity) => entity == principal,
        }
    }

    fn covers_resource(&self, kind: &str, resources: &HashSet<EntityUid>) -> bool {
        let is_within = match &self.resource {
            ResourceConstraint::Any | ResourceConstraint::Is(_) => true,
            ResourceConstraint::In(r) | ResourceConstraint::Eq(r) | ResourceConstraint::IsIn(_, r) => {
                resources.contains(r)
            }
        };
        is_within && self.resource_type.as_ref().is_none_or(|of| of == kind)
    }

    /// The column that the scope is about, if it is about one.
    pub(crate) fn scope_column(&self) -> Option<&EntityUid> {
        match &self.resource {
            ResourceConstraint::In(r) | ResourceConstraint::Eq(r) | ResourceConstraint::IsIn(_, r) => {
                (r.type_name().to_string() == "Column").then_some(r)
            }
            ResourceConstraint::Any | ResourceConstraint::Is(_) => None,
        }
    }
}

/// Whom a scope is about. Groups by their names: comparing entities takes longer, and each decision looks at all policies.
#[derive(Debug, Clone)]
enum Who {
    Anyone,
    Group(String),
    Entity(EntityUid),
}

impl Who {
    fn of(scope: PrincipalConstraint) -> Who {
        match scope {
            PrincipalConstraint::Any | PrincipalConstraint::Is(_) => Who::Anyone,
            PrincipalConstraint::In(who) | PrincipalConstraint::Eq(who) | PrincipalConstraint::IsIn(_, who) => {
                if who.type_name().to_string() == "Group" {
                    return Who::Group(who.id().unescaped().to_owned());
                }
                Who::Entity(who)
            }
        }
    }
}

/// The groups of actions that an action is in.
fn groups_of(action: &str) -> &'static [&'static str] {
    match action {
        "viewClear" | "viewJoinOnly" => &["view"],
        "viewPartial" | "viewBucket" | "viewHash" | "viewRedact" | "viewNull" => &["view", "viewMasked"],
        _ => &[],
    }
}

/// The policies that can matter to one action of one principal on some resources.
#[derive(Debug)]
pub(crate) struct Slice<'a> {
    pub(crate) policies: Vec<&'a IndexedPolicy>,
    pub(crate) set: PolicySet,
}

impl<'a> Slice<'a> {
    /// `all`: those that cover the principal. `kind`: the resource's entity type. `resources`: everything that a scope
    /// could name for it.
    pub(crate) fn new(
        all: &[&'a IndexedPolicy],
        action: &str,
        kind: &str,
        resources: &HashSet<EntityUid>,
    ) -> Result<Self, Reason> {
        let matters = |p: &&IndexedPolicy| p.actions.contains(action) && p.covers_resource(kind, resources);
        let policies: Vec<&IndexedPolicy> = all.iter().copied().filter(matters).collect();
        let mut set = PolicySet::new();
        for policy in &policies {
            set.add(policy.policy.clone()).map_err(|e| e.to_string())?;
        }
        Ok(Slice { policies, set })
    }

    pub(crate) fn reads_time(&self) -> bool {
        self.policies.iter().any(|p| p.reads.time)
    }

    pub(crate) fn reads_groups(&self) -> bool {
        self.policies.iter().any(|p| p.reads.groups)
    }

    pub(crate) fn get(&self, id: &str) -> Option<&'a IndexedPolicy> {
        self.policies.iter().copied().find(|p| p.id == id)
    }
}

/// An entity and everything that it is in.
pub(crate) fn with_ancestors(entity: &EntityData) -> HashSet<EntityUid> {
    entity.ancestors.iter().chain([&entity.uid]).cloned().collect()
}

/// `Action::"name"`.
pub(crate) fn action_uid(action: &str) -> Result<EntityUid, Reason> {
    uid("Action", action)
}
