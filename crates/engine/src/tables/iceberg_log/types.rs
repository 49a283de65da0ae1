//! Iceberg's types and values in Arrow's terms.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::array::StructArray;
use datafusion::arrow::datatypes::{DataType, Field, Fields, TimeUnit};
use datafusion::common::ScalarValue;
use iceberg::spec::{Literal, NestedFieldRef, PrimitiveLiteral, PrimitiveType, StructType, Type};
use portcullis_contract::MetadataColumn;
use serde_json::Value;

use super::opaque::{Opaque, UNKNOWN};
use crate::tables::bind::TableField;

/// Names of fields in data files without field ids, by id.
pub(super) type NameMapping = HashMap<i32, Vec<String>>;

/// What is known of a table's fields beside their schema.
pub(super) struct Names<'a> {
    /// Names in files without ids, where the table says so.
    pub(super) mapping: Option<&'a NameMapping>,
    /// Types that the library does not know.
    pub(super) opaque: &'a Opaque,
}

impl Names<'_> {
    /// The fields of a schema.
    pub(super) fn fields(&self, schema: &StructType) -> Vec<TableField> {
        schema.fields().iter().map(|field| self.field(field)).collect()
    }

    fn field(&self, field: &NestedFieldRef) -> TableField {
        let children = match field.field_type.as_ref() {
            Type::Struct(inner) => self.fields(inner),
            Type::List(list) => vec![self.field(&list.element_field)],
            Type::Map(map) => vec![self.field(&map.key_field), self.field(&map.value_field)],
            _ => Vec::new(),
        };
        let physical = match self.mapping {
            Some(mapping) => mapping.get(&field.id).cloned().unwrap_or_default(),
            None => vec![field.name.clone()],
        };
        // Under the same id, a later schema may have a type that is known.
        let stands_in = *field.field_type == Type::Primitive(PrimitiveType::Binary);
        let opaque = self.opaque.get(&field.id).filter(|_| stands_in);
        TableField {
            name: field.name.clone(),
            physical,
            id: Some(field.id),
            data_type: if opaque.is_some() { DataType::Null } else { arrow_type(&field.field_type) },
            children,
            default: initial_default(field),
            unread: opaque.filter(|name| *name != UNKNOWN).cloned(),
        }
    }
}

/// A metadata column: where files have values of it, they are known by its id.
pub(super) fn metadata_field(of: MetadataColumn) -> TableField {
    let data_type = portcullis_govern::schema::arrow_type(&of.data_type());
    let name = of.name().to_owned();
    TableField {
        name,
        physical: Vec::new(),
        id: Some(of.id()),
        data_type,
        children: Vec::new(),
        default: None,
        unread: None,
    }
}

/// The value of a field in files that are older than it. Of a struct, which can only be empty, the fields have their own.
pub(super) fn initial_default(field: &NestedFieldRef) -> Option<ScalarValue> {
    match (field.initial_default.as_ref()?, field.field_type.as_ref()) {
        (value, Type::Primitive(kind)) => scalar(value, kind),
        (Literal::Struct(_), Type::Struct(_)) => {
            Some(ScalarValue::Struct(Arc::new(StructArray::new_empty_fields(1, None))))
        }
        _ => None,
    }
}

/// The type that columns of this type are read as. Of nested types, only the kind counts.
pub(super) fn arrow_type(data_type: &Type) -> DataType {
    let utc = || Some("+00:00".into());
    match data_type {
        Type::Primitive(primitive) => match primitive {
            PrimitiveType::Boolean => DataType::Boolean,
            PrimitiveType::Int => DataType::Int32,
            PrimitiveType::Long => DataType::Int64,
            PrimitiveType::Float => DataType::Float32,
            PrimitiveType::Double => DataType::Float64,
            PrimitiveType::Decimal { precision, scale } => DataType::Decimal128(
                u8::try_from(*precision).unwrap_or(u8::MAX),
                i8::try_from(*scale).unwrap_or(i8::MAX),
            ),
            PrimitiveType::Date => DataType::Date32,
            PrimitiveType::Time => DataType::Time64(TimeUnit::Microsecond),
            PrimitiveType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
            PrimitiveType::Timestamptz => DataType::Timestamp(TimeUnit::Microsecond, utc()),
            PrimitiveType::TimestampNs => DataType::Timestamp(TimeUnit::Nanosecond, None),
            PrimitiveType::TimestamptzNs => DataType::Timestamp(TimeUnit::Nanosecond, utc()),
            PrimitiveType::String => DataType::Utf8View,
            PrimitiveType::Uuid => DataType::FixedSizeBinary(16),
            PrimitiveType::Fixed(width) => DataType::FixedSizeBinary(i32::try_from(*width).unwrap_or(i32::MAX)),
            PrimitiveType::Binary => DataType::BinaryView,
        },
        Type::Struct(_) => DataType::Struct(Fields::empty()),
        Type::List(_) => DataType::List(Arc::new(Field::new("element", DataType::Null, true))),
        Type::Map(_) => DataType::Map(Arc::new(Field::new("entries", DataType::Null, false)), false),
        #[allow(unreachable_patterns)]
        _ => DataType::Null,
    }
}

