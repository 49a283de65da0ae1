//! Tables: from a contract's port to a provider of rows at one pinned snapshot.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use datafusion::catalog::TableProvider;
use datafusion::execution::object_store::{DefaultObjectStoreRegistry, ObjectStoreRegistry};
use portcullis_contract::Table;

use crate::EngineError;

/// How tables are opened and kept.
#[derive(Debug, Clone)]
pub struct TablesOptions {
    /// Directory to which relative locations and secret files refer.
    pub mesh_dir: PathBuf,
    /// Age after which a table's metadata is looked up anew.
    pub refresh_age: Duration,
    /// Memory for cached metadata and deletes, in bytes.
    pub cache_bytes: u64,
    /// Longest wait for a store or a catalogue before it counts as unavailable.
    pub store_timeout: Duration,
}

impl TablesOptions {
    /// Defaults, for the mesh in `mesh_dir`.
    pub fn new(mesh_dir: impl Into<PathBuf>) -> Self {
        Self {
            mesh_dir: mesh_dir.into(),
            refresh_age: Duration::from_secs(5),
            cache_bytes: 256 << 20,
            store_timeout: Duration::from_secs(8),
        }
    }
}

/// The tables of a mesh, opened when they are first used.
#[derive(Debug)]
pub struct Tables {
    options: TablesOptions,
}

impl Tables {
    /// No table is touched yet.
    pub fn new(options: TablesOptions) -> Self {
        Self { options }
    }

    /// Where scans find their stores: to be put into the runtime environment that executes them.
    pub fn object_store_registry(&self) -> Arc<dyn ObjectStoreRegistry> {
        Arc::new(DefaultObjectStoreRegistry::new())
    }

    /// The current snapshot of `table`, at most `refresh_age` old.
    pub async fn pin(&self, table: &Table) -> Result<Arc<PinnedTable>, EngineError> {
        Err(EngineError::Unavailable { table: table.name.to_string(), message: format!("{:?}", self.options.refresh_age) })
    }
}

/// A table at one snapshot.
#[derive(Debug)]
pub struct PinnedTable {
    snapshot: String,
    provider: Arc<dyn TableProvider>,
}

impl PinnedTable {
    /// Rows of this snapshot, in the columns that the contract declares.
    pub fn provider(self: &Arc<Self>) -> Arc<dyn TableProvider> {
        Arc::clone(&self.provider)
    }

    /// Iceberg snapshot id or Delta version.
    pub fn snapshot(&self) -> &str {
        &self.snapshot
    }

    /// When the snapshot was written, in milliseconds since 1970, where the table says so.
    pub fn snapshot_time_ms(&self) -> Option<i64> {
        None
    }
}
