//! Puts barriers where the plan names governed tables.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::Transformed;
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder, TableScan, TableSource};

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
            Some(barrier) => {
                let source = provider_as_source(barrier);
                Ok(Transformed::yes(LogicalPlan::TableScan(TableScan { source, ..scan })))
            }
            None => Ok(Transformed::no(LogicalPlan::TableScan(scan))),
        }
    })?;
    Ok(bound.data)
}
