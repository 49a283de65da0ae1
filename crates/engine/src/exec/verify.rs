//! The last look at a plan before it runs. What is not known to be safe is refused.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::catalog::Session;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::cte_worktable::CteWorkTable;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::{MemTable, source_as_provider};
use datafusion::functions_table::generate_series::GenerateSeriesTable;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::memory::LazyMemoryExec;
use datafusion::physical_plan::placeholder_row::PlaceholderRowExec;
use datafusion::physical_plan::work_table::WorkTableExec;
use portcullis_govern::plan::Node;

use crate::EngineError;
use crate::barrier::{BarrierExec, BarrierTable, GovernedScan};
use crate::guard::GroupGuardExec;

/// How often each governed scan occurs, by its number.
pub(super) type Occurrences = BTreeMap<usize, usize>;

/// The governed scans that a plan was permitted with.
pub(super) struct Permitted<'a> {
    pub scans: &'a [Arc<GovernedScan>],
}

impl Permitted<'_> {
    fn is_permitted(&self, scan: &Arc<GovernedScan>) -> bool {
        self.scans.iter().any(|permitted| Arc::ptr_eq(permitted, scan))
    }

    /// Only queries; only governed tables and tables in memory. Returns the scans that the physical plan must have.
    pub fn logical(&self, plan: &LogicalPlan) -> Result<Occurrences, EngineError> {
        let mut occurrences = Occurrences::new();
        let mut refusal = None;
        let walked = plan.apply_with_subqueries(|node| {
            match self.logical_node(node) {
                Ok(Some(id)) => *occurrences.entry(id).or_default() += 1,
                Ok(None) => {}
                Err(reason) => {
                    refusal = Some(reason);
                    return Ok(TreeNodeRecursion::Stop);
                }
            }
            Ok(TreeNodeRecursion::Continue)
        });
        match (walked, refusal) {
            (Ok(_), None) => Ok(occurrences),
            (_, Some(reason)) => Err(EngineError::Unverified(reason)),
            (Err(error), None) => Err(super::redact::planning(&error)),
        }
    }

    fn logical_node(&self, node: &LogicalPlan) -> Result<Option<usize>, String> {
        match node {
            LogicalPlan::TableScan(scan) => {
                let name = scan.table_name.to_string();
                let provider =
                    source_as_provider(&scan.source).map_err(|_| format!("`{name}` is not bound to a table"))?;
                if let Some(barrier) = provider.downcast_ref::<BarrierTable>() {
                    return match self.is_permitted(barrier.governed()) {
                        true => Ok(Some(barrier.governed().id())),
                        false => Err(format!("`{name}` was not decided on for this plan")),
                    };
                }
                match provider.is::<MemTable>() || provider.is::<GenerateSeriesTable>() || provider.is::<CteWorkTable>()
                {
                    true => Ok(None),
                    false => Err(format!("`{name}` is neither a governed table nor made of constants")),
                }
            }
            other => match Node::of(other) {
                Node::Query => Ok(None),
                Node::Scan => Err("a scan is no scan".into()),
                Node::Other(kind) => Err(format!("a plan holds an operation that is no query: {kind}")),
            },
        }
    }

    /// Every leaf is below a barrier, constant or in memory; every barrier is a permitted scan, evaluates what was decided, and
    /// all scans of the logical plan are there.
    pub fn physical(
        &self,
        plan: &Arc<dyn ExecutionPlan>,
        expected: &Occurrences,
        state: &dyn Session,
    ) -> Result<(), EngineError> {
        let mut found = Occurrences::new();
        self.physical_node(plan, state, Above::default(), &mut found).map_err(EngineError::Unverified)?;
        // Equal subqueries are planned once: fewer barriers than scans are possible, none or more are not.
        let fits = |id| match (expected.get(id), found.get(id)) {
            (Some(expected), Some(found)) => found <= expected,
            _ => false,
        };
        match expected.keys().chain(found.keys()).all(fits) {
            true => Ok(()),
            false => Err(EngineError::Unverified("a governed scan was lost or added".into())),
        }
    }

    fn physical_node(
        &self,
        plan: &Arc<dyn ExecutionPlan>,
        state: &dyn Session,
        above: Above<'_>,
        found: &mut Occurrences,
    ) -> Result<(), String> {
        if let Some(barrier) = plan.downcast_ref::<BarrierExec>() {
            let scan = barrier.governed();
            if !self.is_permitted(scan) {
                return Err(format!("`{}` was not decided on for this plan", scan.table()));
            }
            barrier.verify(state)?;
            if !scan.at_least().is_none_or(|limit| above.holds(limit)) {
                return Err(format!("`{}` may only be aggregated, and its groups are not guarded", scan.table()));
            }
            *found.entry(scan.id()).or_default() += 1;
            return Ok(());
        }
        let children = plan.children();
        if children.is_empty() && !is_harmless_leaf(plan) {
            return Err(format!("an operator reads data past the barriers: {}", plan.name()));
        }
        let above = above.and(plan);
        children.into_iter().try_for_each(|child| self.physical_node(child, state, above, found))
    }
}

/// What stands above an operator: the nearest guard of groups, and whether an aggregate is between them.
#[derive(Debug, Clone, Copy, Default)]
struct Above<'a> {
    guard: Option<&'a GroupGuardExec>,
    aggregated: bool,
}

impl<'a> Above<'a> {
    fn and(self, plan: &'a Arc<dyn ExecutionPlan>) -> Above<'a> {
        match plan.downcast_ref::<GroupGuardExec>() {
            Some(guard) => Above { guard: Some(guard), aggregated: false },
            None => Above { aggregated: self.aggregated || plan.is::<AggregateExec>(), ..self },
        }
    }

    fn holds(self, limit: u64) -> bool {
        self.aggregated && self.guard.is_some_and(|guard| guard.limits().contains(&limit))
    }
}

fn is_harmless_leaf(plan: &Arc<dyn ExecutionPlan>) -> bool {
    if let Some(source) = plan.downcast_ref::<DataSourceExec>() {
        return source.data_source().downcast_ref::<MemorySourceConfig>().is_some();
    }
    // The table of a recursive query, and what `generate_series` makes.
    plan.is::<WorkTableExec>()
        || plan.is::<LazyMemoryExec>()
        || plan.is::<EmptyExec>()
        || plan.is::<PlaceholderRowExec>()
}
