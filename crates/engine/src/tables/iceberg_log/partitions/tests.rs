//! A partition value never costs a row: files of random rows of one partition, as the library transforms them, and random
//! filters, against DataFusion's own evaluation.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, RecordBatch};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{Field, Schema, TimeUnit};
use datafusion::common::stats::Precision;
use datafusion::common::{Statistics, ToDFSchema};
use datafusion::execution::context::ExecutionProps;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Expr, Like, col};
use datafusion::physical_expr::create_physical_expr;
use proptest::prelude::*;

use super::*;
use crate::tables::prune::{Facts, Known, Pruner};

/// A column: its type in the table and in the scan, a transform, and values of it.
#[derive(Debug, Clone)]
struct Kind {
    source: PrimitiveType,
    target: DataType,
    transform: Transform,
}

fn micros(zone: Option<&str>) -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, zone.map(Into::into))
}

fn nanos(zone: Option<&str>) -> DataType {
    DataType::Timestamp(TimeUnit::Nanosecond, zone.map(Into::into))
}

fn kind() -> impl Strategy<Value = Kind> {
    use PrimitiveType as T;
    let decimal = || T::Decimal { precision: 9, scale: 2 };
    let of = |source: PrimitiveType, target: DataType, transform: Transform| Kind { source, target, transform };
    let time = prop_oneof![Just(Transform::Year), Just(Transform::Month), Just(Transform::Day), Just(Transform::Hour)];
    let instant = prop_oneof![
        Just((T::Timestamp, micros(None))),
        Just((T::Timestamptz, micros(Some("+00:00")))),
        Just((T::TimestampNs, nanos(None))),
        Just((T::TimestamptzNs, nanos(Some("+00:00")))),
    ];
    let date = prop_oneof![Just(Transform::Year), Just(Transform::Month), Just(Transform::Day)];
    let cut = prop_oneof![
        Just((T::Int, DataType::Int32)),
        Just((T::Int, DataType::Int64)),
        Just((T::Long, DataType::Int64)),
        Just((decimal(), DataType::Decimal128(9, 2))),
        Just((decimal(), DataType::Decimal128(12, 2))),
        Just((T::String, DataType::Utf8View)),
        Just((T::Binary, DataType::BinaryView)),
    ];
    let bucketed = prop_oneof![
        2 => cut.clone(),
        1 => instant.clone(),
        1 => Just((T::Date, DataType::Date32)),
        1 => Just((T::Time, DataType::Time64(TimeUnit::Microsecond))),
    ];
    prop_oneof![
        (instant, time).prop_map(move |((source, target), transform)| of(source, target, transform)),
        date.prop_map(move |transform| of(T::Date, DataType::Date32, transform)),
        (cut, 1u32..6).prop_map(move |((source, target), width)| of(source, target, Transform::Truncate(width))),
        (bucketed, 1u32..5).prop_map(move |((source, target), count)| of(source, target, Transform::Bucket(count))),
    ]
}

/// Numbers around boundaries: small ones, and a little beside the ends of hours, days, months and years.
fn number() -> impl Strategy<Value = i64> {
    let boundary = prop_oneof![Just(HOUR), Just(DAY), (-30i64..30).prop_map(|month| start_of_month(month) * DAY)];
    prop_oneof![4 => -12i64..12, 3 => (boundary, -3i64..3, -2i64..3).prop_map(|(unit, of, by)| unit * of + by)]
}

fn text() -> impl Strategy<Value = String> {
    "[aé\u{D7FF}😀\u{10FFFF}]{0,5}"
}

type Seed = (i64, String);

fn seed() -> impl Strategy<Value = Seed> {
    (number(), text())
}

