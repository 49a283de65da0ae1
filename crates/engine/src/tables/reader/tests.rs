use std::sync::Arc;

use datafusion::arrow::array::{Int64Array, RecordBatch};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::ParquetFileReaderFactory;
use datafusion::execution::cache::cache_manager::FileMetadataCache;
use datafusion::execution::cache::default_cache::DefaultCache;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::arrow::arrow_reader::ArrowReaderOptions;
use datafusion::parquet::file::metadata::{PageIndexPolicy, ParquetMetaData};
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use super::Readers;

async fn metadata(readers: &Readers, file: &PartitionedFile) -> Arc<ParquetMetaData> {
    let mut reader = readers.create_reader(0, file.clone(), None, &ExecutionPlanMetricsSet::new()).unwrap();
    // As DataFusion's opener asks.
    let footer = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Skip);
    reader.get_metadata(Some(&footer)).await.unwrap()
}

#[tokio::test]
async fn page_indexes_are_kept_beside_footers() {
    let rows = Arc::new(Int64Array::from_iter_values(0..1000));
    let batch = RecordBatch::try_from_iter([("id", rows as _)]).unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let (store, path) = (Arc::new(InMemory::new()), Path::from("file.parquet"));
    store.put(&path, bytes.into()).await.unwrap();
    let file = PartitionedFile::from(store.head(&path).await.unwrap());

    let footers: Arc<FileMetadataCache> = Arc::new(DefaultCache::new(1 << 20));
    let readers = Readers::new(Arc::clone(&store) as Arc<dyn ObjectStore>, footers);
    let first = metadata(&readers, &file).await;
    assert!(first.offset_index().is_some() && first.column_index().is_some());
    // Nothing is left to be read.
    store.delete(&path).await.unwrap();
    assert!(Arc::ptr_eq(&first, &metadata(&readers, &file).await));
}
