//! What `GetTables` says of a column: the protocol's `ARROW:FLIGHT:SQL:*` metadata. In schemas of results there is none:
//! the JDBC driver would take the remarks for the column's label.

use std::collections::HashMap;

use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use portcullis_gateway::VisibleTable;

use super::CATALOG;

/// A type's name in SQL, with what clients call its precision and scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SqlType {
    /// As it is written in SQL, and as `GetXdbcTypeInfo` lists it.
    pub(super) name: &'static str,
    /// Digits or characters, where the type bounds them.
    pub(super) precision: Option<i32>,
    /// Digits after the point.
    pub(super) scale: Option<i32>,
}

/// The SQL type that an Arrow type on the wire stands for.
pub(super) fn sql_type(data_type: &DataType) -> SqlType {
    let (name, precision, scale) = match data_type {
        DataType::Null => ("NULL", None, None),
        DataType::Boolean => ("BOOLEAN", Some(1), None),
        DataType::Int8 | DataType::UInt8 => ("TINYINT", Some(3), Some(0)),
        DataType::Int16 | DataType::UInt16 => ("SMALLINT", Some(5), Some(0)),
        DataType::Int32 | DataType::UInt32 => ("INTEGER", Some(10), Some(0)),
        DataType::Int64 | DataType::UInt64 => ("BIGINT", Some(19), Some(0)),
        DataType::Float16 | DataType::Float32 => ("REAL", Some(7), None),
        DataType::Float64 => ("DOUBLE", Some(15), None),
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => ("DECIMAL", Some(i32::from(*precision)), Some(i32::from(*scale))),
        DataType::Date32 | DataType::Date64 => ("DATE", Some(10), Some(0)),
        DataType::Time32(unit) | DataType::Time64(unit) => ("TIME", Some(with_fraction(8, *unit)), Some(digits(*unit))),
        DataType::Timestamp(unit, None) => ("TIMESTAMP", Some(with_fraction(19, *unit)), Some(digits(*unit))),
        DataType::Timestamp(unit, Some(_)) => {
            ("TIMESTAMP WITH TIME ZONE", Some(with_fraction(25, *unit)), Some(digits(*unit)))
        }
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => ("VARCHAR", None, None),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => ("VARBINARY", None, None),
        DataType::FixedSizeBinary(size) => ("BINARY", Some(*size), None),
        DataType::List(_)
        | DataType::LargeList(_)
        | DataType::FixedSizeList(_, _)
        | DataType::ListView(_)
        | DataType::LargeListView(_) => ("ARRAY", None, None),
        DataType::Map(_, _) => ("MAP", None, None),
        DataType::Struct(_) => ("STRUCT", None, None),
        DataType::Interval(_) | DataType::Duration(_) => ("INTERVAL", None, None),
        DataType::Dictionary(_, values) => return sql_type(values),
        DataType::RunEndEncoded(_, values) => return sql_type(values.data_type()),
        DataType::Union(_, _) => ("UNION", None, None),
    };
    SqlType { name, precision, scale }
}

/// The schema of a table, its columns described.
pub(super) fn describe(table: &VisibleTable) -> Schema {
    let column = |field: &std::sync::Arc<Field>| {
        let remarks = table.column_remarks.get(field.name());
        field.as_ref().clone().with_metadata(metadata(table, field, remarks.map(String::as_str)))
    };
    Schema::new(table.schema.fields().iter().map(column).collect::<Vec<_>>())
}

fn metadata(table: &VisibleTable, field: &Field, remarks: Option<&str>) -> HashMap<String, String> {
    let of = sql_type(field.data_type());
    let text = matches!(of.name, "VARCHAR");
    let mut entries = vec![
        ("CATALOG_NAME", CATALOG.to_owned()),
        ("SCHEMA_NAME", table.domain.clone()),
        ("TABLE_NAME", table.table.clone()),
        ("TYPE_NAME", of.name.to_owned()),
        ("IS_AUTO_INCREMENT", "0".to_owned()),
        ("IS_CASE_SENSITIVE", if text { "1" } else { "0" }.to_owned()),
        ("IS_READ_ONLY", "1".to_owned()),
        ("IS_SEARCHABLE", "1".to_owned()),
    ];
    entries.extend(of.precision.map(|precision| ("PRECISION", precision.to_string())));
    entries.extend(of.scale.map(|scale| ("SCALE", scale.to_string())));
    entries.extend(remarks.map(|remarks| ("REMARKS", remarks.to_owned())));
    entries.into_iter().map(|(key, value)| (format!("ARROW:FLIGHT:SQL:{key}"), value)).collect()
}

fn digits(unit: TimeUnit) -> i32 {
    match unit {
        TimeUnit::Second => 0,
        TimeUnit::Millisecond => 3,
        TimeUnit::Microsecond => 6,
        TimeUnit::Nanosecond => 9,
    }
}

fn with_fraction(length: i32, unit: TimeUnit) -> i32 {
    match digits(unit) {
        0 => length,
        digits => length + 1 + digits,
    }
}
