//! Windows over keys that have an order and no distances: times of day, bytes, uuids.
//!
//! `OVER (ORDER BY hour)` means the frame `RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW`, for which DataFusion wants a type that
//! something can be subtracted from, though nothing is. Its peers are the same rows as those of `GROUPS`, which asks for none.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, WindowFrame, WindowFrameBound, WindowFrameUnits};

/// The plan with frames that every order can have.
pub(crate) fn of_peers(view: LogicalPlan) -> Result<LogicalPlan> {
    let framed = view.transform_up_with_subqueries(|node| {
        if !matches!(node, LogicalPlan::Window(_)) {
            return Ok(Transformed::no(node));
        }
        let input = merge_schema(&node.inputs());
        let names = NamePreserver::new(&node);
        node.map_expressions(|expr| {
            // What stands above names the column by the frame that was written.
            let name = names.save(&expr);
            Ok(expr.transform_up(|expr| peers(expr, &input))?.update_data(|expr| name.restore(expr)))
        })
    })?;
    Ok(framed.data)
}

fn peers(expr: Expr, input: &DFSchema) -> Result<Transformed<Expr>> {
    let Expr::WindowFunction(mut window) = expr else { return Ok(Transformed::no(expr)) };
    let Some(frame) = without_distances(&window, input) else {
        return Ok(Transformed::no(Expr::WindowFunction(window)));
    };
    window.params.window_frame = frame;
    Ok(Transformed::yes(Expr::WindowFunction(window)))
}

/// The frame over groups of peers, where the one over a range measures nothing and its key could not be measured.
fn without_distances(window: &WindowFunction, input: &DFSchema) -> Option<WindowFrame> {
    let frame = &window.params.window_frame;
    let measures = |bound: &WindowFrameBound| match bound {
        WindowFrameBound::CurrentRow => false,
        WindowFrameBound::Preceding(distance) | WindowFrameBound::Following(distance) => !distance.is_null(),
    };
    let key = window.params.order_by.first()?.expr.get_type(input).ok()?;
    let is_range =
        frame.units == WindowFrameUnits::Range && !measures(&frame.start_bound) && !measures(&frame.end_bound);
    (is_range && !has_distances(&key))
        .then(|| WindowFrame::new_bounds(WindowFrameUnits::Groups, frame.start_bound.clone(), frame.end_bound.clone()))
}

/// The types that DataFusion has ranges of.
fn has_distances(key: &DataType) -> bool {
    use DataType as T;
    key.is_numeric()
        || matches!(
            key,
            T::Null
                | T::Boolean
                | T::Utf8
                | T::LargeUtf8
                | T::Utf8View
                | T::Date32
                | T::Date64
                | T::Timestamp(..)
                | T::List(_)
                | T::LargeList(_)
                | T::FixedSizeList(..)
                | T::Dictionary(..)
        )
}
