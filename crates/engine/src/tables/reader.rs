//! How data files are read: DataFusion's reader, over footers and page indexes that are kept.
//!
//! DataFusion's own cache has footers without the page indexes that a scan with a predicate needs, reads one file's as often
//! as it is asked for at the same time, and is bounded for itself. Here one cache has those of all stores.

use std::ops::Range;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::ParquetFileReaderFactory;
use datafusion::datasource::physical_plan::parquet::DefaultParquetFileReaderFactory;
use datafusion::error::Result;
use datafusion::parquet::arrow::arrow_reader::ArrowReaderOptions;
use datafusion::parquet::arrow::async_reader::AsyncFileReader;
use datafusion::parquet::arrow::parquet_to_arrow_schema;
use datafusion::parquet::errors::{ParquetError, Result as ParquetResult};
use datafusion::parquet::file::metadata::{PageIndexPolicy, ParquetMetaData};
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::FutureExt;
use futures::future::BoxFuture;
use moka::future::Cache;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use portcullis_govern::CacheUse;

use super::cache::{Counted, weight};
use super::confined::Confined;

/// How many rows a file has by its table's metadata.
#[derive(Debug, Clone, Copy)]
pub(super) struct RowsOfFile(pub(super) u64);

/// What tells a file from all others: its store and path, its length, and when it was written.
pub(super) type FileKey = (String, u64, i64);

/// Footers of Parquet files with their page indexes, of all stores together.
#[derive(Debug, Clone)]
pub(super) struct Footers(Counted<Arc<FileKey>, Arc<ParquetMetaData>>);

impl Footers {
    /// Of at most this many bytes.
    pub(super) fn new(bytes: u64) -> Self {
        let weigher = |file: &Arc<FileKey>, footer: &Arc<ParquetMetaData>| weight(file.0.len() + footer.memory_size());
        Self(Cache::builder().max_capacity(bytes).weigher(weigher).build().into())
    }

    /// How they are used.
    pub(super) fn usage(&self) -> CacheUse {
        self.0.usage("footers", true)
    }
}

/// Makes readers of the files of one store.
#[derive(Debug)]
pub(super) struct Readers {
    inner: DefaultParquetFileReaderFactory,
    store: Arc<Confined>,
    /// By which its files are told from those of other stores.
    name: String,
    footers: Footers,
}

impl Readers {
    /// Readers that keep what they learn of files in `footers`, where the store has a name of its own.
    pub(super) fn new(store: Arc<Confined>, name: &str, footers: Footers) -> Self {
        let inner = DefaultParquetFileReaderFactory::new(Arc::clone(&store) as _);
        Self { inner, store, name: name.to_owned(), footers }
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
        let key = (format!("{}{path}", self.name), size, file.object_meta.last_modified.timestamp_millis());
        let key = Arc::new(key);
        let inner = self.inner.create_reader(partition, file, size_hint, metrics)?;
        let (store, footers) = (Arc::clone(&self.store), self.footers.clone());
        Ok(Box::new(Reader { inner, rows, store, path, size, key, footers }))
    }
}

struct Reader {
    inner: Box<dyn AsyncFileReader + Send>,
    rows: Option<u64>,
    store: Arc<Confined>,
    path: Path,
    size: u64,
    key: Arc<FileKey>,
    footers: Footers,
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

impl Reader {
    /// The footer, from the file. Its parsers, and that of the schema that Arrow's writers put into it, panic at lengths and
    /// types that lie: here, and not in the middle of a query.
    async fn read(&mut self, options: &ArrowReaderOptions) -> ParquetResult<Arc<ParquetMetaData>> {
        let parsed = async {
            let footer = self.inner.get_metadata(Some(options)).await?;
            let file = footer.file_metadata();
            parquet_to_arrow_schema(file.schema_descr(), file.key_value_metadata())?;
            Ok::<_, ParquetError>(footer)
        };
        let read = AssertUnwindSafe(parsed).catch_unwind().await;
        let read = read.unwrap_or_else(|_| Err(ParquetError::General("the file's footer is damaged".into())));
        explained(read, self.store.as_ref(), &self.path, self.size).await
    }

    /// Bytes of the file.
    async fn data(&mut self, ranges: &[Range<u64>]) -> ParquetResult<Vec<Bytes>> {
        within(ranges, self.size)?;
        let read = self.store.data(&self.path, &self.key, ranges).await;
        let read = read.map_err(|error| ParquetError::External(Box::new(error)));
        explained(read, self.store.as_ref(), &self.path, self.size).await
    }

    /// The footer, read by whoever comes first.
    async fn footer(&mut self, options: &ArrowReaderOptions) -> ParquetResult<Arc<ParquetMetaData>> {
        let (footers, key) = (self.footers.clone(), Arc::clone(&self.key));
        let mut own = None;
        let read = async { self.read(options).await.map_err(|error| own = Some(error)) };
        match (footers.0.try_get_with(key, read).await, own) {
            (Ok(footer), _) => Ok(footer),
            (Err(_), Some(error)) => Err(error),
            // Somebody else's reading failed, for a reason that may be theirs.
            (Err(_), None) => self.read(options).await,
        }
    }
}

/// Footers say where in their file what is, and may lie.
fn within(ranges: &[Range<u64>], size: u64) -> ParquetResult<()> {
    match ranges.iter().all(|range| range.start <= range.end && range.end <= size) {
        true => Ok(()),
        false => Err(ParquetError::General("the file's footer names bytes that the file does not have".into())),
    }
}

impl AsyncFileReader for Reader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        async move {
            let read = self.data(std::slice::from_ref(&range)).await?;
            read.into_iter().next().ok_or_else(|| ParquetError::General("no bytes were read".into()))
        }
        .boxed()
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, ParquetResult<Vec<Bytes>>> {
        async move { self.data(&ranges).await }.boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, ParquetResult<Arc<ParquetMetaData>>> {
        let options = options.cloned().unwrap_or_default().with_page_index_policy(PageIndexPolicy::Optional);
        async move {
            let footer = self.footer(&options).await?;
            // Deletes name rows by their numbers, and counts are answered from the table's metadata.
            let same = self.rows.is_none_or(|rows| i64::try_from(rows) == Ok(footer.file_metadata().num_rows()));
            match same {
                true => Ok(footer),
                false => Err(ParquetError::General("the file has another number of rows than its table says".into())),
            }
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests;
