//! The types that results have on the wire.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};

/// The schema in which batches of `schema` leave: exactly that of every batch that [`super::scrub`] returns.
///
/// Text is `Utf8`, binary `Binary`, dictionaries are plain, list views are lists, at every depth. Everything else, names,
/// nullability and metadata included, stays.
pub fn wire_schema(schema: &Schema) -> SchemaRef {
    let fields = schema.fields().iter().map(wire_field).collect::<Vec<_>>();
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}

/// The type in which values of `data_type` leave.
pub fn wire_type(data_type: &DataType) -> DataType {
    use DataType::*;
    match data_type {
        Utf8View => Utf8,
        BinaryView => Binary,
        Dictionary(_, values) => wire_type(values),
        Struct(fields) => Struct(fields.iter().map(wire_field).collect()),
        List(field) | ListView(field) => List(wire_field(field)),
        LargeList(field) | LargeListView(field) => LargeList(wire_field(field)),
        FixedSizeList(field, size) => FixedSizeList(wire_field(field), *size),
        Map(field, sorted) => Map(wire_field(field), *sorted),
        other => other.clone(),
    }
}

/// The first column of `schema` that holds, at any depth, values that are refused.
pub fn unsupported(schema: &Schema) -> Option<&Field> {
    schema.fields().iter().find(|field| is_refused(field.data_type())).map(AsRef::as_ref)
}

fn is_refused(data_type: &DataType) -> bool {
    use DataType::*;
    match data_type {
        Union(_, _) | RunEndEncoded(_, _) => true,
        Dictionary(_, values) => is_refused(values),
        Struct(fields) => fields.iter().any(|field| is_refused(field.data_type())),
        List(field)
        | ListView(field)
        | LargeList(field)
        | LargeListView(field)
        | FixedSizeList(field, _)
        | Map(field, _) => is_refused(field.data_type()),
        _ => false,
    }
}

fn wire_field(field: &FieldRef) -> FieldRef {
    retyped(field, &wire_type(field.data_type()))
}

/// The field with another type.
pub(super) fn retyped(field: &FieldRef, data_type: &DataType) -> FieldRef {
    match field.data_type() == data_type {
        true => Arc::clone(field),
        false => Arc::new(
            Field::new(field.name(), data_type.clone(), field.is_nullable()).with_metadata(field.metadata().clone()),
        ),
    }
}
