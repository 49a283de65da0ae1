//! What is kept between queries, bounded by bytes.

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use datafusion::datasource::physical_plan::parquet::ParquetRowSelection;
use moka::future::Cache;
use portcullis_govern::{CacheUse, Lookups};

use super::deletes::Positions;
use super::delta_log::DeltaTable;
use super::iceberg_log::ManifestCache;
use super::plan::FilePlan;
use super::shared::SharedFile;

/// Parsed metadata, by identities that never change their meaning.
#[derive(Debug)]
pub(super) struct Caches {
    /// Files of snapshots.
    pub(super) plans: Counted<String, Arc<FilePlan>>,
    /// Files without their deleted rows, by plan and index.
    pub(super) ready: Counted<(u64, usize), Option<SharedFile>>,
    /// Files of position deletes.
    pub(super) positions: Counted<String, Arc<Positions>>,
    /// Iceberg manifests.
    pub(super) manifests: ManifestCache,
    /// Earlier versions of Delta tables.
    pub(super) versions: Counted<String, DeltaTable>,
}

/// Versions of Delta tables that are kept: each holds the table's metadata and the names of its log's files.
const VERSIONS: u64 = 256;

impl Caches {
    /// Of at most this many bytes together, by estimate.
    pub(super) fn new(bytes: u64) -> Self {
        let quarter = (bytes / 4).max(1);
        Self {
            plans: Cache::builder()
                .max_capacity(quarter)
                .weigher(|_, plan: &Arc<FilePlan>| weight(plan.bytes()))
                .build()
                .into(),
            ready: Cache::builder()
                .max_capacity(quarter)
                .weigher(|_, file: &Option<SharedFile>| {
                    let selection = file.as_ref().and_then(|file| file.file.extension::<ParquetRowSelection>());
                    weight(1000 + selection.map_or(0, |selection| selection.selection().iter().count() * 16))
                })
                .build()
                .into(),
            positions: Cache::builder()
                .max_capacity(quarter)
                .weigher(|_, positions: &Arc<Positions>| {
                    weight(positions.iter().map(|(name, rows)| name.len() + rows.serialized_size() + 100).sum())
                })
                .build()
                .into(),
            manifests: Cache::builder()
                .max_capacity(quarter)
                .weigher(|_, manifest: &Arc<iceberg::spec::Manifest>| weight(1000 + manifest.entries().len() * 2000))
                .build()
                .into(),
            versions: Cache::builder().max_capacity(VERSIONS).build().into(),
        }
    }

    /// How each is used.
    pub(super) fn usage(&self) -> [CacheUse; 5] {
        [
            self.plans.usage("file_plans", true),
            self.ready.usage("deleted_rows", true),
            self.positions.usage("position_deletes", true),
            self.manifests.usage("manifests", true),
            self.versions.usage("delta_versions", false),
        ]
    }
}

/// A cache that counts how often it had what was asked for.
#[derive(Clone)]
pub(super) struct Counted<K, V> {
    cache: Cache<K, V>,
    lookups: Arc<Lookups>,
}

impl<K, V> fmt::Debug for Counted<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lookups.fmt(f)
    }
}

impl<K, V> From<Cache<K, V>> for Counted<K, V> {
    fn from(cache: Cache<K, V>) -> Self {
        Self { cache, lookups: Arc::default() }
    }
}

impl<K, V> Counted<K, V>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// What is known, or what `load` finds, for all that ask for it meanwhile.
    pub(super) async fn try_get_with<E>(&self, key: K, load: impl Future<Output = Result<V, E>>) -> Result<V, Arc<E>>
    where
        E: Send + Sync + 'static,
    {
        let mut missed = false;
        let counted = async {
            missed = true;
            self.lookups.miss();
            load.await
        };
        let found = self.cache.try_get_with(key, counted).await;
        if !missed && found.is_ok() {
            self.lookups.hit();
        }
        found
    }

    /// How it is used; `weighed`: weights are bytes.
    pub(super) fn usage(&self, name: &'static str, weighed: bool) -> CacheUse {
        let bytes = weighed.then(|| self.cache.weighted_size());
        self.lookups.of(name, self.cache.entry_count(), bytes)
    }

    /// What is to be thrown away is.
    #[cfg(test)]
    pub(super) async fn settle(&self) {
        self.cache.run_pending_tasks().await;
    }
}

/// A weight in bytes.
pub(super) fn weight(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}
