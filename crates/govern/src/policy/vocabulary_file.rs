//! Reads `policies/vocabulary.yaml`.

use portcullis_contract::yaml::{Codes, Mapping, Node, Reader, did_you_mean};
use portcullis_contract::{Finding, Level, SourceFile};

use super::vocabulary::{AttributeType, Vocabulary};

const CODES: Codes =
    Codes::new("vocabulary-syntax", "vocabulary-unknown-key", "vocabulary-missing-key", "vocabulary-value");

/// The vocabulary; without a file, an empty one.
pub(crate) fn read(file: Option<&SourceFile>) -> Result<Vocabulary, Vec<Finding>> {
    let Some(file) = file else { return Ok(Vocabulary::default()) };
    let reader = Reader::new(file.path.as_str(), CODES);
    let mut vocabulary = Vocabulary::default();
    if let Some(root) = reader.parse(&file.text)
        && let Some(map) = reader.mapping(&root, "the vocabulary")
    {
        fill(&mut vocabulary, map);
    }
    let findings: Vec<Finding> = reader.into_findings();
    if findings.iter().any(Finding::is_error) { Err(findings) } else { Ok(vocabulary) }
}

fn fill(vocabulary: &mut Vocabulary, map: Mapping<'_>) {
    let reader = map.reader();
    for (name, node) in names(&map, "groups") {
        let mut parents = Vec::new();
        if let Some(group) = node.filter(|n| !n.is_null()).and_then(|n| reader.mapping(n, "group")) {
            parents = group.strings("parents");
            group.string("description");
            group.finish(Level::Error);
        }
        vocabulary.groups.insert(name, parents.into_iter().collect());
    }
    vocabulary.purposes = names(&map, "purposes").into_iter().map(|(name, _)| name).collect();
    vocabulary.tags = names(&map, "tags").into_iter().map(|(name, _)| name).collect();
    vocabulary.limits = names(&map, "limits").into_iter().map(|(name, _)| name).collect();
    for (name, node) in names(&map, "attributes") {
        let Some(node) = node else { continue };
        let Some(text) = reader.string(node, "the attribute's type") else { continue };
        match AttributeType::parse(&text) {
            Some(AttributeType::PurposeSet) if vocabulary.purposes.is_empty() => {
                reader.error(node, "vocabulary-value", "`set<purpose>` needs `purposes`");
            }
            Some(attribute_type) => drop(vocabulary.attributes.insert(name, attribute_type)),
            None => {
                let words: Vec<&str> = AttributeType::ALL.into_iter().map(AttributeType::as_str).collect();
                let message = format!("attribute `{name}` has the unknown type `{text}`");
                let mut finding = Finding::error("vocabulary-value", reader.position(node), message);
                finding.hint = did_you_mean(&text, &words).or_else(|| Some(format!("types are {}", words.join(", "))));
                reader.report(finding);
            }
        }
    }
    check_groups(vocabulary, &map);
    map.finish(Level::Error);
}

/// Names with what is written about them: a mapping's keys and values, or a list's items.
fn names<'a>(map: &Mapping<'a>, key: &'static str) -> Vec<(String, Option<&'a Node>)> {
    let Some(node) = map.get(key) else { return Vec::new() };
    let reader = map.reader();
    match &node.value {
        portcullis_contract::yaml::Value::Mapping(entries) => {
            entries.iter().map(|e| (e.key.clone(), Some(&e.value))).collect()
        }
        _ if key == "attributes" => {
            reader.error(node, "vocabulary-value", "`attributes` must be a mapping of names to types");
            Vec::new()
        }
        _ => reader.strings(node, key).into_iter().map(|name| (name, None)).collect(),
    }
}

fn check_groups(vocabulary: &Vocabulary, map: &Mapping<'_>) {
    let reader = map.reader();
    let Some(node) = map.get("groups") else { return };
    for (group, parents) in &vocabulary.groups {
        for parent in parents.iter().filter(|p| !vocabulary.groups.contains_key(*p)) {
            let message = format!("group `{group}` has the unknown parent `{parent}`");
            let words: Vec<&str> = vocabulary.groups().collect();
            let mut finding = Finding::error("vocabulary-value", reader.position(node), message);
            finding.hint = did_you_mean(parent, &words);
            reader.report(finding);
        }
    }
    if let Some(group) = vocabulary.circular_group() {
        reader.error(node, "vocabulary-value", format!("group `{group}` is its own ancestor"));
    }
}
