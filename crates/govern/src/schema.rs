//! From a contract's columns to Arrow's: the one place that fixes the types which queries see.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use portcullis_contract::{FieldType, Table};

/// Columns of `table` in the contract's order, all nullable.
///
/// Text is `Utf8View` and bytes are `BinaryView` (what Parquet is decoded to); timestamps are in microseconds or
/// nanoseconds, without a zone or in `+00:00`.
pub fn arrow_schema(table: &Table) -> SchemaRef {
    let fields = table.fields().iter().map(|field| Field::new(&field.name, arrow_type(&field.data_type), true));
    Arc::new(Schema::new(fields.collect::<Fields>()))
}

/// Arrow's type for a contract's type.
pub fn arrow_type(data_type: &FieldType) -> DataType {
    match data_type {
        FieldType::Boolean => DataType::Boolean,
        FieldType::Int => DataType::Int32,
        FieldType::Long => DataType::Int64,
        FieldType::Float => DataType::Float32,
        FieldType::Double => DataType::Float64,
        FieldType::Decimal { precision, scale } => {
            DataType::Decimal128(*precision, i8::try_from(*scale).unwrap_or(i8::MAX))
        }
        FieldType::Date => DataType::Date32,
        FieldType::Time => DataType::Time64(TimeUnit::Microsecond),
        FieldType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
        FieldType::TimestampTz => DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into())),
        FieldType::TimestampNs => DataType::Timestamp(TimeUnit::Nanosecond, None),
        FieldType::TimestampTzNs => DataType::Timestamp(TimeUnit::Nanosecond, Some("+00:00".into())),
        FieldType::String => DataType::Utf8View,
        FieldType::Uuid => DataType::FixedSizeBinary(16),
        FieldType::Fixed(width) => DataType::FixedSizeBinary(i32::try_from(*width).unwrap_or(i32::MAX)),
        FieldType::Binary => DataType::BinaryView,
        FieldType::List(element) => DataType::new_list(arrow_type(element), true),
        FieldType::Map(key, value) => {
            // `map['key']` compares keys with a literal, and the kernel for it has no text views.
            let key = match key.as_ref() {
                FieldType::String => DataType::Utf8,
                other => arrow_type(other),
            };
            let entries =
                Fields::from(vec![Field::new("key", key, false), Field::new("value", arrow_type(value), true)]);
            DataType::Map(Arc::new(Field::new("entries", DataType::Struct(entries), false)), false)
        }
        FieldType::Struct(fields) => {
            let fields = fields.iter().map(|(name, inner)| Field::new(name, arrow_type(inner), true));
            DataType::Struct(fields.collect())
        }
    }
}

/// The name of an Arrow type in SQL, as `information_schema.columns` shows it.
pub fn sql_type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Null => "NULL".into(),
        DataType::Boolean => "BOOLEAN".into(),
        DataType::Int8 => "TINYINT".into(),
        DataType::Int16 => "SMALLINT".into(),
        DataType::Int32 => "INTEGER".into(),
        DataType::Int64 => "BIGINT".into(),
        DataType::UInt8 => "TINYINT UNSIGNED".into(),
        DataType::UInt16 => "SMALLINT UNSIGNED".into(),
        DataType::UInt32 => "INTEGER UNSIGNED".into(),
        DataType::UInt64 => "BIGINT UNSIGNED".into(),
        DataType::Float32 => "REAL".into(),
        DataType::Float64 => "DOUBLE".into(),
        DataType::Decimal128(precision, scale) => format!("DECIMAL({precision}, {scale})"),
        DataType::Date32 => "DATE".into(),
        DataType::Time32(_) | DataType::Time64(_) => "TIME".into(),
        DataType::Timestamp(_, None) => "TIMESTAMP".into(),
        DataType::Timestamp(_, Some(_)) => "TIMESTAMP WITH TIME ZONE".into(),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "VARCHAR".into(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => "VARBINARY".into(),
        DataType::FixedSizeBinary(width) => format!("BINARY({width})"),
        DataType::List(element) => format!("ARRAY<{}>", sql_type_name(element.data_type())),
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(fields) => {
                let parts: Vec<_> = fields.iter().map(|field| sql_type_name(field.data_type())).collect();
                format!("MAP<{}>", parts.join(", "))
            }
            other => sql_type_name(other),
        },
        DataType::Struct(fields) => {
            let parts = fields.iter().map(|field| format!("{} {}", field.name(), sql_type_name(field.data_type())));
            format!("STRUCT<{}>", parts.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

/// The answer to `EXPLAIN`: two columns of text, `plan_type` and `plan`.
pub fn explain_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("plan_type", DataType::Utf8, false),
        Field::new("plan", DataType::Utf8, false),
    ]))
}
