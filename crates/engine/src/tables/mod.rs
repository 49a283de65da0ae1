//! Tables: from a contract's port to a provider of rows at one pinned snapshot.
//!
//! Two readers of metadata ([`iceberg_log`], [`delta_log`]) end in the same [`plan::FilePlan`]: files with statistics,
//! constant columns, columns by identity, and deletes. One scan reads it with DataFusion's Parquet source. A table is
//! opened when it is first pinned, looked up anew when it is older than the refresh age, and fails alone.

mod adapter;
mod bind;
mod bucket;
mod cache;
mod clients;
mod confined;
mod data_cache;
mod deletes;
mod delta_log;
mod fault;
mod iceberg_log;
mod late;
mod lent;
mod lineage;
pub(crate) mod named;
mod open;
mod plan;
mod provider;
mod prune;
mod reader;
mod reshape;
mod scan;
mod shared;
mod slot;
mod source;
mod store;
mod travel;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use datafusion::catalog::TableProvider;
use datafusion::error::DataFusionError;
use datafusion::execution::object_store::ObjectStoreRegistry;
use portcullis_contract::Table;
use portcullis_govern::CacheUse;
use portcullis_govern::schema::arrow_schema;

use crate::EngineError;
use cache::Caches;
use fault::Fault;
use open::Opener;
use provider::{Snapshot, SnapshotProvider};
use slot::Slots;

pub use data_cache::DataCache;

/// How tables are opened and kept.
#[derive(Debug, Clone)]
pub struct TablesOptions {
    /// Directory to which relative locations and secret files refer.
    pub mesh_dir: PathBuf,
    /// Age after which a table's metadata is looked up anew before a query may use it; from half of it on, it is looked up
    /// beside queries that use what is known.
    pub refresh_age: Duration,
    /// Memory for parsed metadata and deletes of all tables, and as much again for the footers of their files, in bytes.
    pub cache_bytes: u64,
    /// Longest wait for a store or a catalogue before it counts as unavailable.
    pub store_timeout: Duration,
    /// Where bytes of data files of object stores are kept.
    pub data_cache: Option<DataCache>,
}

impl TablesOptions {
    /// Defaults, for the mesh in `mesh_dir`.
    pub fn new(mesh_dir: impl Into<PathBuf>) -> Self {
        Self {
            mesh_dir: mesh_dir.into(),
            refresh_age: Duration::from_secs(5),
            cache_bytes: 128 << 20,
            store_timeout: Duration::from_secs(8),
            data_cache: None,
        }
    }
}

/// The tables of a mesh, opened when they are first used.
#[derive(Debug)]
pub struct Tables {
    options: TablesOptions,
    opener: Arc<Opener>,
    caches: Arc<Caches>,
    slots: Slots<Snapshot>,
}

impl Tables {
    /// No table, store or catalogue is touched yet.
    pub fn new(options: TablesOptions) -> Self {
        Self {
            opener: Arc::new(Opener::new(&options)),
            caches: Arc::new(Caches::new(options.cache_bytes)),
            slots: Slots::new(),
            options,
        }
    }

    /// Where scans find their stores: to be put into the runtime environment that executes them.
    pub fn object_store_registry(&self) -> Arc<dyn ObjectStoreRegistry> {
        self.opener.stores.registry()
    }

    /// The current snapshot of `table`, at most the refresh age old, with its columns as the contract declares them.
    ///
    /// # Errors
    ///
    /// Unavailable, where the table's store or catalogue does not answer within the time allowed; Withheld, where the
    /// table does not offer what its contract declares; Corrupt, where its metadata cannot be understood.
    pub async fn pin(&self, table: &Table) -> Result<Arc<PinnedTable>, EngineError> {
        let name = table.name.to_string();
        let snapshot = self.now(table, self.options.refresh_age).await.map_err(|fault| fault.at(&name))?;
        self.bind(table, snapshot, "").map_err(|fault| fault.at(&name))
    }

    /// How what is kept of tables is used.
    pub fn caches(&self) -> Vec<CacheUse> {
        let mut caches = vec![self.slots.usage(), self.opener.stores.footers()];
        caches.extend(self.caches.usage());
        caches.extend(self.options.data_cache.as_ref().map(DataCache::usage));
        caches
    }

    /// The current snapshot, at most this old.
    async fn now(&self, table: &Table, age: Duration) -> Result<Snapshot, Fault> {
        let source = &table.source;
        let key = format!("{:?}\n{:?}\n{:?}\n{:?}", table.format, source.path, source.granted, source.connection.kind);
        let newest = |known| Arc::clone(&self.opener).newest(table.format, source.clone(), known);
        self.slots.current(&key, age, newest).await
    }

    /// `seen_from` tells the state of the table whose names and types the columns have, where it is another one.
    fn bind(&self, table: &Table, snapshot: Snapshot, seen_from: &str) -> Result<Arc<PinnedTable>, Fault> {
        let schema = arrow_schema(table);
        let columns = snapshot.columns(&schema)?;
        let present = travel::present(&columns);
        let root = snapshot.root();
        let version = snapshot.version();
        // What a table may read is part of the key: a plan was judged by it.
        let (url, places) = (root.root.url.as_str(), root.directories());
        let plan_key = format!("{url}{places:?}\n{version}\n{seen_from}\n{schema:?}");
        let (name, time_ms) = (snapshot.name(), snapshot.time_ms());
        let provider = SnapshotProvider {
            table: table.name.to_string(),
            schema,
            columns,
            snapshot,
            plan_key,
            caches: Arc::clone(&self.caches),
        };
        Ok(Arc::new(PinnedTable { snapshot: name, time_ms, columns: present, provider: Arc::new(provider) }))
    }
}

/// A table at one snapshot.
#[derive(Debug)]
pub struct PinnedTable {
    snapshot: String,
    time_ms: Option<i64>,
    /// Declared columns that it has.
    columns: BTreeSet<String>,
    provider: Arc<SnapshotProvider>,
}

impl PinnedTable {
    /// Rows of this snapshot, in the columns that the contract declares.
    ///
    /// Its scans name stores of [`Tables::object_store_registry`]. Errors of it that are ours are in
    /// [`DataFusionError::External`]; [`engine_error`] finds them.
    pub fn provider(self: &Arc<Self>) -> Arc<dyn TableProvider> {
        Arc::clone(&self.provider) as Arc<dyn TableProvider>
    }

    /// Iceberg snapshot id or Delta version; `empty` for an Iceberg table that was never written.
    pub fn snapshot(&self) -> &str {
        &self.snapshot
    }

    /// When the snapshot was written, in milliseconds since 1970, where the table says so.
    pub fn snapshot_time_ms(&self) -> Option<i64> {
        self.time_ms
    }
}

/// The error of ours that DataFusion handed on, if it is one.
pub fn engine_error(error: &DataFusionError) -> Option<EngineError> {
    fault::find_engine_error(error)
}

#[cfg(test)]
mod tests;
