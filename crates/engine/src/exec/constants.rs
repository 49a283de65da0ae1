//! Constants that an operator would repeat for each row of a batch: `SELECT range(1, 1000000) FROM orders` would make a list of millions
//! of elements thousands of times at once, before anybody counts it.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::physical_expr::expressions::Literal;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::execution_plan::CardinalityEffect;
use datafusion::physical_plan::placeholder_row::PlaceholderRowExec;

use crate::EngineError;
use crate::barrier::BarrierExec;

/// The most bytes that a constant takes in all rows of a batch.
const LIMIT: usize = 512 << 20;

/// # Errors
/// When a constant is too large for the rows that it stands beside.
pub(super) fn check(plan: &Arc<dyn ExecutionPlan>, batch_size: usize) -> std::result::Result<(), EngineError> {
    let allowed = LIMIT / batch_size.max(1);
    match largest(plan) {
        Ok(bytes) if bytes <= allowed => Ok(()),
        Ok(_) => {
            Err(EngineError::LimitExceeded { limit: "bytes of a constant beside many rows", value: allowed as u64 })
        }
        Err(_) => Err(EngineError::Internal("the constants of a plan cannot be seen".into())),
    }
}

/// Bytes of the largest constant that may stand beside more than one row.
fn largest(plan: &Arc<dyn ExecutionPlan>) -> Result<usize> {
    if plan.is::<BarrierExec>() {
        return Ok(0);
    }
    let mut found = 0;
    if !plan.children().into_iter().all(is_one_row) {
        plan.apply_expressions(&mut |expr| {
            expr.apply(|expr| {
                let bytes = expr.downcast_ref::<Literal>().map_or(0, |literal| literal.value().size());
                found = found.max(bytes);
                Ok(TreeNodeRecursion::Continue)
            })
        })?;
    }
    for child in plan.children() {
        found = found.max(largest(child)?);
    }
    Ok(found)
}

fn is_one_row(plan: &Arc<dyn ExecutionPlan>) -> bool {
    if plan.is::<PlaceholderRowExec>() || plan.is::<EmptyExec>() {
        return true;
    }
    let adds_none = matches!(plan.cardinality_effect(), CardinalityEffect::Equal | CardinalityEffect::LowerEqual);
    match plan.children().as_slice() {
        [child] => adds_none && is_one_row(child),
        _ => false,
    }
}
