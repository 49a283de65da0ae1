//! Policies that apply to nothing here, and permits that change nothing.
//!
//! Found by asking, not by proof: every user of users.yaml and somebody in each group alone, without a purpose and with
//! each that a policy reads, about every table. So findings say for whom they hold. Where conditions read what is not
//! tried out (user attributes that nobody has, the time, the client's address, how the client logged in), a finding is
//! a remark, not a warning.

use std::collections::BTreeSet;

use cedar_policy::pst::{Clause, Expr as Cedar, Var};
use cedar_policy::{Effect, EntityUid, Policy, PrincipalConstraint};
use portcullis_contract::{Finding, Level, Position};

use super::people::{Asking, people};
use super::rows::compare_rows;
use super::view::View;
use crate::policy::decision::{Access, Disclosure, RowFilter, TableAction, TableDecision};
use crate::policy::slice::{IMPERSONATE, IndexedPolicy, USE_LIMITS};
use crate::policy::snapshot::PolicySnapshot;
use crate::policy::subject::{Principal, Subject};
use crate::policy::walk::subexpressions;

/// For whom the findings hold.
const FOR_WHOM: &str =
    "for the users of users.yaml and a member of each group, with each purpose, without, and with broken glass";
/// Policies that a finding names.
const MOST_NAMES: usize = 5;

/// A finding for each policy that applies to nothing, and for each permit without which nothing would change. With
/// `others`, there are people beside `users`, whom only an identity provider knows.
pub fn idle(snapshot: &PolicySnapshot, users: &[Principal], others: bool, now_ms: i64) -> Vec<Finding> {
    if let Some(withheld) = snapshot.catalogue().withheld().first() {
        let message =
            format!("policies without effect are not looked for while a contract is withheld: {}", withheld.position());
        return vec![Finding::new(Level::Info, "policy-not-reviewed", Position::file("policies"), message)];
    }
    let review = Review::new(snapshot, users, others, now_ms);
    let policies = snapshot.indexed().iter();
    policies.filter_map(|policy| review.finding(policy)).collect()
}

struct Review<'a> {
    snapshot: &'a PolicySnapshot,
    users: &'a [Principal],
    others: bool,
    subjects: Vec<Subject>,
    tables: Vec<String>,
}

/// Where a policy matters.
enum Effects {
    /// It applies to nothing.
    Nowhere,
    /// It applies, and nothing would be otherwise without it: to these subjects and tables, by their numbers.
    None(Vec<(usize, usize)>),
    /// It decides something.
    Some,
}

