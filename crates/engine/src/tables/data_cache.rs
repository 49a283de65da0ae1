//! Bytes of data files that came from object stores, on the gateway's own disk.
//!
//! It is below the policies, as the stores are, and holds what they hold. Data files are never changed, so a block of one is
//! known by its file and its number; it is asked for by who may read the file ([`super::confined`] judges that first), and
//! fetched once for all who want it at the same time. Whatever is wrong with the disk, the store is read instead.

mod disk;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::io;
use std::ops::Range;
use std::path::Path as FilePath;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use futures::FutureExt;
use futures::future::{BoxFuture, Shared, WeakShared, join_all};
use moka::future::Cache;
use object_store::path::Path;
use object_store::{Error, ObjectStore, Result};
use portcullis_govern::{CacheUse, Lookups};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::reader::FileKey;
use disk::{BLOCK, Disk, Place};

/// Blocks that wait in memory until they are written down; what is fetched beyond them is not kept.
const WAITING: usize = 256;
/// Of so many slots, one is for blocks that are read while they are thrown away.
const SPARE: u64 = 16;

type Key = (Arc<FileKey>, u64);
type Blocks = BTreeMap<u64, Bytes>;
/// Blocks that somebody fetches; none if that fails.
type Fetch = Shared<BoxFuture<'static, Option<Arc<Blocks>>>>;
type Fetching = HashMap<Key, (u64, WeakShared<BoxFuture<'static, Option<Arc<Blocks>>>>)>;
/// Why a fetch failed, for who began it.
type Failure = Arc<Mutex<Option<Error>>>;

/// A cache of blocks of data files, for all tables.
#[derive(Clone)]
pub struct DataCache(Arc<Inner>);

struct Inner {
    disk: Arc<Disk>,
    blocks: Cache<Key, Block>,
    fetching: Mutex<Fetching>,
    fetches: AtomicU64,
    waiting: Arc<Semaphore>,
    lookups: Lookups,
    failures: AtomicU64,
}

#[derive(Clone)]
enum Block {
    /// On its way to the disk.
    Fresh(Bytes),
    /// On the disk.
    Kept(Arc<Place>),
}

impl fmt::Debug for DataCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataCache").field("lookups", &self.0.lookups).finish_non_exhaustive()
    }
}

impl DataCache {
    /// The least that it can be bounded by, in bytes.
    pub const LEAST_BYTES: u64 = 64 << 20;

    /// An empty one of at most this many bytes, in a file of its own without a name in `directory`.
    ///
    /// # Errors
    ///
    /// If the directory cannot be made, others than the gateway's user may enter it, or no file can be made in it.
    pub fn open(directory: &FilePath, bytes: u64) -> io::Result<Self> {
        Ok(Self::on(Disk::create(directory, bytes.max(Self::LEAST_BYTES))?))
    }

    fn on(disk: Disk) -> Self {
        let blocks = disk.blocks();
        Self(Arc::new(Inner {
            disk: Arc::new(disk),
            blocks: Cache::builder().max_capacity(blocks - blocks.div_ceil(SPARE)).build(),
            fetching: Mutex::default(),
            fetches: AtomicU64::new(0),
            waiting: Arc::new(Semaphore::new(WAITING)),
            lookups: Lookups::default(),
            failures: AtomicU64::new(0),
        }))
    }

    /// How it is used, by blocks.
    pub(super) fn usage(&self) -> CacheUse {
        let entries = self.0.blocks.entry_count();
        let failures = Some(self.0.failures.load(Ordering::Relaxed));
        CacheUse { failures, ..self.0.lookups.of("data", entries, Some(entries * BLOCK)) }
    }