fn value(kind: &Kind, (number, text): &Seed) -> ScalarValue {
    use PrimitiveType as T;
    let zone = || Some("+00:00".into());
    match &kind.source {
        T::Int => ScalarValue::Int32(Some(*number as i32)),
        T::Long => ScalarValue::Int64(Some(*number)),
        T::Decimal { .. } => ScalarValue::Decimal128(Some(i128::from(*number) % 1_000_000_000), 9, 2),
        T::Date => ScalarValue::Date32(Some(if number.abs() > DAY { number / DAY } else { number % 1000 } as i32)),
        T::Time => ScalarValue::Time64Microsecond(Some(number.rem_euclid(DAY))),
        T::Timestamp => ScalarValue::TimestampMicrosecond(Some(*number), None),
        T::Timestamptz => ScalarValue::TimestampMicrosecond(Some(*number), zone()),
        T::TimestampNs => {
            ScalarValue::TimestampNanosecond(Some(number % 9_000_000_000_000_000 * 1000 - number % 7), None)
        }
        T::TimestamptzNs => {
            ScalarValue::TimestampNanosecond(Some(number % 9_000_000_000_000_000 * 1000 - number % 7), zone())
        }
        T::String => ScalarValue::Utf8(Some(text.clone())),
        T::Binary => ScalarValue::Binary(Some(text.clone().into_bytes())),
        other => panic!("{other}"),
    }
}

fn array(values: &[ScalarValue]) -> ArrayRef {
    ScalarValue::iter_to_array(values.iter().cloned()).unwrap()
}

/// The value as the library knows it.
fn datum(value: &ScalarValue) -> Option<Datum> {
    use ScalarValue as S;
    Some(match value.clone() {
        S::Int32(value) => Datum::int(value?),
        S::Int64(value) => Datum::long(value?),
        S::Date32(value) => Datum::date(value?),
        S::Time64Microsecond(value) => Datum::time_micros(value?).unwrap(),
        S::TimestampMicrosecond(value, None) => Datum::timestamp_micros(value?),
        S::TimestampMicrosecond(value, _) => Datum::timestamptz_micros(value?),
        S::TimestampNanosecond(value, None) => Datum::timestamp_nanos(value?),
        S::TimestampNanosecond(value, _) => Datum::timestamptz_nanos(value?),
        S::Decimal128(value, precision, scale) => {
            let kind = PrimitiveType::Decimal { precision: precision.into(), scale: scale as u32 };
            Datum::try_from_bytes(&value?.to_be_bytes(), kind).unwrap()
        }
        S::Utf8(value) => Datum::string(value?),
        S::Binary(value) => Datum::binary(value?),
        other => panic!("{other:?}"),
    })
}

/// The partition value of a row.
fn partition(transform: Transform, value: &ScalarValue) -> Option<Literal> {
    if let (Transform::Truncate(width), ScalarValue::Binary(bytes)) = (transform, value) {
        return bytes.as_ref().map(|bytes| Literal::binary(bytes[..bytes.len().min(width as usize)].to_vec()));
    }
    let value = create_transform_function(&transform).unwrap().transform_literal(&datum(value)?).unwrap().unwrap();
    Some(Literal::Primitive(value.literal().clone()))
}

/// A comparison of the column with values of `seeds`; `(operator, negated)` says which.
fn filter(kind: &Kind, seeds: &[Seed], operator: usize, negated: bool) -> Expr {
    let literal = |seed: &Seed| {
        let value = value(kind, seed).cast_to(&kind.target).unwrap();
        Expr::Literal(value, None)
    };
    let first = literal(&seeds[0]);
    let expression = match operator {
        0 => col("c").eq(first),
        1 => col("c").not_eq(first),
        2 => col("c").lt(first),
        3 => col("c").lt_eq(first),
        4 => col("c").gt(first),
        5 => col("c").gt_eq(first),
        6 => return col("c").in_list(seeds.iter().map(literal).collect(), negated),
        7 => col("c").is_null(),
        _ if kind.source == PrimitiveType::String => {
            let pattern = Expr::Literal(ScalarValue::Utf8View(Some(format!("{}%", seeds[0].1))), None);
            return Expr::Like(Like::new(negated, Box::new(col("c")), Box::new(pattern), None, false));
        }
        _ => col("c").between(first, literal(&seeds[1])),
    };
    if negated { !expression } else { expression }
}

