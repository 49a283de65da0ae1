use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::ScalarValue;
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutPayload};
use serde_json::json;

use super::DeltaTable;
use super::travel::{Log, last_written};
use super::types::{bounds, partition_value};
use super::vector::source;
use crate::tables::store::TableRoot;
use crate::tables::tests::{Counting, fuzz};

#[tokio::test]
async fn a_table_that_did_not_move_is_asked_for_in_one_round_without_a_reading() {
    let store = Arc::new(Counting::default());
    let root = TableRoot::of_test(Arc::clone(&store) as _, "t").unwrap();
    let commit = async |version: u64, column: &str| {
        let schema =
            json!({"type": "struct", "fields": [{"name": column, "type": "long", "nullable": true, "metadata": {}}]});
        let lines = [
            json!({"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}}),
            json!({"metaData": {"id": "t", "format": {"provider": "parquet", "options": {}},
                "schemaString": schema.to_string(), "partitionColumns": [], "configuration": {}}}),
        ];
        let text = lines.map(|line| line.to_string()).join("\n");
        let path = Path::from(format!("t/_delta_log/{version:020}.json"));
        store.put(&path, PutPayload::from(text)).await.unwrap();
    };
    let column = |table: &DeltaTable| table.snapshot.schema().fields().next().unwrap().name().clone();
    commit(0, "zero").await;
    commit(1, "one").await;
    let first = DeltaTable::open(root.clone(), None).await.unwrap();
    assert_eq!((first.version(), column(&first)), (1, "one".to_owned()));

    store.counted();
    let again = DeltaTable::open(root.clone(), Some(&first)).await.unwrap();
    assert_eq!((again.state(), store.counted()), (first.state(), [0, 2, 0]));

    // Whatever comes next is seen: another version, ...
    commit(2, "two").await;
    let second = DeltaTable::open(root.clone(), Some(&first)).await.unwrap();
    assert_eq!((second.version(), column(&second)), (2, "two".to_owned()));
    // ... another table in its place, with as many versions or with less.
    commit(2, "other").await;
    let other = DeltaTable::open(root.clone(), Some(&second)).await.unwrap();
    assert_eq!((other.version(), column(&other)), (2, "other".to_owned()));
    store.delete(&Path::from(format!("t/_delta_log/{:020}.json", 2))).await.unwrap();
    let fewer = DeltaTable::open(root, Some(&other)).await.unwrap();
    assert_eq!((fewer.version(), column(&fewer)), (1, "one".to_owned()));
}

#[test]
fn bounds_hold_however_the_writer_rounded() {
    let stats = json!({
        "numRecords": 9,
        "minValues": {"i": -5, "f": 1.0, "t": "2024-01-01T00:00:00.123Z", "d": 12345678901234567.89, "s": "abc"},
        "maxValues": {"i": 7, "f": 2.0, "t": "2024-01-01T00:00:00.123Z", "d": 12345678901234567.89, "s": "abd"},
        "nullCount": {"i": 3},
    });
    let of = |name: &str, data_type: &DataType| bounds(&stats, name, data_type);
    let ints = of("i", &DataType::Int64);
    assert_eq!((ints.low, ints.high, ints.exact, ints.nulls), (Some((-5i64).into()), Some(7i64.into()), true, Some(3)));
    let floats = of("f", &DataType::Float64);
    assert_eq!((floats.low, floats.high), (None, None), "NaN is not within the bounds of floats");
    let stamps = of("t", &DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into())));
    let (Some(ScalarValue::TimestampMicrosecond(Some(low), _)), Some(ScalarValue::TimestampMicrosecond(Some(high), _))) =
        (stamps.low, stamps.high)
    else {
        panic!("timestamps have bounds")
    };
    assert_eq!(high - low, 1000);
    let decimals = of("d", &DataType::Decimal128(20, 2));
    let (Some(ScalarValue::Decimal128(Some(low), ..)), Some(ScalarValue::Decimal128(Some(high), ..))) =
        (decimals.low, decimals.high)
    else {
        panic!("decimals have bounds")
    };
    assert!(low <= 1_234_567_890_123_456_789 && 1_234_567_890_123_456_789 <= high);
    assert!(!of("s", &DataType::Utf8View).exact, "text may be cut");
    assert!(of("missing", &DataType::Int64).low.is_none());
}

#[test]
fn partition_values_are_read_by_type() {
    let micros = DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into()));
    for (text, data_type, expected) in [
        (Some("7"), DataType::Int32, Some(ScalarValue::Int32(Some(7)))),
        (Some(""), DataType::Int32, Some(ScalarValue::Int32(None))),
        (None, DataType::Utf8View, Some(ScalarValue::Utf8View(None))),
        (Some("2024-01-02"), DataType::Date32, Some(ScalarValue::Date32(Some(19724)))),
        (Some("1.50"), DataType::Decimal128(5, 2), Some(ScalarValue::Decimal128(Some(150), 5, 2))),
        (Some("true"), DataType::Boolean, Some(ScalarValue::Boolean(Some(true)))),
        (
            Some("1970-01-01 00:00:01.5"),
            micros.clone(),
            Some(ScalarValue::TimestampMicrosecond(Some(1_500_000), Some("+00:00".into()))),
        ),
        (
            Some("1970-01-01T00:00:01.000000Z"),
            micros,
            Some(ScalarValue::TimestampMicrosecond(Some(1_000_000), Some("+00:00".into()))),
        ),
        (Some("x"), DataType::Int32, None),
    ] {
        assert_eq!(partition_value(text, &data_type), expected, "{text:?} as {data_type}");
    }
}

