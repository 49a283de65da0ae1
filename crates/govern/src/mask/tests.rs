use std::sync::Arc;

use datafusion::arrow::array::*;
use datafusion::arrow::buffer::NullBuffer;
use datafusion::arrow::datatypes::*;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use proptest::prelude::*;

use super::*;
use Disclosure::*;

fn key() -> MaskKey {
    MaskKey::new(b"a key of the tests")
}

/// The masked column as text: NULL is `-`.
fn shown(level: Disclosure, column: &ArrayRef) -> Vec<String> {
    let masked = mask(level, &key(), column);
    assert_eq!(masked.data_type(), column.data_type());
    assert_eq!(masked.len(), column.len());
    let options = FormatOptions::default().with_null("-");
    let formatter = ArrayFormatter::try_new(&masked, &options).unwrap();
    (0..masked.len()).map(|row| formatter.value(row).to_string()).collect()
}

fn check(level: Disclosure, column: impl Array + 'static, expect: &[&str]) {
    let column: ArrayRef = Arc::new(column);
    assert_eq!(shown(level, &column), expect, "{level} of {}", column.data_type());
}

#[test]
fn partial_shows_the_end_of_long_texts() {
    let texts =
        vec![Some(""), None, Some("12345678"), Some("123456789"), Some("ααααββββγ"), Some("日本語日本語日本語")];
    let expect = ["****", "-", "****", "****6789", "****βββγ", "****語日本語"];
    check(Partial, StringViewArray::from(texts.clone()), &expect);
    check(Partial, StringArray::from(texts.clone()), &expect);
    check(Partial, LargeStringArray::from(texts), &expect);
}

#[test]
fn partial_shows_the_year_and_bucket_the_month() {
    let days = || Date32Array::from(vec![Some(0), None, Some(19_782), Some(19_723), Some(-1), Some(-719_468)]);
    check(Partial, days(), &["1970-01-01", "-", "2024-01-01", "2024-01-01", "1969-01-01", "0000-01-01"]);
    check(Bucket, days(), &["1970-01-01", "-", "2024-02-01", "2024-01-01", "1969-12-01", "0000-03-01"]);
    let micros = vec![Some(1_709_214_245_123_456), None, Some(-1)];
    let without = TimestampMicrosecondArray::from(micros.clone());
    check(Partial, without.clone(), &["2024-01-01T00:00:00", "-", "1969-01-01T00:00:00"]);
    check(Bucket, without, &["2024-02-01T00:00:00", "-", "1969-12-01T00:00:00"]);
    let with = TimestampMicrosecondArray::from(micros).with_timezone("+00:00");
    check(Partial, with, &["2024-01-01T00:00:00Z", "-", "1969-01-01T00:00:00Z"]);
    check(
        Bucket,
        Time64MicrosecondArray::from(vec![Some(3_599_999_999), Some(3_600_000_000), None]),
        &["00:00:00", "01:00:00", "-"],
    );
}

#[test]
fn bucket_keeps_the_leading_digit() {
    let longs = vec![Some(1234), Some(-987), Some(0), Some(9), None, Some(i64::MIN), Some(i64::MAX)];
    let expect = ["1000", "-900", "0", "9", "-", "-9000000000000000000", "9000000000000000000"];
    check(Bucket, Int64Array::from(longs), &expect);
    check(Bucket, Int32Array::from(vec![i32::MIN, i32::MAX, -19]), &["-2000000000", "2000000000", "-10"]);
    let decimals = Decimal128Array::from(vec![Some(123_456), Some(-98_799), Some(99), None, Some(100), Some(0)]);
    let decimals = decimals.with_precision_and_scale(12, 2).unwrap();
    check(Bucket, decimals, &["1000.00", "-900.00", "0.00", "-", "1.00", "0.00"]);
    let doubles = vec![Some(1234.5), Some(-987.6), Some(0.7), Some(1e22), Some(9.99e307), Some(-0.0), None];
    check(Bucket, Float64Array::from(doubles), &["1000.0", "-900.0", "0.0", "1e22", "9e307", "0.0", "-"]);
    check(Bucket, Float64Array::from(vec![f64::NAN, f64::INFINITY, f64::MAX]), &["NaN", "inf", "1e308"]);
    check(Bucket, Float32Array::from(vec![1234.5, f32::MAX]), &["1000.0", "3e38"]);
}

