//! Which filters go from above the barrier to the scan below, and how their columns are renamed on the way.

use std::sync::Arc;

use datafusion::arrow::datatypes::Schema;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Result, internal_datafusion_err};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::filter_pushdown::{ChildFilterDescription, FilterDescription};

use super::frozen::{FrozenFilters, is_dynamic};
use super::leakproof::crosses_physical;
use super::node::Output;

/// What becomes of a filter from above.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Crossing {
    /// It stays above.
    Refused,
    /// It crosses, and is the same for every row and at all times.
    Static,
    /// It crosses, and changes while the query runs.
    Dynamic,
}

/// What becomes of a filter over the barrier's `schema`.
pub(super) fn crossing(filter: &Arc<dyn PhysicalExpr>, outputs: &[Output], schema: &Schema) -> Crossing {
    let is_clear = |i: usize| outputs.get(i).is_some_and(|o| o.clear().is_some());
    match crosses_physical(filter, schema, &is_clear) {
        false => Crossing::Refused,
        true if is_dynamic(filter) => Crossing::Dynamic,
        true => Crossing::Static,
    }
}

/// Describes the filters of the parents that may cross, each in its position, and the barrier's `own`. `frozen`: where filters that
/// change must not be seen to do so.
pub(super) fn describe(
    parents: &[Arc<dyn PhysicalExpr>],
    outputs: &[Output],
    schema: &Schema,
    own: Vec<Arc<dyn PhysicalExpr>>,
    frozen: Option<&FrozenFilters>,
    input: &Arc<dyn ExecutionPlan>,
) -> Result<FilterDescription> {
    let below = parents
        .iter()
        .map(|filter| match (crossing(filter, outputs, schema), frozen) {
            (Crossing::Refused, _) => Ok(refused()),
            (Crossing::Dynamic, Some(frozen)) => Ok(frozen.add(to_input(filter, outputs)?)),
            _ => to_input(filter, outputs),
        })
        .collect::<Result<Vec<_>>>()?;
    let child = ChildFilterDescription::from_child(&below, input)?.with_self_filters(own);
    Ok(FilterDescription::new().with_child(child))
}

/// A predicate that no input can take. DataFusion offers no way to refuse one filter of a list but to name a column that is not there.
fn refused() -> Arc<dyn PhysicalExpr> {
    Arc::new(Column::new("refused by the barrier", usize::MAX))
}

/// The filter over the input's columns. Names do not matter here, positions do: a masked column has the name of its raw one.
pub(super) fn to_input(filter: &Arc<dyn PhysicalExpr>, outputs: &[Output]) -> Result<Arc<dyn PhysicalExpr>> {
    replaced(filter, &|column| outputs.get(column.index()).and_then(Output::clear).cloned())
}

/// The expression after columns of its input moved to other positions.
pub(super) fn renumbered(
    expr: &Arc<dyn PhysicalExpr>,
    position: &dyn Fn(usize) -> Option<usize>,
) -> Result<Arc<dyn PhysicalExpr>> {
    replaced(expr, &|column| Some(Column::new(column.name(), position(column.index())?)))
}

fn replaced(expr: &Arc<dyn PhysicalExpr>, with: &dyn Fn(&Column) -> Option<Column>) -> Result<Arc<dyn PhysicalExpr>> {
    let replace = |expr: Arc<dyn PhysicalExpr>| match expr.downcast_ref::<Column>() {
        Some(column) => {
            let new = with(column)
                .ok_or_else(|| internal_datafusion_err!("no column `{}` below the barrier", column.name()))?;
            Ok(Transformed::yes(Arc::new(new) as Arc<dyn PhysicalExpr>))
        }
        None => Ok(Transformed::no(expr)),
    };
    Ok(Arc::clone(expr).transform_up(replace)?.data)
}