fn log(names: &[&str]) -> Log {
    let mut log = Log::default();
    for (at, name) in (0..).zip(names) {
        log.add(&Path::from(format!("t/_delta_log/{name}")), at);
    }
    log
}

#[test]
fn the_earliest_version_is_the_first_that_can_be_put_together() {
    let zeros = |version: u64| format!("{version:020}");
    for (names, earliest) in [
        (vec![format!("{}.json", zeros(0)), format!("{}.json", zeros(1))], Some(0)),
        (vec![format!("{}.json", zeros(3)), format!("{}.json", zeros(4))], None),
        (vec![format!("{}.json", zeros(3)), format!("{}.checkpoint.parquet", zeros(4))], Some(4)),
        (vec![format!("{}.checkpoint.80a083e8-7026.json", zeros(7))], Some(7)),
        (
            vec![
                format!("{}.checkpoint.0000000001.0000000002.parquet", zeros(5)),
                format!("{}.checkpoint.0000000001.0000000002.parquet", zeros(8)),
                format!("{}.checkpoint.0000000002.0000000002.parquet", zeros(8)),
            ],
            Some(8),
        ),
        (vec![format!("{}.{}.compacted.json", zeros(0), zeros(9)), format!("{}.crc", zeros(0))], None),
        (vec!["_last_checkpoint".into(), "x.json".into(), "0.json".into(), String::new()], None),
    ] {
        let found = log(&names.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(found.earliest(), earliest, "{names:?}");
    }
}

#[test]
fn commits_are_in_order_whatever_their_clocks_said() {
    let commits = [(3, 100), (4, 90), (5, 90), (6, 200), (7, i64::MAX), (8, 5)];
    let at = |millis: i64| last_written(commits.iter().map(|(version, time)| (version, time)), millis);
    let found: Vec<_> = [99, 100, 101, 102, 199, 200, i64::MAX - 1].map(at).into();
    assert_eq!(found, [None, Some(3), Some(4), Some(5), Some(5), Some(6), Some(6)]);
    assert_eq!(at(i64::MAX), Some(8), "no overflow");
    assert_eq!(last_written(std::iter::empty(), 5), None);
}

/// What a log says of values, and where it says that deletion vectors are.
#[test]
fn fuzz_delta_values() {
    let texts = [
        "2024-02-30",
        "-2024-01-01",
        "+262143-12-31",
        "9999999999-01-01",
        "1969-12-31 23:59:59.999999",
        "292278994-08-17T07:12:55.807Z",
        "-292275055-05-16T16:47:04.192Z",
        "1e400",
        "-1e-400",
        "NaN",
        "infinity",
        "9223372036854775808",
        "170141183460469231731687303715884105728",
        "0.00000000000000000000000000000000000000001",
        "true",
        "TRUE",
        "\u{0}",
        "é",
        "12:60",
        "24:00:00",
        "--",
        "+",
        "1.",
        ".1",
        "1_000",
        "0x10",
    ];
    let zone = || Some("+00:00".into());
    let types = [
        DataType::Int8,
        DataType::Int16,
        DataType::Int32,
        DataType::Int64,
        DataType::Float32,
        DataType::Float64,
        DataType::Boolean,
        DataType::Date32,
        DataType::Utf8View,
        DataType::BinaryView,
        DataType::Timestamp(TimeUnit::Microsecond, None),
        DataType::Timestamp(TimeUnit::Microsecond, zone()),
        DataType::Decimal128(38, 10),
        DataType::Decimal128(5, 2),
        DataType::Decimal128(1, 0),
        DataType::Decimal128(38, 38),
    ];
    let descriptors = [
        r#"{"storageType":"i","pathOrInlineDv":"wi5b=000010000siXQKl0rr91000f55c8Xg0@@D72lkbi5=-{L","sizeInBytes":40,"cardinality":6}"#,
        r#"{"storageType":"u","pathOrInlineDv":"ab^-aqEH.-t@S}K{vb[*k^","offset":4,"sizeInBytes":40,"cardinality":6}"#,
        r#"{"storageType":"p","pathOrInlineDv":"s3://test/t/deletion_vector.bin","offset":4,"sizeInBytes":40,"cardinality":6}"#,
    ];
    let root = TableRoot::of_test(Arc::new(object_store::memory::InMemory::new()), "t").unwrap();
    fuzz::cases("delta_values", 1000, |rng| {
        let (whole, target) = (*rng.pick(&texts), rng.pick(&types));
        let changed = if rng.one_in(2) { whole.as_bytes().to_vec() } else { fuzz::text(rng, whole.as_bytes()) };
        let changed = String::from_utf8_lossy(&changed).into_owned();
        let of_type = |value: &ScalarValue| assert_eq!(&value.data_type(), target, "{changed}");
        partition_value(Some(&changed), target).iter().for_each(of_type);
        let value = match rng.one_in(2) {
            true => json!(changed),
            false => serde_json::from_str(&changed).unwrap_or(json!(rng.next() as i64)),
        };
        let said = json!({"minValues": {"c": value}, "maxValues": {"c": value}, "nullCount": {"c": value}});
        let bounds = bounds(&said, "c", target);
        bounds.low.iter().chain(&bounds.high).for_each(of_type);
        let of = *rng.pick(&descriptors);
        let descriptor = fuzz::text(rng, of.as_bytes());
        if let Ok(descriptor) = serde_json::from_slice(&descriptor) {
            let _ = source(&root, &descriptor);
        }
    });
}
