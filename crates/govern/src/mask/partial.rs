//! `partial`: the end of a text, the year of a day.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, GenericStringBuilder, OffsetSizeTrait, PrimitiveArray, StringViewBuilder,
};
use datafusion::arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType,
};

use super::calendar::{ticks_per_day, year_start};

pub(super) fn partial(column: &ArrayRef) -> Option<ArrayRef> {
    Some(match column.data_type() {
        DataType::Utf8View => {
            let mut builder = StringViewBuilder::with_capacity(column.len());
            let mut shown = String::new();
            for value in column.as_string_view() {
                builder.append_option(value.map(|text| ending(text, &mut shown)));
            }
            Arc::new(builder.finish())
        }
        DataType::Utf8 => strings::<i32>(column),
        DataType::LargeUtf8 => strings::<i64>(column),
        _ => return days(column, year_start),
    })
}

fn strings<O: OffsetSizeTrait>(column: &ArrayRef) -> ArrayRef {
    let mut builder = GenericStringBuilder::<O>::with_capacity(column.len(), column.len() * 8);
    let mut shown = String::new();
    for value in column.as_string::<O>() {
        builder.append_option(value.map(|text| ending(text, &mut shown)));
    }
    Arc::new(builder.finish())
}

/// `****`, and the last 4 characters of a text of more than 8.
fn ending<'a>(text: &str, shown: &'a mut String) -> &'a str {
    shown.clear();
    shown.push_str("****");
    if text.chars().nth(8).is_some() {
        let start = text.char_indices().rev().nth(3).map_or(0, |(index, _)| index);
        shown.push_str(text.get(start..).unwrap_or_default());
    }
    shown
}

/// Dates and timestamps with each day moved by `to`; `None` for other types.
pub(super) fn days(column: &ArrayRef, to: fn(i64) -> i64) -> Option<ArrayRef> {
    Some(match column.data_type() {
        DataType::Date32 => {
            let moved = |day: i32| i32::try_from(to(i64::from(day))).unwrap_or(i32::MIN);
            map_valid::<Date32Type>(column, moved)
        }
        DataType::Timestamp(TimeUnit::Second, _) => timestamps::<TimestampSecondType>(column, TimeUnit::Second, to),
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            timestamps::<TimestampMillisecondType>(column, TimeUnit::Millisecond, to)
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            timestamps::<TimestampMicrosecondType>(column, TimeUnit::Microsecond, to)
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            timestamps::<TimestampNanosecondType>(column, TimeUnit::Nanosecond, to)
        }
        _ => return None,
    })
}

fn timestamps<T: ArrowPrimitiveType<Native = i64>>(column: &ArrayRef, unit: TimeUnit, to: fn(i64) -> i64) -> ArrayRef {
    let ticks = ticks_per_day(unit);
    // Seconds have more days than years can be counted in: the end of the scale stands for what lies beyond.
    let farthest = i64::from(i32::MAX) * 400;
    map_valid::<T>(column, |tick| {
        let day = tick.div_euclid(ticks).clamp(-farthest, farthest);
        to(day).saturating_mul(ticks)
    })
}

/// A new array of the same type; slots of NULLs are zero.
pub(super) fn map_valid<T: ArrowPrimitiveType>(column: &ArrayRef, to: impl Fn(T::Native) -> T::Native) -> ArrayRef {
    let mapped: PrimitiveArray<T> = column.as_primitive::<T>().iter().map(|value| value.map(&to)).collect();
    Arc::new(mapped.with_data_type(column.data_type().clone()))
}
