//! What a file's partition values tell of its columns: bounds, nulls, and which literals it cannot hold.
//!
//! Partition values are metadata, written with another spec for each generation of files; a column is known by its field
//! id, so a value speaks of the same column whatever happened to its name. Nothing is concluded from what is not
//! understood.

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::ScalarValue;
use iceberg::spec::{Datum, Literal, PrimitiveLiteral, PrimitiveType, Transform};
use iceberg::transform::create_transform_function;

use crate::tables::plan::Bounds;
use crate::tables::prune::{Part, order};

/// What is known of the values of one column in a file.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Told {
    /// No value is less.
    pub(super) low: Option<ScalarValue>,
    /// No value is greater.
    pub(super) high: Option<ScalarValue>,
    /// Whether all values are null, or none is.
    pub(super) null: Option<bool>,
    /// What else must be so of a value that the file holds.
    pub(super) part: Option<Part>,
}

/// What the partition value of a field with `transform` tells of its source column, which has the type `source` in the
/// table and `target` in the scan.
pub(super) fn told(
    transform: Transform,
    value: Option<&Literal>,
    source: &PrimitiveType,
    target: &DataType,
) -> Option<Told> {
    if matches!(transform, Transform::Void | Transform::Unknown) {
        return None;
    }
    // Every transform maps null to null, and nothing else.
    let Some(value) = value else { return Some(Told { null: Some(true), ..Told::default() }) };
    let Literal::Primitive(value) = value else { return None };
    let (low, high, part) = match (transform, value) {
        (Transform::Year, PrimitiveLiteral::Int(year)) => calendar(*year, |year| start_of_month(12 * year), target),
        (Transform::Month, PrimitiveLiteral::Int(month)) => calendar(*month, start_of_month, target),
        (Transform::Day, PrimitiveLiteral::Int(day)) => calendar(*day, |day| day, target),
        (Transform::Hour, PrimitiveLiteral::Int(hour)) => hours(*hour, target),
        (Transform::Truncate(width), value) => truncated(width, value, source, target)?,
        (Transform::Bucket(count), PrimitiveLiteral::Int(number)) if is_exact(source, target) => {
            (None, None, Some(Part::Bucket { count, number: *number }))
        }
        _ => (None, None, None),
    };
    Some(Told { low, high, null: Some(false), part })
}

/// The bucket of a value of a column, where its type in the table is known to have the same.
pub(in crate::tables) fn bucket(value: &ScalarValue, count: u32) -> Option<i32> {
    use ScalarValue as S;
    let datum = match value {
        S::Int32(Some(value)) | S::Date32(Some(value)) => Datum::long(i64::from(*value)),
        S::Int64(Some(value)) | S::Time64Microsecond(Some(value)) | S::TimestampMicrosecond(Some(value), _) => {
            Datum::long(*value)
        }
        S::Decimal128(Some(value), ..) => Datum::binary(shortest(*value)),
        S::Utf8(Some(text)) | S::LargeUtf8(Some(text)) | S::Utf8View(Some(text)) => Datum::string(text),
        S::Binary(Some(bytes)) | S::BinaryView(Some(bytes)) | S::FixedSizeBinary(_, Some(bytes)) => {
            Datum::binary(bytes.iter().copied())
        }
        _ => return None,
    };
    let bucket = create_transform_function(&Transform::Bucket(count)).ok()?.transform_literal(&datum).ok()??;
    match bucket.literal() {
        PrimitiveLiteral::Int(number) => Some(*number),
        _ => None,
    }
}

/// A number in as few bytes as hold it, the first with the sign.
fn shortest(value: i128) -> impl Iterator<Item = u8> {
    let bits = i128::BITS - (if value < 0 { !value } else { value }).leading_zeros();
    value.to_be_bytes().into_iter().skip(15 - bits as usize / 8)
}

/// Whether the bucket of a value as it is read is the bucket of the value as it was written.
fn is_exact(source: &PrimitiveType, target: &DataType) -> bool {
    use PrimitiveType as T;
    match (source, target) {
        (T::Int | T::Long, DataType::Int32 | DataType::Int64) => true,
        (T::Date, DataType::Date32) | (T::Time, DataType::Time64(TimeUnit::Microsecond)) => true,
        // Not nanoseconds: writers differ in whether they are cut to microseconds, rounded, or taken as they are.
        (T::Timestamp | T::Timestamptz, DataType::Timestamp(TimeUnit::Microsecond, _)) => true,
        (T::Decimal { scale, .. }, DataType::Decimal128(_, target)) => i64::from(*scale) == i64::from(*target),
        (T::String, DataType::Utf8 | DataType::Utf8View) => true,
        (T::Binary, DataType::BinaryView) | (T::Fixed(_) | T::Uuid, DataType::FixedSizeBinary(_)) => true,
        _ => false,
    }
}

type Parts = (Option<ScalarValue>, Option<ScalarValue>, Option<Part>);

const DAY: i64 = 86_400_000_000;
const HOUR: i64 = 3_600_000_000;

