//! The columns of the system tables, made from what the gateway knows.

use std::collections::BTreeSet;
use std::sync::Arc;

use portcullis_audit::Entry;
use portcullis_contract::{Field, Finding, Table};
use portcullis_govern::policy::PolicyInfo;
use portcullis_govern::{ColumnDecision, Disclosure, TableDecision};

use super::{Columns, Values};

fn text<T>(rows: &[T], value: impl Fn(&T) -> String) -> Values {
    Values::Text(rows.iter().map(|row| Some(value(row))).collect())
}

fn optional<T>(rows: &[T], value: impl Fn(&T) -> Option<String>) -> Values {
    Values::Text(rows.iter().map(value).collect())
}

fn list(items: &[String]) -> Option<String> {
    (!items.is_empty()).then(|| items.join(", "))
}

pub(super) fn products(tables: &[&Arc<Table>]) -> Columns {
    vec![
        ("domain", text(tables, |table| table.name.domain.clone())),
        ("table_name", text(tables, |table| table.name.table.clone())),
        ("product", text(tables, |table| table.contract.name.clone())),
        ("port", text(tables, |table| table.port.name.clone())),
        ("format", text(tables, |table| table.format.as_str().to_owned())),
        ("version", text(tables, |table| table.contract.version.to_string())),
        ("status", text(tables, |table| table.contract.status.as_str().to_owned())),
        ("owner", optional(tables, |table| table.contract.owner.clone())),
        ("classification", text(tables, |table| table.contract.classification.as_str().to_owned())),
        ("tags", optional(tables, |table| list(&table.contract.tags))),
        ("description", optional(tables, |table| table.contract.description.clone())),
        ("contract", text(tables, |table| table.contract.file.to_string())),
    ]
}

struct ColumnRow<'a> {
    table: &'a Table,
    field: &'a Field,
    decision: &'a ColumnDecision,
    position: usize,
}

/// Columns that are denied do not exist for the subject.
pub(super) fn columns(tables: &[(&Arc<Table>, Arc<TableDecision>)]) -> Columns {
    let mut rows = Vec::new();
    for (table, decision) in tables {
        let shown = decision.columns.iter().filter(|column| column.disclosure != Disclosure::Denied);
        let fields = shown.filter_map(|column| Some((column, table.field(&column.name)?)));
        rows.extend(fields.enumerate().map(|(at, (decision, field))| ColumnRow {
            table: table.as_ref(),
            field,
            decision,
            position: at + 1,
        }));
    }
    vec![
        ("domain", text(&rows, |row| row.table.name.domain.clone())),
        ("table_name", text(&rows, |row| row.table.name.table.clone())),
        ("column_name", text(&rows, |row| row.field.name.clone())),
        ("position", Values::Small(rows.iter().map(|row| i32::try_from(row.position).ok()).collect())),
        ("data_type", text(&rows, |row| row.field.data_type.to_string())),
        ("disclosure", text(&rows, |row| row.decision.disclosure.as_str().to_owned())),
        ("primary_key", Values::Flag(rows.iter().map(|row| Some(row.field.primary_key)).collect())),
        ("pii", Values::Flag(rows.iter().map(|row| Some(row.field.pii)).collect())),
        ("classification", optional(&rows, |row| row.field.classification.map(|c| c.as_str().to_owned()))),
        ("tags", optional(&rows, |row| list(&row.field.tags))),
        ("description", optional(&rows, |row| row.field.doc.clone())),
    ]
}

pub(super) fn findings(findings: &[&Finding]) -> Columns {
    let place = |number: u32| if number == 0 { None } else { i32::try_from(number).ok() };
    vec![
        ("level", text(findings, |finding| finding.level.as_str().to_owned())),
        ("code", text(findings, |finding| finding.code.to_owned())),
        ("file", text(findings, |finding| finding.position.file.to_string())),
        ("line", Values::Small(findings.iter().map(|finding| place(finding.position.line)).collect())),
        ("column", Values::Small(findings.iter().map(|finding| place(finding.position.column)).collect())),
        ("message", text(findings, |finding| finding.message.clone())),
        ("hint", optional(findings, |finding| finding.hint.clone())),
    ]
}

