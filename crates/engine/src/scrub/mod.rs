//! What leaves is rebuilt: after [`scrub`], every byte of a batch is a function of its visible values.
//!
//! Arrow arrays carry more than they show: bytes below null slots, whole page buffers behind string views, dictionary values of rows
//! that were filtered out, bits after the end of a bitmap. All of it would go over the wire. Here
//! - null slots are zeroed or emptied at every depth, also below a parent that is null;
//! - `Utf8View` and `BinaryView` become `Utf8` and `Binary` with nothing but the values;
//! - dictionaries become plain arrays, list views become lists;
//! - bitmaps end in zeros, and one that says nothing is dropped;
//! - unions and run-end-encoded arrays are refused.
//!
//! Arrays of which a look shows that they hide nothing are handed on as they are. Slices need no copy: Arrow's IPC writer truncates
//! fixed-width buffers and rebases offsets.

mod fit;
mod fixed;
mod nested;
mod validity;
mod variable;
mod wire;

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use datafusion::arrow::buffer::NullBuffer;
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::*;
use datafusion::arrow::error::ArrowError;

pub use wire::{unsupported, wire_schema, wire_type};

/// Rebuilds `batch` in its wire form, whose schema is `schema` ([`wire_schema`] of the batch's own).
///
/// # Errors
/// When the batch has a type that is refused, or does not fit `schema`.
pub fn scrub(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    if batch.num_columns() != schema.fields().len() {
        return Err(ArrowError::SchemaError("a batch has other columns than its result".into()));
    }
    let columns = batch
        .columns()
        .iter()
        .zip(schema.fields())
        .map(|(column, field)| array(column, None, field.is_nullable()))
        .collect::<Result<Vec<_>, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
}

/// The same values in an array of the same type, with nothing else in its buffers, and these no larger than that.
///
/// # Errors
/// When the array has a type that is refused.
pub(crate) fn compact(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    fit::fitted(own(column)?)
}

fn own(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let slots = validity::Slots::of(column, None, true);
    match column.data_type() {
        DataType::Utf8View => return variable::own_views::<StringViewType>(column, &slots),
        DataType::BinaryView => return variable::own_views::<BinaryViewType>(column, &slots),
        _ => {}
    }
    let clean = array(column, None, true)?;
    match clean.data_type() == column.data_type() {
        true => Ok(clean),
        // Views of text that lies one after the other: nothing is copied again.
        false => cast(&clean, column.data_type()),
    }
}

/// `parent`: the slots that are valid as far as the parents say. `nullable`: whether the field may have nulls.
fn array(array: &ArrayRef, parent: Option<&NullBuffer>, nullable: bool) -> Result<ArrayRef, ArrowError> {
    use DataType::*;
    let slots = validity::Slots::of(array, parent, nullable);
    macro_rules! primitive {
        ($t:ty) => {
            Ok(fixed::primitive::<$t>(array, &slots))
        };
    }
    match array.data_type() {
        Null => Ok(Arc::clone(array)),
        Boolean => Ok(fixed::boolean(array, &slots)),
        Int8 => primitive!(Int8Type),
        Int16 => primitive!(Int16Type),
        Int32 => primitive!(Int32Type),
        Int64 => primitive!(Int64Type),
        UInt8 => primitive!(UInt8Type),
        UInt16 => primitive!(UInt16Type),
        UInt32 => primitive!(UInt32Type),
        UInt64 => primitive!(UInt64Type),
        Float16 => primitive!(Float16Type),
        Float32 => primitive!(Float32Type),
        Float64 => primitive!(Float64Type),
        Date32 => primitive!(Date32Type),
        Date64 => primitive!(Date64Type),
        Time32(TimeUnit::Second) => primitive!(Time32SecondType),
        Time32(_) => primitive!(Time32MillisecondType),
        Time64(TimeUnit::Microsecond) => primitive!(Time64MicrosecondType),
        Time64(_) => primitive!(Time64NanosecondType),
        Timestamp(TimeUnit::Second, _) => primitive!(TimestampSecondType),
        Timestamp(TimeUnit::Millisecond, _) => primitive!(TimestampMillisecondType),
        Timestamp(TimeUnit::Microsecond, _) => primitive!(TimestampMicrosecondType),
        Timestamp(TimeUnit::Nanosecond, _) => primitive!(TimestampNanosecondType),
        Duration(TimeUnit::Second) => primitive!(DurationSecondType),
        Duration(TimeUnit::Millisecond) => primitive!(DurationMillisecondType),
        Duration(TimeUnit::Microsecond) => primitive!(DurationMicrosecondType),
        Duration(TimeUnit::Nanosecond) => primitive!(DurationNanosecondType),
        Interval(IntervalUnit::YearMonth) => primitive!(IntervalYearMonthType),
        Interval(IntervalUnit::DayTime) => primitive!(IntervalDayTimeType),
        Interval(IntervalUnit::MonthDayNano) => primitive!(IntervalMonthDayNanoType),
        Decimal32(_, _) => primitive!(Decimal32Type),
        Decimal64(_, _) => primitive!(Decimal64Type),
        Decimal128(_, _) => primitive!(Decimal128Type),
        Decimal256(_, _) => primitive!(Decimal256Type),
        FixedSizeBinary(width) => fixed::binary(array, *width, &slots),
        Utf8 => variable::bytes::<Utf8Type>(array, &slots),
        LargeUtf8 => variable::bytes::<LargeUtf8Type>(array, &slots),
        Binary => variable::bytes::<BinaryType>(array, &slots),
        LargeBinary => variable::bytes::<LargeBinaryType>(array, &slots),
        Utf8View => variable::views::<StringViewType, Utf8Type>(array, &slots),
        BinaryView => variable::views::<BinaryViewType, BinaryType>(array, &slots),
        Struct(fields) => nested::structure(array, fields, &slots),
        List(field) => nested::list::<i32>(array, field, &slots),
        LargeList(field) => nested::list::<i64>(array, field, &slots),
        FixedSizeList(field, size) => nested::fixed_size_list(array, field, *size, &slots),
        Map(field, sorted) => nested::map(array, field, *sorted, &slots),
        Dictionary(_, values) => self::array(&cast(array, values)?, parent, nullable),
        ListView(field) => self::array(&cast(array, &List(Arc::clone(field)))?, parent, nullable),
        LargeListView(field) => self::array(&cast(array, &LargeList(Arc::clone(field)))?, parent, nullable),
        other => Err(refused(other)),
    }
}

fn refused(data_type: &DataType) -> ArrowError {
    ArrowError::NotYetImplemented(format!("values of type {data_type} are not sent"))
}

#[cfg(test)]
mod tests;
