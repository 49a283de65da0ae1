//! The gateway's own tables: `system.products`, `columns`, `findings`, `policies`, `access_log`.
//!
//! Whether a principal may query one of them is a policy's matter, like any table's. Which rows it then gets is decided
//! here: of products, columns and findings, those of tables that it may discover.

mod rows;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use datafusion::arrow::array::TimestampMillisecondArray;
use datafusion::arrow::array::{ArrayRef, BooleanArray, Int32Array, Int64Array, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use portcullis_contract::{Finding, Table};
use portcullis_govern::{PolicySnapshot, Subject, SystemTable, SystemTables, TableAction};

/// What the system tables need beside the mesh.
#[derive(Debug, Clone)]
pub(crate) struct Surroundings {
    /// Where the audit journal is.
    pub audit_dir: PathBuf,
    /// How many of its newest entries `system.access_log` shows.
    pub access_log_rows: usize,
}

/// The system tables over one state of the mesh.
pub(crate) struct SystemData {
    snapshot: Arc<PolicySnapshot>,
    findings: Arc<Vec<Finding>>,
    surroundings: Surroundings,
    tables: Vec<SystemTable>,
}

/// A column's values, which also say its type.
pub(crate) enum Values {
    Text(Vec<Option<String>>),
    Number(Vec<Option<i64>>),
    Small(Vec<Option<i32>>),
    Flag(Vec<Option<bool>>),
    Instant(Vec<Option<i64>>),
}

impl Values {
    fn data_type(&self) -> DataType {
        match self {
            Values::Text(_) => DataType::Utf8,
            Values::Number(_) => DataType::Int64,
            Values::Small(_) => DataType::Int32,
            Values::Flag(_) => DataType::Boolean,
            Values::Instant(_) => DataType::Timestamp(TimeUnit::Millisecond, Some("+00:00".into())),
        }
    }

    fn array(self) -> ArrayRef {
        match self {
            Values::Text(values) => Arc::new(StringArray::from(values)),
            Values::Number(values) => Arc::new(Int64Array::from(values)),
            Values::Small(values) => Arc::new(Int32Array::from(values)),
            Values::Flag(values) => Arc::new(BooleanArray::from(values)),
            Values::Instant(values) => Arc::new(TimestampMillisecondArray::from(values).with_timezone("+00:00")),
        }
    }
}

type Columns = Vec<(&'static str, Values)>;

impl SystemData {
    pub(crate) fn new(
        snapshot: Arc<PolicySnapshot>,
        findings: Arc<Vec<Finding>>,
        surroundings: Surroundings,
    ) -> SystemData {
        let table = |name: &str, columns: Columns, description: &str| SystemTable {
            name: name.to_owned(),
            schema: schema(&columns),
            description: description.to_owned(),
        };
        // Without rows, the makers of columns still say which columns there are.
        let tables = vec![
            table("access_log", rows::access_log(Vec::new()), "who asked for what, when, and how it ended"),
            table("columns", rows::columns(&[]), "columns of the data products, and how they are disclosed to you"),
            table("findings", rows::findings(&[]), "what is wrong with contracts, policies and users"),
            table("policies", rows::policies(&[]), "the policies in force"),
            table("products", rows::products(&[]), "the data products that you may discover"),
        ];
        SystemData { snapshot, findings, surroundings, tables }
    }

    fn columns(&self, name: &str, subject: &Subject) -> Option<Columns> {
        Some(match name {
            "products" => rows::products(&self.discoverable(subject)),
            "columns" => {
                let tables = self.discoverable(subject).into_iter();
                let decided: Vec<_> = tables.map(|table| (table, self.snapshot.decide(subject, table))).collect();
                rows::columns(&decided)
            }
            "findings" => rows::findings(&self.findings_for(subject)),
            "policies" => rows::policies(self.snapshot.policies()),
            "access_log" => rows::access_log(self.access_log()),
            _ => return None,
        })
    }

    fn discoverable(&self, subject: &Subject) -> Vec<&Arc<Table>> {
        let may =
            |table: &&Arc<Table>| self.snapshot.may(subject, TableAction::Discover, &table.name.to_string()).allowed;
        self.snapshot.catalogue().tables().filter(may).collect()
    }

    /// Findings on contracts of tables that the subject may discover. Those on anything else (a contract that is
    /// withheld, policies, users) are for whoever may read the policies.
    fn findings_for(&self, subject: &Subject) -> Vec<&Finding> {
        let all = self.may_query(subject, "system.policies");
        let files: BTreeSet<&str> =
            self.discoverable(subject).into_iter().map(|table| table.contract.file.as_ref()).collect();
        self.findings.iter().filter(|finding| all || files.contains(finding.position.file.as_ref())).collect()
    }

    fn may_query(&self, subject: &Subject, table: &str) -> bool {
        self.snapshot.may(subject, TableAction::Query, table).allowed
    }

    fn access_log(&self) -> Vec<portcullis_audit::Entry> {
        let query = portcullis_audit::Query { limit: Some(self.surroundings.access_log_rows), ..Default::default() };
        match portcullis_audit::search(&self.surroundings.audit_dir, &query) {
            Ok(found) => found
                .filter_map(|entry| entry.inspect_err(|error| tracing::warn!(%error, "reading the journal")).ok())
                .collect(),
            Err(error) => {
                tracing::error!(%error, "system.access_log cannot be read");
                Vec::new()
            }
        }
    }
}

impl SystemTables for SystemData {
    fn tables(&self) -> &[SystemTable] {
        &self.tables
    }

    fn batches(&self, name: &str, subject: &Subject) -> RecordBatch {
        let known = self.tables.iter().find(|table| table.name == name);
        let empty = || match known {
            Some(table) => RecordBatch::new_empty(Arc::clone(&table.schema)),
            None => RecordBatch::new_empty(Arc::new(Schema::empty())),
        };
        // The planner asks policies before it asks for rows; asking again costs nothing and forgives no slip.
        if !self.may_query(subject, &format!("system.{name}")) {
            return empty();
        }
        let Some(columns) = self.columns(name, subject) else { return empty() };
        let schema = schema(&columns);
        let arrays = columns.into_iter().map(|(_, values)| values.array()).collect();
        RecordBatch::try_new(schema, arrays).unwrap_or_else(|error| {
            tracing::error!(%error, table = name, "a system table cannot be made");
            empty()
        })
    }
}

fn schema(columns: &Columns) -> SchemaRef {
    let fields: Vec<_> = columns.iter().map(|(name, values)| Field::new(*name, values.data_type(), true)).collect();
    Arc::new(Schema::new(fields))
}
