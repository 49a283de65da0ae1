//! What a scan in a plan stands for: names and decisions, nothing that could be executed.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::logical_expr::{TableSource, TableType};
use portcullis_contract::Table;

use crate::policy::{ColumnDecision, Disclosure, TableDecision};

/// A governed scan of one table: what the engine binds to data.
///
/// It offers every declared column, raw; the row filter is `decision().filter`, and the projection directly above the
/// scan masks or leaves out what the subject may not see. DataFusion cannot execute it.
pub struct ScanSource {
    id: usize,
    table: Arc<Table>,
    decision: Arc<TableDecision>,
    schema: SchemaRef,
}

impl ScanSource {
    pub(crate) fn new(id: usize, table: Arc<Table>, decision: Arc<TableDecision>) -> Self {
        let schema = crate::schema::arrow_schema(&table);
        ScanSource { id, table, decision, schema }
    }

    /// Number of this scan within its plan, from 0.
    pub fn id(&self) -> usize {
        self.id
    }

    /// The table scanned.
    pub fn table(&self) -> &Arc<Table> {
        &self.table
    }

    /// What was decided about the table for the subject of the plan.
    pub fn decision(&self) -> &Arc<TableDecision> {
        &self.decision
    }

    /// All declared columns: [`crate::schema::arrow_schema`].
    pub fn base_schema(&self) -> &SchemaRef {
        &self.schema
    }
}

impl TableSource for ScanSource {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}

impl fmt::Debug for ScanSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScanSource").field("id", &self.id).field("table", &self.table.name).finish_non_exhaustive()
    }
}

/// A table as the subject sees it, while SQL is planned: replaced before the plan leaves this crate.
pub(crate) enum ViewSource {
    /// A data product: only columns that are not denied.
    Product { table: Arc<Table>, decision: Arc<TableDecision>, schema: SchemaRef },
    /// A table of `system` or `information_schema`, whose rows are made when the plan is governed.
    System { domain: String, name: String, schema: SchemaRef },
}

impl ViewSource {
    pub(crate) fn product(table: Arc<Table>, decision: Arc<TableDecision>) -> Self {
        let schema = visible_schema(&table, &decision);
        ViewSource::Product { table, decision, schema }
    }
}

impl TableSource for ViewSource {
    fn schema(&self) -> SchemaRef {
        match self {
            ViewSource::Product { schema, .. } | ViewSource::System { schema, .. } => Arc::clone(schema),
        }
    }

    fn table_type(&self) -> TableType {
        match self {
            ViewSource::Product { .. } => TableType::Base,
            ViewSource::System { .. } => TableType::View,
        }
    }
}

/// Columns that exist for the subject, with what is shown of each, in the contract's order.
pub(crate) fn visible_columns(decision: &TableDecision) -> impl Iterator<Item = &ColumnDecision> {
    decision.columns.iter().filter(|column| column.disclosure != Disclosure::Denied)
}

/// The schema of a table as the subject sees it: masks keep types, denied columns are absent.
pub fn visible_schema(table: &Table, decision: &TableDecision) -> SchemaRef {
    let full = crate::schema::arrow_schema(table);
    let fields: Vec<_> =
        visible_columns(decision).filter_map(|column| full.field_with_name(&column.name).ok().cloned()).collect();
    Arc::new(Schema::new(fields))
}
