//! The Cedar schema, generated from the contracts and the vocabulary. The same input gives the same text.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use portcullis_contract::{Classification, Field, Finding, Position, Table};

use super::columns::{RowColumns, row_columns};
use super::missing::Ghosts;
use super::vocabulary::{PII_TAG, SYSTEM_DOMAIN, Vocabulary};

/// A table as policies see it.
#[derive(Debug, Clone)]
pub(crate) struct PolicyTable {
    pub(crate) table: Arc<Table>,
    /// `domain.table`
    pub(crate) id: String,
    /// `Row::domain_table`
    pub(crate) row_type: String,
    pub(crate) columns: RowColumns,
}

/// The tables that policies can be about, by id.
pub(crate) type PolicyTables = BTreeMap<String, PolicyTable>;

/// Names every table for policies. Two tables whose `Row` types would have the same name are an error.
pub(crate) fn policy_tables<'a>(served: impl Iterator<Item = &'a Arc<Table>>) -> Result<PolicyTables, Vec<Finding>> {
    let mut tables = PolicyTables::new();
    let mut by_type: BTreeMap<String, (String, String)> = BTreeMap::new();
    let mut findings = Vec::new();
    for table in served {
        let id = table.name.to_string();
        let file = table.contract.file.clone();
        if table.name.domain == SYSTEM_DOMAIN {
            let message = format!("table `{id}`: the domain `{SYSTEM_DOMAIN}` is the gateway's own");
            findings.push(
                Finding::error("policy-reserved-domain", Position::file(file), message).with_hint("rename the domain"),
            );
            continue;
        }
        let row_type = format!("Row::{}", table.name.in_policies());
        if let Some((other, other_file)) = by_type.insert(row_type.clone(), (id.clone(), file.to_string())) {
            let message = format!("tables `{other}` ({other_file}) and `{id}` would both be `{row_type}` in policies");
            let hint = "rename one of them: domain and table are joined with `_`";
            findings.push(Finding::error("policy-row-type", Position::file(file), message).with_hint(hint));
            continue;
        }
        let columns = row_columns(table);
        tables.insert(id.clone(), PolicyTable { table: table.clone(), id, row_type, columns });
    }
    if findings.is_empty() { Ok(tables) } else { Err(findings) }
}

/// The tags of a column in policies: its own, and `pii` where the contract says so.
pub(crate) fn column_tags(field: &Field) -> BTreeSet<&str> {
    let pii = field.pii.then_some(PII_TAG);
    field.tags.iter().map(String::as_str).chain(pii).collect()
}

/// The schema's text.
pub(crate) fn generate(tables: &PolicyTables, vocabulary: &Vocabulary, ghosts: &Ghosts) -> String {
    let mut out = String::from("// Generated from the contracts and policies/vocabulary.yaml.\n\n");
    out += "entity Group in [Group];\nentity Domain;\n";
    let used = tables.values().flat_map(|t| {
        let columns = t.table.fields().iter().flat_map(column_tags);
        columns.chain(t.table.contract.tags.iter().map(String::as_str))
    });
    let tags: BTreeSet<&str> =
        used.chain(vocabulary.tags()).chain(ghosts.tags.iter().map(String::as_str)).chain([PII_TAG]).collect();
    enumeration(&mut out, "Tag", tags);
    enumeration(&mut out, "Classification", Classification::ALL.into_iter().map(Classification::as_str));
    if !vocabulary.purposes.is_empty() {
        enumeration(&mut out, "Purpose", vocabulary.purposes());
    }
    let attributes = vocabulary.attributes().map(|(name, t)| (name, t.cedar()));
    entity(&mut out, "User in [Group]", attributes);
    out += "entity Table in [Domain] {\n  name: String,\n  classification: Classification,\n  tags: Set<Tag>,\n  owner?: String,\n};\n";
    out += "entity Column in [Table] {\n  name: String,\n  classification: Classification,\n  tags: Set<Tag>,\n};\n";
    out += "type Ctx = {\n";
    if !vocabulary.purposes.is_empty() {
        out += "  purpose?: Purpose,\n";
    }
    out +=
        "  now: datetime,\n  authentication: String,\n  breakGlass: Bool,\n  ip?: ipaddr,\n  actor?: String,\n};\n\n";
    rows(&mut out, tables, ghosts);
    out += "action discover, query, aggregateOnly, breakGlass, viewNotice appliesTo { principal: User, resource: Table, context: Ctx };\n";
    out += "action impersonate appliesTo { principal: User, resource: User, context: Ctx };\n";
    if !vocabulary.limits.is_empty() {
        enumeration(&mut out, "Limits", vocabulary.limits());
        out += "action useLimits appliesTo { principal: User, resource: Limits, context: Ctx };\n";
    }
    out += "action view;\naction viewMasked in [view];\n";
    out += "action viewClear, viewJoinOnly in [view] appliesTo { principal: User, resource: Column, context: Ctx };\n";
    out += "action viewPartial, viewBucket, viewHash, viewRedact, viewNull in [viewMasked] appliesTo { principal: User, resource: Column, context: Ctx };\n";
    out
}

fn rows(out: &mut String, tables: &PolicyTables, ghosts: &Ghosts) {
    if tables.is_empty() && ghosts.row_types.is_empty() {
        return;
    }
    out.push_str("namespace Row {\n");
    for table in tables.values() {
        let name = table.row_type.trim_start_matches("Row::");
        let columns = table.table.fields().iter().filter_map(|f| table.columns.get(&f.name));
        let columns: Vec<_> = columns.map(|c| (c.name.as_str(), c.cedar.as_str())).collect();
        entity(out, &format!("{name} in [Table]"), columns);
    }
    for row_type in &ghosts.row_types {
        entity(out, &format!("{} in [Table]", row_type.trim_start_matches("Row::")), []);
    }
    out.push_str("}\n\n");
    let served = tables.values().map(|t| t.row_type.as_str());
    let types: Vec<&str> = served.chain(ghosts.row_types.iter().map(String::as_str)).collect();
    let _ = writeln!(
        out,
        "action readRow appliesTo {{ principal: User, resource: [{}], context: Ctx }};",
        types.join(", ")
    );
}

fn enumeration<'a>(out: &mut String, name: &str, values: impl IntoIterator<Item = &'a str>) {
    let values: Vec<String> = values.into_iter().map(quoted).collect();
    let _ = writeln!(out, "entity {name} enum [{}];", values.join(", "));
}

/// An entity type; every attribute is optional.
fn entity<'a>(out: &mut String, head: &str, attributes: impl IntoIterator<Item = (&'a str, &'a str)>) {
    let _ = writeln!(out, "entity {head} {{");
    for (name, cedar_type) in attributes {
        let _ = writeln!(out, "  {}?: {cedar_type},", quoted(name));
    }
    out.push_str("};\n");
}

/// A Cedar string literal.
pub(crate) fn quoted(text: &str) -> String {
    format!("\"{}\"", text.escape_debug())
}