    /// Ranges of the data file `path` of `store`, which is known as `file`.
    pub(super) async fn ranges(
        &self,
        store: &Arc<dyn ObjectStore>,
        path: &Path,
        file: &Arc<FileKey>,
        ranges: &[Range<u64>],
    ) -> Result<Vec<Bytes>> {
        // What is not in the file is for the store to say.
        let Some(wanted) = numbers(ranges, file.1) else { return store.get_ranges(path, ranges).await };
        let mut found = self.known(file, &wanted).await;
        self.0.lookups.count(found.len() as u64, 0);
        let missing: Vec<u64> = wanted.into_iter().filter(|number| !found.contains_key(number)).collect();
        let (fetches, failure) = self.fetches(store, path, file, missing);
        for fetched in join_all(fetches).await {
            let Some(blocks) = fetched else {
                let own = failure.lock().unwrap_or_else(PoisonError::into_inner).take();
                return match own {
                    Some(error) => Err(error),
                    // Somebody else's fetch failed, for a reason that may be theirs.
                    None => store.get_ranges(path, ranges).await,
                };
            };
            found.extend(blocks.iter().map(|(number, block)| (*number, block.clone())));
        }
        let pieces: Option<Vec<Bytes>> = ranges.iter().map(|range| piece(&found, range)).collect();
        match pieces {
            Some(pieces) => Ok(pieces),
            None => store.get_ranges(path, ranges).await,
        }
    }

    /// Those of the blocks that are here.
    async fn known(&self, file: &Arc<FileKey>, wanted: &BTreeSet<u64>) -> Blocks {
        let (mut found, mut kept) = (Blocks::new(), Vec::new());
        for number in wanted {
            match self.0.blocks.get(&(Arc::clone(file), *number)).await {
                Some(Block::Fresh(block)) => drop(found.insert(*number, block)),
                Some(Block::Kept(place)) => kept.push((*number, place)),
                None => {}
            }
        }
        if kept.is_empty() {
            return found;
        }
        let read = move || kept.into_iter().map(|(number, place)| (number, place.read())).collect::<Vec<_>>();
        for (number, block) in tokio::task::spawn_blocking(read).await.unwrap_or_default() {
            match block {
                Ok(block) => drop(found.insert(number, block)),
                Err(error) => {
                    self.failed(&error);
                    self.0.blocks.invalidate(&(Arc::clone(file), number)).await;
                }
            }
        }
        found
    }

    /// What is under way to these blocks, and a fetch of those to which nothing is.
    fn fetches(
        &self,
        store: &Arc<dyn ObjectStore>,
        path: &Path,
        file: &Arc<FileKey>,
        missing: Vec<u64>,
    ) -> (Vec<Fetch>, Failure) {
        let (failure, mut own, mut fetches) = (Failure::default(), BTreeSet::new(), Vec::<Fetch>::new());
        let mut fetching = self.fetching();
        for number in missing {
            let known = fetching.get(&(Arc::clone(file), number)).and_then(|(_, fetch)| fetch.upgrade());
            let Some(fetch) = known else {
                own.insert(number);
                continue;
            };
            self.0.lookups.hit();
            if !fetches.iter().any(|joined| joined.ptr_eq(&fetch)) {
                fetches.push(fetch);
            }
        }
        if !own.is_empty() {
            let id = self.0.fetches.fetch_add(1, Ordering::Relaxed);
            let keys: Vec<Key> = own.iter().map(|number| (Arc::clone(file), *number)).collect();
            let entry = Entry { cache: self.clone(), id, keys: keys.clone() };
            let (cache, store, path) = (self.clone(), Arc::clone(store), path.clone());
            let (file, why) = (Arc::clone(file), Arc::clone(&failure));
            let fetch = async move {
                let _entry = entry;
                let fetched = cache.fetch(&store, &path, &file, own).await;
                fetched.map_err(|error| why.lock().unwrap_or_else(PoisonError::into_inner).replace(error)).ok()
            };
            let fetch = fetch.boxed().shared();
            fetching.extend(keys.into_iter().filter_map(|key| Some((key, (id, fetch.downgrade()?)))));
            fetches.push(fetch);
        }
        (fetches, failure)
    }

    async fn fetch(
        &self,
        store: &Arc<dyn ObjectStore>,
        path: &Path,
        file: &Arc<FileKey>,
        wanted: BTreeSet<u64>,
    ) -> Result<Arc<Blocks>> {
        // Somebody may have just fetched them.
        let mut blocks = self.known(file, &wanted).await;
        let missing: Vec<u64> = wanted.into_iter().filter(|number| !blocks.contains_key(number)).collect();
        self.0.lookups.count(blocks.len() as u64, missing.len() as u64);
        let ranges: Vec<Range<u64>> = missing.iter().map(|number| block_range(*number, file.1)).collect();
        let read = store.get_ranges(path, &ranges).await?;
        let whole = |(range, block): (&Range<u64>, &Bytes)| range.end - range.start == block.len() as u64;
        if read.len() != ranges.len() || !ranges.iter().zip(&read).all(whole) {
            return Err(Error::Generic { store: "data cache", source: "the file is shorter than it should be".into() });
        }
        self.keep(file, missing.iter().copied().zip(read.iter().cloned())).await;
        blocks.extend(missing.into_iter().zip(read));
        Ok(Arc::new(blocks))
    }

