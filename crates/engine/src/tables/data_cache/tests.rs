#![allow(clippy::single_range_in_vec_init, reason = "where one range is asked for, it is one")]

use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::sync::atomic::Ordering;

use futures::FutureExt;
use object_store::{ObjectStoreExt, PutPayload};
use tempfile::TempDir;

use super::*;
use crate::tables::tests::Counting;

/// As it is on the disk.
const SLOT: u64 = BLOCK + 16;

/// A store with a file of this length, which says where each of its bytes is.
struct World {
    counting: Arc<Counting>,
    store: Arc<dyn ObjectStore>,
    path: Path,
    file: Arc<FileKey>,
    bytes: Vec<u8>,
}

impl World {
    async fn new(length: u64) -> Self {
        let bytes: Vec<u8> = (0..length).map(|at| (at.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 53) as u8).collect();
        let (counting, path) = (Arc::new(Counting::default()), Path::from("t/file"));
        counting.put(&path, PutPayload::from(bytes.clone())).await.unwrap();
        let store = Arc::clone(&counting) as Arc<dyn ObjectStore>;
        Self { counting, store, path, file: Arc::new(("s0/t/file".to_owned(), length, 0)), bytes }
    }

    async fn ask(&self, cache: &DataCache, ranges: &[Range<u64>]) -> Result<()> {
        let read = cache.ranges(&self.store, &self.path, &self.file, ranges).await?;
        assert_eq!(read.len(), ranges.len());
        for (range, bytes) in ranges.iter().zip(read) {
            assert!(bytes == self.bytes[range.start as usize..range.end as usize], "{range:?}");
        }
        Ok(())
    }

    /// Reads it all; how many bytes came from the store.
    async fn all(&self, cache: &DataCache) -> usize {
        self.counting.bytes.store(0, Ordering::SeqCst);
        self.ask(cache, &[0..self.file.1]).await.unwrap();
        cache.settle().await;
        self.counting.bytes.swap(0, Ordering::SeqCst)
    }
}

impl DataCache {
    /// Everything that waits is written, and what is to be thrown away is.
    pub(in crate::tables) async fn settle(&self) {
        drop(self.0.waiting.acquire_many(WAITING as u32).await.unwrap());
        self.0.blocks.run_pending_tasks().await;
    }
}