#[test]
fn hash_keeps_types_equality_and_secrets() {
    let texts =
        Arc::new(StringViewArray::from(vec![Some("ana"), None, Some("dev"), Some("ana"), Some("")])) as ArrayRef;
    let hashed = shown(Hash, &texts);
    assert_eq!(hashed[0], hashed[3]);
    assert_ne!(hashed[0], hashed[2]);
    assert_eq!(hashed[1], "-");
    assert!(hashed.iter().all(|hash| hash == "-" || hash.len() == 32 && hash.bytes().all(|b| b.is_ascii_hexdigit())));
    let plain = Arc::new(StringArray::from(vec!["ana"])) as ArrayRef;
    assert_eq!(shown(Hash, &plain)[0], hashed[0], "the same for every kind of text");
    let other = mask(Hash, &MaskKey::new(b"another"), &plain);
    assert_ne!(other.as_string::<i32>().value(0), hashed[0], "another key, another hash");

    let longs = shown(Hash, &(Arc::new(Int64Array::from(vec![Some(1), Some(2), Some(1), None])) as ArrayRef));
    assert!(longs[0] == longs[2] && longs[0] != longs[1] && longs[3] == "-" && longs[0] != "1");
    let ints = shown(Hash, &(Arc::new(Int32Array::from(vec![1, 2])) as ArrayRef));
    assert_ne!(ints[0], ints[1]);
    let bytes = shown(Hash, &(Arc::new(BinaryViewArray::from(vec![b"a".as_slice(), b""])) as ArrayRef));
    assert!(bytes.iter().all(|bytes| bytes.len() == 32));
    let uuids = FixedSizeBinaryArray::try_from_iter([[1_u8; 16], [2; 16]].into_iter()).unwrap();
    let uuids = shown(Hash, &(Arc::new(uuids) as ArrayRef));
    assert!(uuids[0] != uuids[1] && uuids[0].len() == 32);
}

#[test]
fn hashes_stay_what_they_are() {
    let text = Arc::new(StringViewArray::from(vec!["customer-1"])) as ArrayRef;
    let number = Arc::new(Int64Array::from(vec![42])) as ArrayRef;
    let again = MaskKey::new(b"a key of the tests");
    assert_eq!(&mask(Hash, &key(), &text), &mask(Hash, &again, &text));
    assert_eq!(&mask(Hash, &key(), &number), &mask(Hash, &again, &number));
}

fn nested() -> ArrayRef {
    let texts = StringViewArray::from(vec!["secret", "secret"]);
    let fields = Fields::from(vec![Field::new("a", DataType::Utf8View, true), Field::new("b", DataType::Int32, true)]);
    let columns: Vec<ArrayRef> = vec![Arc::new(texts), Arc::new(Int32Array::from(vec![7, 7]))];
    Arc::new(StructArray::new(fields, columns, Some(NullBuffer::from(vec![true, false]))))
}

#[test]
fn redact_is_a_constant_for_all_rows() {
    check(Redact, StringViewArray::from(vec![Some("x"), None]), &["[redacted]", "[redacted]"]);
    check(Redact, Int64Array::from(vec![Some(5), None]), &["0", "0"]);
    check(Redact, BooleanArray::from(vec![Some(true), None]), &["false", "false"]);
    check(Redact, Date32Array::from(vec![Some(5), None]), &["1970-01-01", "1970-01-01"]);
    check(Redact, BinaryViewArray::from(vec![Some(b"x".as_slice()), None]), &["", ""]);
    check(Redact, Float64Array::from(vec![f64::NAN]), &["0.0"]);
    let list = ListArray::from_iter_primitive::<Int32Type, _, _>(vec![Some(vec![Some(1)]), None]);
    check(Redact, list, &["[]", "[]"]);
    assert_eq!(shown(Redact, &nested()), ["{a: [redacted], b: 0}"; 2]);
    let mut map = MapBuilder::new(None, StringBuilder::new(), Int32Builder::new());
    map.keys().append_value("k");
    map.values().append_value(1);
    map.append(true).unwrap();
    check(Redact, map.finish(), &["{}"]);
    check(Null, Int64Array::from(vec![5]), &["-"]);
    assert_eq!(shown(Null, &nested()), ["-", "-"]);
}

/// A column of the type with nothing, something and extremes in it.
fn column_of(data_type: &DataType) -> ArrayRef {
    if let DataType::FixedSizeBinary(width) = data_type {
        let mut builder = FixedSizeBinaryBuilder::new(*width);
        builder.append_value(vec![b'8'; usize::try_from(*width).unwrap()]).unwrap();
        builder.append_null();
        return Arc::new(builder.finish());
    }
    let text: ArrayRef = Arc::new(StringArray::from(vec![Some("8"), None, Some("88888888888888888888")]));
    datafusion::arrow::compute::cast(&text, data_type).unwrap_or_else(|_| new_null_array(data_type, 3))
}

#[test]
fn every_level_is_total_and_contracts_agree() {
    let types = "boolean int long float double decimal(9,2) decimal(38,10) date time timestamp timestamptz string uuid \
                 fixed(4) fixed(16) binary list<string> map<string,int> struct<a:int,b:list<string>>";
    for text in types.split_whitespace() {
        let data_type: FieldType = text.parse().unwrap();
        let column = column_of(&crate::schema::arrow_type(&data_type));
        for level in Disclosure::LADDER {
            let masked = mask(level, &key(), &column);
            assert_eq!(masked.data_type(), column.data_type(), "{level} of {text}");
            assert_eq!(masked.len(), column.len(), "{level} of {text}");
            let all_null = masked.null_count() == masked.len();
            if level == Redact && applies(level, &data_type) {
                assert_eq!(masked.null_count(), 0, "{text}");
            }
            let fell_back = all_null && column.null_count() < column.len() && ![Null, JoinOnly].contains(&level);
            assert!(!(fell_back && applies(level, &data_type)), "{level} of {text} is said to apply");
        }
    }
}

