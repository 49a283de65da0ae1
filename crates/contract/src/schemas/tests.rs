use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::schemas;
use crate::{Catalogue, SourceFile};

/// Set `UPDATE_SCHEMAS=1` to write the files instead.
#[test]
fn the_committed_files_are_the_generated_ones() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/schemas");
    for (name, schema) in schemas() {
        let path = directory.join(&name);
        if std::env::var_os("UPDATE_SCHEMAS").is_some() {
            std::fs::write(&path, format!("{}\n", serde_json::to_string_pretty(&schema).unwrap())).unwrap();
        }
        // Compared as values: the order of keys depends on the features of the build.
        let committed: Value =
            serde_json::from_str(&std::fs::read_to_string(&path).unwrap_or_default()).unwrap_or_default();
        assert!(committed == schema, "docs/schemas/{name} is not what the types say: run with UPDATE_SCHEMAS=1");
    }
}

/// The keys that a definition of a schema has.
fn keys(schema: &Value, definition: &str) -> BTreeSet<String> {
    let object = if definition.is_empty() { schema } else { &schema["$defs"][definition] };
    object["properties"].as_object().into_iter().flatten().map(|(key, _)| key.clone()).collect()
}

/// The keys that a reader says are known, in the finding about the key `zzzzzzzzzzzz` on this line.
fn known(catalogue: &Catalogue, line: u32) -> BTreeSet<String> {
    let finding = catalogue.findings().iter().find(|f| f.position.line == line && f.code.ends_with("-unknown-key"));
    let hint = finding.and_then(|finding| finding.hint.as_deref()).unwrap_or_else(|| panic!("line {line}"));
    hint.trim_start_matches("known: ").split(", ").map(ToOwned::to_owned).collect()
}

#[test]
fn the_schema_has_the_keys_that_the_manifest_reader_knows() {
    let text = "apiVersion: datamesh.io/v1
metadata: {zzzzzzzzzzzz: 1}
owner:
  zzzzzzzzzzzz: 1
inputPorts:
  - zzzzzzzzzzzz: 1
transformation:
  zzzzzzzzzzzz: 1
outputPorts:
  - name: p
    type: delta-table
    location: x
    schemaRegistry:
      zzzzzzzzzzzz: 1
    contract:
      zzzzzzzzzzzz: 1
    zzzzzzzzzzzz: 1
expectations:
  zzzzzzzzzzzz: 1
sla:
  zzzzzzzzzzzz: 1
schema:
  fields:
    - constraints:
        zzzzzzzzzzzz: 1
      zzzzzzzzzzzz: 1
  zzzzzzzzzzzz: 1
quality:
  checks:
    - zzzzzzzzzzzz: 1
  zzzzzzzzzzzz: 1
lineage:
  zzzzzzzzzzzz: 1
access:
  zzzzzzzzzzzz: 1
  aggregation:
    zzzzzzzzzzzz: 1
zzzzzzzzzzzz: 1
";
    let catalogue = Catalogue::build(&[SourceFile::new("catalogs/d/x.yaml", text)], None);
    let (_, schema) = schemas().into_iter().find(|(name, _)| name == "contract.schema.json").unwrap();
    for (line, definition) in [
        (4, "Team"),
        (6, "InputPortKeys"),
        (8, "Transformation"),
        (14, "RegistryEntry"),
        (16, "PortContract"),
        (17, "OutputPort"),
        (19, "Expectations"),
        (21, "Sla"),
        (25, "Constraints"),
        (26, "Field"),
        (27, "TableSchema"),
        (30, "Check"),
        (31, "Quality"),
        (33, "Lineage"),
        (35, "Access"),
        (2, "Section"),
        (37, "Aggregation"),
        (38, ""),
    ] {
        assert_eq!(known(&catalogue, line), keys(&schema, definition), "{definition}");
    }
}

#[test]
fn the_schema_has_the_keys_that_the_connections_reader_knows() {
    let text = "connections:
  a:
    type: directory
    store:
      zzzzzzzzzzzz: 1
    zzzzzzzzzzzz: 1
  b:
    type: iceberg-rest
    uri: https://x
    auth:
      type: client-credentials
      client_secret:
        zzzzzzzzzzzz: 1
      zzzzzzzzzzzz: 1
    zzzzzzzzzzzz: 1
  c:
    type: iceberg-sql
    zzzzzzzzzzzz: 1
zzzzzzzzzzzz: 1
";
    let catalogue = Catalogue::build(&[], Some(&SourceFile::new("catalogs/connections.yaml", text)));
    let (_, schema) = schemas().into_iter().find(|(name, _)| name == "connections.schema.json").unwrap();
    let variant = |definition: &str, kind: &str| {
        let variants = schema["$defs"][definition]["oneOf"].as_array().unwrap();
        let found = variants.iter().find(|v| v["properties"]["type"]["const"] == kind).unwrap();
        let reference = found["$ref"].as_str().and_then(|r| r.rsplit('/').next()).unwrap_or_default();
        let own = found["properties"].as_object().unwrap().keys().cloned();
        let referenced = if reference.is_empty() { BTreeSet::new() } else { keys(&schema, reference) };
        own.chain(referenced).collect::<BTreeSet<String>>()
    };
    assert_eq!(known(&catalogue, 5), keys(&schema, "Store"));
    assert_eq!(known(&catalogue, 6), variant("Connection", "directory"));
    assert_eq!(known(&catalogue, 14), variant("Auth", "client-credentials"));
    assert_eq!(known(&catalogue, 15), variant("Connection", "iceberg-rest"));
    assert_eq!(known(&catalogue, 18), variant("Connection", "iceberg-sql"));
    assert_eq!(known(&catalogue, 19), keys(&schema, ""));
    assert_eq!(known(&catalogue, 13), BTreeSet::from(["env".to_owned(), "file".to_owned()]));
}
