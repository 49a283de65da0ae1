//! The JSON Schemas say what the readers know.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::*;
use crate::policy::schemas::schemas;
use crate::policy::tests::run;

/// Set `UPDATE_SCHEMAS=1` to write the files instead.
#[test]
#[expect(clippy::disallowed_methods, reason = "the test compares files, and writes them when told to")]
fn the_committed_files_are_the_generated_ones() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/schemas");
    for (name, schema) in schemas() {
        let path = directory.join(&name);
        if std::env::var_os("UPDATE_SCHEMAS").is_some() {
            std::fs::write(&path, format!("{}\n", serde_json::to_string_pretty(&schema).unwrap())).unwrap();
        }
        let committed: Value =
            serde_json::from_str(&std::fs::read_to_string(&path).unwrap_or_default()).unwrap_or_default();
        assert!(committed == schema, "docs/schemas/{name} is not what the code says: run with UPDATE_SCHEMAS=1");
    }
}

fn schema(name: &str) -> Value {
    schemas().into_iter().find(|(found, _)| found == name).unwrap().1
}

/// The keys that the schema has at a place.
fn keys(schema: &Value, place: &str) -> BTreeSet<String> {
    let properties = schema.pointer(&format!("{place}/properties")).and_then(Value::as_object);
    properties.unwrap_or_else(|| panic!("{place}")).keys().cloned().collect()
}

/// The keys that the reader says are known, in its finding on this line about the key `zzzzzzzzzzzz`.
fn known(findings: &[Finding], line: u32) -> BTreeSet<String> {
    let finding = findings.iter().find(|f| f.position.line == line && f.code.ends_with("-unknown-key"));
    let hint = finding.and_then(|f| f.hint.as_deref()).unwrap_or_else(|| panic!("line {line}: {}", lines(findings)));
    hint.trim_start_matches("known: ").split(", ").map(ToOwned::to_owned).collect()
}

#[test]
fn the_vocabulary() {
    let text = "groups:\n  a:\n    zzzzzzzzzzzz: 1\nzzzzzzzzzzzz: 1\n";
    let vocabulary = Some(SourceFile::new("policies/vocabulary.yaml", text));
    let catalogue = Arc::new(Catalogue::build(&[], None));
    let found = PolicySnapshot::compile(catalogue, &PolicySources { policies: vec![], vocabulary }).unwrap_err();
    let schema = schema("vocabulary.schema.json");
    assert_eq!(known(&found, 4), keys(&schema, ""));
    assert_eq!(known(&found, 3), keys(&schema, "/properties/groups/anyOf/1/additionalProperties/anyOf/0"));
}

#[test]
fn policy_tests() {
    let text = "tests:
  - name: t
    as:
      id: x
      zzzzzzzzzzzz: 1
    table: system.products
    expect:
      query: true
      zzzzzzzzzzzz: 1
    zzzzzzzzzzzz: 1
zzzzzzzzzzzz: 1
";
    let snapshot = compile(QUERY);
    let found = run(&snapshot, &BTreeMap::new(), &[SourceFile::new("policies/tests/t.yaml", text)]).findings;
    let schema = schema("policy-tests.schema.json");
    assert_eq!(known(&found, 11), keys(&schema, ""));
    let test = "/properties/tests/items";
    assert_eq!(known(&found, 10), keys(&schema, test));
    assert_eq!(known(&found, 9), keys(&schema, &format!("{test}/properties/expect")));
    assert_eq!(known(&found, 5), keys(&schema, &format!("{test}/properties/as/anyOf/1")));
}
