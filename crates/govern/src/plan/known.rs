//! Plans that were governed before.
//!
//! A plan is a function of its statement, of the decisions about the tables that were looked up for it, and of the snapshot of policies and
//! contracts. So it is remembered with all of them: by the statement, what its session says, and all that decisions may depend on of
//! its subject, within the planner of one snapshot; and it is taken only if each of those tables is looked up and decided on again, and
//! the decisions are the very ones that it was made with. Decisions that hang on the time are new each time, so that plans made with
//! them are never taken.
//!
//! What a plan has beside that is not remembered: values of parameters, versions of tables, rows of `system` and of
//! `information_schema`, series of numbers. Nothing is computed in what is: it is neither optimised nor bound to a snapshot of a table's
//! data, and a clock that it reads is read when it runs.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::LogicalPlan;

use super::Planner;
use super::context::MeshContext;
use super::governed::GovernedPlan;
use super::source::ScanSource;
use super::verdict::{Decision, Verdict};
use super::versions::Versions;
use crate::memo::{CacheUse, Lookups, Memo};
use crate::policy::{Key, Subject, TableDecision};
use crate::sql::{Defaults, Statement, StatementKind};
use crate::stack::deep;

/// Bytes, by estimate, in each of the memory's two generations.
const CAPACITY: usize = 8 << 20;
/// What a node of a plan weighs, a column of one, and an expression.
const NODE: usize = 1_000;
const COLUMN: usize = 100;
const EXPRESSION: usize = 400;

/// A statement in a session of somebody.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Asked {
    statement: Key,
    defaults: Defaults,
}

/// What was planned, with all decisions that were asked for on the way.
#[derive(Debug)]
struct Known {
    plan: GovernedPlan,
    decision: Decision,
    consulted: Vec<Arc<TableDecision>>,
}

impl Planner {
    /// The same planner, whose looked-up plans are counted here.
    #[must_use]
    pub fn counted_by(self, lookups: Arc<Lookups>) -> Self {
        Planner { plans: self.plans.counted_by(lookups), ..self }
    }

    /// How its memory of plans is used.
    pub fn plans(&self) -> CacheUse {
        self.plans.usage()
    }

    /// The verdict on a statement that was permitted before, without parameters or versions, if all that it was made of is what it
    /// was. Then [`Planner::govern`] would come to the same, which is looked at in debug builds.
    pub fn known(&self, statement: &Statement, subject: &Subject) -> Option<Verdict> {
        let context = self.context(subject, &self.options, None);
        let (plan, decision) = self.plans.get(statement, &context)?;
        debug_assert!(
            self.comes_to_the_same(statement, subject, &plan, &decision),
            "{}",
            plan.logical().display_indent()
        );
        Some(Verdict::Permit(Box::new(plan), decision))
    }

    fn comes_to_the_same(
        &self,
        statement: &Statement,
        subject: &Subject,
        plan: &GovernedPlan,
        then: &Decision,
    ) -> bool {
        let options = self.options(statement);
        let mut context = self.context(subject, &options, statement.schema());
        let again = deep(|| self.plan(statement, &mut context, None, &Versions::default()));
        again.is_ok_and(|(again, now)| {
            let scans = again.scans().iter().zip(plan.scans());
            shape(again.logical()) == shape(plan.logical())
                && again.scans().len() == plan.scans().len()
                && scans.into_iter().all(|(now, then)| now.shows_the_same(then))
                && again.schema() == plan.schema()
                && again.time_zone() == plan.time_zone()
                && (&now.columns, &now.system_tables) == (&then.columns, &then.system_tables)
        })
    }
}

/// A plan's text, the words of each line in order: columns that only a sort reads are added to projections in an order that changes
/// from one planning to the next.
fn shape(plan: &LogicalPlan) -> Vec<Vec<String>> {
    let words = |line: &str| {
        let mut words: Vec<String> = line.split([',', '[', ']']).map(|word| word.trim().to_owned()).collect();
        words.sort_unstable();
        words
    };
    plan.display_indent_schema().to_string().lines().map(words).collect()
}

/// The plans of one planner.
#[derive(Debug)]
pub(super) struct Plans(Memo<Asked, Arc<Known>>);

impl Plans {
    pub(super) fn new() -> Plans {
        Plans(Memo::new(CAPACITY))
    }

    pub(super) fn counted_by(self, lookups: Arc<Lookups>) -> Plans {
        Plans(self.0.counted_by(lookups))
    }

    pub(super) fn usage(&self) -> CacheUse {
        self.0.usage("plans", true)
    }

    /// The plan of a statement, if all that it was made of is what it was.
    pub(super) fn get(&self, statement: &Statement, context: &MeshContext<'_>) -> Option<(GovernedPlan, Decision)> {
        let key = key(statement, context.subject)?;
        let known = self.0.get_if(&key, |known| known.consulted.iter().all(|then| is_still(then, context)))?;
        Some((known.plan.clone(), known.decision.clone()))
    }

    /// Remembers a plan that was made without parameters and versions, if it is one that can be remembered.
    pub(super) fn put(
        &self,
        statement: &Statement,
        context: &MeshContext<'_>,
        plan: &GovernedPlan,
        decision: &Decision,
    ) {
        let weighed = weight(plan.logical(), plan.scans()).ok().flatten().filter(|_| context.is_of_products());
        if let (Some(key), Some(weight)) = (key(statement, context.subject), weighed) {
            let (plan, decision, consulted) = (plan.clone(), decision.clone(), context.consulted());
            let weight = weight + statement.weight();
            self.0.insert(key, Arc::new(Known { plan, decision, consulted }), weight);
        }
    }
}

/// None for what is not remembered: answers about metadata or access, and what is read as of another time.
fn key(statement: &Statement, subject: &Subject) -> Option<Asked> {
    let plain = *statement.kind() == StatementKind::Query && statement.as_of().is_none();
    let key = || Asked { statement: Key::new(statement.text(), subject), defaults: statement.defaults().clone() };
    plain.then(key)
}

/// Whether the same is decided about the table now: not something equal, but that very decision.
fn is_still(then: &Arc<TableDecision>, context: &MeshContext<'_>) -> bool {
    let now = context.decide(&then.table.domain, &then.table.table);
    now.is_some_and(|now| Arc::ptr_eq(&now, then))
}

/// An estimate of a plan's size. None where it reads anything but governed scans.
fn weight(plan: &LogicalPlan, scans: &[Arc<ScanSource>]) -> Result<Option<usize>> {
    let (mut weight, mut others) = (0, false);
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            others |= scan.source.downcast_ref::<ScanSource>().is_none();
        }
        weight += NODE + node.schema().fields().len() * COLUMN;
        node.apply_expressions(|expr| {
            expr.apply(|_| {
                weight += EXPRESSION;
                Ok(TreeNodeRecursion::Continue)
            })
        })?;
        Ok(TreeNodeRecursion::Continue)
    })?;
    let columns: usize = scans.iter().map(|scan| scan.base_schema().fields().len()).sum();
    Ok((!others).then_some(weight + columns * EXPRESSION))
}
