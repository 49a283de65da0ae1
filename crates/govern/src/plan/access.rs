//! The answer to `EXPLAIN ACCESS`: what the subject may do with a statement's tables, as rows.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::Result;
use datafusion::datasource::{MemTable, provider_as_source};
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};

use super::verdict::{Reason, ReasonKind};
use crate::explain::{AccessReport, ColumnReport, TableReport};
use crate::policy::Access;
use crate::policy::matrix::aggregates;

/// The columns of the answer, all of them texts.
const COLUMNS: [&str; 7] = ["table_name", "aspect", "column_name", "decision", "policies", "contract", "would_grant"];

/// Columns of the answer to `EXPLAIN ACCESS`.
pub(crate) fn schema() -> SchemaRef {
    let fields = COLUMNS.map(|name| Field::new(name, DataType::Utf8, true));
    Arc::new(Schema::new(fields.to_vec()))
}

/// What would become of the statement, in words; `None` where it is the statement that is wrong.
pub(crate) fn outcome(refused: Option<&Reason>) -> Option<String> {
    let Some(reason) = refused else { return Some("permitted".to_owned()) };
    match reason.kind {
        ReasonKind::NotFound => Some(format!("not found: {}", reason.message)),
        ReasonKind::PermissionDenied => Some(format!("denied: {}", reason.message)),
        ReasonKind::Undecided => Some(format!("undecided: {}", reason.message)),
        ReasonKind::Invalid | ReasonKind::Unsupported => None,
    }
}

/// A plan that returns the report: constants, no table is read.
pub(crate) fn plan(report: &AccessReport, outcome: &str) -> Result<LogicalPlan> {
    let mut rows = vec![Row { decision: Some(outcome.to_owned()), ..Row::about(None, "statement") }];
    report.tables.iter().for_each(|table| of_table(table, &mut rows));
    let not_found =
        |name: &String| Row { decision: Some("not found".to_owned()), ..Row::about(Some(name), "discover") };
    rows.extend(report.not_found.iter().map(not_found));
    let text =
        |value: fn(&Row) -> Option<&str>| -> ArrayRef { Arc::new(rows.iter().map(value).collect::<StringArray>()) };
    let columns = vec![
        text(|row| row.table.as_deref()),
        text(|row| Some(row.aspect)),
        text(|row| row.column.as_deref()),
        text(|row| row.decision.as_deref()),
        text(|row| row.policies.as_deref()),
        text(|row| row.contract.as_deref()),
        text(|row| row.would_grant.as_deref()),
    ];
    let batch = RecordBatch::try_new(schema(), columns)?;
    let table = MemTable::try_new(batch.schema(), vec![vec![batch]])?;
    LogicalPlanBuilder::scan("access", provider_as_source(Arc::new(table)), None)?.build()
}

#[derive(Default)]
struct Row {
    table: Option<String>,
    aspect: &'static str,
    column: Option<String>,
    decision: Option<String>,
    policies: Option<String>,
    contract: Option<String>,
    would_grant: Option<String>,
}

impl Row {
    fn about(table: Option<&String>, aspect: &'static str) -> Row {
        Row { table: table.cloned(), aspect, ..Row::default() }
    }
}

fn of_table(table: &TableReport, rows: &mut Vec<Row>) {
    let name = Some(&table.table);
    let contract = Some(table.contract.clone()).filter(|place| !place.is_empty());
    let access = |aspect, access: &Access, would_grant: Option<String>| Row {
        decision: Some(if access.allowed { "yes" } else { "no" }.to_owned()),
        policies: ids(&[&access.policies]),
        contract: contract.clone(),
        would_grant,
        ..Row::about(name, aspect)
    };
    rows.push(access("discover", &table.discover, None));
    let query = access("query", &table.query, table.would_grant_query.clone());
    let limited = table.aggregation.as_ref().filter(|_| table.query.allowed).map(aggregates);
    rows.push(Row { decision: limited.or(query.decision), ..query });
    rows.extend(table.break_glass.iter().map(|broken| access("break_glass", broken, None)));
    rows.extend(Some(&table.notice).filter(|notice| notice.allowed).map(|notice| access("notice", notice, None)));
    rows.push(Row {
        decision: Some(table.filter.clone()),
        policies: ids(&[&table.filter_permits, &table.filter_forbids]),
        contract: contract.clone(),
        would_grant: table.would_grant_rows.clone(),
        ..Row::about(name, "rows")
    });
    rows.extend(table.columns.iter().map(|column| of_column(name, column)));
}

fn of_column(table: Option<&String>, column: &ColumnReport) -> Row {
    Row {
        column: Some(column.column.clone()),
        decision: Some(column.disclosure.to_string()),
        policies: ids(&[&column.policies, &column.forbidden_by]),
        contract: Some(format!("{}:{}", column.position.file, column.position.line)),
        would_grant: column.would_grant.clone(),
        ..Row::about(table, "column")
    }
}

fn ids(policies: &[&Vec<String>]) -> Option<String> {
    let all: Vec<&str> = policies.iter().flat_map(|ids| ids.iter().map(String::as_str)).collect();
    (!all.is_empty()).then(|| all.join(", "))
}