fn cache(slots: u64) -> DataCache {
    DataCache::on(Disk::over(tempfile::tempfile().unwrap(), slots * SLOT).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn ranges_are_those_of_the_file() {
    let world = World::new(3 * BLOCK + 1234).await;
    let (size, cache) = (world.file.1, cache(64));
    let edges = [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 3 * BLOCK, size - 1, size];
    let mut asked = Vec::new();
    for from in edges {
        asked.extend(edges.iter().filter(|to| from <= **to).map(|to| from..*to));
    }
    for range in &asked {
        world.ask(&cache, std::slice::from_ref(range)).await.unwrap();
    }
    cache.settle().await;
    assert!(world.counting.counted()[0] > 0);
    for range in &asked {
        world.ask(&cache, std::slice::from_ref(range)).await.unwrap();
    }
    world.ask(&cache, &asked).await.unwrap();
    assert_eq!(world.counting.counted()[0], 0, "all of it was here");
    // What is not in the file is what the store makes of it.
    let outside = [size..size + 1];
    let expected = world.store.get_ranges(&world.path, &outside).await;
    let found = cache.ranges(&world.store, &world.path, &world.file, &outside).await;
    assert_eq!(format!("{found:?}"), format!("{expected:?}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_is_fetched_once_by_all_who_ask_at_the_same_time() {
    let world = Arc::new(World::new(8 * BLOCK).await);
    let cache = cache(64);
    let ask = |number: u64| {
        let (world, cache) = (Arc::clone(&world), cache.clone());
        // They overlap, and none is another.
        tokio::spawn(async move { world.ask(&cache, &[number..7 * BLOCK + number, 10..20 + number]).await })
    };
    for asked in (0..50).map(ask).collect::<Vec<_>>() {
        asked.await.unwrap().unwrap();
    }
    assert_eq!(world.counting.bytes.load(Ordering::SeqCst) as u64, 8 * BLOCK);
    let used = cache.usage();
    assert_eq!((used.misses, used.failures), (8, Some(0)));
    assert!(cache.fetching().is_empty());
}

#[tokio::test]
async fn a_fetch_that_nobody_wants_any_more_ends() {
    let world = World::new(BLOCK).await;
    let cache = cache(64);
    let asked = [0..10];
    assert!(world.ask(&cache, &asked).now_or_never().is_none(), "it is under way");
    assert!(cache.fetching().is_empty());
    world.ask(&cache, &asked).await.unwrap();

    // Of two, one goes away.
    let world = World::new(BLOCK).await;
    let cache = self::cache(64);
    let (mut first, mut second) = (world.ask(&cache, &asked).boxed(), world.ask(&cache, &asked).boxed());
    assert!((&mut first).now_or_never().is_none() && (&mut second).now_or_never().is_none());
    drop(first);
    second.await.unwrap();
    assert_eq!(world.counting.counted()[0], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waited_for_a_fetch_that_failed_reads_for_himself() {
    let world = Arc::new(World::new(BLOCK).await);
    let cache = cache(64);
    world.counting.failures.store(1, Ordering::SeqCst);
    let ask = |_| {
        let (world, cache) = (Arc::clone(&world), cache.clone());
        tokio::spawn(async move { world.ask(&cache, &[0..10]).await.is_err() })
    };
    let mut failed = 0;
    for asked in (0..5).map(ask).collect::<Vec<_>>() {
        failed += usize::from(asked.await.unwrap());
    }
    assert_eq!(failed, 1);
    assert!(cache.fetching().is_empty());
}

#[tokio::test]
async fn a_file_that_is_shorter_than_its_table_says_is_an_error_and_not_kept() {
    let mut world = World::new(BLOCK + 10).await;
    world.file = Arc::new(("s0/t/file".to_owned(), BLOCK + 20, 0));
    let cache = cache(64);
    for _ in 0..2 {
        let read = cache.ranges(&world.store, &world.path, &world.file, &[0..BLOCK + 20]).await;
        assert!(read.is_err(), "{read:?}");
    }
    assert_eq!(cache.usage().entries, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_damaged_on_the_disk_is_read_from_the_store_and_written_anew() {
    type Damage = fn(&File);
    let cases: [(&str, Damage, u64); 3] = [
        ("one bit", |file| flip(file, SLOT + 99), 1),
        ("two blocks in each other's place", swap, 2),
        ("a disk that lost its end", |file| file.set_len(SLOT + 7).unwrap(), 3),
    ];
    for (what, damage, blocks) in cases {
        let world = World::new(4 * BLOCK).await;
        let cache = cache(64);
        assert_eq!(world.all(&cache).await as u64, 4 * BLOCK);
        assert_eq!(world.all(&cache).await, 0, "{what}");
        damage(cache.0.disk.file());
        assert_eq!(world.all(&cache).await as u64, blocks * BLOCK, "{what}");
        assert_eq!(cache.usage().failures, Some(blocks), "{what}");
        assert_eq!(world.all(&cache).await, 0, "{what}: it is well again");
    }
}

fn flip(file: &File, at: u64) {
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
}

fn swap(file: &File) {
    let (mut one, mut two) = (vec![0; SLOT as usize], vec![0; SLOT as usize]);
    file.read_exact_at(&mut one, 0).unwrap();
    file.read_exact_at(&mut two, SLOT).unwrap();
    file.write_all_at(&two, 0).unwrap();
    file.write_all_at(&one, SLOT).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_full_disk_the_store_is_read() {
    let world = World::new(3 * BLOCK).await;
    let full = File::options().read(true).write(true).open("/dev/full").unwrap();
    let cache = DataCache::on(Disk::over(full, 64 * SLOT).unwrap());
    for times in 1..=2 {
        assert_eq!(world.all(&cache).await as u64, 3 * BLOCK);
        let used = cache.usage();
        assert_eq!((used.failures, used.entries), (Some(3 * times), 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_no_larger_than_it_may_be() {
    let world = World::new(100 * BLOCK).await;
    let cache = cache(32);
    for _ in 0..3 {
        world.all(&cache).await;
    }
    assert_eq!(cache.0.disk.blocks(), 32);
    let length = cache.0.disk.file().metadata().unwrap().len();
    assert!((20 * SLOT..=32 * SLOT).contains(&length), "{length}");
    let used = cache.usage();
    assert!((20..=32).contains(&used.entries), "{used:?}");
    assert!(used.hits > 0 && used.failures == Some(0), "{used:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_finds_anything_on_the_disk() {
    let directory = TempDir::new().unwrap();
    let here = directory.path().join("a/b");
    let cache = DataCache::open(&here, 0).unwrap();
    assert_eq!(cache.0.disk.blocks(), DataCache::LEAST_BYTES / SLOT);
    let mut world = World::new(BLOCK).await;
    world.bytes = b"needle! ".repeat(BLOCK as usize / 8);
    world.store.put(&world.path, world.bytes.clone().into()).await.unwrap();
    world.all(&cache).await;

    let file = cache.0.disk.file().metadata().unwrap();
    assert_eq!((file.mode() & 0o777, file.nlink(), file.len()), (0o600, 0, SLOT));
    assert_eq!(std::fs::metadata(&here).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(std::fs::read_dir(&here).unwrap().count(), 0, "it has no name, and nothing to leave behind");
    let mut bytes = vec![0; SLOT as usize];
    cache.0.disk.file().read_exact_at(&mut bytes, 0).unwrap();
    assert!(!bytes.windows(6).any(|window| window == b"needle"));

    // After a restart it is empty, and another process has one of its own.
    let other = DataCache::open(&here, 0).unwrap();
    assert_eq!(world.all(&other).await as u64, BLOCK);

    std::fs::set_permissions(&here, PermissionsExt::from_mode(0o750)).unwrap();
    let refused = DataCache::open(&here, 0).unwrap_err();
    assert_eq!(refused.to_string(), "others may enter it: name one that is not there yet, or one of mode 0700");
}

#[tokio::test]
async fn files_of_other_stores_lengths_and_times_are_others() {
    let world = World::new(BLOCK).await;
    let cache = cache(64);
    world.all(&cache).await;
    world.counting.counted();
    for (name, length, time) in [("s1/t/file", BLOCK, 0), ("s0/t/file", BLOCK - 1, 0), ("s0/t/file", BLOCK, 1)] {
        let file = Arc::new((name.to_owned(), length, time));
        cache.ranges(&world.store, &world.path, &file, &[0..9]).await.unwrap();
        assert_eq!(world.counting.counted()[0], 1, "{name} {length} {time}");
    }
}
