//! The allow-list, one case for each line, logical and physical.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::execution_props::ExecutionProps;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Expr, cast, col, lit, try_cast};
use datafusion::physical_expr::create_physical_expr;

use crate::barrier::leakproof::{MAX_PATTERN, crosses, crosses_physical};

fn schema() -> Schema {
    let list = DataType::List(Arc::new(Field::new_list_field(DataType::Int64, true)));
    Schema::new(vec![
        Field::new("a", DataType::Int64, true),
        Field::new("b", DataType::Int64, true),
        Field::new("s", DataType::Utf8, true),
        Field::new("f", DataType::Boolean, true),
        Field::new("l", list, true),
        Field::new("masked", DataType::Int64, true),
    ])
}

/// `masked` is of the view, but not clear.
fn check(expr: Expr, expected: bool) {
    let schema = schema();
    let clear = schema.project(&[0, 1, 2, 3, 4]).unwrap();
    assert_eq!(crosses(&expr, &clear), expected, "logical: {expr}");
    let df = DFSchema::try_from(schema.clone()).unwrap();
    let physical = create_physical_expr(&expr, &df, &ExecutionProps::new(), &PhysicalPlanningContext::default());
    if let Ok(physical) = physical {
        assert_eq!(crosses_physical(&physical, &schema, &|i| i != 5), expected, "physical: {physical}");
    }
}

#[test]
fn the_list() {
    for crossing in [
        col("a").eq(lit(1_i64)),
        lit(1_i64).lt_eq(col("a")),
        col("a").gt(col("b")),
        col("a").not_eq(lit(ScalarValue::Int64(None))),
        col("a").between(lit(1_i64), lit(2_i64)),
        col("a").in_list(vec![lit(1_i64), lit(2_i64)], true),
        col("s").like(lit("x%")),
        col("s").not_like(lit("x%")),
        col("a").is_null(),
        col("l").is_not_null(),
        col("f"),
        !col("f"),
        col("f").is_not_true(),
        col("a").eq(lit(1_i64)).or(col("f").and(lit(true))),
    ] {
        check(crossing, true);
    }
}

#[test]
fn not_on_the_list() {
    for staying in [
        cast(col("s"), DataType::Int64).gt(lit(1_i64)),
        try_cast(col("s"), DataType::Int64).gt(lit(1_i64)),
        (col("a") + lit(1_i64)).gt(lit(1_i64)),
        (lit(1_i64) / col("a")).gt(lit(1_i64)),
        col("a").eq(lit(1_i32)),
        col("s").ilike(lit("x%")),
        col("s").like(col("s")),
        col("s").like(lit("x".repeat(MAX_PATTERN + 1))),
        col("a").in_list(vec![col("b")], false),
        col("a").in_list(vec![lit("1")], false),
        col("l").eq(col("l")),
        lit(true),
        col("masked").eq(lit(1_i64)),
        col("masked").is_null(),
        col("a").eq(col("masked")),
        col("f").or(col("masked").is_not_null()),
        datafusion::functions::expr_fn::random().gt(lit(0.5)),
        datafusion::functions::expr_fn::abs(col("a")).gt(lit(1_i64)),
        datafusion::functions::expr_fn::abs(col("a")).is_null(),
    ] {
        check(staying, false);
    }
}
