//! Primary keys, from contracts; and foreign keys, of which there are none.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use arrow_flight::sql::CommandGetPrimaryKeys;
use portcullis_gateway::VisibleTable;

use super::{CATALOG, is_our_catalog};

fn text(name: &str, nullable: bool) -> Field {
    Field::new(name, DataType::Utf8, nullable)
}

/// The schema of `GetPrimaryKeys`.
pub(super) fn primary_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        text("catalog_name", true),
        text("db_schema_name", true),
        text("table_name", false),
        text("column_name", false),
        text("key_name", true),
        Field::new("key_sequence", DataType::Int32, false),
    ]))
}

/// The schema of `GetImportedKeys`, `GetExportedKeys` and `GetCrossReference`.
pub(super) fn foreign_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        text("pk_catalog_name", true),
        text("pk_db_schema_name", true),
        text("pk_table_name", false),
        text("pk_column_name", false),
        text("fk_catalog_name", true),
        text("fk_db_schema_name", true),
        text("fk_table_name", false),
        text("fk_column_name", false),
        Field::new("key_sequence", DataType::Int32, false),
        text("fk_key_name", true),
        text("pk_key_name", true),
        Field::new("update_rule", DataType::UInt8, false),
        Field::new("delete_rule", DataType::UInt8, false),
    ]))
}

/// The answer to `GetPrimaryKeys`, in order of schema, table and sequence.
pub(super) fn primary(tables: &[VisibleTable], query: &CommandGetPrimaryKeys) -> Result<RecordBatch, ArrowError> {
    let ours = is_our_catalog(query.catalog.as_deref());
    let wanted = |table: &&VisibleTable| {
        ours && table.table == query.table && query.db_schema.as_ref().is_none_or(|schema| *schema == table.domain)
    };
    let rows: Vec<(&VisibleTable, &String, i32)> = tables
        .iter()
        .filter(wanted)
        .flat_map(|table| (1..).zip(&table.primary_key).map(move |(sequence, column)| (table, column, sequence)))
        .collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(rows.iter().map(|_| CATALOG))),
        Arc::new(StringArray::from_iter_values(rows.iter().map(|(table, ..)| &table.domain))),
        Arc::new(StringArray::from_iter_values(rows.iter().map(|(table, ..)| &table.table))),
        Arc::new(StringArray::from_iter_values(rows.iter().map(|(_, column, _)| column))),
        Arc::new(StringArray::from_iter_values(rows.iter().map(|(table, ..)| format!("{}_pk", table.table)))),
        Arc::new(Int32Array::from_iter_values(rows.iter().map(|(.., sequence)| *sequence))),
    ];
    RecordBatch::try_new(primary_schema(), columns)
}
