//! The fields of maps, named as Java looks them up. Arrow's format leaves the names open; Rust says `keys` and `values`,
//! Java reads `key` and `value` by name and finds NULL otherwise, so the JDBC driver knew of no conversion at all.

use std::sync::Arc;

use arrow::array::{Array, ArrayData, RecordBatch, make_array};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use arrow::error::ArrowError;

/// The schema with its maps' fields renamed.
pub(super) fn schema(schema: &Schema) -> SchemaRef {
    Arc::new(Schema::new(schema.fields().iter().map(retyped).collect::<Vec<_>>()))
}

/// The batch under [`schema()`] of its own.
pub(super) fn batch(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let schema = schema(batch.schema_ref());
    let columns = batch.columns().iter().zip(schema.fields());
    let columns = columns.map(|(column, field)| named(column.to_data(), field.data_type()).map(make_array));
    RecordBatch::try_new(Arc::clone(&schema), columns.collect::<Result<_, _>>()?)
}

fn retyped(field: &FieldRef) -> FieldRef {
    Arc::new(field.as_ref().clone().with_data_type(data_type(field.data_type())))
}

fn data_type(of: &DataType) -> DataType {
    match of {
        DataType::Union(fields, mode) => {
            DataType::Union(fields.iter().map(|(id, field)| (id, retyped(field))).collect(), *mode)
        }
        DataType::Map(entries, sorted) => {
            let DataType::Struct(pair) = entries.data_type() else { return of.clone() };
            let name = |(field, name): (&FieldRef, &str)| retyped(field).as_ref().clone().with_name(name);
            let pair: Vec<Field> = pair.iter().zip(["key", "value"]).map(name).collect();
            let entries = entries.as_ref().clone().with_data_type(DataType::Struct(pair.into()));
            DataType::Map(Arc::new(entries), *sorted)
        }
        other => other.clone(),
    }
}

/// The same values under a type that differs in names only.
fn named(data: ArrayData, to: &DataType) -> Result<ArrayData, ArrowError> {
    let types: Vec<&DataType> = match to {
        DataType::Union(fields, _) => fields.iter().map(|(_, field)| field.data_type()).collect(),
        DataType::Map(entries, _) => vec![entries.data_type()],
        DataType::Struct(fields) => fields.iter().map(|field| field.data_type()).collect(),
        _ => return Ok(data),
    };
    let children = data.child_data().iter().zip(types).map(|(child, to)| named(child.clone(), to));
    let children = children.collect::<Result<Vec<_>, _>>()?;
    data.into_builder().data_type(to.clone()).child_data(children).build()
}