/// The first unit of time that rows of partition `unit` may be of. Old writers rounded times before 1970 up, and wrote the
/// unit after the true one.
fn earliest(unit: i32) -> i64 {
    if unit <= 0 { i64::from(unit) - 1 } else { i64::from(unit) }
}

/// Bounds of a unit of whole days; `day_of` is the first day of a unit.
fn calendar(unit: i32, day_of: impl Fn(i64) -> i64, target: &DataType) -> Parts {
    let (first, next) = (day_of(earliest(unit)), day_of(i64::from(unit) + 1));
    match target {
        DataType::Date32 => {
            let date = |day: i64| i32::try_from(day).ok().map(|day| ScalarValue::Date32(Some(day)));
            (date(first), date(next - 1), None)
        }
        _ => (instant(first.checked_mul(DAY), target), instant(next.checked_mul(DAY), target), None),
    }
}

fn hours(hour: i32, target: &DataType) -> Parts {
    let (first, next) = (earliest(hour) * HOUR, (i64::from(hour) + 1) * HOUR);
    (instant(Some(first), target), instant(Some(next), target), None)
}

/// A bound of timestamps. The upper one is the first of the next unit: a writer may have rounded nanoseconds up to it.
fn instant(micros: Option<i64>, target: &DataType) -> Option<ScalarValue> {
    match target {
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            Some(ScalarValue::TimestampMicrosecond(Some(micros?), zone.clone()))
        }
        DataType::Timestamp(TimeUnit::Nanosecond, zone) => {
            Some(ScalarValue::TimestampNanosecond(Some(micros?.checked_mul(1000)?), zone.clone()))
        }
        _ => None,
    }
}

/// The first day, since 1970, of a month since 1970.
fn start_of_month(month: i64) -> i64 {
    // Years that begin in March: the leap day is their last.
    let month = month + 1970 * 12 - 2;
    let (year, of_year) = (month.div_euclid(12), month.rem_euclid(12));
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leap_days + (of_year * 153 + 2) / 5 - 719_468
}

fn truncated(width: u32, value: &PrimitiveLiteral, source: &PrimitiveType, target: &DataType) -> Option<Parts> {
    let last = i128::from(width).checked_sub(1)?;
    Some(match (value, source) {
        (PrimitiveLiteral::Int(first), PrimitiveType::Int | PrimitiveType::Long) => {
            integers(i128::from(*first), last, target)
        }
        (PrimitiveLiteral::Long(first), PrimitiveType::Int | PrimitiveType::Long) => {
            integers(i128::from(*first), last, target)
        }
        (PrimitiveLiteral::Int128(first), PrimitiveType::Decimal { scale, .. }) => {
            let DataType::Decimal128(precision, target) = target else { return None };
            if i64::from(*scale) != i64::from(*target) {
                return None;
            }
            let decimal = |value: i128| ScalarValue::Decimal128(Some(value), *precision, *target);
            (Some(decimal(*first)), first.checked_add(last).map(decimal), None)
        }
        (PrimitiveLiteral::String(prefix), PrimitiveType::String) => {
            let text = |text: String| ScalarValue::Utf8View(Some(text));
            // In whatever unit a writer counts: a text of so few bytes was not cut.
            let whole = prefix.len() < usize::try_from(width).ok()?;
            let high = if whole { Some(prefix.clone()) } else { after(prefix) };
            (Some(text(prefix.clone())), high.map(text), Some(Part::Prefix(prefix.clone())))
        }
        (PrimitiveLiteral::Binary(prefix), PrimitiveType::Binary) => {
            (Some(ScalarValue::BinaryView(Some(prefix.clone()))), None, None)
        }
        _ => return None,
    })
}

fn integers(first: i128, last: i128, target: &DataType) -> Parts {
    let integer = |value: i128| match target {
        DataType::Int32 => i32::try_from(value).ok().map(ScalarValue::from),
        DataType::Int64 => i64::try_from(value).ok().map(ScalarValue::from),
        _ => None,
    };
    (integer(first), integer(first + last), None)
}

/// A text that is after every text that begins with `prefix`, if there is one.
fn after(prefix: &str) -> Option<String> {
    let mut characters: Vec<char> = prefix.chars().collect();
    while let Some(last) = characters.pop() {
        let next = (u32::from(last) + 1..=u32::from(char::MAX)).find_map(char::from_u32);
        if let Some(next) = next {
            characters.push(next);
            return Some(characters.into_iter().collect());
        }
    }
    None
}

impl Told {
    /// Adds what is told to what the file's own statistics say.
    pub(super) fn tighten(self, rows: u64, bounds: &mut Bounds) {
        use std::cmp::Ordering::{Greater, Less};
        bounds.nulls = bounds.nulls.or(self.null.map(|all| if all { rows } else { 0 }));
        let mut closer = |bound: &mut Option<ScalarValue>, told: Option<ScalarValue>, side| {
            let Some(told) = told else { return };
            if bound.as_ref().is_none_or(|known| order(&told, known) == Some(side)) {
                *bound = Some(told);
                bounds.exact = false;
            }
        };
        closer(&mut bounds.low, self.low, Greater);
        closer(&mut bounds.high, self.high, Less);
    }
}

#[cfg(test)]
mod tests;
