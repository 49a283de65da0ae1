use datafusion::arrow::datatypes::Field;
use datafusion::common::DFSchema;
use datafusion::logical_expr::execution_props::ExecutionProps;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Expr, col, lit};
use datafusion::physical_expr::create_physical_expr;
use datafusion::physical_expr::expressions::DynamicFilterPhysicalExpr;

use super::*;

fn schema() -> Schema {
    let field = |name: &str, kind| Field::new(name, kind, true);
    Schema::new(vec![
        field("day", DataType::Date32),
        field("price", DataType::Decimal128(15, 2)),
        field("key", DataType::Int64),
        field("mode", DataType::Utf8),
        field("note", DataType::Utf8),
        field("tax", DataType::Decimal128(15, 2)),
        field("share", DataType::Float64),
    ])
}

fn physical(expr: &Expr) -> Arc<dyn PhysicalExpr> {
    let schema = DFSchema::try_from(schema()).unwrap();
    create_physical_expr(expr, &schema, &ExecutionProps::new(), &PhysicalPlanningContext::default()).unwrap()
}

fn above(conditions: &[Expr], read: &[usize]) -> bool {
    let filters: Vec<_> = conditions.iter().map(physical).collect();
    is_better_above(&filters, read, &schema()).unwrap()
}

#[test]
fn ranges_with_little_beside_them_are_left_to_the_filter_above() {
    let range = col("day").gt(lit(1)).and(col("price").lt(lit(2)));
    assert!(above(std::slice::from_ref(&range), &[0, 1, 2]));
    assert!(above(&[col("day").gt(lit(1)), col("price").lt_eq(col("tax"))], &[0, 1, 5, 2, 6]));
    assert!(above(std::slice::from_ref(&range), &[0, 1]), "nothing is left to read");
    assert!(above(&[col("mode").eq(lit("a")).or(col("mode").eq(lit("b")))], &[3, 2]));
    assert!(above(&[col("mode").in_list(vec![lit("a"), lit("b")], false)], &[3, 2]));
}

#[test]
fn much_is_read_for_the_rows_that_are_left_alone() {
    let range = col("day").gt(lit(1));
    assert!(!above(std::slice::from_ref(&range), &[0, 4]), "text");
    assert!(!above(std::slice::from_ref(&range), &[0, 1, 2, 5, 6]), "four columns");
    assert!(!above(&[col("note").like(lit("%x%"))], &[4, 2]), "a text that is looked into would be handed on");
    assert!(!above(&[], &[0, 1]));
}

#[test]
fn single_values_and_keys_of_joins_are_looked_up_in_the_pages() {
    assert!(!above(&[col("key").eq(lit(7_i64))], &[2, 1]));
    assert!(!above(&[col("day").gt(lit(1)), lit(7_i64).eq(col("key"))], &[0, 2, 1]));
    assert!(!above(&[col("key").eq(lit(7_i64)).or(col("key").eq(lit(8_i64)))], &[2, 1]));
    assert!(!above(&[col("key").in_list((1..9_i64).map(lit).collect(), false)], &[2, 1]));
    assert!(!above(&[col("mode").eq(lit("only"))], &[3, 1]));
    assert!(above(&[col("key").not_eq(lit(7_i64))], &[2, 1]), "nearly all rows are left");
    assert!(above(&[col("key").eq(col("key"))], &[2, 1]), "of two columns");
    let found: Arc<dyn PhysicalExpr> =
        Arc::new(DynamicFilterPhysicalExpr::new(vec![physical(&col("key"))], physical(&lit(true))));
    let filters = [physical(&col("day").gt(lit(1))), found];
    assert!(!is_better_above(&filters, &[0, 2, 1], &schema()).unwrap());
}