    /// Has blocks written down, by a task of its own, as far as they may wait for that.
    async fn keep(&self, file: &Arc<FileKey>, blocks: impl Iterator<Item = (u64, Bytes)>) {
        let mut fresh = Vec::new();
        for (number, block) in blocks {
            let Ok(permit) = Arc::clone(&self.0.waiting).try_acquire_owned() else { break };
            let key = (Arc::clone(file), number);
            self.0.blocks.insert(key.clone(), Block::Fresh(block.clone())).await;
            fresh.push((key, block, permit));
        }
        if !fresh.is_empty() {
            tokio::spawn(self.clone().write(fresh));
        }
    }

    async fn write(self, fresh: Vec<(Key, Bytes, OwnedSemaphorePermit)>) {
        for (key, block, _permit) in fresh {
            let written = match self.written(block.clone()).await {
                // Places of what was thrown away may be free now.
                Ok(None) => {
                    self.0.blocks.run_pending_tasks().await;
                    self.written(block).await
                }
                written => written,
            };
            match written {
                Ok(Some(place)) => self.0.blocks.insert(key, Block::Kept(Arc::new(place))).await,
                Ok(None) => self.0.blocks.invalidate(&key).await,
                Err(error) => {
                    self.failed(&error);
                    self.0.blocks.invalidate(&key).await;
                }
            }
        }
    }

    async fn written(&self, block: Bytes) -> io::Result<Option<Place>> {
        let disk = Arc::clone(&self.0.disk);
        tokio::task::spawn_blocking(move || disk.write(&block)).await.map_err(io::Error::other)?
    }

    /// Counts a failure of the disk; the log hears of the first ones, and then of ever fewer.
    fn failed(&self, error: &io::Error) {
        let count = self.0.failures.fetch_add(1, Ordering::Relaxed) + 1;
        if count.is_power_of_two() {
            tracing::warn!(%error, count, "the data cache cannot use its disk; the store is read instead");
        }
    }

    fn fetching(&self) -> MutexGuard<'_, Fetching> {
        self.0.fetching.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A fetch that is under way, until it has ended or nobody wants it any more.
struct Entry {
    cache: DataCache,
    id: u64,
    keys: Vec<Key>,
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut fetching = self.cache.fetching();
        for key in &self.keys {
            if fetching.get(key).is_some_and(|(id, _)| *id == self.id) {
                fetching.remove(key);
            }
        }
    }
}

/// The numbers of the blocks in which these ranges are; none if one is not within so many bytes.
fn numbers(ranges: &[Range<u64>], size: u64) -> Option<BTreeSet<u64>> {
    if ranges.iter().any(|range| range.start > range.end || range.end > size) {
        return None;
    }
    let some = ranges.iter().filter(|range| !range.is_empty());
    Some(some.flat_map(|range| range.start / BLOCK..range.end.div_ceil(BLOCK)).collect())
}

fn block_range(number: u64, size: u64) -> Range<u64> {
    number * BLOCK..((number + 1) * BLOCK).min(size)
}

/// A range, put together from blocks.
fn piece(blocks: &Blocks, range: &Range<u64>) -> Option<Bytes> {
    if range.is_empty() {
        return Some(Bytes::new());
    }
    let part = |number: u64| {
        let block = blocks.get(&number)?;
        let from = usize::try_from(range.start.saturating_sub(number * BLOCK)).ok()?;
        let to = usize::try_from(range.end - number * BLOCK).ok()?.min(block.len());
        (from < to).then(|| block.slice(from..to))
    };
    let (first, last) = (range.start / BLOCK, (range.end - 1) / BLOCK);
    if first == last {
        return part(first);
    }
    let mut whole = BytesMut::with_capacity(usize::try_from(range.end - range.start).ok()?);
    for number in first..=last {
        whole.extend_from_slice(&part(number)?);
    }
    Some(whole.freeze())
}

#[cfg(test)]
mod tests;