impl<'a> Review<'a> {
    fn new(snapshot: &'a PolicySnapshot, users: &'a [Principal], others: bool, now_ms: i64) -> Review<'a> {
        let named = named_users(snapshot);
        // Users who are the same to every policy are asked about once.
        let mut seen = BTreeSet::new();
        let everybody = people(snapshot.vocabulary(), users).into_iter().filter(|person| {
            let principal = &person.principal;
            let id = named.contains(&principal.id).then(|| principal.id.clone());
            seen.insert((id, principal.groups.clone(), principal.attributes.clone()))
        });
        let by_purpose = snapshot.indexed().iter().any(|policy| reads(&policy.policy).purpose);
        let purposes = snapshot.vocabulary().purposes().filter(|_| by_purpose);
        let by_glass = snapshot.indexed().iter().any(|policy| policy.covers_action("breakGlass"));
        let everything: Vec<Asking<'_>> =
            Asking::each(purposes).into_iter().filter(|asking| by_glass || !asking.breaks_glass).collect();
        let subjects = everybody
            .flat_map(|person| everything.iter().map(|asking| person.asking(*asking, now_ms)).collect::<Vec<_>>());
        Review { snapshot, users, others, subjects: subjects.collect(), tables: snapshot.resources().collect() }
    }

    fn finding(&self, policy: &IndexedPolicy) -> Option<Finding> {
        if let Some(nobody) = self.nobody(&policy.policy).filter(|_| !self.others) {
            let message = format!("policy `{}` applies to nobody: {nobody}", policy.id);
            let hint = "remove the policy, or add the users that it is for";
            return Some(Finding::warning("policy-idle", self.position(policy), message).with_hint(hint));
        }
        // These are about people, and the review about tables.
        if policy.names_action(IMPERSONATE) || policy.names_action(USE_LIMITS) {
            return None;
        }
        let without: Vec<IndexedPolicy> =
            self.snapshot.indexed().iter().filter(|other| other.id != policy.id).cloned().collect();
        match self.effects(policy, &without) {
            Effects::Some => None,
            Effects::Nowhere => Some(self.vacuous(policy)),
            // A forbid that holds nothing back today is a guard.
            Effects::None(_) if policy.policy.effect() == Effect::Forbid => None,
            Effects::None(places) => Some(self.shadowed(policy, &without, &places)),
        }
    }

    fn position(&self, policy: &IndexedPolicy) -> Position {
        let info = self.snapshot.policies().iter().find(|info| info.id == policy.id);
        info.map_or_else(|| Position::file("policies"), |info| info.position.clone())
    }

    /// Whether the scope names a principal whom nobody is, or a group that nobody is in.
    fn nobody(&self, policy: &Policy) -> Option<String> {
        let (PrincipalConstraint::In(uid) | PrincipalConstraint::Eq(uid) | PrincipalConstraint::IsIn(_, uid)) =
            policy.principal_constraint()
        else {
            return None;
        };
        let id: &str = uid.id().unescaped();
        match uid.type_name().to_string().as_str() {
            "Group" => {
                let member = |user: &Principal| self.snapshot.vocabulary().memberships(&user.groups).contains(id);
                (!self.users.iter().any(member)).then(|| format!("no user of users.yaml is in group `{id}`"))
            }
            "User" => (!self.users.iter().any(|user| user.id == id)).then(|| format!("users.yaml has no user `{id}`")),
            _ => None,
        }
    }

    fn effects(&self, policy: &IndexedPolicy, without: &[IndexedPolicy]) -> Effects {
        let mut places = Vec::new();
        for (s, subject) in self.subjects.iter().enumerate() {
            for (t, table) in self.tables.iter().enumerate() {
                if !self.snapshot.reaches(policy, subject, table) {
                    continue;
                }
                if self.changes(self.snapshot.indexed(), without, subject, table) {
                    return Effects::Some;
                }
                places.push((s, t));
            }
        }
        if places.is_empty() { Effects::Nowhere } else { Effects::None(places) }
    }

    /// Whether a subject sees something else of a table under these policies than under those.
    fn changes(&self, these: &[IndexedPolicy], those: &[IndexedPolicy], subject: &Subject, table: &str) -> bool {
        let view = |policies| self.snapshot.decide_with(policies, subject, table).map(|decision| View::of(&decision));
        let (Some(one), Some(other)) = (view(these), view(those)) else { return true };
        let rows = self
            .snapshot
            .table(table)
            .is_some_and(|contract| compare_rows((&one.filter, contract), (&other.filter, contract)).is_some());
        let filter = RowFilter::nothing();
        rows || View { filter: filter.clone(), ..one } != View { filter, ..other }
    }

    fn vacuous(&self, policy: &IndexedPolicy) -> Finding {
        let why = self.why_vacuous(policy).unwrap_or_default();
        let mut untried = reads(&policy.policy).untried();
        if self.others && self.nobody(&policy.policy).is_some() {
            untried.push("who the identity provider says that somebody is");
        }
        let but = match untried.as_slice() {
            [] => String::new(),
            words => format!("; it reads {}, which may differ", words.join(", ")),
        };
        let message = format!(
            "policy `{}` applies to nothing here: {FOR_WHOM}, its scope and conditions match no table, row or \
             column{why}{but}",
            policy.id
        );
        let level = if untried.is_empty() { Level::Warning } else { Level::Info };
        Finding::new(level, "policy-idle", self.position(policy), message)
    }

    /// Where the columns are the reason: no type carries the level, or every contract shows less.
    fn why_vacuous(&self, policy: &IndexedPolicy) -> Option<String> {
        if policy.policy.effect() == Effect::Forbid {
            return None;
        }
        let levels: Vec<Disclosure> = Disclosure::LADDER
            .into_iter()
            .filter(|level| level.action().is_some_and(|action| policy.covers_action(action)))
            .collect();
        if levels.is_empty() || policy.covers_action("query") || policy.covers_action("readRow") {
            return None;
        }
        let words = levels.iter().map(|level| level.as_str()).collect::<Vec<_>>().join(", ");
        let capped = self.tables.iter().any(|table| {
            self.subjects.iter().any(|subject| {
                let alone = self.snapshot.decide_with(std::slice::from_ref(policy), subject, table);
                alone.is_some_and(|decision| decision.columns.iter().any(|column| column.contract_masking.is_some()))
            })
        });
        if capped {
            return Some(format!(": the contracts' `masking` shows less than `{words}` of every such column"));
        }
        let mut fields = self.tables.iter().filter_map(|table| self.snapshot.table(table)).flat_map(|t| t.fields());
        let carried = fields.any(|field| levels.iter().any(|level| level.applies_to(&field.data_type)));
        (!carried).then(|| format!(": no column of this mesh has a type that can carry `{words}`"))
    }

    fn shadowed(&self, policy: &IndexedPolicy, without: &[IndexedPolicy], places: &[(usize, usize)]) -> Finding {
        let permits = |policies: &[IndexedPolicy]| -> Vec<IndexedPolicy> {
            policies.iter().filter(|policy| policy.policy.effect() == Effect::Permit).cloned().collect()
        };
        let (open, open_without) = (permits(self.snapshot.indexed()), permits(without));
        let mut forbids = BTreeSet::new();
        let mut others = BTreeSet::new();
        for (s, t) in places {
            let (Some(subject), Some(table)) = (self.subjects.get(*s), self.tables.get(*t)) else { continue };
            let Some(decision) = self.snapshot.decide_named(subject, table) else { continue };
            if self.changes(&open, &open_without, subject, table) {
                forbids.extend(forbids_of(policy, &decision));
            } else {
                others.extend(permits_of(policy, &decision));
            }
        }
        others.remove(&policy.id);
        let mut why = Vec::new();
        if !forbids.is_empty() {
            why.push(format!("forbidden by {}", names(&forbids)));
        }
        if !others.is_empty() {
            why.push(format!("{} grant as much", names(&others)));
        }
        let why = if why.is_empty() { "nothing follows from it".to_owned() } else { why.join("; ") };
        let message =
            format!("policy `{}` changes no decision {FOR_WHOM}, on any table, row or column: {why}", policy.id);
        let mut involved = self
            .snapshot
            .indexed()
            .iter()
            .filter(|other| other.id == policy.id || forbids.contains(&other.id) || others.contains(&other.id));
        let tried = involved.all(|other| reads(&other.policy).untried().is_empty());
        let level = if tried { Level::Warning } else { Level::Info };
        Finding::new(level, "policy-shadowed", self.position(policy), message)
    }
}

