//! Pruning never loses a row: random files and filters, against DataFusion's own evaluation.

use std::sync::Arc;

use datafusion::arrow::array::{AsArray, BooleanArray, Float64Array, Int64Array, RecordBatch, StringViewArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::stats::Precision;
use datafusion::common::{ScalarValue, Statistics, ToDFSchema};
use datafusion::execution::context::ExecutionProps;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Expr, Like, col, lit};
use datafusion::physical_expr::create_physical_expr;
use proptest::prelude::*;

use super::*;

fn schema() -> Arc<Schema> {
    Arc::new(Schema::new(vec![
        Field::new("i", DataType::Int64, true),
        Field::new("f", DataType::Float64, true),
        Field::new("s", DataType::Utf8View, true),
        Field::new("b", DataType::Boolean, true),
    ]))
}

type Row = (Option<i64>, Option<f64>, Option<String>, Option<bool>);

fn batch(rows: &[Row]) -> RecordBatch {
    RecordBatch::try_new(
        schema(),
        vec![
            Arc::new(Int64Array::from_iter(rows.iter().map(|row| row.0))),
            Arc::new(Float64Array::from_iter(rows.iter().map(|row| row.1))),
            Arc::new(StringViewArray::from_iter(rows.iter().map(|row| row.2.as_deref()))),
            Arc::new(BooleanArray::from_iter(rows.iter().map(|row| row.3))),
        ],
    )
    .unwrap()
}

/// Statistics as writers make them: floats without NaN have bounds, text is cut, and some are missing.
fn statistics(rows: &[Row], known: [bool; 4], cut: bool) -> Statistics {
    let mut statistics = Statistics::new_unknown(&schema());
    statistics.num_rows = Precision::Exact(rows.len());
    let mut set = |at: usize, nulls: usize, low: Option<ScalarValue>, high: Option<ScalarValue>| {
        if known[at] {
            let column = &mut statistics.column_statistics[at];
            column.null_count = Precision::Exact(nulls);
            column.min_value = low.map_or(Precision::Absent, Precision::Inexact);
            column.max_value = high.map_or(Precision::Absent, Precision::Inexact);
        }
    };
    let nulls = |count: usize| rows.len() - count;
    let ints: Vec<i64> = rows.iter().filter_map(|row| row.0).collect();
    set(0, nulls(ints.len()), ints.iter().min().map(|v| (*v).into()), ints.iter().max().map(|v| (*v).into()));
    let floats: Vec<f64> = rows.iter().filter_map(|row| row.1).collect();
    let bounded = !floats.iter().any(|value| value.is_nan());
    let low = floats.iter().copied().reduce(f64::min).filter(|_| bounded).map(ScalarValue::from);
    let high = floats.iter().copied().reduce(f64::max).filter(|_| bounded).map(ScalarValue::from);
    set(1, nulls(floats.len()), low, high);
    let texts: Vec<&String> = rows.iter().filter_map(|row| row.2.as_ref()).collect();
    let low = texts.iter().min().map(|text| if cut { text.chars().take(1).collect() } else { (*text).clone() });
    let high = texts.iter().max().map(|text| {
        let mut first = text.chars();
        if cut && text.len() > 1 { char::from(first.next().unwrap() as u8 + 1).to_string() } else { (*text).clone() }
    });
    let text = |text: Option<String>| text.map(|text| ScalarValue::Utf8View(Some(text)));
    set(2, nulls(texts.len()), text(low), text(high));
    let flags: Vec<bool> = rows.iter().filter_map(|row| row.3).collect();
    let flag = |flag: Option<&bool>| flag.map(|flag| ScalarValue::from(*flag));
    set(3, nulls(flags.len()), flag(flags.iter().min()), flag(flags.iter().max()));
    statistics
}

fn text() -> impl Strategy<Value = String> {
    "[a-c]{0,3}"
}

