//! `bucket`: the leading digit of a number, the month of a day, the hour of a time.

use std::sync::LazyLock;

use datafusion::arrow::array::{Array, ArrayRef};
use datafusion::arrow::datatypes::{
    DataType, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    Time32MillisecondType, Time32SecondType, Time64MicrosecondType, Time64NanosecondType, TimeUnit, UInt8Type,
    UInt16Type, UInt32Type, UInt64Type,
};

use super::calendar::{month_start, ticks_per_day};
use super::partial::{days, map_valid};

pub(super) fn bucket(column: &ArrayRef) -> Option<ArrayRef> {
    let hour = |unit| ticks_per_day(unit) / 24;
    let hour32 = |unit| i32::try_from(ticks_per_day(unit) / 24).unwrap_or(1);
    Some(match column.data_type() {
        DataType::Int8 => map_valid::<Int8Type>(column, |v| signed(v.into()).try_into().unwrap_or(0)),
        DataType::Int16 => map_valid::<Int16Type>(column, |v| signed(v.into()).try_into().unwrap_or(0)),
        DataType::Int32 => map_valid::<Int32Type>(column, |v| signed(v.into()).try_into().unwrap_or(0)),
        DataType::Int64 => map_valid::<Int64Type>(column, signed),
        DataType::UInt8 => map_valid::<UInt8Type>(column, |v| leading(v.into()).try_into().unwrap_or(0)),
        DataType::UInt16 => map_valid::<UInt16Type>(column, |v| leading(v.into()).try_into().unwrap_or(0)),
        DataType::UInt32 => map_valid::<UInt32Type>(column, |v| leading(v.into()).try_into().unwrap_or(0)),
        DataType::UInt64 => map_valid::<UInt64Type>(column, leading),
        DataType::Float32 => map_valid::<Float32Type>(column, |v| float(v.into()) as f32),
        DataType::Float64 => map_valid::<Float64Type>(column, float),
        DataType::Decimal128(_, scale) => {
            let scale = *scale;
            map_valid::<Decimal128Type>(column, move |v| decimal(v, scale))
        }
        DataType::Time32(unit @ TimeUnit::Second) => map_valid::<Time32SecondType>(column, floor32(hour32(*unit))),
        DataType::Time32(unit) => map_valid::<Time32MillisecondType>(column, floor32(hour32(*unit))),
        DataType::Time64(unit @ TimeUnit::Nanosecond) => {
            map_valid::<Time64NanosecondType>(column, floor64(hour(*unit)))
        }
        DataType::Time64(unit) => map_valid::<Time64MicrosecondType>(column, floor64(hour(*unit))),
        _ => return days(column, month_start),
    })
}

fn floor32(step: i32) -> impl Fn(i32) -> i32 {
    move |value| value.saturating_sub(value.rem_euclid(step))
}

fn floor64(step: i64) -> impl Fn(i64) -> i64 {
    move |value| value.saturating_sub(value.rem_euclid(step))
}

fn leading(value: u64) -> u64 {
    let unit = value.checked_ilog10().map_or(1, |digits| 10_u64.pow(digits));
    value - value % unit
}

fn signed(value: i64) -> i64 {
    let kept = i128::from(leading(value.unsigned_abs()));
    i64::try_from(if value < 0 { -kept } else { kept }).unwrap_or(0)
}

/// The leading digit of the whole part: 1234.56 → 1000.00, 0.56 → 0.
fn decimal(unscaled: i128, scale: i8) -> i128 {
    let magnitude = unscaled.unsigned_abs();
    // Below one, or (of a negative scale) a multiple of a power of ten: the same rule on the digits there are.
    let whole = u32::try_from(scale).map_or(Some(1), |scale| 10_u128.checked_pow(scale));
    let kept = match (whole, magnitude.checked_ilog10()) {
        (Some(whole), Some(digits)) if magnitude >= whole => {
            let unit = 10_u128.pow(digits);
            magnitude - magnitude % unit
        }
        _ => 0,
    };
    match i128::try_from(kept) {
        Ok(kept) if unscaled < 0 => -kept,
        Ok(kept) => kept,
        Err(_) => 0,
    }
}

/// Powers of ten as exact as a double has them.
static POWERS: LazyLock<Vec<f64>> =
    LazyLock::new(|| (0..=308).map(|power| format!("1e{power}").parse().unwrap_or(f64::INFINITY)).collect());

/// The leading digit of the whole part; NaN and infinities, which are not values of anybody, stay.
fn float(value: f64) -> f64 {
    let magnitude = value.abs();
    if !magnitude.is_finite() {
        return value;
    }
    let power = POWERS.partition_point(|power| *power <= magnitude);
    let Some(unit) = power.checked_sub(1).and_then(|index| POWERS.get(index)) else { return 0.0 };
    ((magnitude / unit).floor().clamp(1.0, 9.0) * unit).copysign(value)
}
