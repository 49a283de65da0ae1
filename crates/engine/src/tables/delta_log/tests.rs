use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::ScalarValue;
use serde_json::json;

use super::types::{bounds, partition_value};

#[test]
fn bounds_hold_however_the_writer_rounded() {
    let stats = json!({
        "numRecords": 9,
        "minValues": {"i": -5, "f": 1.0, "t": "2024-01-01T00:00:00.123Z", "d": 12345678901234567.89, "s": "abc"},
        "maxValues": {"i": 7, "f": 2.0, "t": "2024-01-01T00:00:00.123Z", "d": 12345678901234567.89, "s": "abd"},
        "nullCount": {"i": 3},
    });
    let of = |name: &str, data_type: &DataType| bounds(&stats, name, data_type);
    let ints = of("i", &DataType::Int64);
    assert_eq!((ints.low, ints.high, ints.exact, ints.nulls), (Some((-5i64).into()), Some(7i64.into()), true, Some(3)));
    let floats = of("f", &DataType::Float64);
    assert_eq!((floats.low, floats.high), (None, None), "NaN is not within the bounds of floats");
    let stamps = of("t", &DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into())));
    let (Some(ScalarValue::TimestampMicrosecond(Some(low), _)), Some(ScalarValue::TimestampMicrosecond(Some(high), _))) =
        (stamps.low, stamps.high)
    else {
        panic!("timestamps have bounds")
    };
    assert_eq!(high - low, 1000);
    let decimals = of("d", &DataType::Decimal128(20, 2));
    let (Some(ScalarValue::Decimal128(Some(low), ..)), Some(ScalarValue::Decimal128(Some(high), ..))) =
        (decimals.low, decimals.high)
    else {
        panic!("decimals have bounds")
    };
    assert!(low <= 1_234_567_890_123_456_789 && 1_234_567_890_123_456_789 <= high);
    assert!(!of("s", &DataType::Utf8View).exact, "text may be cut");
    assert!(of("missing", &DataType::Int64).low.is_none());
}

#[test]
fn partition_values_are_read_by_type() {
    let micros = DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into()));
    for (text, data_type, expected) in [
        (Some("7"), DataType::Int32, Some(ScalarValue::Int32(Some(7)))),
        (Some(""), DataType::Int32, Some(ScalarValue::Int32(None))),
        (None, DataType::Utf8View, Some(ScalarValue::Utf8View(None))),
        (Some("2024-01-02"), DataType::Date32, Some(ScalarValue::Date32(Some(19724)))),
        (Some("1.50"), DataType::Decimal128(5, 2), Some(ScalarValue::Decimal128(Some(150), 5, 2))),
        (Some("true"), DataType::Boolean, Some(ScalarValue::Boolean(Some(true)))),
        (
            Some("1970-01-01 00:00:01.5"),
            micros.clone(),
            Some(ScalarValue::TimestampMicrosecond(Some(1_500_000), Some("+00:00".into()))),
        ),
        (
            Some("1970-01-01T00:00:01.000000Z"),
            micros,
            Some(ScalarValue::TimestampMicrosecond(Some(1_000_000), Some("+00:00".into()))),
        ),
        (Some("x"), DataType::Int32, None),
    ] {
        assert_eq!(partition_value(text, &data_type), expected, "{text:?} as {data_type}");
    }
}