#[test]
fn masks_share_no_buffer_and_clean_the_slots_of_nulls() {
    let raw = "a long text that does not fit into a view";
    let column: ArrayRef = Arc::new(StringViewArray::from(vec![Some(raw), Some("short"), None]));
    for level in [Partial, Hash, Redact, Null] {
        let masked = mask(level, &key(), &column).to_data();
        for buffer in masked.buffers() {
            let bytes = buffer.as_slice();
            assert!(!bytes.windows(4).any(|window| window == b"long"), "{level} shows a raw buffer");
        }
    }
    let values = vec![7_i64, 8, 9].into();
    let dirty: ArrayRef = Arc::new(Int64Array::new(values, Some(NullBuffer::from(vec![true, false, true]))));
    for level in [Bucket, Hash, Null] {
        let masked = mask(level, &key(), &dirty);
        assert_eq!(masked.as_primitive::<Int64Type>().values()[1], 0, "{level}");
    }
}

#[test]
fn the_key_shows_nowhere() {
    let secret = MaskKey::new(b"hunter2");
    let masks = Masks::new(&secret);
    assert_eq!(format!("{secret:?}"), "MaskKey(…)");
    let shown = format!("{masks:?} {:?}", masks.for_disclosure(Hash).unwrap().inner());
    assert!(!shown.contains("hunter2"), "{shown}");
    assert_eq!(masks.for_disclosure(Hash).unwrap().name(), "mask_hash");
    assert_eq!(masks.for_disclosure(Hash), Masks::new(&secret).for_disclosure(Hash));
    assert_ne!(masks.for_disclosure(Hash), Masks::new(&MaskKey::new(b"other")).for_disclosure(Hash));
    assert!(masks.for_disclosure(Clear).is_none());
}

fn sound(column: ArrayRef) -> Result<(), TestCaseError> {
    for level in Disclosure::LADDER {
        let masked = mask(level, &key(), &column);
        prop_assert_eq!(masked.data_type(), column.data_type());
        prop_assert_eq!(masked.len(), column.len());
        masked.to_data().validate_full().unwrap();
        if matches!(level, Partial | Bucket | Hash) && masked.null_count() < masked.len() {
            prop_assert_eq!(masked.logical_nulls(), column.logical_nulls());
        }
        // Slices too: their buffers begin elsewhere.
        let (from, len) = (column.len() / 2, column.len() - column.len() / 2);
        prop_assert_eq!(&mask(level, &key(), &column.slice(from, len)), &masked.slice(from, len));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn texts(values: Vec<Option<String>>) {
        sound(Arc::new(StringViewArray::from_iter(values)))?;
    }

    #[test]
    fn longs(values: Vec<Option<i64>>) {
        sound(Arc::new(Int64Array::from(values.clone())))?;
        sound(Arc::new(TimestampSecondArray::from(values.clone())))?;
        sound(Arc::new(TimestampNanosecondArray::from(values.clone())))?;
        sound(Arc::new(Time64MicrosecondArray::from(values.clone())))?;
        sound(Arc::new(TimestampMicrosecondArray::from(values).with_timezone("+00:00")))?;
    }

    #[test]
    fn ints(values: Vec<Option<i32>>) {
        sound(Arc::new(Int32Array::from(values.clone())))?;
        sound(Arc::new(Date32Array::from(values)))?;
    }

    #[test]
    fn decimals(values: Vec<Option<i128>>, scale in -38_i8..=38) {
        let array = Decimal128Array::from(values).with_data_type(DataType::Decimal128(38, scale));
        for level in [Bucket, Redact] {
            let masked = mask(level, &key(), &(Arc::new(array.clone()) as ArrayRef));
            prop_assert_eq!(masked.len(), array.len());
        }
    }

    #[test]
    fn doubles(values: Vec<Option<f64>>) {
        let array = Float64Array::from(values);
        let masked = mask(Bucket, &key(), &(Arc::new(array.clone()) as ArrayRef));
        for (masked, raw) in masked.as_primitive::<Float64Type>().iter().zip(&array) {
            let (Some(masked), Some(raw)) = (masked, raw) else { continue };
            prop_assert!(raw.is_nan() || masked.abs() <= raw.abs() && (raw.abs() < 1.0 || masked.abs() > raw.abs() / 2.0001));
        }
    }

    #[test]
    fn months_and_years_begin_before_their_days(day: i32) {
        let day = i64::from(day);
        let (month, year) = (calendar::month_start(day), calendar::year_start(day));
        prop_assert!(month <= day && day - month < 31);
        prop_assert!(year <= month && day - year < 366);
        prop_assert_eq!(calendar::month_start(month), month);
        prop_assert_eq!(calendar::year_start(year), year);
    }
}
