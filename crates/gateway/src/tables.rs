//! What a principal may know of the mesh's tables, for the metadata commands of clients.

use std::collections::BTreeMap;

use datafusion::arrow::datatypes::{Schema, SchemaRef};
use portcullis_contract::Table;
use portcullis_engine::wire_schema;
use portcullis_govern::plan::visible_schema;
use portcullis_govern::{Subject, SystemTables, TableAction, TableDecision};

use crate::state::State;

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
    /// Whether the gateway makes the table itself.
    pub system: bool,
}

/// The tables that the subject may discover, in order of name.
pub(crate) fn visible(state: &State, subject: &Subject) -> Vec<VisibleTable> {
    let mut tables: Vec<VisibleTable> = Vec::new();
    for table in state.snapshot.catalogue().tables() {
        let decision = state.snapshot.decide(subject, table);
        if decision.discover.allowed && decision.undecided.is_none() {
            tables.push(product(table, &decision));
        }
    }
    for table in state.system.tables() {
        if state.snapshot.may(subject, TableAction::Discover, &format!("system.{}", table.name)).allowed {
            tables.push(VisibleTable {
                domain: "system".to_owned(),
                table: table.name.clone(),
                schema: wire_schema(&table.schema),
                primary_key: Vec::new(),
                remarks: Some(table.description.clone()),
                column_remarks: BTreeMap::new(),
                system: true,
            });
        }
    }
    tables.sort_by(|one, other| (&one.domain, &one.table).cmp(&(&other.domain, &other.table)));
    tables
}

fn product(table: &Table, decision: &TableDecision) -> VisibleTable {
    let schema: SchemaRef = wire_schema(&visible_schema(table, decision));
    let shown = |name: &str| Schema::field_with_name(&schema, name).is_ok();
    let key = table.primary_key();
    let whole = key.iter().all(|name| shown(name));
    let primary_key = if whole { key.into_iter().map(str::to_owned).collect() } else { Vec::new() };
    let documented = table.fields().iter().filter(|field| shown(&field.name));
    let column_remarks = documented.filter_map(|field| Some((field.name.clone(), field.doc.clone()?))).collect();
    VisibleTable {
        domain: table.name.domain.clone(),
        table: table.name.table.clone(),
        schema,
        primary_key,
        remarks: table.contract.description.clone(),
        column_remarks,
        system: false,
    }
}
