//! Tables that the gateway makes itself: `system.*`.

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;

use crate::policy::Subject;

/// The schema of the gateway's own tables.
pub const SYSTEM_SCHEMA: &str = "system";

/// Name and columns of a table of `system`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SystemTable {
    /// Its name below `system`.
    pub name: String,
    /// Its columns.
    pub schema: SchemaRef,
    /// What it is, for catalogues.
    pub description: String,
}

/// The gateway's own tables. Access to each is decided by policies like any other table's.
pub trait SystemTables: Send + Sync {
    /// All of them, whoever asks.
    fn tables(&self) -> &[SystemTable];

    /// Rows of one of them, of that table's schema, already restricted to what `subject` may discover. An unknown name
    /// gives an empty batch.
    fn batches(&self, name: &str, subject: &Subject) -> RecordBatch;
}

/// No tables at all.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoSystemTables;

impl SystemTables for NoSystemTables {
    fn tables(&self) -> &[SystemTable] {
        &[]
    }

    fn batches(&self, _name: &str, _subject: &Subject) -> RecordBatch {
        RecordBatch::new_empty(datafusion::arrow::datatypes::Schema::empty().into())
    }
}
