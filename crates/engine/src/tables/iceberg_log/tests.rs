use std::sync::atomic::Ordering;

use object_store::PutPayload;

use super::*;
use crate::tables::tests::{Counting, iceberg_metadata};

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

#[tokio::test]
async fn a_table_that_did_not_move_is_asked_for_in_one_round_without_a_reading() {
    let store = Arc::new(Counting::default());
    let root = TableRoot::of_test(Arc::clone(&store) as _, "t").unwrap();
    let put = async |name: &str, text: String| {
        store.put(&Path::from(format!("t/metadata/{name}")), PutPayload::from(text)).await.unwrap();
    };
    let metadata = |column: &str| iceberg_metadata("s3://test/t", column);
    let column = |table: &IcebergTable| table.metadata.current_schema().as_struct().fields()[0].name.clone();
    put("v1.metadata.json", metadata("one")).await;
    put("version-hint.text", "1".into()).await;
    let first = IcebergTable::open(root.clone(), None).await.unwrap();
    assert_eq!(column(&first), "one");

    store.counted();
    let again = IcebergTable::open(root.clone(), Some(&first)).await.unwrap();
    assert_eq!((again.version, store.counted()), (first.version.clone(), [0, 3, 0]));

    // Whatever comes next is seen: a version that the hint does not name yet, compressed or not, ...
    put("v2.gz.metadata.json", metadata("two")).await;
    let second = IcebergTable::open(root.clone(), Some(&first)).await.unwrap();
    assert_eq!(column(&second), "two");
    put("v3.metadata.json", metadata("three")).await;
    put("version-hint.text", "3".into()).await;
    let third = IcebergTable::open(root.clone(), Some(&second)).await.unwrap();
    assert_eq!(column(&third), "three");
    // ... another table in its place, with as many versions or with less.
    put("v3.metadata.json", metadata("other")).await;
    let other = IcebergTable::open(root.clone(), Some(&third)).await.unwrap();
    assert_eq!(column(&other), "other");
    for name in ["v3.metadata.json", "v2.gz.metadata.json"] {
        store.delete(&Path::from(format!("t/metadata/{name}"))).await.unwrap();
    }
    put("version-hint.text", "1".into()).await;
    let fewer = IcebergTable::open(root.clone(), Some(&other)).await.unwrap();
    assert_eq!(column(&fewer), "one");
    store.failures.store(1, Ordering::SeqCst);
    assert!(IcebergTable::open(root, None).await.is_err(), "a store that is away is no table without versions");
}

#[tokio::test]
async fn no_version_follows_the_last_number() {
    let store = Arc::new(Counting::default());
    let root = TableRoot::of_test(Arc::clone(&store) as _, "t").unwrap();
    for (name, text) in [
        (format!("v{}.metadata.json", u64::MAX), iceberg_metadata("s3://test/t", "last")),
        ("v0.metadata.json".to_owned(), iceberg_metadata("s3://test/t", "first")),
        ("version-hint.text".to_owned(), u64::MAX.to_string()),
    ] {
        store.put(&Path::from(format!("t/metadata/{name}")), PutPayload::from(text)).await.unwrap();
    }
    let last = IcebergTable::open(root.clone(), None).await.unwrap();
    let again = IcebergTable::open(root, Some(&last)).await.unwrap();
    let column = &again.metadata.current_schema().as_struct().fields()[0].name;
    assert_eq!((last.version, column.as_str()), (again.version.clone(), "last"));
}

#[test]
fn values_have_the_length_of_their_type() {
    let value = |bytes: &[u8]| iceberg::spec::PrimitiveLiteral::Binary(bytes.to_vec());
    let kind = iceberg::spec::PrimitiveType::Fixed(3);
    assert!(types::primitive(&value(b"abc"), &kind).is_some_and(|value| value.to_array().is_ok()));
    for other in [b"".as_slice(), b"ab", b"abcd"] {
        assert_eq!(types::primitive(&value(other), &kind), None, "{other:?}");
    }
}
