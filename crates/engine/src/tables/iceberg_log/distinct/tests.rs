use std::sync::Arc;

use iceberg::spec::TableMetadata;
use serde_json::{Value, json};

use super::IcebergTable;
use crate::tables::store::TableRoot;
use crate::tables::tests::iceberg_metadata;

fn sketch(of: &str, fields: &[i32], properties: Value) -> Value {
    json!({"type": of, "snapshot-id": 1, "sequence-number": 1, "fields": fields, "properties": properties})
}

fn theta(field: i32, count: &str) -> Value {
    sketch("apache-datasketches-theta-v1", &[field], json!({"ndv": count}))
}

fn file(snapshot: i64, sketches: &[Value]) -> Value {
    json!({"snapshot-id": snapshot, "statistics-path": "s3://test/t/metadata/x.stats", "file-size-in-bytes": 100,
        "file-footer-size-in-bytes": 10, "blob-metadata": sketches})
}

/// A table of the snapshots 1 to 4, each after the one before, but 4 after 2.
fn table(statistics: &[Value]) -> IcebergTable {
    let mut whole: Value = serde_json::from_str(&iceberg_metadata("s3://test/t", "n")).unwrap();
    let snapshot = |(id, parent): (i64, Option<i64>)| {
        let mut snapshot = json!({"snapshot-id": id, "sequence-number": id, "timestamp-ms": id, "schema-id": 0,
            "manifest-list": "s3://test/t/metadata/snap.avro", "summary": {"operation": "append"}});
        if let Some(parent) = parent {
            snapshot["parent-snapshot-id"] = parent.into();
        }
        snapshot
    };
    let snapshots = [(1, None), (2, Some(1)), (3, Some(2)), (4, Some(2))].map(snapshot);
    whole["snapshots"] = snapshots.to_vec().into();
    whole["current-snapshot-id"] = 3.into();
    whole["last-sequence-number"] = 4.into();
    whole["refs"] = json!({"main": {"snapshot-id": 3, "type": "branch"}});
    whole["statistics"] = statistics.to_vec().into();
    let root = TableRoot::of_test(Arc::new(object_store::memory::InMemory::new()), "t").unwrap();
    let metadata: TableMetadata = serde_json::from_value(whole).unwrap();
    IcebergTable::new(root, Arc::new(metadata), Arc::default(), "1".to_owned())
}

#[test]
fn counts_are_of_the_snapshot_or_of_the_newest_before_it() {
    let files = [
        file(1, &[theta(1, "10"), theta(2, "20"), theta(3, "30")]),
        file(2, &[theta(2, "21")]),
        file(4, &[theta(3, "33")]),
    ];
    let table = table(&files);
    assert_eq!(table.distinct(), [(1, 10), (2, 21), (3, 30)].into());
    // Those of a branch are no other's.
    assert_eq!(table.at(4, false).unwrap().distinct(), [(1, 10), (2, 21), (3, 33)].into());
    assert_eq!(table.at(1, false).unwrap().distinct(), [(1, 10), (2, 20), (3, 30)].into());
}

#[test]
fn what_is_no_count_of_one_column_says_nothing() {
    let sketches = [
        theta(1, "-1"),
        theta(2, "1e3"),
        theta(3, ""),
        theta(4, "0"),
        theta(5, "99999999999999999999999"),
        sketch("apache-datasketches-theta-v1", &[6, 7], json!({"ndv": "5"})),
        sketch("apache-datasketches-theta-v1", &[], json!({"ndv": "5"})),
        sketch("apache-datasketches-theta-v1", &[8], json!({})),
        sketch("deletion-vector-v1", &[9], json!({"ndv": "5"})),
        theta(10, "7"),
    ];
    assert_eq!(table(&[file(3, &sketches)]).distinct(), [(10, 7)].into());
    assert_eq!(table(&[]).distinct(), [].into());
}
