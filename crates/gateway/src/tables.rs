//! What a principal may know of the mesh's tables, for the metadata commands of clients.

use std::collections::BTreeMap;

use datafusion::arrow::datatypes::SchemaRef;

/// A table that a principal may discover, as clients are told about it.
#[derive(Debug, Clone)]
pub struct VisibleTable {
    /// The domain: the SQL schema.
    pub domain: String,
    /// The table's name in the domain.
    pub table: String,
    /// The columns that this principal gets, as on the wire.
    pub schema: SchemaRef,
    /// The primary key's columns, of those; empty if one of them is not visible.
    pub primary_key: Vec<String>,
    /// The contract's description.
    pub remarks: Option<String>,
    /// The contract's documentation of columns, by name.
    pub column_remarks: BTreeMap<String, String>,
}
