//! `information_schema`: what a subject may discover, as rows. Hidden tables and denied columns have none.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::Result;

use super::context::{CATALOGUE, MeshContext};
use super::source::visible_schema;
use super::system::SYSTEM_SCHEMA;
use crate::policy::TableAction;
use crate::schema::sql_type_name;

/// The schema's name in SQL.
pub const INFORMATION_SCHEMA: &str = "information_schema";

const TABLES: &[&str] = &["table_catalog", "table_schema", "table_name", "table_type"];
const SCHEMATA: &[&str] = &["catalog_name", "schema_name", "schema_owner"];
const COLUMNS: &[&str] =
    &["table_catalog", "table_schema", "table_name", "column_name", "ordinal_position", "is_nullable", "data_type"];

/// Columns of one of the tables here, if there is one of that name.
pub(crate) fn schema(name: &str) -> Option<SchemaRef> {
    let columns = match name {
        "tables" => TABLES,
        "schemata" => SCHEMATA,
        "columns" => COLUMNS,
        _ => return None,
    };
    let field = |column: &&str| match *column {
        "ordinal_position" => Field::new(*column, DataType::Int64, true),
        _ => Field::new(*column, DataType::Utf8, true),
    };
    Some(Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>())))
}

/// Rows of one of the tables here.
pub(crate) fn batch(name: &str, context: &MeshContext<'_>) -> Result<RecordBatch> {
    let Some(schema) = schema(name) else { return Err(super::context::not_found(name)) };
    let columns = match name {
        "tables" => tables(context),
        "schemata" => schemata(context),
        _ => columns(context),
    };
    Ok(RecordBatch::try_new(schema, columns)?)
}

/// Schema, name and kind of every table that the subject may discover; products first, each part sorted by name.
fn discoverable(context: &MeshContext<'_>) -> Vec<(String, String, &'static str)> {
    let (snapshot, subject) = (context.snapshot, context.subject);
    let may = |resource: &str| snapshot.may(subject, TableAction::Discover, resource).allowed;
    let mut all = Vec::new();
    for table in snapshot.catalogue().tables() {
        if may(&table.name.to_string()) {
            all.push((table.name.domain.clone(), table.name.table.clone(), "BASE TABLE"));
        }
    }
    for table in context.system.tables() {
        if may(&format!("{SYSTEM_SCHEMA}.{}", table.name)) {
            all.push((SYSTEM_SCHEMA.into(), table.name.clone(), "SYSTEM TABLE"));
        }
    }
    for name in ["columns", "schemata", "tables"] {
        all.push((INFORMATION_SCHEMA.into(), name.into(), "VIEW"));
    }
    all
}

fn tables(context: &MeshContext<'_>) -> Vec<ArrayRef> {
    let all = discoverable(context);
    vec![
        text(all.iter().map(|_| CATALOGUE)),
        text(all.iter().map(|(schema, _, _)| schema.as_str())),
        text(all.iter().map(|(_, table, _)| table.as_str())),
        text(all.iter().map(|(_, _, kind)| *kind)),
    ]
}

fn schemata(context: &MeshContext<'_>) -> Vec<ArrayRef> {
    let mut names: Vec<String> = discoverable(context).into_iter().map(|(schema, _, _)| schema).collect();
    names.sort();
    names.dedup();
    let owners: StringArray = names.iter().map(|_| None::<&str>).collect();
    vec![text(names.iter().map(|_| CATALOGUE)), text(names.iter().map(String::as_str)), Arc::new(owners)]
}

fn columns(context: &MeshContext<'_>) -> Vec<ArrayRef> {
    let mut rows: Vec<(String, String, i64, Field)> = Vec::new();
    for (domain, name, _) in discoverable(context) {
        let schema = match domain.as_str() {
            SYSTEM_SCHEMA => context.system_schema(&name),
            INFORMATION_SCHEMA => schema(&name),
            _ => context.discover(&domain, &name).map(|(table, decision)| visible_schema(&table, &decision)),
        };
        for (position, field) in (1..).zip(schema.iter().flat_map(|schema| schema.fields().iter())) {
            rows.push((domain.clone(), name.clone(), position, field.as_ref().clone()));
        }
    }
    let types: Vec<String> = rows.iter().map(|row| sql_type_name(row.3.data_type())).collect();
    vec![
        text(rows.iter().map(|_| CATALOGUE)),
        text(rows.iter().map(|row| row.0.as_str())),
        text(rows.iter().map(|row| row.1.as_str())),
        text(rows.iter().map(|row| row.3.name().as_str())),
        Arc::new(rows.iter().map(|row| Some(row.2)).collect::<Int64Array>()),
        text(rows.iter().map(|row| if row.3.is_nullable() { "YES" } else { "NO" })),
        text(types.iter().map(String::as_str)),
    ]
}

fn text<'a>(values: impl Iterator<Item = &'a str>) -> ArrayRef {
    Arc::new(values.map(Some).collect::<StringArray>())
}
