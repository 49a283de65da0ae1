//! Parameters: which types are told, and what is made of values that are bound.

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::ScalarValue;

use super::mesh::{ana, parsed, planner};
use super::*;
use crate::wire_type;

fn bound(sql: &str, values: Vec<ScalarValue>) -> Result<GovernedPlan, String> {
    match planner().govern(&parsed(sql), &ana(), Some(ParamValues::from(values))) {
        Verdict::Permit(plan, _) => Ok(*plan),
        other => Err(other.decision().reason.as_ref().unwrap().message.clone()),
    }
}

fn columns(plan: &GovernedPlan) -> Vec<(String, DataType)> {
    plan.schema().fields().iter().map(|f| (f.name().clone(), wire_type(f.data_type()))).collect()
}

/// The types of a statement's parameters, as they are announced.
fn told(sql: &str) -> Vec<DataType> {
    parameter_schema(permitted(sql).0.parameters()).fields().iter().map(|f| wire_type(f.data_type())).collect()
}

#[test]
fn parameters_are_inferred_and_bound() {
    let sql = "SELECT id, ? AS what FROM orders.events WHERE qty > ? AND amount < ? LIMIT ?";
    let (plan, _) = permitted(sql);
    let types: Vec<_> = plan.parameters().iter().map(|p| (p.name.clone(), p.data_type.clone())).collect();
    let expect = [
        ("$1", None),
        ("$2", Some(DataType::Int32)),
        ("$3", Some(DataType::Decimal128(12, 2))),
        ("$4", Some(DataType::Int64)),
    ];
    assert_eq!(types, expect.map(|(name, data_type)| (name.to_string(), data_type)));
    assert_eq!(plan.schema().field(1).data_type(), &DataType::Utf8);
    assert_eq!(parameter_schema(plan.parameters()).fields().len(), 4);
    assert!(permitted("SELECT 1").0.parameters().is_empty());

    let bind = |values: Vec<ScalarValue>| planner().govern(&parsed(sql), &ana(), Some(ParamValues::from(values)));
    let values = vec![
        ScalarValue::from("x"),
        ScalarValue::Int64(Some(3)),
        ScalarValue::Float64(Some(1.5)),
        ScalarValue::Int64(Some(10)),
    ];
    let Verdict::Permit(plan, _) = bind(values) else { panic!() };
    assert!(plan.parameters().is_empty());
    let text = plan.logical().display_indent().to_string();
    assert!(text.contains("events.qty > Int32(3)") && !text.contains('$'), "{text}");
    let few = bind(vec![ScalarValue::from("x")]);
    let message = &few.decision().reason.as_ref().unwrap().message;
    assert_eq!(message, "the statement has 4 parameters, 1 values were bound");
    assert!(denied("SELECT $0").starts_with("invalid: "));
    assert!(denied("SELECT $5000").starts_with("invalid: parameter `$5000` is out of range"));
}

#[test]
fn types_are_told_in_many_places() {
    use DataType::*;
    for (sql, expect) in [
        ("SELECT CAST(? AS INT), TRY_CAST(? AS DATE), ?::decimal(9,3)", vec![Int32, Date32, Decimal128(9, 3)]),
        ("SELECT CAST(? AS VARCHAR)", vec![Utf8]),
        ("SELECT 1 FROM orders.events WHERE at >= CAST(? AS TIMESTAMP)", vec![Timestamp(TimeUnit::Nanosecond, None)]),
        ("SELECT substr(id, ?, ?) FROM orders.events", vec![Int64, Int64]),
        ("SELECT coalesce(qty, ?) FROM orders.events", vec![Int32]),
        ("SELECT CASE WHEN qty > ? THEN amount ELSE ? END FROM orders.events", vec![Int32, Decimal128(12, 2)]),
        ("SELECT CASE qty WHEN ? THEN ? ELSE 'many' END FROM orders.events", vec![Int32, Utf8]),
        ("SELECT 1 FROM orders.events WHERE region IN (?, ?) AND id LIKE ?", vec![Utf8, Utf8, Utf8]),
        ("SELECT 1 WHERE EXISTS (SELECT 1 FROM orders.events WHERE qty = ? LIMIT 1 OFFSET ?)", vec![Int32, Int64]),
        // The first place that tells decides; one that tells nothing takes nothing back.
        ("SELECT 1 FROM orders.events WHERE $1 IS NOT NULL AND qty > $1 AND amount > $1 AND $1 IS NULL", vec![Int32]),
        ("SELECT $2, CAST($1 AS BIGINT)", vec![Int64, Utf8]),
        ("SELECT ?", vec![Utf8]),
    ] {
        assert_eq!(told(sql), expect, "{sql}");
    }
}

