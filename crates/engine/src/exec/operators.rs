//! Operators of DataFusion's that are replaced once a plan is verified: what they compute stays the same.

use std::sync::Arc;

use datafusion::arrow::datatypes::{FieldRef, Schema};
use datafusion::common::Result;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{Column, cast};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::projection::ProjectionExec;
use portcullis_govern::wire_type;

use super::windows;
use crate::barrier::BarrierExec;

/// The same plan, with operators that reserve the memory they hold, and none that gives up. Filters that move at run time stay as they are.
///
/// # Errors
/// When an operator refuses its own children.
pub(super) fn replaced(plan: &Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    if plan.is::<BarrierExec>() {
        return Ok(Arc::clone(plan));
    }
    let children = plan.children().into_iter().map(replaced).collect::<Result<Vec<_>>>()?;
    let is_same = plan.children().into_iter().zip(&children).all(|(before, after)| Arc::ptr_eq(before, after));
    let plan = if is_same { Arc::clone(plan) } else { with_children(plan, children)? };
    Ok(windows::counted(&plan).or_else(|| unlimited(&plan)).unwrap_or(plan))
}

/// `SELECT DISTINCT … LIMIT` over rows that come sorted: the aggregate takes the limit for one of an order, and fails for want of its
/// direction. The limit stands above it as well.
fn unlimited(plan: &Arc<dyn ExecutionPlan>) -> Option<Arc<dyn ExecutionPlan>> {
    let aggregate = plan.downcast_ref::<AggregateExec>()?;
    let has_no_direction = aggregate.limit_options().is_some_and(|limit| limit.descending.is_none());
    (has_no_direction && !aggregate.is_unordered_unfiltered_group_by_distinct())
        .then(|| Arc::new(aggregate.with_new_limit_options(None)) as Arc<dyn ExecutionPlan>)
}

/// The same rows with columns of these types. The planner may find others in the end: `round(price, 1)` of a decimal has fewer digits once
/// the 1 is known to be a constant, and a client was told of more.
///
/// # Errors
/// When a type cannot become the one that was announced.
pub(super) fn typed(plan: Arc<dyn ExecutionPlan>, announced: &Schema) -> Result<Arc<dyn ExecutionPlan>> {
    let found = plan.schema();
    let differs =
        |(found, announced): (&FieldRef, &FieldRef)| wire_type(found.data_type()) != wire_type(announced.data_type());
    let is_same_width = found.fields().len() == announced.fields().len();
    if !is_same_width || !found.fields().iter().zip(announced.fields()).any(differs) {
        return Ok(plan);
    }
    let columns = found.fields().iter().zip(announced.fields()).enumerate().map(|(at, fields)| {
        let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new(fields.0.name(), at));
        let column = match differs(fields) {
            true => cast(column, &found, fields.1.data_type().clone())?,
            false => column,
        };
        Ok((column, fields.0.name().clone()))
    });
    let columns = columns.collect::<Result<Vec<_>>>()?;
    Ok(Arc::new(ProjectionExec::try_new(columns, plan)?))
}

pub(super) fn with_children(
    plan: &Arc<dyn ExecutionPlan>,
    children: Vec<Arc<dyn ExecutionPlan>>,
) -> Result<Arc<dyn ExecutionPlan>> {
    Arc::clone(plan).replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Keep))
}
