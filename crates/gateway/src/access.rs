//! The answer to "may this principal do this, and what would it see", without running anything.

use serde::Serialize;

/// What was decided about a statement, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AccessReport {
    /// The statement with its literals taken out.
    pub statement: String,
    /// The principal.
    pub principal: String,
    /// The purpose it was asked with.
    pub purpose: Option<String>,
    /// `permitted`, `denied` or `undecided`.
    pub decision: String,
    /// Why, where it is not permitted.
    pub reason: Option<String>,
    /// The version of the policies.
    pub policy_version: String,
    /// The tables, in order of name.
    pub tables: Vec<TableReport>,
}

/// What was decided about one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TableReport {
    /// `domain.table`.
    pub name: String,
    /// The contract's file.
    pub contract: String,
    /// The contract's version.
    pub version: String,
    /// Whether the principal may know of it, and by which policies.
    pub discover: bool,
    /// The policies that decided `discover`.
    pub discover_policies: Vec<String>,
    /// Whether the principal may query it.
    pub query: bool,
    /// The policies that decided `query`.
    pub query_policies: Vec<String>,
    /// The row filter as an expression over the table's columns; None: all rows.
    pub filter: Option<String>,
    /// The policies that permit rows.
    pub filter_permits: Vec<String>,
    /// The policies that forbid rows.
    pub filter_forbids: Vec<String>,
    /// The columns, in the contract's order; denied ones too.
    pub columns: Vec<ColumnReport>,
    /// Why the policies could not be decided, which denies.
    pub undecided: Option<String>,
}

/// What was decided about one column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ColumnReport {
    /// The column's name.
    pub name: String,
    /// The type by the contract.
    pub data_type: String,
    /// `clear`, `partial`, `bucket`, `hash`, `redact`, `null` or `denied`.
    pub disclosure: String,
    /// The policies that allow this disclosure.
    pub policies: Vec<String>,
    /// The policies that forbid more.
    pub forbidden_by: Vec<String>,
    /// The contract's own masking, where that decided.
    pub contract_masking: Option<String>,
    /// Where the contract declares the column: `file:line:column`.
    pub position: String,
}
