//! The part of a store that belongs to one table.
//!
//! A table's metadata is written by its domain, and names files: manifests, data files, deletes, checkpoints. Whatever
//! reads for a table reads through this view of the store, so a name that leads into another domain's directory is
//! refused before a byte is read, whether we resolved it or a library did.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use super::data_cache::DataCache;
use super::reader::FileKey;

/// The name under which its refusals are found among those of stores.
pub(super) const NAME: &str = "confined store";

/// A store that reads below some directories only, and writes nowhere.
#[derive(Debug)]
pub(super) struct Confined {
    inner: Arc<dyn ObjectStore>,
    allowed: Vec<Path>,
    /// Where the store is in the file system, if it is there: links are followed before a path is judged.
    directory: Option<PathBuf>,
    /// Where bytes of its data files are kept.
    cache: Option<DataCache>,
}

impl Confined {
    /// The part of `inner` below `allowed`. An empty path is the whole store, and allows nothing.
    pub(super) fn new(
        inner: Arc<dyn ObjectStore>,
        allowed: impl IntoIterator<Item = Path>,
        directory: Option<PathBuf>,
    ) -> Self {
        let allowed = allowed.into_iter().filter(|path| path.parts().next().is_some()).collect();
        Self { inner, allowed, directory, cache: None }
    }

    /// With a cache of the bytes of its data files.
    pub(super) fn with_cache(self, cache: Option<DataCache>) -> Self {
        Self { cache, ..self }
    }

    /// Ranges of a data file, which is known as `file` and never changed: from the cache, where there is one.
    pub(super) async fn data(&self, path: &Path, file: &Arc<FileKey>, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.check(path).await?;
        match &self.cache {
            Some(cache) => cache.ranges(&self.inner, path, file, ranges).await,
            None => self.inner.get_ranges(path, ranges).await,
        }
    }

    /// Whether a path may be read, as far as its name tells.
    pub(super) fn admits(&self, path: &Path) -> bool {
        self.allowed.iter().any(|directory| path.prefix_matches(directory))
    }

    async fn check(&self, path: &Path) -> Result<()> {
        if !self.admits(path) {
            return Err(outside(path));
        }
        let Some(directory) = &self.directory else { return Ok(()) };
        // What is not there leads nowhere; the store says so.
        let Ok(real) = tokio::fs::canonicalize(directory.join(path.as_ref())).await else { return Ok(()) };
        let inside = |allowed: &Path| real.starts_with(directory.join(allowed.as_ref()));
        if self.allowed.iter().any(inside) { Ok(()) } else { Err(outside(path)) }
    }
}

fn outside(path: &Path) -> Error {
    tracing::warn!(file = %path, "a table names a file outside of its own directories; it was not read");
    Error::Generic { store: NAME, source: "a file outside of the table's directories".into() }
}

fn read_only() -> Error {
    Error::NotSupported { source: "tables are read only".into() }
}

impl fmt::Display for Confined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{NAME} over {}", self.inner)
    }
}

#[async_trait]
impl ObjectStore for Confined {
    async fn put_opts(&self, _: &Path, _: PutPayload, _: PutOptions) -> Result<PutResult> {
        Err(read_only())
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        Err(read_only())
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.check(path).await?;
        self.inner.get_opts(path, options).await
    }

    async fn get_ranges(&self, path: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.check(path).await?;
        self.inner.get_ranges(path, ranges).await
    }

    fn delete_stream(&self, _: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        stream::iter([Err(read_only())]).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        match prefix {
            Some(prefix) if self.admits(prefix) => self.inner.list(Some(prefix)),
            other => stream::iter([Err(outside(other.unwrap_or(&Path::ROOT)))]).boxed(),
        }
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        match prefix {
            Some(prefix) if self.admits(prefix) => self.inner.list_with_offset(Some(prefix), offset),
            other => stream::iter([Err(outside(other.unwrap_or(&Path::ROOT)))]).boxed(),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        match prefix {
            Some(prefix) if self.admits(prefix) => self.inner.list_with_delimiter(Some(prefix)).await,
            other => Err(outside(other.unwrap_or(&Path::ROOT))),
        }
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(read_only())
    }
}

#[cfg(test)]
mod tests;
