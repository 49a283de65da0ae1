//! The one form of a result's schema. What is announced, what a prepared statement says of itself and what is streamed
//! all pass through here, so a client never sees two schemas for one statement.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;

/// A result's schema as clients get it. Every column may be NULL: whether one can is known to the plan only, and a
/// plan with bound parameters knows more than the one that was described. No column has metadata: the JDBC driver
/// would take remarks for its label.
pub(crate) fn schema(schema: &Schema) -> SchemaRef {
    let column = |field: &FieldRef| Field::new(field.name(), field.data_type().clone(), true);
    Arc::new(Schema::new(schema.fields().iter().map(column).collect::<Vec<_>>()))
}

/// A schema of parameters as clients get it: no string views, which JDBC drivers refuse, and times in milliseconds. The
/// JDBC driver binds milliseconds whatever unit it is told (arrow-java issue 838), so another unit would silently mean
/// another time; clients that bind types of their own may send any unit.
pub(crate) fn parameters(schema: &Schema) -> SchemaRef {
    let parameter = |field: &FieldRef| Field::new(field.name(), plain(field.data_type()), true);
    Arc::new(Schema::new(schema.fields().iter().map(parameter).collect::<Vec<_>>()))
}

/// The batch under a schema that [`schema()`] made of its own.
pub(crate) fn batch(batch: RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), batch.columns().to_vec(), &options)
}

fn plain(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Utf8View => DataType::Utf8,
        DataType::BinaryView => DataType::Binary,
        DataType::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Millisecond, zone.clone()),
        DataType::Time32(_) | DataType::Time64(_) => DataType::Time32(TimeUnit::Millisecond),
        DataType::Dictionary(_, values) => plain(values),
        DataType::List(item) => {
            DataType::List(Arc::new(Field::new(item.name(), plain(item.data_type()), item.is_nullable())))
        }
        other => other.clone(),
    }
}
