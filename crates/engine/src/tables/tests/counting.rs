//! A store in memory that counts what it is asked.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result as StoreResult,
};

/// A store that counts what is read of it, lets others come first, and may fail.
#[derive(Debug, Default)]
pub(in crate::tables) struct Counting {
    inner: InMemory,
    /// Whole or partial reads.
    pub(in crate::tables) reads: AtomicUsize,
    /// Questions for a file's length and age.
    pub(in crate::tables) heads: AtomicUsize,
    /// Listings.
    pub(in crate::tables) lists: AtomicUsize,
    /// Bytes of what was read.
    pub(in crate::tables) bytes: AtomicUsize,
    /// How many of the next reads fail.
    pub(in crate::tables) failures: AtomicUsize,
}

impl Counting {
    /// Reads, heads and listings since the last call.
    pub(in crate::tables) fn counted(&self) -> [usize; 3] {
        [&self.reads, &self.heads, &self.lists].map(|counter| counter.swap(0, Ordering::SeqCst))
    }
}

impl fmt::Display for Counting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "counting")
    }
}

#[async_trait]
impl ObjectStore for Counting {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> StoreResult<PutResult> {
        self.inner.put_opts(path, payload, options).await
    }

    async fn put_multipart_opts(&self, p: &Path, o: PutMultipartOptions) -> StoreResult<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(p, o).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> StoreResult<GetResult> {
        if options.head {
            self.heads.fetch_add(1, Ordering::SeqCst);
        } else {
            self.reads.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            if self.failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
                return Err(Error::Generic { store: "counting", source: "away".into() });
            }
        }
        let is_read = !options.head;
        let got = self.inner.get_opts(path, options).await?;
        if is_read {
            let read = usize::try_from(got.range.end - got.range.start).unwrap();
            self.bytes.fetch_add(read, Ordering::SeqCst);
        }
        Ok(got)
    }

    fn delete_stream(&self, paths: BoxStream<'static, StoreResult<Path>>) -> BoxStream<'static, StoreResult<Path>> {
        self.inner.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, StoreResult<ObjectMeta>> {
        self.lists.fetch_add(1, Ordering::SeqCst);
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> StoreResult<ListResult> {
        self.lists.fetch_add(1, Ordering::SeqCst);
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> StoreResult<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