fn float() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => (-3i32..3).prop_map(f64::from),
        1 => Just(f64::NAN),
        1 => Just(-0.0),
        1 => Just(f64::INFINITY),
        1 => Just(-f64::NAN),
    ]
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let row = (
        proptest::option::weighted(0.7, -3i64..3),
        proptest::option::weighted(0.7, float()),
        proptest::option::weighted(0.7, text()),
        proptest::option::weighted(0.7, any::<bool>()),
    );
    proptest::collection::vec(row, 1..6)
}

fn leaf() -> impl Strategy<Value = Expr> {
    let value = prop_oneof![
        proptest::option::weighted(0.9, -4i64..4).prop_map(|v| (col("i"), Expr::Literal(ScalarValue::Int64(v), None))),
        proptest::option::weighted(0.9, float()).prop_map(|v| (col("f"), Expr::Literal(ScalarValue::Float64(v), None))),
        proptest::option::weighted(0.9, text()).prop_map(|v| (col("s"), Expr::Literal(ScalarValue::Utf8View(v), None))),
    ];
    let comparison = (value, 0..6usize, any::<bool>()).prop_map(|((column, value), op, swapped)| {
        let (left, right) = if swapped { (value, column) } else { (column, value) };
        match op {
            0 => left.eq(right),
            1 => left.not_eq(right),
            2 => left.lt(right),
            3 => left.lt_eq(right),
            4 => left.gt(right),
            _ => left.gt_eq(right),
        }
    });
    let column = prop_oneof![Just("i"), Just("f"), Just("s"), Just("b")].prop_map(col);
    prop_oneof![
        6 => comparison,
        1 => column.clone().prop_map(Expr::is_null),
        1 => column.prop_map(Expr::is_not_null),
        1 => Just(col("b")),
        1 => (text(), any::<bool>(), any::<bool>()).prop_map(|(prefix, negated, wild)| {
            let pattern = if wild { format!("{prefix}%") } else { format!("{prefix}_a") };
            let pattern = Expr::Literal(ScalarValue::Utf8View(Some(pattern)), None);
            Expr::Like(Like::new(negated, Box::new(col("s")), Box::new(pattern), None, false))
        }),
        1 => (proptest::collection::vec(-4i64..4, 1..3), any::<bool>())
            .prop_map(|(values, negated)| col("i").in_list(values.into_iter().map(lit).collect(), negated)),
        1 => (-4i64..4, -4i64..4, any::<bool>()).prop_map(|(low, high, negated)| {
            let between = col("i").between(lit(low), lit(high));
            if negated { col("i").not_between(lit(low), lit(high)) } else { between }
        }),
    ]
}

fn filter() -> impl Strategy<Value = Expr> {
    leaf().prop_recursive(4, 16, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| a.and(b)),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| a.or(b)),
            inner.clone().prop_map(|inner| !inner),
            inner.clone().prop_map(Expr::is_not_true),
            inner.prop_map(Expr::is_false),
        ]
    })
}

fn passing(batch: &RecordBatch, filter: &Expr) -> usize {
    let schema = batch.schema().to_dfschema().unwrap();
    let physical =
        create_physical_expr(filter, &schema, &ExecutionProps::new(), &PhysicalPlanningContext::default()).unwrap();
    let result = physical.evaluate(batch).unwrap().into_array(batch.num_rows()).unwrap();
    result.as_boolean().iter().filter(|value| *value == Some(true)).count()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn a_file_with_a_passing_row_is_never_dropped(
        files in proptest::collection::vec((rows(), any::<[bool; 4]>(), any::<bool>()), 1..4), filter in filter(),
    ) {
        let statistics: Vec<_> = files.iter().map(|(rows, known, cut)| statistics(rows, *known, *cut)).collect();
        let facts: Vec<_> = files.iter().zip(&statistics).map(|((rows, ..), statistics)| {
            Facts { statistics, columns: &[0, 1, 2, 3], rows: Some(rows.len() as u64), parts: &[] }
        }).collect();
        let kept = Pruner::new(std::slice::from_ref(&filter), &schema()).kept(&Known::new(&facts));
        prop_assert_eq!(kept.len(), files.len());
        for ((rows, ..), kept) in files.iter().zip(kept) {
            let passing = passing(&batch(rows), &filter);
            prop_assert!(kept || passing == 0, "{filter} keeps {passing} rows of a file that was dropped");
        }
    }
}

