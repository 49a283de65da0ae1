//! Reads the files of policy tests.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use datafusion::arrow::compute::kernels::cast_utils::string_to_timestamp_nanos;
use portcullis_contract::yaml::{Codes, Mapping, Node, Reader, Value, did_you_mean};
use portcullis_contract::{Finding, Level, SourceFile};

use super::{Expected, PolicyTest};
use crate::policy::decision::Disclosure;
use crate::policy::missing::Missing;
use crate::policy::snapshot::PolicySnapshot;
use crate::policy::subject::{AttributeValue, Principal, RequestContext, Subject};
use crate::policy::vocabulary::{AttributeType, SYSTEM_DOMAIN, SYSTEM_TABLES};

const CODES: Codes =
    Codes::new("policy-test-syntax", "policy-test-unknown-key", "policy-test-missing-key", "policy-test-value");

/// The instant of tests that name none: tests do not depend on the day they run.
const DEFAULT_NOW: &str = "2026-01-01T00:00:00Z";

type Principals = BTreeMap<String, Principal>;

/// The tests of one file, and what is wrong with it. A test with a mistake is left out.
pub(super) fn read(
    snapshot: &PolicySnapshot,
    principals: &Principals,
    source: &SourceFile,
) -> (Vec<PolicyTest>, Vec<Finding>) {
    let reader = Reader::new(source.path.as_str(), CODES);
    let mut tests = Vec::new();
    if let Some(root) = reader.parse(&source.text)
        && let Some(map) = reader.mapping(&root, "the file")
    {
        if map.require("tests").is_some() {
            let found = map.items("tests").iter();
            tests = found.filter_map(|node| one(snapshot, principals, &reader, node)).collect();
        }
        map.finish(Level::Error);
    }
    (tests, reader.into_findings())
}

fn one(snapshot: &PolicySnapshot, principals: &Principals, reader: &Reader, node: &Node) -> Option<PolicyTest> {
    let map = reader.mapping(node, "test")?;
    let name = map.require_string("name");
    let principal = map.require("as").and_then(|who| principal(snapshot, principals, reader, who));
    let purpose = word(&map, "purpose", snapshot.vocabulary().purposes());
    let client = parsed(&map, "client", "an IP address", |text| text.parse::<IpAddr>().ok());
    let now = parsed(&map, "now", "an instant such as `2026-01-01T00:00:00Z`", milliseconds);
    let context = RequestContext {
        purpose: purpose?,
        break_glass: map.string("break_glass"),
        client_address: client?,
        authentication: map.string("authentication").unwrap_or_else(|| "password".to_owned()),
        actor: None,
        domains: None,
        now_ms: now?.or_else(|| milliseconds(DEFAULT_NOW))?,
    };
    let table = map.require("table").and_then(|n| table(snapshot, reader, n));
    let expected = map.require("expect").and_then(|n| reader.mapping(n, "expect")).and_then(expected);
    let position = map.position();
    map.finish(Level::Error);
    let (table, columns) = table?;
    let expected = expected?;
    if let Some(column) = expected.columns.keys().find(|c| *c != "*" && !columns.contains(*c)) {
        reader.error(node, "policy-test-value", format!("table `{table}` has no column `{column}`"));
        return None;
    }
    Some(PolicyTest { name: name?, position, subject: Subject { principal: principal?, context }, table, expected })
}

/// A word of a known set: `Some(None)` where there is none, `None` where it is unknown.
fn word<'a>(map: &Mapping<'_>, key: &'static str, words: impl Iterator<Item = &'a str>) -> Option<Option<String>> {
    let (Some(node), Some(text)) = (map.get(key), map.string(key)) else { return Some(None) };
    let words: Vec<&str> = words.collect();
    if words.contains(&text.as_str()) {
        return Some(Some(text));
    }
    map.unknown_word(node, key, &text, &words);
    None
}

fn parsed<T>(map: &Mapping<'_>, key: &'static str, what: &str, parse: impl Fn(&str) -> Option<T>) -> Option<Option<T>> {
    let Some(node) = map.get(key) else { return Some(None) };
    let value = node.text().and_then(parse);
    if value.is_none() {
        map.reader().error(node, "policy-test-value", format!("`{key}` must be {what}"));
    }
    value.map(Some)
}

fn milliseconds(text: &str) -> Option<i64> {
    string_to_timestamp_nanos(text).ok().map(|ns| ns.div_euclid(1_000_000))
}

