//! `schema.fields[]`: the columns.

use std::collections::BTreeMap;

use super::{BAD_VALUE, Sections, classification};
use crate::finding::{Finding, Level};
use crate::masking::Masking;
use crate::model::{Contract, Field};
use crate::types::{self, FieldType, TypeError};
use crate::yaml::{Mapping, Node, Reader, did_you_mean};

/// Reads the columns. A contract without any is an error: nothing could be shown.
pub(super) fn fields(sections: &Sections<'_>) -> Vec<Field> {
    let reader = sections.reader();
    let Some(node) = sections.get("schema") else {
        let finding = Finding::error("contract-no-schema", sections.position(), "contract has no schema");
        reader.report(finding.with_hint("declare the columns under `schema.fields`"));
        return Vec::new();
    };
    let Some(schema) = reader.mapping(node, "`schema`") else { return Vec::new() };
    for key in ["type", "name", "version", "description", "doc"] {
        schema.get(key);
    }
    let items = schema.items("fields");
    let fields: Vec<Field> = items.iter().filter_map(|item| field(reader, item)).collect();
    if items.is_empty() {
        let finding = Finding::error("contract-no-schema", reader.position(node), "schema has no fields");
        reader.report(finding.with_hint("declare the columns under `schema.fields`"));
    }
    schema.finish(Level::Error);
    duplicates(reader, &fields);
    fields
}

/// Column names are compared without regard to case: SQL folds them.
fn duplicates(reader: &Reader, fields: &[Field]) {
    let mut first: BTreeMap<String, &Field> = BTreeMap::new();
    for field in fields {
        if let Some(other) = first.get(&field.name.to_lowercase()) {
            let message = format!("field `{}` is declared twice, first on line {}", field.name, other.position.line);
            reader.report(Finding::error("contract-duplicate-field", field.position.clone(), message));
        } else {
            first.insert(field.name.to_lowercase(), field);
        }
    }
}

fn field(reader: &Reader, node: &Node) -> Option<Field> {
    let map = reader.mapping(node, "field")?;
    let name = map.require_string("name");
    let data_type = map.require("type").and_then(|node| data_type(reader, node));
    let doc = map.string("doc");
    let description = map.string("description");
    let constraints = map.mapping("constraints", "`constraints`");
    let both = Both { field: map, constraints };
    let nullable = both.find("null").and_then(|map| map.boolean("null"));
    let nullable_too = both.find("nullable").and_then(|map| map.boolean("nullable"));
    let primary_key = both.find("primary_key").and_then(|map| map.boolean("primary_key")).unwrap_or(false);
    let timezone = both.find("timezone").and_then(|map| map.string("timezone"));
    // `pii:` with nothing behind it is an error: it was meant to say something.
    let pii = both.find("pii").and_then(|map| reader.boolean(map.raw("pii")?, "`pii`")).unwrap_or(false);
    let masking = both.masking();
    let classification = both.find("classification").and_then(classification);
    let tags = both.find("tags").map(|map| map.strings("tags")).unwrap_or_default();
    let position = both.field.position();
    let masking_node = both.find("masking").and_then(|map| map.raw("masking"));
    both.finish();
    let (name, data_type) = (name?, data_type?);
    check_masking(reader, &name, &data_type, pii, masking, masking_node);
    Some(Field {
        name,
        data_type,
        doc: doc.or(description),
        primary_key,
        nullable: nullable.or(nullable_too).unwrap_or(!primary_key),
        timezone,
        pii,
        masking,
        classification,
        tags,
        position,
    })
}

/// A field and its constraints: the same keys may stand in either.
struct Both<'a> {
    field: Mapping<'a>,
    constraints: Option<Mapping<'a>>,
}

impl<'a> Both<'a> {
    fn find(&self, key: &'static str) -> Option<&Mapping<'a>> {
        let nested = self.constraints.as_ref().filter(|map| map.raw(key).is_some());
        let direct = Some(&self.field).filter(|map| map.raw(key).is_some());
        if let (Some(_), Some(direct)) = (nested, direct)
            && let Some(node) = direct.raw(key)
        {
            let message = format!("`{key}` is given twice, in the field and in its constraints");
            direct.reader().error(node, BAD_VALUE, message);
        }
        nested.or(direct)
    }

    /// `masking: null` is the level, not the absence of one.
    fn masking(&self) -> Option<Masking> {
        let map = self.find("masking")?;
        let node = map.raw("masking")?;
        let words = Masking::ALL.map(|masking| (masking.as_str(), masking));
        match node.text() {
            Some(text) => {
                let found = words.iter().find(|(word, _)| word.eq_ignore_ascii_case(text));
                if found.is_none() {
                    map.unknown_word(node, "masking", text, &words.map(|(word, _)| word));
                }
                found.map(|(_, masking)| *masking)
            }
            None => {
                map.reader().string(node, "`masking`");
                None
            }
        }
    }

    fn finish(self) {
        if let Some(constraints) = self.constraints {
            constraints.finish(Level::Error);
        }
        self.field.finish(Level::Error);
    }
}

fn data_type(reader: &Reader, node: &Node) -> Option<FieldType> {
    let text = reader.string(node, "`type`")?;
    match text.parse::<FieldType>() {
        Ok(data_type) => Some(data_type),
        Err(error) => {
            let mut finding = Finding::error("contract-unknown-type", reader.position(node), error.to_string());
            if let TypeError::Unknown(name) = &error {
                finding.hint = did_you_mean(name, &types::names().collect::<Vec<_>>());
            }
            reader.report(finding);
            None
        }
    }
}

fn check_masking(
    reader: &Reader,
    name: &str,
    data_type: &FieldType,
    pii: bool,
    masking: Option<Masking>,
    node: Option<&Node>,
) {
    let (Some(masking), Some(node)) = (masking, node) else { return };
    if !masking.applies_to(data_type) {
        let fitting = Masking::ALL.into_iter().filter(|other| *other != Masking::None && other.applies_to(data_type));
        let fitting = fitting.map(|other| format!("`{other}`")).collect::<Vec<_>>().join(", ");
        let message = format!("masking `{masking}` cannot keep the type of field `{name}` ({data_type})");
        let finding = Finding::error("contract-masking-type", reader.position(node), message);
        reader.report(finding.with_hint(format!("use one of {fitting}")));
    } else if pii && masking == Masking::None {
        let message = format!("field `{name}` is personal data that the contract does not mask");
        let finding = Finding::warning("contract-unmasked-pii", reader.position(node), message);
        reader.report(finding.with_hint("without a `masking`, personal data is redacted"));
    }
}

/// Columns that partitioning and quality checks name but the schema does not.
pub(super) fn check_references(reader: &Reader, contract: &Contract) {
    let names: Vec<&str> = contract.fields.iter().map(|field| field.name.as_str()).collect();
    let checks = contract.quality.iter().filter_map(|check| Some((check.column.as_deref()?, &check.position)));
    let partitioning =
        contract.output_ports.iter().flat_map(|port| port.partitioning.iter().map(|c| (c.as_str(), &port.position)));
    for (column, position) in checks.chain(partitioning) {
        // A partition transform such as `days(event_ts)` names its column within.
        let bare = column.rsplit_once('(').map_or(column, |(_, inner)| inner.trim_end_matches(')'));
        let bare = bare.rsplit(',').next().unwrap_or(bare).trim();
        if !names.contains(&bare) {
            let message = format!("column `{column}` is not in the schema");
            let mut finding = Finding::warning("contract-unknown-column", position.clone(), message);
            finding.hint = did_you_mean(bare, &names);
            reader.report(finding);
        }
    }
}
