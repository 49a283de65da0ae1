//! Delta's types, partition values and statistics in Arrow's terms.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType as Arrow, Field, Fields, TimeUnit};
use datafusion::common::ScalarValue;
use deltalake::kernel::{ColumnMetadataKey, DataType, MetadataValue, PrimitiveType, StructField, StructType};
use serde_json::Value;

use super::ColumnMapping;
use crate::tables::bind::TableField;
use crate::tables::plan::Bounds;

/// The fields of a schema.
pub(super) fn fields(schema: &StructType, mapping: ColumnMapping) -> Vec<TableField> {
    schema.fields().map(|field| table_field(field, mapping)).collect()
}

fn table_field(field: &StructField, mapping: ColumnMapping) -> TableField {
    let mapped = match field.get_config_value(&ColumnMetadataKey::ColumnMappingPhysicalName) {
        Some(MetadataValue::String(name)) if mapping != ColumnMapping::None => name.clone(),
        _ => field.name().clone(),
    };
    let id = (mapping == ColumnMapping::Id).then(|| field.column_mapping_id()).flatten();
    TableField {
        name: field.name().clone(),
        physical: vec![mapped],
        id: id.and_then(|id| i32::try_from(id).ok()),
        data_type: arrow_type(field.data_type()),
        children: children(field.data_type(), mapping),
        default: None,
        unread: unread(field.data_type()),
    }
}

/// The name of a type that cannot be read.
fn unread(data_type: &DataType) -> Option<String> {
    match data_type {
        DataType::Variant(_) => Some("variant".to_owned()),
        DataType::Primitive(PrimitiveType::Void) => None,
        DataType::Primitive(primitive) if arrow_type(data_type) == Arrow::Null => Some(primitive.to_string()),
        _ => None,
    }
}

fn children(data_type: &DataType, mapping: ColumnMapping) -> Vec<TableField> {
    let inner = |name: &str, data_type: &DataType| TableField {
        name: name.to_owned(),
        physical: vec![name.to_owned()],
        id: None,
        data_type: arrow_type(data_type),
        children: children(data_type, mapping),
        default: None,
        unread: unread(data_type),
    };
    match data_type {
        DataType::Struct(fields_of) => fields(fields_of, mapping),
        DataType::Array(array) => vec![inner("element", array.element_type())],
        DataType::Map(map) => vec![inner("key", map.key_type()), inner("value", map.value_type())],
        _ => Vec::new(),
    }
}

fn arrow_type(data_type: &DataType) -> Arrow {
    match data_type {
        DataType::Primitive(primitive) => match primitive {
            PrimitiveType::String => Arrow::Utf8View,
            PrimitiveType::Long => Arrow::Int64,
            PrimitiveType::Integer => Arrow::Int32,
            PrimitiveType::Short => Arrow::Int16,
            PrimitiveType::Byte => Arrow::Int8,
            PrimitiveType::Float => Arrow::Float32,
            PrimitiveType::Double => Arrow::Float64,
            PrimitiveType::Boolean => Arrow::Boolean,
            PrimitiveType::Binary => Arrow::BinaryView,
            PrimitiveType::Date => Arrow::Date32,
            PrimitiveType::Timestamp => Arrow::Timestamp(TimeUnit::Microsecond, Some("+00:00".into())),
            PrimitiveType::TimestampNtz => Arrow::Timestamp(TimeUnit::Microsecond, None),
            PrimitiveType::Decimal(decimal) => {
                Arrow::Decimal128(decimal.precision(), i8::try_from(decimal.scale()).unwrap_or(i8::MAX))
            }
            _ => Arrow::Null,
        },
        DataType::Struct(_) => Arrow::Struct(Fields::empty()),
        DataType::Array(_) => Arrow::List(Arc::new(Field::new("element", Arrow::Null, true))),
        DataType::Map(_) => Arrow::Map(Arc::new(Field::new("entries", Arrow::Null, false)), false),
        DataType::Variant(_) => Arrow::Null,
    }
}

/// A partition value, as the log writes it.
pub(super) fn partition_value(text: Option<&str>, target: &Arrow) -> Option<ScalarValue> {
    match text {
        None | Some("") => ScalarValue::try_new_null(target).ok(),
        Some(text) => match target {
            Arrow::BinaryView => Some(ScalarValue::BinaryView(Some(text.as_bytes().to_vec()))),
            Arrow::Utf8View => Some(ScalarValue::Utf8View(Some(text.to_owned()))),
            _ => ScalarValue::try_from_string(text.to_owned(), target).ok().filter(|value| !value.is_null()),
        },
    }
}

/// What the statistics of a file say about the column whose physical name is `name`.
pub(super) fn bounds(stats: &Value, name: &str, target: &Arrow) -> Bounds {
    let part = |key: &str| stats.get(key).and_then(|values| values.get(name));
    let tight = stats.get("tightBounds").and_then(Value::as_bool).unwrap_or(true);
    Bounds {
        low: part("minValues").and_then(|value| bound(value, target, Side::Low)),
        high: part("maxValues").and_then(|value| bound(value, target, Side::High)),
        exact: tight && (target.is_integer() || *target == Arrow::Date32),
        nulls: part("nullCount").and_then(Value::as_u64),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Low,
    High,
}

/// A bound that holds, however the writer rounded it. Floats have none: NaN is not within their bounds.
fn bound(value: &Value, target: &Arrow, side: Side) -> Option<ScalarValue> {
    match target {
        Arrow::Int32 => value.as_i64().and_then(|value| i32::try_from(value).ok()).map(ScalarValue::from),
        Arrow::Int64 => value.as_i64().map(ScalarValue::from),
        Arrow::Boolean => value.as_bool().map(ScalarValue::from),
        Arrow::Utf8View => value.as_str().map(|text| ScalarValue::Utf8View(Some(text.to_owned()))),
        Arrow::Date32 => ScalarValue::try_from_string(value.as_str()?.to_owned(), target).ok(),
        Arrow::Timestamp(TimeUnit::Microsecond, _) => {
            // Writers cut off what is below milliseconds.
            let parsed = ScalarValue::try_from_string(value.as_str()?.to_owned(), target).ok()?;
            match parsed {
                ScalarValue::TimestampMicrosecond(Some(micros), zone) => {
                    let micros = if side == Side::High { micros.checked_add(1000)? } else { micros };
                    Some(ScalarValue::TimestampMicrosecond(Some(micros), zone))
                }
                _ => None,
            }
        }
        Arrow::Decimal128(precision, scale) => decimal(value, *precision, *scale, side),
        _ => None,
    }
}

/// A decimal from a JSON number, which may have been rounded to a float: widened by what that can have lost.
fn decimal(value: &Value, precision: u8, scale: i8, side: Side) -> Option<ScalarValue> {
    let factor = 10i128.checked_pow(u32::try_from(scale).ok()?)?;
    let unscaled = match value.as_i64() {
        Some(whole) => i128::from(whole).checked_mul(factor)?,
        None => {
            let float = match value {
                Value::String(text) => text.parse::<f64>().ok()?,
                other => other.as_f64()?,
            };
            let scaled = float * 10f64.powi(i32::from(scale));
            if !scaled.is_finite() || scaled.abs() > 1e38 {
                return None;
            }
            let slack = scaled.abs() * 1e-15 + 1.0;
            let widened = if side == Side::Low { (scaled - slack).floor() } else { (scaled + slack).ceil() };
            widened as i128
        }
    };
    Some(ScalarValue::Decimal128(Some(unscaled), precision, scale))
}
