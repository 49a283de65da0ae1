//! Schemas, tables and table types.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::StringArray;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use arrow_flight::error::FlightError;
use arrow_flight::sql::{CommandGetDbSchemas, CommandGetTables};
use portcullis_gateway::VisibleTable;

use super::{CATALOG, column, is_our_catalog};

const TABLE: &str = "TABLE";
const SYSTEM_TABLE: &str = "SYSTEM TABLE";

/// The schema of `GetTableTypes`.
pub(super) fn types_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("table_type", DataType::Utf8, false)]))
}

/// The answer to `GetTableTypes`.
pub(super) fn types() -> Result<RecordBatch, ArrowError> {
    RecordBatch::try_new(types_schema(), vec![Arc::new(StringArray::from_iter_values([SYSTEM_TABLE, TABLE]))])
}

/// The answer to `GetDbSchemas`.
pub(super) fn schemas(tables: &[VisibleTable], mut query: CommandGetDbSchemas) -> Result<RecordBatch, FlightError> {
    let visible = is_our_catalog(query.catalog.take().as_deref());
    let domains: BTreeSet<&str> = tables.iter().filter(|_| visible).map(|table| table.domain.as_str()).collect();
    let mut builder = query.into_builder();
    for domain in domains {
        builder.append(CATALOG, domain);
    }
    builder.build()
}

/// The answer to `GetTables`: with the tables' schemas, of which alone the columns carry metadata, if asked for.
pub(super) fn tables(tables: &[VisibleTable], mut query: CommandGetTables) -> Result<RecordBatch, FlightError> {
    let visible = is_our_catalog(query.catalog.take().as_deref());
    let wants_schema = query.include_schema;
    let none = Schema::empty();
    let mut builder = query.into_builder();
    for table in tables.iter().filter(|_| visible) {
        let described = wants_schema.then(|| column::describe(table));
        let kind = if table.system { SYSTEM_TABLE } else { TABLE };
        builder.append(CATALOG, &table.domain, &table.table, kind, described.as_ref().unwrap_or(&none))?;
    }
    builder.build()
}