/// A user by name, or one written out.
fn principal(snapshot: &PolicySnapshot, principals: &Principals, reader: &Reader, node: &Node) -> Option<Principal> {
    let principal = match &node.value {
        Value::Mapping(_) => inline(snapshot, reader, node)?,
        _ => {
            let id = reader.string(node, "`as`")?;
            let Some(found) = principals.get(&id) else {
                let names: Vec<&str> = principals.keys().map(String::as_str).collect();
                let message = format!("there is no user `{id}`");
                let mut finding = Finding::error("policy-test-value", reader.position(node), message);
                finding.hint = did_you_mean(&id, &names);
                reader.report(finding);
                return None;
            };
            found.clone()
        }
    };
    if let Err(problems) = snapshot.check_principal(&principal) {
        problems.into_iter().for_each(|problem| reader.error(node, "policy-test-value", problem));
        return None;
    }
    Some(principal)
}

fn inline(snapshot: &PolicySnapshot, reader: &Reader, node: &Node) -> Option<Principal> {
    let map = reader.mapping(node, "user")?;
    let id = map.string("id").unwrap_or_else(|| "somebody".to_owned());
    let groups: BTreeSet<String> = map.strings("groups").into_iter().collect();
    let mut attributes = BTreeMap::new();
    if let Some(given) = map.mapping("attributes", "attributes") {
        let types: BTreeMap<&str, AttributeType> = snapshot.vocabulary().attributes().collect();
        for entry in given.entries() {
            let value = match types.get(entry.key.as_str()) {
                Some(AttributeType::Long) => reader.integer(&entry.value, &entry.key).map(AttributeValue::Long),
                Some(AttributeType::Bool) => reader.boolean(&entry.value, &entry.key).map(AttributeValue::Bool),
                Some(AttributeType::StringSet | AttributeType::PurposeSet) => {
                    Some(AttributeValue::Set(reader.strings(&entry.value, &entry.key)))
                }
                Some(AttributeType::String) | None => {
                    reader.string(&entry.value, &entry.key).map(AttributeValue::String)
                }
            };
            attributes.extend(value.map(|value| (entry.key.clone(), value)));
        }
    }
    map.finish(Level::Error);
    Some(Principal { id, groups, attributes })
}

/// A table's name and its columns.
fn table(snapshot: &PolicySnapshot, reader: &Reader, node: &Node) -> Option<(String, BTreeSet<String>)> {
    let id = reader.string(node, "`table`")?;
    let (domain, name) = id.split_once('.').unwrap_or_default();
    if domain == SYSTEM_DOMAIN && SYSTEM_TABLES.contains(&name) {
        return Some((id, BTreeSet::new()));
    }
    if let Some(table) = snapshot.catalogue().resolve(domain, name) {
        return Some((id, table.fields().iter().map(|field| field.name.clone()).collect()));
    }
    if let Some(withheld) = Missing::new(snapshot.catalogue()).table(&id) {
        let message = format!("test of `{id}` is skipped: its contract is withheld: {}", withheld.position());
        let finding = Finding::warning("policy-test-skipped", reader.position(node), message);
        reader.report(finding.with_hint("repair the contract"));
        return None;
    }
    let names: Vec<String> = snapshot.catalogue().tables().map(|table| table.name.to_string()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut finding = Finding::error("policy-test-value", reader.position(node), format!("there is no table `{id}`"));
    finding.hint = did_you_mean(&id, &names);
    reader.report(finding);
    None
}

fn expected(map: Mapping<'_>) -> Option<Expected> {
    let discover = map.boolean("discover").unwrap_or(true);
    // What cannot be discovered cannot be queried either.
    let query = map.boolean("query").unwrap_or(discover);
    let filter = map.string("filter");
    let mut columns = BTreeMap::new();
    let mut understood = true;
    if let Some(levels) = map.mapping("columns", "columns") {
        for entry in levels.entries() {
            let text = entry.value.text().unwrap_or_default();
            match Disclosure::parse(text) {
                Some(level) => drop(columns.insert(entry.key.clone(), level)),
                None => {
                    let words: Vec<&str> =
                        Disclosure::LADDER.into_iter().chain([Disclosure::Denied]).map(Disclosure::as_str).collect();
                    understood = false;
                    levels.unknown_word(&entry.value, &entry.key, text, &words);
                }
            }
        }
    }
    let aggregates = map.integer("aggregates").map(|limit| u64::try_from(limit).unwrap_or_default());
    let (notice, break_glass) = (map.boolean("notice"), map.boolean("break_glass"));
    map.finish(Level::Error);
    understood.then_some(Expected { discover, query, aggregates, break_glass, notice, filter, columns })
}
