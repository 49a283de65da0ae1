//! The types that results have on the wire.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Schema};
pub use portcullis_govern::{wire_schema, wire_type};

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

/// The field with another type.
pub(super) fn retyped(field: &FieldRef, data_type: &DataType) -> FieldRef {
    match field.data_type() == data_type {
        true => Arc::clone(field),
        false => Arc::new(
            Field::new(field.name(), data_type.clone(), field.is_nullable()).with_metadata(field.metadata().clone()),
        ),
    }
}