fn names(ids: &BTreeSet<String>) -> String {
    let mut names: Vec<String> = ids.iter().take(MOST_NAMES).map(|id| format!("`{id}`")).collect();
    if ids.len() > MOST_NAMES {
        names.push(format!("{} more", ids.len() - MOST_NAMES));
    }
    names.join(", ")
}

/// Forbids that hold something back, of what a policy is about.
fn forbids_of(policy: &IndexedPolicy, decision: &TableDecision) -> Vec<String> {
    let accesses = accesses(policy, decision).filter(|access| !access.allowed).flat_map(|access| &access.policies);
    let rows = decision.filter.forbids.iter().filter(|_| policy.covers_action("readRow"));
    let columns = decision.columns.iter().filter(|_| views(policy)).flat_map(|column| column.forbidden_by.iter());
    accesses.chain(rows).chain(columns).cloned().collect()
}

/// Permits that grant something, of what a policy is about.
fn permits_of(policy: &IndexedPolicy, decision: &TableDecision) -> Vec<String> {
    let accesses = accesses(policy, decision).filter(|access| access.allowed).flat_map(|access| &access.policies);
    let rows = decision.filter.permits.iter().filter(|_| policy.covers_action("readRow"));
    let columns = decision.columns.iter().filter(|_| views(policy)).flat_map(|column| column.policies.iter());
    accesses.chain(rows).chain(columns).cloned().collect()
}

fn accesses<'a>(policy: &IndexedPolicy, decision: &'a TableDecision) -> impl Iterator<Item = &'a Access> {
    let query = [TableAction::Query, TableAction::AggregateOnly].map(|action| (action, Some(&decision.query)));
    let others = [
        (TableAction::Discover, Some(&decision.discover)),
        (TableAction::BreakGlass, decision.break_glass.as_ref()),
        (TableAction::ViewNotice, Some(&decision.notice)),
    ];
    let all = query.into_iter().chain(others);
    let covered: Vec<_> = all.filter(|(action, _)| policy.covers_action(action.as_str())).collect();
    covered.into_iter().filter_map(|(_, access)| access)
}

/// Whether a policy is about columns.
fn views(policy: &IndexedPolicy) -> bool {
    Disclosure::LADDER.into_iter().filter_map(Disclosure::action).any(|action| policy.covers_action(action))
}

/// Users whom some policy names.
fn named_users(snapshot: &PolicySnapshot) -> BTreeSet<String> {
    let is_user = |uid: &EntityUid| uid.type_name().to_string() == "User";
    let literals = snapshot.indexed().iter().flat_map(|policy| policy.policy.entity_literals());
    literals.filter(is_user).map(|uid| uid.id().unescaped().to_owned()).collect()
}

/// What a policy's conditions read of principal and context.
#[derive(Debug, Clone, Copy, Default)]
struct Reads {
    purpose: bool,
    attributes: bool,
    time: bool,
    client: bool,
}

impl Reads {
    /// What a review does not try out.
    fn untried(self) -> Vec<&'static str> {
        let all = [
            (self.attributes, "attributes of the principal"),
            (self.time, "the time"),
            (self.client, "the client's address or login"),
        ];
        all.into_iter().filter(|(reads, _)| *reads).map(|(_, words)| words).collect()
    }
}

fn reads(policy: &Policy) -> Reads {
    let Ok(pst) = policy.to_pst() else { return Reads { purpose: true, attributes: true, time: true, client: true } };
    let mut reads = Reads::default();
    for clause in pst.body().clauses() {
        let (Clause::When(e) | Clause::Unless(e)) = clause;
        for inner in subexpressions(e) {
            let (of, attribute) = match inner {
                Cedar::GetAttr { expr, attr } => (expr, attr.as_str()),
                Cedar::HasAttr { expr, attrs } => (expr, attrs.head.as_str()),
                _ => continue,
            };
            match (of.as_ref(), attribute) {
                (Cedar::Var(Var::Principal), _) => reads.attributes = true,
                (Cedar::Var(Var::Context), "purpose") => reads.purpose = true,
                (Cedar::Var(Var::Context), "breakGlass") => {}
                (Cedar::Var(Var::Context), "now") => reads.time = true,
                (Cedar::Var(Var::Context), _) => reads.client = true,
                _ => {}
            }
        }
    }
    reads
}