#[test]
fn files_are_dropped_on_proof() {
    let rows: Vec<Row> =
        vec![(Some(1), Some(1.0), Some("b".into()), Some(true)), (Some(2), None, Some("bb".into()), None)];
    let statistics = statistics(&rows, [true; 4], false);
    let known = Known::new(&[Facts { statistics: &statistics, columns: &[0, 1, 2, 3], rows: Some(2), parts: &[] }]);
    let like = |pattern: &str| col("s").like(lit(pattern));
    for (filter, kept) in [
        (col("i").gt(lit(2i64)), false),
        (col("i").gt_eq(lit(2i64)), true),
        (!(col("i").lt_eq(lit(2i64))), false),
        (col("i").is_null(), false),
        (col("f").is_null(), true),
        (col("i").eq(lit(ScalarValue::Int64(None))), false),
        (col("i").in_list(vec![lit(7i64), lit(9i64)], false), false),
        (col("i").in_list(vec![lit(1i64)], true), true),
        (like("c%"), false),
        (like("b%"), true),
        (!col("b"), false),
        (col("f").gt(lit(5.0)), false),
        (col("i").gt(lit(5i64)).and(col("unknown").eq(lit(1i64))), false),
        (col("i").gt(lit(5i64)).or(col("unknown").eq(lit(1i64))), true),
    ] {
        assert_eq!(Pruner::new(std::slice::from_ref(&filter), &schema()).kept(&known), [kept], "{filter}");
    }
}

/// What is not known of one file is not taken from another: files of other types, of more columns, of none.
#[test]
fn each_file_is_judged_by_what_is_known_of_it() {
    let bounded = |low: ScalarValue, high: ScalarValue| {
        let mut statistics = Statistics::new_unknown(&schema());
        statistics.column_statistics[0].min_value = Precision::Exact(low);
        statistics.column_statistics[0].max_value = Precision::Exact(high);
        statistics
    };
    let files = [
        Statistics::new_unknown(&schema()),
        bounded(1i64.into(), 2i64.into()),
        bounded(7i64.into(), 9i64.into()),
        bounded(1i32.into(), 2i32.into()),
        bounded(ScalarValue::Int64(None), 2i64.into()),
        bounded(1i64.into(), 2i64.into()),
        bounded("a".into(), "b".into()),
    ];
    let bucket = Part::Bucket { count: 4, number: i32::MAX };
    let parts: [&[(usize, Part)]; 7] = [&[], &[], &[], &[], &[], &[], &[(1, bucket.clone()), (0, bucket.clone())]];
    let columns: [&[usize]; 7] = [&[0], &[0], &[0, 1], &[0], &[0], &[], &[0]];
    let facts = files.iter().zip(columns).zip(parts);
    let facts = facts.map(|((statistics, columns), parts)| Facts { statistics, columns, rows: None, parts });
    let known = Known::new(&facts.collect::<Vec<_>>());
    for (filter, kept) in [
        (col("i").eq(lit(7i64)), [true, false, true, true, false, true, false]),
        (col("i").gt(lit(2i64)), [true, false, true, true, false, true, true]),
        (col("i").lt(lit(3i64)), [true, true, false, true, true, true, true]),
        (col("i").in_list(vec![lit(1i64), lit(8i64)], false), [true, true, true, true, true, true, false]),
        (col("i").not_eq(lit(5i64)), [true; 7]),
    ] {
        assert_eq!(Pruner::new(std::slice::from_ref(&filter), &schema()).kept(&known), kept, "{filter}");
    }
}
