use super::*;

#[test]
fn versions_are_read_from_the_names_of_metadata_files() {
    for (name, version) in [
        ("v12.metadata.json", Some(12)),
        ("v3.gz.metadata.json", Some(3)),
        ("00012-5d2b3a52-75d7-4d3f-8a0d-7a6b0d7d3d11.metadata.json", Some(12)),
        ("snap-1.avro", None),
        ("version-hint.text", None),
    ] {
        assert_eq!(version_of(name), version, "{name}");
    }
}

#[test]
fn name_mappings_are_read_with_their_nested_fields() {
    let mapping = types::name_mapping(
        r#"[{"field-id": 1, "names": ["id", "old_id"]}, {"field-id": 2, "names": ["s"], "fields": [{"field-id": 3, "names": ["x"]}]}]"#,
    )
    .unwrap();
    assert_eq!(mapping.get(&1).unwrap(), &["id", "old_id"]);
    assert_eq!(mapping.get(&3).unwrap(), &["x"]);
    assert!(types::name_mapping("not json").is_none());
}
