//! How data files are read: DataFusion's reader, with page indexes kept beside the footers.
//!
//! DataFusion asks for footers alone, and then loads a file's page index anew for every scan that has a predicate: one more
//! read, and a copy of all metadata, for each point query. Asked for both at first, its cache keeps both.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::ParquetFileReaderFactory;
use datafusion::datasource::physical_plan::parquet::{CachedParquetFileReaderFactory, CachedParquetMetaData};
use datafusion::error::Result;
use datafusion::execution::cache::cache_manager::FileMetadataCache;
use datafusion::parquet::arrow::arrow_reader::ArrowReaderOptions;
use datafusion::parquet::arrow::async_reader::AsyncFileReader;
use datafusion::parquet::errors::{ParquetError, Result as ParquetResult};
use datafusion::parquet::file::metadata::{PageIndexPolicy, ParquetMetaData};
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::FutureExt;
use futures::future::BoxFuture;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

/// How many rows a file has by its table's metadata.
#[derive(Debug, Clone, Copy)]
pub(super) struct RowsOfFile(pub(super) u64);

/// Makes readers of the files of one store.
#[derive(Debug)]
pub(super) struct Readers {
    inner: CachedParquetFileReaderFactory,
    store: Arc<dyn ObjectStore>,
    footers: Arc<FileMetadataCache>,
}

impl Readers {
    /// Readers that keep what they learn of files in `footers`.
    pub(super) fn new(store: Arc<dyn ObjectStore>, footers: Arc<FileMetadataCache>) -> Self {
        let inner = CachedParquetFileReaderFactory::new(Arc::clone(&store), Arc::clone(&footers));
        Self { inner, store, footers }
    }

    /// Whether the file is known, and known to have no page indexes.
    fn has_none(&self, file: &PartitionedFile) -> bool {
        self.footers.get(&file.object_meta.location).is_some_and(|known| {
            let known = known.file_metadata.as_any().downcast_ref::<CachedParquetMetaData>();
            known.is_some_and(|known| known.parquet_metadata().offset_index().is_none())
        })
    }
}

impl ParquetFileReaderFactory for Readers {
    fn create_reader(
        &self,
        partition: usize,
        file: PartitionedFile,
        size_hint: Option<usize>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Result<Box<dyn AsyncFileReader + Send>> {
        let rows = file.extension::<RowsOfFile>().map(|rows| rows.0);
        let (path, size) = (file.object_meta.location.clone(), file.object_meta.size);
        let indexes = if self.has_none(&file) { PageIndexPolicy::Skip } else { PageIndexPolicy::Optional };
        let inner = self.inner.create_reader(partition, file, size_hint, metrics)?;
        Ok(Box::new(Reader { inner, indexes, rows, store: Arc::clone(&self.store), path, size }))
    }
}

struct Reader {
    inner: Box<dyn AsyncFileReader + Send>,
    indexes: PageIndexPolicy,
    rows: Option<u64>,
    store: Arc<dyn ObjectStore>,
    path: Path,
    size: u64,
}

/// Why a file could not be read: stores do not say that it is not as long as it should be.
async fn explained<T>(read: ParquetResult<T>, store: &dyn ObjectStore, path: &Path, size: u64) -> ParquetResult<T> {
    match read {
        Err(_) if store.head(path).await.is_ok_and(|found| found.size != size) => {
            Err(ParquetError::General("the file has another length than its table says".into()))
        }
        read => read,
    }
}

impl AsyncFileReader for Reader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        let Self { inner, store, path, size, .. } = self;
        async move { explained(inner.get_bytes(range).await, store.as_ref(), path, *size).await }.boxed()
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, ParquetResult<Vec<Bytes>>> {
        let Self { inner, store, path, size, .. } = self;
        async move { explained(inner.get_byte_ranges(ranges).await, store.as_ref(), path, *size).await }.boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, ParquetResult<Arc<ParquetMetaData>>> {
        let options = options.cloned().unwrap_or_default().with_page_index_policy(self.indexes);
        let Self { inner, store, path, size, rows, .. } = self;
        async move {
            let metadata = inner.get_metadata(Some(&options)).await;
            let metadata = explained(metadata, store.as_ref(), path, *size).await?;
            // Deletes name rows by their numbers, and counts are answered from the table's metadata.
            let same = rows.is_none_or(|rows| i64::try_from(rows) == Ok(metadata.file_metadata().num_rows()));
            match same {
                true => Ok(metadata),
                false => Err(ParquetError::General("the file has another number of rows than its table says".into())),
            }
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests;