pub(super) fn policies(policies: &[PolicyInfo]) -> Columns {
    vec![
        ("id", text(policies, |policy| policy.id.clone())),
        ("effect", text(policies, |policy| policy.effect.to_string())),
        ("file", text(policies, |policy| policy.position.file.to_string())),
        ("line", Values::Small(policies.iter().map(|policy| i32::try_from(policy.position.line).ok()).collect())),
    ]
}

pub(super) fn access_log(entries: Vec<Entry>) -> Columns {
    let entries = entries.as_slice();
    let number = |value: fn(&Entry) -> Option<u64>| {
        Values::Number(entries.iter().map(|entry| value(entry).and_then(|value| i64::try_from(value).ok())).collect())
    };
    vec![
        ("at", Values::Instant(entries.iter().map(|entry| Some(entry.at_ms)).collect())),
        ("query_id", text(entries, |entry| entry.begin.query_id.clone())),
        ("principal", text(entries, |entry| entry.begin.principal.clone())),
        ("actor", optional(entries, |entry| entry.begin.actor.clone())),
        ("groups", optional(entries, |entry| list(&entry.begin.groups))),
        ("client", optional(entries, |entry| entry.begin.client.clone())),
        ("authentication", text(entries, |entry| entry.begin.authentication.clone())),
        ("credential", optional(entries, |entry| entry.begin.credential.clone())),
        (
            "domains",
            optional(entries, |entry| {
                entry.begin.domains.as_ref().map(|names| Vec::from_iter(names.iter().cloned()).join(", "))
            }),
        ),
        ("purpose", optional(entries, |entry| entry.begin.purpose.clone())),
        ("break_glass", optional(entries, |entry| entry.begin.break_glass.clone())),
        ("statement", text(entries, |entry| entry.begin.statement.clone())),
        ("tables", optional(entries, |entry| list(&each(entry, |table| Some(table.name.clone()))))),
        ("snapshots", optional(entries, |entry| list(&each(entry, snapshot)))),
        ("columns", optional(entries, |entry| list(&masked(entry)))),
        ("policies", optional(entries, |entry| list(&policy_ids(entry)))),
        ("policy_version", text(entries, |entry| entry.begin.policy_version.clone())),
        ("decision", text(entries, decision)),
        ("reason", optional(entries, |entry| entry.begin.reason.clone())),
        ("outcome", text(entries, |entry| entry.status.as_str().to_owned())),
        ("error_kind", optional(entries, |entry| entry.error_kind.clone())),
        ("rows", number(|entry| entry.rows)),
        ("bytes", number(|entry| entry.bytes)),
        ("duration_ms", number(|entry| entry.duration_ms)),
    ]
}

fn each(entry: &Entry, value: impl Fn(&portcullis_audit::TableAccess) -> Option<String>) -> Vec<String> {
    let mut values: Vec<String> = entry.begin.tables.iter().filter_map(value).collect();
    // A table that was read at several snapshots stands there for each.
    values.dedup();
    values
}

fn snapshot(table: &portcullis_audit::TableAccess) -> Option<String> {
    table.snapshot.as_ref().map(|snapshot| format!("{}@{snapshot}", table.name))
}

/// `domain.table.column:mask`
fn masked(entry: &Entry) -> Vec<String> {
    let tables = entry.begin.tables.iter();
    let columns = tables.flat_map(|table| table.columns.iter().map(move |column| (table, column)));
    let columns = columns.map(|(table, column)| format!("{}.{}:{}", table.name, column.name, column.mask));
    let mut seen = BTreeSet::new();
    columns.filter(|column| seen.insert(column.clone())).collect()
}

fn policy_ids(entry: &Entry) -> Vec<String> {
    let mut ids: Vec<String> = entry.begin.tables.iter().flat_map(|table| table.policies.clone()).collect();
    ids.sort();
    ids.dedup();
    ids
}

fn decision(entry: &Entry) -> String {
    entry.begin.decision.as_str().to_owned()
}
