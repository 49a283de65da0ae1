use std::sync::Arc;

use datafusion::arrow::array::{Int64Array, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{Field, Schema};
use object_store::memory::InMemory;
use parquet::arrow::ArrowWriter;

use super::*;
use crate::tables::tests::fuzz;

fn kept(deleted: &[u64], rows: u64) -> Vec<u64> {
    let selection = selection(&deleted.iter().copied().collect(), rows).unwrap();
    let (mut kept, mut at) = (Vec::new(), 0);
    for selector in selection.iter() {
        let end = at + selector.row_count as u64;
        if !selector.skip {
            kept.extend(at..end);
        }
        at = end;
    }
    assert_eq!(at, rows, "a selection covers the whole file");
    kept
}

#[test]
fn selections_keep_what_is_not_deleted() {
    for (deleted, rows) in [
        (vec![], 4),
        (vec![0], 4),
        (vec![3], 4),
        (vec![0, 1, 2, 3], 4),
        (vec![1, 2, 4, 5, 9], 10),
        (vec![0, 2, 4, 6, 8], 10),
        ((0..1000).filter(|row| row % 3 != 1).collect(), 1000),
    ] {
        let expected: Vec<u64> = (0..rows).filter(|row| !deleted.contains(row)).collect();
        assert_eq!(kept(&deleted, rows), expected, "{deleted:?} of {rows}");
    }
}

#[test]
fn deletes_beyond_the_file_are_refused() {
    let error = selection(&[4u64].into_iter().collect(), 4).unwrap_err();
    assert!(matches!(error, Fault::Corrupt(_)));
}

#[test]
fn bitmaps_need_their_magic_number_and_their_end() {
    let rows: RoaringTreemap = [1u64, 5, 1 << 40].into_iter().collect();
    let mut bytes = MAGIC.to_vec();
    rows.serialize_into(&mut bytes).unwrap();
    assert_eq!(parse_bitmap(&bytes).unwrap(), rows);
    assert!(parse_bitmap(bytes.get(1..).unwrap()).is_err());
    assert!(parse_bitmap(bytes.get(..bytes.len() - 1).unwrap()).is_err());
}

#[test]
fn the_checksum_is_the_usual_one() {
    assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
}

#[test]
fn a_vector_of_billions_of_rows_costs_no_more_than_its_ranges() {
    let mut deleted = RoaringTreemap::new();
    deleted.insert_range(5..1 << 40);
    deleted.remove(1 << 33);
    let selection = selection(&deleted, (1 << 40) + 7).unwrap();
    let found: Vec<(bool, usize)> = selection.iter().map(|part| (part.skip, part.row_count)).collect();
    let rest = (1 << 40) - (1 << 33) - 1;
    assert_eq!(found, [(false, 5), (true, (1 << 33) - 5), (false, 1), (true, rest), (false, 7)]);
}

/// A file of position deletes, with the names and numbers that Iceberg gives their columns.
fn positions() -> Vec<u8> {
    let column = |name: &str, of: DataType, id: &str| {
        let id = (PARQUET_FIELD_ID_META_KEY.to_owned(), id.to_owned());
        Field::new(name, of, false).with_metadata([id].into())
    };
    let columns = vec![column("file_path", DataType::Utf8, FILE_PATH_ID), column("pos", DataType::Int64, POSITION_ID)];
    let schema = Arc::new(Schema::new(columns));
    let names = StringArray::from_iter_values((0..100).map(|row| format!("s3://b/t/{}.parquet", row / 30)));
    let rows = Int64Array::from_iter_values(0..100);
    let batch = RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(names), Arc::new(rows)]).unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, schema, None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

#[test]
fn fuzz_deletes() {
    let positions = positions();
    assert_eq!(parse_positions(Bytes::from(positions.clone())).unwrap().len(), 4);
    let bitmap = |rows: RoaringTreemap| {
        let mut bytes = MAGIC.to_vec();
        rows.serialize_into(&mut bytes).unwrap();
        bytes
    };
    let mut dense = RoaringTreemap::new();
    dense.insert_range(10..200_000);
    dense.optimize();
    let bitmaps =
        [bitmap([1u64, 5, 1 << 40].into_iter().collect()), bitmap((0..70_000).step_by(3).collect()), bitmap(dense)];
    let store = Arc::new(InMemory::new());
    let (root, path) = (TableRoot::of_test(Arc::clone(&store) as _, "t").unwrap(), Path::from("t/deletes.parquet"));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    fuzz::cases("deletes", 300, |rng| {
        let of = rng.below(bitmaps.len());
        let changed = fuzz::bytes(rng, &bitmaps[of]);
        if let Ok(deleted) = parse_bitmap(&changed)
            && let Ok(selection) = selection(&deleted, 1 << 41)
        {
            let covered: u64 = selection.iter().map(|part| part.row_count as u64).sum();
            assert_eq!(covered, 1 << 41);
        }
        // Parsers of Parquet may panic, where nobody but who waits for them takes notice.
        let changed = fuzz::bytes(rng, &positions);
        runtime.block_on(store.put(&path, changed.into())).unwrap();
        let _ = runtime.block_on(load_positions(&root, &path));
    });
}
