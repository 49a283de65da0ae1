//! A plan that may run: only this crate makes one, and only after looking at every scan in it.

use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::cte_worktable::CteWorkTable;
use datafusion::datasource::{MemTable, source_as_provider};
use datafusion::functions_table::generate_series::GenerateSeriesTable;
use datafusion::logical_expr::LogicalPlan;
use datafusion::logical_expr::logical_plan::TableScan;

use super::aggregate_only;
use super::order_free;
use super::params::Parameter;
use super::source::ScanSource;
use crate::sql::ExplainKind;

/// A plan in which every table of the mesh is a [`ScanSource`]: the subject's view of it, under a decision. Other
/// scans are of `MemTable`s (`system`, `information_schema`), of series of numbers, or of the work table of a recursive
/// query. Neither analysed nor optimised.
#[derive(Debug, Clone)]
pub struct GovernedPlan {
    plan: LogicalPlan,
    scans: Vec<Arc<ScanSource>>,
    schema: SchemaRef,
    parameters: Vec<Parameter>,
    explain: Option<Explanation>,
    time_zone: String,
}

/// What an `EXPLAIN` asked for, and its logical half.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Explanation {
    pub(crate) kind: ExplainKind,
    pub(crate) text: String,
}

pub(crate) struct Parts {
    pub(crate) plan: LogicalPlan,
    pub(crate) scans: Vec<Arc<ScanSource>>,
    pub(crate) schema: SchemaRef,
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) explain: Option<Explanation>,
    pub(crate) time_zone: String,
}

impl GovernedPlan {
    /// The only way to make one: fails unless every scan of the plan is governed.
    pub(crate) fn new(parts: Parts) -> Result<Self, String> {
        check(&parts.plan, &parts.scans)?;
        match aggregate_only::holds(&parts.plan) {
            Ok(true) => {}
            _ => return Err("a table that may only be aggregated is not below its guard".into()),
        }
        let Parts { plan, scans, schema, parameters, explain, time_zone } = parts;
        Ok(GovernedPlan { plan, scans, schema, parameters, explain, time_zone })
    }

    /// The plan, to be bound, optimised and executed.
    pub fn logical(&self) -> &LogicalPlan {
        &self.plan
    }

    /// Every governed scan, by [`ScanSource::id`].
    pub fn scans(&self) -> &[Arc<ScanSource>] {
        &self.scans
    }

    /// Columns of the answer, after type coercion; of the query itself for an `EXPLAIN`. Parameters that are not bound
    /// count as NULL of their type.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// Set for `EXPLAIN`: show the plan; run it only to count rows.
    pub fn explains(&self) -> Option<ExplainKind> {
        self.explain.as_ref().map(|explain| explain.kind)
    }

    /// For `EXPLAIN`: the subject's own plan down to the scans, without filters and masks.
    pub fn explain_text(&self) -> Option<&str> {
        self.explain.as_ref().map(|explain| explain.text.as_str())
    }

    /// The time zone in which it was planned, and is to be executed.
    pub fn time_zone(&self) -> &str {
        &self.time_zone
    }

    /// Whether the last digits of an answer follow from the order of rows, and that from rows or values which the subject does not see:
    /// such a plan is to be executed in one partition.
    pub fn hangs_on_order(&self) -> bool {
        let mut hangs = false;
        let walked = self.plan.apply_with_subqueries(|node| {
            node.apply_expressions(|expr| {
                hangs |= order_free::hangs_on_order(expr)?;
                Ok(TreeNodeRecursion::Continue)
            })?;
            Ok(if hangs { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        });
        (hangs || walked.is_err()) && self.scans.iter().any(|scan| scan.hides())
    }

    /// Parameters still to be bound, `$1` first; none once values were given.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }
}

fn check(plan: &LogicalPlan, scans: &[Arc<ScanSource>]) -> Result<(), String> {
    let mut governed = 0_usize;
    let mut problem = None;
    let walked = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            match check_scan(scan, scans) {
                Ok(is_governed) => governed += usize::from(is_governed),
                Err(found) => problem = Some(found),
            }
        }
        Ok(if problem.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    match (walked, problem) {
        (Err(error), _) => Err(error.strip_backtrace()),
        (Ok(_), Some(problem)) => Err(problem),
        (Ok(_), None) if governed != scans.len() => Err(format!("{governed} governed scans of {}", scans.len())),
        (Ok(_), None) => Ok(()),
    }
}

/// Whether the scan is of a data product; an error if it is neither that nor made from constants by this crate.
fn check_scan(scan: &TableScan, scans: &[Arc<ScanSource>]) -> Result<bool, String> {
    if let Some(source) = scan.source.downcast_ref::<ScanSource>() {
        let known = scans.get(source.id()).is_some_and(|known| std::ptr::eq(Arc::as_ptr(known), source));
        return match known && source.is_faithful() {
            true => Ok(true),
            false => Err(format!("scan of `{}` is not what was decided", scan.table_name)),
        };
    }
    let provider = source_as_provider(&scan.source).map_err(|_| format!("scan of `{}` is unknown", scan.table_name))?;
    match provider.is::<MemTable>() || provider.is::<GenerateSeriesTable>() || provider.is::<CteWorkTable>() {
        true => Ok(false),
        false => Err(format!("scan of `{}` is not governed", scan.table_name)),
    }
}
