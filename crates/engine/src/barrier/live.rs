//! Which filters may sharpen below a barrier while the query runs.
//!
//! A TopK drops what cannot enter it, wherever that is done: the rows that do enter are the same, in the same sequence. What could tell
//! how early a visible row was dropped is an operator in between that looks at it. Where there is none, the filter may be followed.

use std::sync::Arc;

use datafusion::physical_expr::expressions::Column;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::sorts::sort::SortExec;

use super::node::BarrierExec;

/// Lets barriers follow the filter of a TopK that stands directly above them.
pub(crate) fn release(plan: &Arc<dyn ExecutionPlan>) {
    if let Some(sort) = plan.downcast_ref::<SortExec>()
        && let Some(barrier) = next_barrier(sort.input())
    {
        let produced = sort.dynamic_expressions_produced();
        barrier.release(&produced.iter().filter_map(|expr| expr.expression_id()).collect::<Vec<_>>());
    }
    plan.children().into_iter().for_each(release);
}

/// The barrier below operators that evaluate nothing and count nothing.
fn next_barrier(plan: &Arc<dyn ExecutionPlan>) -> Option<&BarrierExec> {
    if let Some(barrier) = plan.downcast_ref::<BarrierExec>() {
        return Some(barrier);
    }
    let chooses = |projection: &ProjectionExec| projection.expr().iter().all(|shown| shown.expr.is::<Column>());
    let is_silent = plan.downcast_ref::<ProjectionExec>().is_some_and(chooses)
        || plan.downcast_ref::<CoalescePartitionsExec>().is_some_and(|all| all.fetch().is_none())
        || plan.is::<CooperativeExec>();
    match plan.children().as_slice() {
        [input] if is_silent => next_barrier(input),
        _ => None,
    }
}
