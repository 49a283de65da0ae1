use std::collections::BTreeMap;
use std::path::Path;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::util::pretty::pretty_format_batches;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::lake::{GENERATOR, LAKE, batches, chunks, ensure};
use super::tables::TABLES;
use super::world::World;

const WORLD: World = World { events: 2_000 };

fn rows_below(directory: &Path, rows: &mut u64, files: &mut u64) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rows_below(&path, rows, files);
        } else if path.extension().is_some_and(|extension| extension == "parquet") {
            let file = std::fs::File::open(&path).unwrap();
            let metadata = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
            *rows += u64::try_from(metadata.metadata().file_metadata().num_rows()).unwrap();
            *files += 1;
        }
    }
}

#[tokio::test]
async fn every_row_is_written_once_and_a_second_start_writes_nothing() {
    let mesh = tempfile::tempdir().unwrap();
    assert!(ensure(mesh.path(), WORLD.events, true).await.unwrap());
    for table in TABLES {
        let (mut rows, mut files) = (0, 0);
        rows_below(&mesh.path().join(LAKE).join(table.domain).join(table.name), &mut rows, &mut files);
        assert_eq!(rows, (table.rows)(WORLD), "{}", table.name);
        assert!(files > 1, "{} has several files", table.name);
    }
    assert!(!ensure(mesh.path(), WORLD.events, true).await.unwrap());
    assert!(ensure(mesh.path(), WORLD.events / 2, true).await.unwrap(), "another number of rows");
    assert_eq!(
        std::fs::read_dir(mesh.path().join(".portcullis")).unwrap().count(),
        1,
        "nothing is left beside the lake"
    );
}

#[tokio::test]
async fn a_lake_of_somebody_elses_is_left_alone() {
    let mesh = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(mesh.path().join(LAKE)).unwrap();
    let error = ensure(mesh.path(), 100, true).await.unwrap_err().to_string();
    assert!(error.ends_with("exists and was not written by the demo: move it away first"), "{error}");
}

/// All rows of a table, in batches of another size than the writer's.
fn all(table: &super::tables::DemoTable, size: usize) -> RecordBatch {
    let rows = (table.rows)(WORLD);
    let parts: Vec<_> = (0..rows)
        .step_by(size)
        .map(|start| (table.batch)(WORLD, start..(start + size as u64).min(rows)).unwrap())
        .collect();
    concat_batches(&parts[0].schema(), &parts).unwrap()
}

#[test]
fn rows_do_not_depend_on_how_they_are_cut() {
    for table in TABLES {
        assert_eq!(all(table, 77), all(table, 500), "{}", table.name);
    }
}

#[test]
fn the_generators_output_changes_only_with_its_version() {
    let sums: BTreeMap<_, _> = TABLES
        .iter()
        .map(|table| {
            let text = pretty_format_batches(&[all(table, 1_000)]).unwrap().to_string();
            let hash = text
                .bytes()
                .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
            (table.name, format!("{hash:016x}"))
        })
        .collect();
    let expected = [
        ("customer_orders_v1", "c461b99cdc0ec49c"),
        ("customer_profiles", "6759e94c126744a9"),
        ("order_events", "ea674474f80eab12"),
        ("payment_transactions_enriched", "b52a51e55df7f38b"),
        ("product_catalog", "12a6d006f2547f6f"),
    ];
    let expected = expected.map(|(name, sum)| (name, sum.to_string())).into();
    assert_eq!((GENERATOR, sums), (1, expected), "raise GENERATOR when the rows change");
}

#[test]
fn ranges_are_cut_without_gaps() {
    assert_eq!(chunks(10, 3).collect::<Vec<_>>(), [0..3, 3..6, 6..10]);
    assert_eq!(chunks(2, 3).map(|range| range.end - range.start).sum::<u64>(), 2);
    assert_eq!(batches(5..40_000).collect::<Vec<_>>(), [5..32_773, 32_773..40_000]);
}