/// Whether a file that is known by its partition alone is kept.
fn kept(kind: &Kind, value: Option<&Literal>, rows: usize, filter: &Expr) -> bool {
    let schema = Schema::new(vec![Field::new("c", kind.target.clone(), true)]);
    let told = told(kind.transform, value, &kind.source, &kind.target).unwrap();
    let parts: Vec<(usize, Part)> = told.part.clone().map(|part| (0, part)).into_iter().collect();
    let mut bounds = Bounds::default();
    told.tighten(rows as u64, &mut bounds);
    let mut statistics = Statistics::new_unknown(&schema);
    let column = &mut statistics.column_statistics[0];
    column.null_count = bounds.nulls.map_or(Precision::Absent, |nulls| Precision::Exact(nulls as usize));
    column.min_value = bounds.low.map_or(Precision::Absent, Precision::Inexact);
    column.max_value = bounds.high.map_or(Precision::Absent, Precision::Inexact);
    let facts = Facts { statistics: &statistics, columns: &[0], rows: Some(rows as u64), parts: &parts };
    Pruner::new(std::slice::from_ref(filter), &schema).kept(&Known::new(&[facts])) == [true]
}

fn passing(kind: &Kind, rows: &ArrayRef, filter: &Expr) -> usize {
    let schema = Arc::new(Schema::new(vec![Field::new("c", kind.target.clone(), true)]));
    let batch = RecordBatch::try_new(Arc::clone(&schema), vec![cast(rows, &kind.target).unwrap()]).unwrap();
    let physical = create_physical_expr(
        filter,
        &schema.to_dfschema().unwrap(),
        &ExecutionProps::new(),
        &PhysicalPlanningContext::default(),
    )
    .unwrap();
    let result = physical.evaluate(&batch).unwrap().into_array(batch.num_rows()).unwrap();
    result.as_boolean().iter().filter(|value| *value == Some(true)).count()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn a_file_with_a_passing_row_is_never_dropped_for_its_partition(
        kind in kind(), seeds in proptest::collection::vec(seed(), 1..12), asked in proptest::collection::vec(seed(), 2..4),
        own in any::<bool>(), operator in 0usize..9, negated in any::<bool>(), null in proptest::bool::weighted(0.05),
    ) {
        let mut values: Vec<ScalarValue> = seeds.iter().map(|seed| value(&kind, seed)).collect();
        if null {
            values = vec![ScalarValue::try_new_null(&values[0].data_type()).unwrap(); 3];
        }
        let of = |value: &ScalarValue| partition(kind.transform, value);
        let first = of(&values[0]);
        values.retain(|value| of(value) == first);
        let mut asked = asked;
        if own {
            asked[0] = seeds[0].clone();
        }
        let filter = filter(&kind, &asked, operator, negated);
        let passing = passing(&kind, &array(&values), &filter);
        prop_assert!(
            kept(&kind, first.as_ref(), values.len(), &filter) || passing == 0,
            "{filter} keeps {passing} of {values:?}, which were dropped for {first:?}"
        );
    }
}

fn timestamp(micros: i64) -> Expr {
    Expr::Literal(ScalarValue::TimestampMicrosecond(Some(micros), None), None)
}

