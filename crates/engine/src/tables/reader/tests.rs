use std::sync::Arc;
use std::sync::atomic::Ordering;

use datafusion::arrow::array::{Int64Array, RecordBatch};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::ParquetFileReaderFactory;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::arrow::arrow_reader::ArrowReaderOptions;
use datafusion::parquet::errors::Result;
use datafusion::parquet::file::metadata::{PageIndexPolicy, ParquetMetaData};
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use super::{Footers, Readers};
use crate::tables::tests::Counting;

async fn store() -> (Arc<Counting>, PartitionedFile) {
    let rows = Arc::new(Int64Array::from_iter_values(0..1000));
    let batch = RecordBatch::try_from_iter([("id", rows as _)]).unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let (store, path) = (Arc::new(Counting::default()), Path::from("file.parquet"));
    store.put(&path, bytes.into()).await.unwrap();
    let file = PartitionedFile::from(store.head(&path).await.unwrap());
    (store, file)
}

fn readers(store: &Arc<Counting>, name: &str, footers: &Footers) -> Arc<Readers> {
    Arc::new(Readers::new(Arc::clone(store) as Arc<dyn ObjectStore>, name, footers.clone()))
}

async fn metadata(readers: Arc<Readers>, file: PartitionedFile) -> Result<Arc<ParquetMetaData>> {
    let mut reader = readers.create_reader(0, file, None, &ExecutionPlanMetricsSet::new()).unwrap();
    // As DataFusion's opener asks.
    let footer = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Skip);
    reader.get_metadata(Some(&footer)).await
}

#[tokio::test]
async fn page_indexes_are_kept_beside_footers() {
    let (store, file) = store().await;
    let footers = Footers::new(1 << 20);
    let readers = readers(&store, "a", &footers);
    let first = metadata(Arc::clone(&readers), file.clone()).await.unwrap();
    assert!(first.offset_index().is_some() && first.column_index().is_some());
    // Nothing is left to be read.
    store.delete(&file.object_meta.location).await.unwrap();
    assert!(Arc::ptr_eq(&first, &metadata(readers, file).await.unwrap()));
}

#[tokio::test]
async fn a_footer_is_read_once_by_all_who_ask_at_the_same_time() {
    let (store, file) = store().await;
    let footers = Footers::new(1 << 20);
    metadata(readers(&store, "alone", &footers), file.clone()).await.unwrap();
    let alone = store.reads.swap(0, Ordering::SeqCst);
    let shared = readers(&store, "shared", &footers);
    let asked: Vec<_> = (0..20).map(|_| tokio::spawn(metadata(Arc::clone(&shared), file.clone()))).collect();
    for asked in asked {
        asked.await.unwrap().unwrap();
    }
    assert_eq!(store.reads.load(Ordering::SeqCst), alone);
}

#[tokio::test]
async fn who_waited_for_a_reading_that_failed_reads_again() {
    let (store, file) = store().await;
    let shared = readers(&store, "a", &Footers::new(1 << 20));
    store.failures.store(1, Ordering::SeqCst);
    let asked: Vec<_> = (0..5).map(|_| tokio::spawn(metadata(Arc::clone(&shared), file.clone()))).collect();
    let mut failed = 0;
    for asked in asked {
        failed += usize::from(asked.await.unwrap().is_err());
    }
    assert_eq!(failed, 1);
}

#[tokio::test]
async fn footers_of_other_stores_and_of_other_files_in_the_same_place_are_others() {
    let (store, file) = store().await;
    let footers = Footers::new(1 << 20);
    let first = metadata(readers(&store, "a", &footers), file.clone()).await.unwrap();
    let elsewhere = metadata(readers(&store, "b", &footers), file.clone()).await.unwrap();
    let mut rewritten = file;
    rewritten.object_meta.last_modified += std::time::Duration::from_millis(1);
    let later = metadata(readers(&store, "a", &footers), rewritten).await.unwrap();
    assert!(!Arc::ptr_eq(&first, &elsewhere) && !Arc::ptr_eq(&first, &later));
}

#[tokio::test]
async fn footers_of_all_stores_are_bounded_together() {
    let (store, file) = store().await;
    let one = metadata(readers(&store, "a", &Footers::new(1 << 20)), file.clone()).await.unwrap().memory_size() as u64;
    let footers = Footers::new(one * 3);
    for name in 0..50 {
        metadata(readers(&store, &name.to_string(), &footers), file.clone()).await.unwrap();
    }
    footers.0.settle().await;
    let used = footers.usage();
    assert!(used.bytes.unwrap() <= one * 3 && used.entries > 0, "{used:?}");
}

#[tokio::test]
async fn what_a_footer_says_to_be_beyond_its_file_is_not_asked_for() {
    let (store, file) = store().await;
    let (readers, size) = (readers(&store, "a", &Footers::new(0)), file.object_meta.size);
    let mut reader = readers.create_reader(0, file, None, &ExecutionPlanMetricsSet::new()).unwrap();
    store.reads.store(0, Ordering::SeqCst);
    let reversed = std::ops::Range { start: 4, end: 2 };
    for range in [0..size + 1, size..u64::MAX, reversed] {
        assert!(reader.get_bytes(range.clone()).await.is_err(), "{range:?}");
        assert!(reader.get_byte_ranges(vec![0..1, range.clone()]).await.is_err(), "{range:?}");
    }
    assert_eq!(store.reads.load(Ordering::SeqCst), 0);
    assert_eq!(reader.get_bytes(0..4).await.unwrap(), "PAR1");
}

/// Parsers of footers panic at lengths and types that lie.
#[tokio::test]
async fn a_footer_that_lies_is_an_error() {
    let (store, file) = store().await;
    let path = file.object_meta.location.clone();
    let whole = store.get(&path).await.unwrap().bytes().await.unwrap().to_vec();
    let end = whole.len();
    let changed = |at: usize, by: &[u8]| {
        let mut changed = whole.clone();
        changed[at..at + by.len()].copy_from_slice(by);
        changed
    };
    // As long as it says to be: more than the file has. Then each byte of the schema that Arrow's writers add.
    let lies = [changed(end - 8, &u32::MAX.to_le_bytes()), changed(end - 8, &(end as u32 - 4).to_le_bytes())];
    let start = whole.windows(12).position(|part| part == b"ARROW:schema").unwrap() + 12;
    let damages = (start..end - 8).flat_map(|at| [changed(at, b"/"), changed(at, b"B")]);
    let mut refused = Vec::new();
    for (number, bytes) in lies.into_iter().chain(damages).enumerate() {
        store.put(&path, bytes.into()).await.unwrap();
        let answer = metadata(readers(&store, &number.to_string(), &Footers::new(1 << 20)), file.clone()).await;
        refused.push(answer.is_err());
    }
    assert!(refused[0] && refused[1] && refused[2..].contains(&true), "{refused:?}");
}
