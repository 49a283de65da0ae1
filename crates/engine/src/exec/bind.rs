//! Puts barriers where the plan names governed tables.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::datatypes::FieldRef;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, Result, TableReference};
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, TableScan, TableSource};

use crate::barrier::BarrierTable;

/// The barrier for a source that is a governed scan.
pub(super) type Barriers<'a> = dyn Fn(&dyn TableSource) -> Option<Arc<BarrierTable>> + 'a;

/// Replaces the source of every scan, also in subqueries, for which there is a barrier. Others stay, and are judged by `verify`.
pub(super) fn bind(plan: LogicalPlan, barriers: &Barriers<'_>) -> Result<LogicalPlan> {
    let bound = plan.transform_up_with_subqueries(|node| {
        let LogicalPlan::TableScan(scan) = node else { return Ok(Transformed::no(node)) };
        match barriers(scan.source.as_ref()) {
            Some(barrier) if !barrier.governed().guards().barrier() => {
                let exposed = barrier.exposed()?;
                Ok(Transformed::yes(LogicalPlanBuilder::from(exposed).alias(scan.table_name)?.build()?))
            }
            Some(barrier) => Ok(Transformed::yes(with_nulls(barrier, scan)?)),
            None => Ok(Transformed::no(LogicalPlan::TableScan(scan))),
        }
    })?;
    Ok(bound.data)
}

/// The scan behind its barrier. Columns of which nothing is shown are written as NULL above it, where optimisers see what follows:
/// nothing of them is read, and no row passes `x = 1`.
fn with_nulls(barrier: Arc<BarrierTable>, scan: TableScan) -> Result<LogicalPlan> {
    let columns = barrier.governed().columns();
    let nulls: HashMap<_, _> =
        columns.iter().filter_map(|column| Some((column.name.clone(), column.null()?.clone()))).collect();
    let shown = |(table, field): (Option<&TableReference>, &FieldRef)| match nulls.get(field.name()) {
        Some(null) => Expr::Literal(null.clone(), None).alias_qualified(table.cloned(), field.name()),
        None => Expr::Column(Column::new(table.cloned(), field.name())),
    };
    let shown: Vec<Expr> = scan.projected_schema.iter().map(shown).collect();
    let scan = LogicalPlan::TableScan(TableScan { source: provider_as_source(barrier), ..scan });
    if nulls.is_empty() {
        return Ok(scan);
    }
    LogicalPlanBuilder::from(scan).project(shown)?.build()
}
