//! The types in which values leave. Inside, text and bytes are views; users know nothing of that, and see no name of it.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, FieldRef, Schema, SchemaRef};

/// The schema in which batches of `schema` leave.
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

/// A text of the planner's about types (an error, a plan), with the names of the types that arrive.
pub fn wire_names(text: &str) -> String {
    text.replace("Utf8View", "Utf8").replace("BinaryView", "Binary")
}

fn wire_field(field: &FieldRef) -> FieldRef {
    let data_type = wire_type(field.data_type());
    match *field.data_type() == data_type {
        true => Arc::clone(field),
        false => Arc::new(field.as_ref().clone().with_data_type(data_type)),
    }
}