#[test]
fn files_of_other_partitions_are_dropped() {
    use PrimitiveType as T;
    let of = |source: PrimitiveType, target: DataType, transform| Kind { source, target, transform };
    let time = |transform| of(T::Timestamp, micros(None), transform);
    let text = |value: &str| Expr::Literal(ScalarValue::Utf8View(Some(value.into())), None);
    let long = |value: i64| Expr::Literal(ScalarValue::from(value), None);
    let longs = |transform| of(T::Long, DataType::Int64, transform);
    let prefix = || of(T::String, DataType::Utf8View, Transform::Truncate(2));
    let in_bucket = partition(Transform::Bucket(16), &ScalarValue::from(34i64));
    let leap_day = start_of_month(30 * 12 + 1) + 28;
    assert_eq!(leap_day, 11016, "the 29th of February 2000");
    for (kind, value, filter, expected) in [
        (time(Transform::Day), Some(Literal::int(19_000)), col("c").lt(timestamp(19_000 * DAY)), false),
        (time(Transform::Day), Some(Literal::int(19_000)), col("c").lt_eq(timestamp(19_000 * DAY)), true),
        (time(Transform::Day), Some(Literal::int(19_000)), col("c").gt(timestamp(19_001 * DAY)), false),
        (time(Transform::Hour), Some(Literal::int(5)), col("c").eq(timestamp(7 * HOUR)), false),
        (time(Transform::Month), Some(Literal::int(361)), col("c").lt(timestamp((leap_day - 28) * DAY)), false),
        (time(Transform::Month), Some(Literal::int(361)), col("c").gt(timestamp((leap_day + 1) * DAY)), false),
        (time(Transform::Year), Some(Literal::int(30)), col("c").gt(timestamp((10_957 + 366) * DAY)), false),
        (time(Transform::Year), Some(Literal::int(30)), col("c").is_null(), false),
        (time(Transform::Year), None, col("c").is_not_null(), false),
        // The day before 1970 may have been written as the first of 1970, and no day after that.
        (time(Transform::Day), Some(Literal::int(0)), col("c").eq(timestamp(-1)), true),
        (time(Transform::Day), Some(Literal::int(-4)), col("c").eq(timestamp(-5 * DAY)), true),
        (time(Transform::Day), Some(Literal::int(1)), col("c").eq(timestamp(1)), false),
        (longs(Transform::Truncate(10)), Some(Literal::long(-10)), col("c").lt(long(-10)), false),
        (longs(Transform::Truncate(10)), Some(Literal::long(-10)), col("c").gt(long(-1)), false),
        (longs(Transform::Truncate(10)), Some(Literal::long(-10)), col("c").eq(long(-1)), true),
        (longs(Transform::Bucket(16)), in_bucket.clone(), col("c").eq(long(34)), true),
        (longs(Transform::Bucket(16)), in_bucket.clone(), col("c").eq(long(35)), false),
        (longs(Transform::Bucket(16)), in_bucket.clone(), col("c").in_list(vec![long(35), long(36)], false), false),
        (longs(Transform::Bucket(16)), in_bucket, col("c").not_eq(long(35)), true),
        (prefix(), Some(Literal::string("ab")), col("c").like(text("ac%")), false),
        (prefix(), Some(Literal::string("ab")), col("c").like(text("abc%")), true),
        (prefix(), Some(Literal::string("ab")), col("c").like(text("a%")), true),
        (prefix(), Some(Literal::string("ab")), col("c").eq(text("ac")), false),
        (prefix(), Some(Literal::string("ab")), col("c").lt(text("ab")), false),
        (prefix(), Some(Literal::string("a")), col("c").gt(text("a")), false),
    ] {
        assert_eq!(kept(&kind, value.as_ref(), 3, &filter), expected, "{filter} of {value:?}, {kind:?}");
    }
}

#[test]
fn what_is_not_understood_tells_nothing() {
    let long = (PrimitiveType::Long, DataType::Int64);
    assert_eq!(told(Transform::Void, None, &long.0, &long.1), None, "a dropped partition field is null for all rows");
    assert_eq!(told(Transform::Unknown, Some(&Literal::int(1)), &long.0, &long.1), None);
    let nothing = Told { null: Some(false), ..Told::default() };
    let nanos = PrimitiveType::TimestampNs;
    assert_eq!(told(Transform::Bucket(4), Some(&Literal::int(1)), &nanos, &micros(None)), Some(nothing));
    assert_eq!(told(Transform::Truncate(4), Some(&Literal::string("x")), &long.0, &long.1), None);
    let far = told(Transform::Year, Some(&Literal::int(i32::MAX)), &PrimitiveType::Timestamp, &micros(None)).unwrap();
    assert_eq!((far.low, far.high), (None, None), "beyond what a timestamp can be");
}

#[test]
fn months_begin_where_the_calendar_says() {
    for (month, day) in [(0, 0), (1, 31), (2, 59), (-1, -31), (-12, -365), (-1970 * 12, -719_528), (24 + 2, 790)] {
        assert_eq!(start_of_month(month), day, "month {month}");
    }
}

#[test]
fn bounds_are_replaced_by_closer_ones_only() {
    let long =
        |low: i64, high: i64| Told { low: Some(low.into()), high: Some(high.into()), null: Some(false), part: None };
    let own = || Bounds { low: Some(3i64.into()), high: Some(7i64.into()), exact: true, nulls: Some(2) };
    let mut bounds = own();
    long(0, 9).tighten(5, &mut bounds);
    assert_eq!(
        (bounds.low, bounds.high, bounds.exact, bounds.nulls),
        (Some(3i64.into()), Some(7i64.into()), true, Some(2))
    );
    let mut bounds = own();
    long(4, 9).tighten(5, &mut bounds);
    assert_eq!((bounds.low, bounds.high, bounds.exact), (Some(4i64.into()), Some(7i64.into()), false));
}
