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
use datafusion::parquet::errors::Result as ParquetResult;
use datafusion::parquet::file::metadata::{PageIndexPolicy, ParquetMetaData};
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::FutureExt;
use futures::future::BoxFuture;
use object_store::ObjectStore;

/// Makes readers of the files of one store.
#[derive(Debug)]
pub(super) struct Readers {
    inner: CachedParquetFileReaderFactory,
    footers: Arc<FileMetadataCache>,
}

impl Readers {
    /// Readers that keep what they learn of files in `footers`.
    pub(super) fn new(store: Arc<dyn ObjectStore>, footers: Arc<FileMetadataCache>) -> Self {
        Self { inner: CachedParquetFileReaderFactory::new(store, Arc::clone(&footers)), footers }
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
        let indexes = if self.has_none(&file) { PageIndexPolicy::Skip } else { PageIndexPolicy::Optional };
        let inner = self.inner.create_reader(partition, file, size_hint, metrics)?;
        Ok(Box::new(Reader { inner, indexes }))
    }
}

struct Reader {
    inner: Box<dyn AsyncFileReader + Send>,
    indexes: PageIndexPolicy,
}

impl AsyncFileReader for Reader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        self.inner.get_bytes(range)
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, ParquetResult<Vec<Bytes>>> {
        self.inner.get_byte_ranges(ranges)
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, ParquetResult<Arc<ParquetMetaData>>> {
        let options = options.cloned().unwrap_or_default().with_page_index_policy(self.indexes);
        async move { self.inner.get_metadata(Some(&options)).await }.boxed()
    }
}

#[cfg(test)]
mod tests;