/// Whatever is bound, the columns are those that were announced: or nothing is run.
#[test]
fn describing_and_running_give_the_same_columns() {
    let number = |value: i64| ScalarValue::Int64(Some(value));
    for (sql, value) in [
        ("SELECT qty + ? FROM orders.events", number(3)),
        ("SELECT nullif(qty, 5) FROM orders.events WHERE qty BETWEEN ? AND 7", number(3)),
        ("SELECT qty FROM orders.events WHERE id = ?", ScalarValue::from("x")),
        ("SELECT ? AS x", number(5)),
        ("SELECT ? AS x", ScalarValue::Float64(Some(0.1))),
        ("SELECT ? AS x", ScalarValue::Boolean(Some(true))),
        ("SELECT ? AS x", ScalarValue::TimestampMicrosecond(Some(1_711_848_600_123_456), None)),
        ("SELECT ? AS x", ScalarValue::Null),
        ("SELECT ? AS x", ScalarValue::Binary(None)),
        ("SELECT coalesce(qty, ?) AS x FROM orders.events", ScalarValue::Null),
        ("SELECT CAST(? AS INT) AS x", ScalarValue::from("5")),
        ("SELECT CAST(? AS INT) AS x", ScalarValue::from("not a number")),
        ("SELECT CAST(? AS INT) AS x", number(1 << 40)),
        ("SELECT qty FROM orders.events WHERE qty < ?", number(1 << 40)),
        ("SELECT ? IS NULL AS x", ScalarValue::Binary(Some(vec![255]))),
    ] {
        let described = permitted(sql).0;
        let bound = bound(sql, vec![value.clone()]).unwrap_or_else(|error| panic!("{sql}: {error}"));
        assert_eq!(columns(&described), columns(&bound), "{sql} with {value:?}");
        assert!(bound.parameters().is_empty());
    }
}

#[test]
fn a_value_is_kept_or_refused_never_changed() {
    let shown = |sql: &str, value: ScalarValue| bound(sql, vec![value]).unwrap().logical().display_indent().to_string();
    assert!(shown("SELECT ? AS x", ScalarValue::Int64(Some(-7))).contains("Utf8(\"-7\")"));
    assert!(shown("SELECT CAST(? AS INT) AS x", ScalarValue::from("007")).contains("CAST(Utf8(\"007\")"));
    let compared =
        shown("SELECT at FROM orders.events WHERE at > ? OR true", ScalarValue::from("2026-01-01T00:00:00Z"));
    assert!(compared.contains("TimestampMicrosecond(1767225600000000"), "{compared}");
    for (sql, value, expect) in [
        ("SELECT ? AS x", ScalarValue::Binary(Some(vec![1, 2])), "parameter `$1` is Utf8 here and its value, Binary,"),
        (
            "SELECT qty + ? AS x FROM orders.events",
            ScalarValue::Int64(Some(1 << 40)),
            "is Int32 here and its value, Int64,",
        ),
        (
            "SELECT coalesce(qty, ?) AS x FROM orders.events",
            ScalarValue::Float64(Some(0.5)),
            "Int32 here and its value, Float64,",
        ),
    ] {
        let error = bound(sql, vec![value]).unwrap_err();
        assert!(error.contains(expect) && error.contains("`CAST($1 AS BIGINT)`"), "{sql}: {error}");
    }
    // A number is no truth value.
    let flagged = bound("SELECT qty FROM orders.events WHERE qty > ?", vec![ScalarValue::Boolean(Some(true))]);
    assert!(flagged.is_err(), "true is not 1");
}

#[test]
fn a_place_that_takes_no_text_asks_for_a_type() {
    let error = denied("SELECT ? + ?");
    assert!(error.ends_with("; nothing tells the type of `$1`: write `CAST($1 AS …)`"), "{error}");
    assert!(error.starts_with("invalid: "), "{error}");
}
