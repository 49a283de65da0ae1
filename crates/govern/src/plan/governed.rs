//! A plan that may run: only this crate makes one, and only after looking at every scan in it.

use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::cte_worktable::CteWorkTable;
use datafusion::datasource::{MemTable, source_as_provider};
use datafusion::functions_table::generate_series::GenerateSeriesTable;
use datafusion::logical_expr::logical_plan::{Projection, TableScan};
use datafusion::logical_expr::{Expr, LogicalPlan};

use super::params::Parameter;
use super::source::{ScanSource, visible_columns};
use crate::mask::is_mask_call;
use crate::policy::Disclosure;
use crate::sql::ExplainKind;

/// A plan in which every table of the mesh is scanned under a decision: a projection of clear and masked columns
/// directly above a [`ScanSource`]. Neither analysed nor optimised.
#[derive(Debug, Clone)]
pub struct GovernedPlan {
    plan: LogicalPlan,
    scans: Vec<Arc<ScanSource>>,
    schema: SchemaRef,
    parameters: Vec<Parameter>,
    explain: Option<Explanation>,
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
}

impl GovernedPlan {
    /// The only way to make one: fails unless every scan of the plan is governed.
    pub(crate) fn new(parts: Parts) -> Result<Self, String> {
        check(&parts.plan, &parts.scans)?;
        let Parts { plan, scans, schema, parameters, explain } = parts;
        Ok(GovernedPlan { plan, scans, schema, parameters, explain })
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

    /// Set for `EXPLAIN`: show the plan, do not run it.
    pub fn explain_only(&self) -> Option<ExplainKind> {
        self.explain.as_ref().map(|explain| explain.kind)
    }

    /// For `EXPLAIN`: the subject's own plan down to the scans, without filters and masks.
    pub fn explain_text(&self) -> Option<&str> {
        self.explain.as_ref().map(|explain| explain.text.as_str())
    }

    /// Parameters still to be bound, `$1` first; none once values were given.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }
}

fn check(plan: &LogicalPlan, scans: &[Arc<ScanSource>]) -> Result<(), String> {
    let (mut governed, mut projected) = (0_usize, 0_usize);
    let mut problem = None;
    let walked = plan.apply_with_subqueries(|node| {
        let checked = match node {
            LogicalPlan::TableScan(scan) => {
                check_scan(scan, scans).map(|is_governed| governed += usize::from(is_governed))
            }
            LogicalPlan::Projection(projection) => {
                check_projection(projection).map(|is_governed| projected += usize::from(is_governed))
            }
            _ => Ok(()),
        };
        problem = checked.err();
        Ok(if problem.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    match (walked, problem) {
        (Err(error), _) => Err(error.strip_backtrace()),
        (Ok(_), Some(problem)) => Err(problem),
        (Ok(_), None) if governed != projected || governed != scans.len() => {
            Err(format!("{governed} governed scans under {projected} projections, {} expected", scans.len()))
        }
        (Ok(_), None) => Ok(()),
    }
}

/// Whether the scan is of a data product; an error if it is neither that nor made from constants by this crate.
fn check_scan(scan: &TableScan, scans: &[Arc<ScanSource>]) -> Result<bool, String> {
    if let Some(source) = scan.source.downcast_ref::<ScanSource>() {
        let known = scans.get(source.id()).is_some_and(|known| std::ptr::eq(Arc::as_ptr(known), source));
        let decision = source.decision();
        let bound = known && decision.table == source.table().name;
        let allowed = decision.discover.allowed && decision.query.allowed && decision.undecided.is_none();
        return match bound && allowed {
            true => Ok(true),
            false => Err(format!("scan of `{}` is not bound by its decision", scan.table_name)),
        };
    }
    let provider = source_as_provider(&scan.source).map_err(|_| format!("scan of `{}` is unknown", scan.table_name))?;
    match provider.is::<MemTable>() || provider.is::<GenerateSeriesTable>() || provider.is::<CteWorkTable>() {
        true => Ok(false),
        false => Err(format!("scan of `{}` is not governed", scan.table_name)),
    }
}

/// Whether the projection stands above a governed scan; then it must show exactly what the decision allows.
fn check_projection(projection: &Projection) -> Result<bool, String> {
    let LogicalPlan::TableScan(scan) = projection.input.as_ref() else { return Ok(false) };
    let Some(source) = scan.source.downcast_ref::<ScanSource>() else { return Ok(false) };
    let shown: Vec<_> = visible_columns(source.decision()).collect();
    let faithful = shown.len() == projection.expr.len()
        && shown.iter().zip(&projection.expr).all(|(column, expr)| shows(expr, &column.name, column.disclosure));
    match faithful {
        true => Ok(true),
        false => Err(format!("the projection above `{}` is not what was decided", scan.table_name)),
    }
}

fn shows(expr: &Expr, name: &str, disclosure: Disclosure) -> bool {
    match (disclosure, expr) {
        (Disclosure::Clear, Expr::Column(column)) => column.name == name,
        (Disclosure::Clear | Disclosure::Denied, _) => false,
        (_, Expr::Alias(alias)) => alias.name == name && is_mask_call(&alias.expr, disclosure, name),
        _ => false,
    }
}
