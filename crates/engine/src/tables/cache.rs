//! What is kept between queries, bounded by bytes.

use std::sync::Arc;

use datafusion::datasource::physical_plan::parquet::ParquetRowSelection;
use moka::future::Cache;

use super::deletes::Positions;
use super::delta_log::DeltaTable;
use super::iceberg_log::ManifestCache;
use super::plan::FilePlan;
use super::shared::SharedFile;

/// Parsed metadata, by identities that never change their meaning.
#[derive(Debug)]
pub(super) struct Caches {
    /// Files of snapshots.
    pub(super) plans: Cache<String, Arc<FilePlan>>,
    /// Files without their deleted rows, by plan and index.
    pub(super) ready: Cache<(u64, usize), Option<SharedFile>>,
    /// Files of position deletes.
    pub(super) positions: Cache<String, Arc<Positions>>,
    /// Iceberg manifests.
    pub(super) manifests: ManifestCache,
    /// Earlier versions of Delta tables.
    pub(super) versions: Cache<String, DeltaTable>,
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
                .build(),
            ready: Cache::builder()
                .max_capacity(quarter)
                .weigher(|_, file: &Option<SharedFile>| {
                    let selection = file.as_ref().and_then(|file| file.file.extension::<ParquetRowSelection>());
                    weight(1000 + selection.map_or(0, |selection| selection.selection().iter().count() * 16))
                })
                .build(),
            positions: Cache::builder()
                .max_capacity(quarter)
                .weigher(|_, positions: &Arc<Positions>| {
                    weight(positions.iter().map(|(name, rows)| name.len() + rows.serialized_size() + 100).sum())
                })
                .build(),
            manifests: Cache::builder()
                .max_capacity(quarter)
                .weigher(|_, manifest: &Arc<iceberg::spec::Manifest>| weight(1000 + manifest.entries().len() * 2000))
                .build(),
            versions: Cache::builder().max_capacity(VERSIONS).build(),
        }
    }
}

/// A weight in bytes.
pub(super) fn weight(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}
