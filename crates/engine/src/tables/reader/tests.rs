use std::sync::Arc;
use std::sync::atomic::Ordering;

use datafusion::arrow::array::{Int64Array, RecordBatch};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::ParquetFileReaderFactory;
use datafusion::parquet::arrow::arrow_reader::ArrowReaderOptions;
use datafusion::parquet::arrow::async_reader::AsyncFileReader;
use datafusion::parquet::arrow::{ArrowWriter, ParquetRecordBatchStreamBuilder, ProjectionMask};
use datafusion::parquet::errors::Result;
use datafusion::parquet::file::metadata::{PageIndexPolicy, ParquetMetaData};
use datafusion::parquet::file::properties::WriterProperties;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use super::{Footers, Readers};
use crate::tables::confined::Confined;
use crate::tables::data_cache::DataCache;
use crate::tables::tests::Counting;

async fn store() -> (Arc<Counting>, PartitionedFile) {
    let rows = Arc::new(Int64Array::from_iter_values(0..1000));
    let batch = RecordBatch::try_from_iter([("id", rows as _)]).unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let (store, path) = (Arc::new(Counting::default()), Path::from("t/file.parquet"));
    store.put(&path, bytes.into()).await.unwrap();
    let file = PartitionedFile::from(store.head(&path).await.unwrap());
    (store, file)
}

fn readers(store: &Arc<Counting>, name: &str, footers: &Footers) -> Arc<Readers> {
    cached(store, name, footers, None)
}

fn cached(store: &Arc<Counting>, name: &str, footers: &Footers, cache: Option<DataCache>) -> Arc<Readers> {
    let confined = Confined::new(Arc::clone(store) as Arc<dyn ObjectStore>, [Path::from("t")], None);
    Arc::new(Readers::new(Arc::new(confined.with_cache(cache)), name, footers.clone()))
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

/// A file of 24 columns, of which each query reads some, in row groups.
async fn wide(store: &Counting) -> PartitionedFile {
    let mut state = 1u64;
    let mut column = || {
        let values = (0..40_000).map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 16) as i64
        });
        Arc::new(Int64Array::from_iter_values(values)) as _
    };
    let batch = RecordBatch::try_from_iter((0..24).map(|at| (format!("c{at}"), column()))).unwrap();
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(20_000)).build();
    let (mut bytes, path) = (Vec::new(), Path::from("t/wide.parquet"));
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    store.put(&path, bytes.into()).await.unwrap();
    PartitionedFile::from(store.head(&path).await.unwrap())
}

/// Three questions that overlap; the rows, and how many bytes came from the store.
async fn questions(store: &Counting, readers: &Readers, file: &PartitionedFile) -> (Vec<RecordBatch>, usize) {
    store.bytes.store(0, Ordering::SeqCst);
    let mut rows = Vec::new();
    for columns in [vec![0, 1, 2, 3], vec![2, 3, 11], vec![0, 11, 23]] {
        let metrics = ExecutionPlanMetricsSet::new();
        let reader: Box<dyn AsyncFileReader> = readers.create_reader(0, file.clone(), None, &metrics).unwrap();
        let builder = ParquetRecordBatchStreamBuilder::new(reader).await.unwrap();
        let mask = ProjectionMask::roots(builder.parquet_schema(), columns);
        let stream = builder.with_projection(mask).build().unwrap();
        rows.extend(stream.try_collect::<Vec<_>>().await.unwrap());
    }
    (rows, store.bytes.swap(0, Ordering::SeqCst))
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_data_cache_the_store_is_asked_for_bytes_once() {
    let (store, _) = store().await;
    let file = wide(&store).await;
    let directory = tempfile::TempDir::new().unwrap();
    let cache = DataCache::open(directory.path().join("cache").as_path(), 0).unwrap();
    let plain = readers(&store, "plain", &Footers::new(1 << 20));
    let kept = cached(&store, "kept", &Footers::new(1 << 20), Some(cache.clone()));
    let (expected, without) = questions(&store, &plain, &file).await;
    let mut fetched = Vec::new();
    for _ in 0..2 {
        let (rows, bytes) = questions(&store, &kept, &file).await;
        assert_eq!(rows, expected);
        fetched.push(bytes);
        cache.settle().await;
    }
    let (_, again) = questions(&store, &plain, &file).await;
    println!("of {} bytes, from the store: {without}, {again} again; with a cache {fetched:?}", file.object_meta.size);
    assert!(fetched[0] < without * 3 / 2 && fetched[1] == 0 && again > 0, "{without} {fetched:?} {again}");
}