/// A value of a primitive type.
pub(super) fn scalar(value: &Literal, kind: &PrimitiveType) -> Option<ScalarValue> {
    match value {
        Literal::Primitive(value) => primitive(value, kind),
        _ => None,
    }
}

/// A value of a primitive type.
pub(super) fn primitive(value: &PrimitiveLiteral, kind: &PrimitiveType) -> Option<ScalarValue> {
    use PrimitiveLiteral as L;
    use PrimitiveType as T;
    let utc = || Some("+00:00".into());
    Some(match (value, kind) {
        (L::Boolean(value), T::Boolean) => ScalarValue::Boolean(Some(*value)),
        (L::Int(value), T::Int) => ScalarValue::Int32(Some(*value)),
        (L::Int(value), T::Long) => ScalarValue::Int64(Some(i64::from(*value))),
        (L::Long(value), T::Long) => ScalarValue::Int64(Some(*value)),
        (L::Float(value), T::Float) => ScalarValue::Float32(Some(value.0)),
        (L::Float(value), T::Double) => ScalarValue::Float64(Some(f64::from(value.0))),
        (L::Double(value), T::Double) => ScalarValue::Float64(Some(value.0)),
        (L::Int(value), T::Date) => ScalarValue::Date32(Some(*value)),
        (L::Long(value), T::Time) => ScalarValue::Time64Microsecond(Some(*value)),
        (L::Long(value), T::Timestamp) => ScalarValue::TimestampMicrosecond(Some(*value), None),
        (L::Long(value), T::Timestamptz) => ScalarValue::TimestampMicrosecond(Some(*value), utc()),
        (L::Long(value), T::TimestampNs) => ScalarValue::TimestampNanosecond(Some(*value), None),
        (L::Long(value), T::TimestamptzNs) => ScalarValue::TimestampNanosecond(Some(*value), utc()),
        (L::Int128(value), T::Decimal { precision, scale }) => {
            ScalarValue::Decimal128(Some(*value), u8::try_from(*precision).ok()?, i8::try_from(*scale).ok()?)
        }
        (L::String(value), T::String) => ScalarValue::Utf8View(Some(value.clone())),
        (L::Binary(value), T::Binary) => ScalarValue::BinaryView(Some(value.clone())),
        (L::Binary(value), T::Fixed(width)) if u64::try_from(value.len()).is_ok_and(|length| length == *width) => {
            ScalarValue::FixedSizeBinary(i32::try_from(*width).ok()?, Some(value.clone()))
        }
        (L::UInt128(value), T::Uuid) => ScalarValue::FixedSizeBinary(16, Some(value.to_be_bytes().to_vec())),
        _ => return None,
    })
}

/// The table property `schema.name-mapping.default`.
pub(super) fn name_mapping(property: &str) -> Option<NameMapping> {
    fn collect(fields: &Value, mapping: &mut NameMapping) {
        for field in fields.as_array().into_iter().flatten() {
            if let Some(id) = field.get("field-id").and_then(Value::as_i64).and_then(|id| i32::try_from(id).ok()) {
                let names = field.get("names").and_then(Value::as_array).into_iter().flatten();
                mapping.insert(id, names.filter_map(|name| name.as_str().map(str::to_owned)).collect());
            }
            if let Some(inner) = field.get("fields") {
                collect(inner, mapping);
            }
        }
    }
    let parsed: Value = serde_json::from_str(property).ok()?;
    let mut mapping = NameMapping::new();
    collect(&parsed, &mut mapping);
    Some(mapping)
}
