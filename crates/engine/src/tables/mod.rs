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
mod deletes;
mod delta_log;
mod fault;
mod iceberg_log;
mod lent;
pub(crate) mod named;
mod plan;
mod provider;
mod prune;
mod reader;
mod reshape;
mod scan;
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
use portcullis_contract::{ConnectionKind, SourcePath, Table, TableFormat};
use portcullis_govern::schema::arrow_schema;

use crate::EngineError;
use cache::Caches;
use delta_log::DeltaTable;
use fault::Fault;
use iceberg_log::{Catalogues, IcebergTable, RestConnection, SqlConnection};
use provider::{Snapshot, SnapshotProvider};
use slot::Slots;
use store::Stores;

/// How tables are opened and kept.
#[derive(Debug, Clone)]
pub struct TablesOptions {
    /// Directory to which relative locations and secret files refer.
    pub mesh_dir: PathBuf,
    /// Age after which a table's metadata is looked up anew.
    pub refresh_age: Duration,
    /// Memory for parsed metadata and deletes of all tables, and as much again for the footers of each connection's
    /// files, in bytes.
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
            cache_bytes: 128 << 20,
            store_timeout: Duration::from_secs(8),
        }
    }
}

/// The tables of a mesh, opened when they are first used.
#[derive(Debug)]
pub struct Tables {
    options: TablesOptions,
    stores: Stores,
    catalogues: Catalogues,
    caches: Arc<Caches>,
    slots: Slots,
}

impl Tables {
    /// No table, store or catalogue is touched yet.
    pub fn new(options: TablesOptions) -> Self {
        let footers = usize::try_from(options.cache_bytes).unwrap_or(usize::MAX);
        Self {
            stores: Stores::new(options.mesh_dir.clone(), options.store_timeout, footers),
            catalogues: Catalogues::default(),
            caches: Arc::new(Caches::new(options.cache_bytes)),
            slots: Slots::new(),
            options,
        }
    }

    /// Where scans find their stores: to be put into the runtime environment that executes them.
    pub fn object_store_registry(&self) -> Arc<dyn ObjectStoreRegistry> {
        self.stores.registry()
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

    /// The current snapshot, at most this old.
    async fn now(&self, table: &Table, age: Duration) -> Result<Snapshot, Fault> {
        let source = &table.source;
        let key = format!("{:?}\n{:?}\n{:?}\n{:?}", table.format, source.path, source.granted, source.connection.kind);
        self.slots.current(key, age, |known| self.refresh(table, known)).await
    }

    async fn refresh(&self, table: &Table, known: Option<Snapshot>) -> Result<Snapshot, Fault> {
        let connection = &table.source.connection.name;
        let opened = tokio::time::timeout(self.options.store_timeout, self.open(table, known)).await;
        let opened = opened
            .unwrap_or_else(|_| Err(Fault::Unavailable(format!("connection `{connection}` did not answer in time"))));
        // The next attempt starts from nothing, with secrets read anew.
        match &opened {
            Err(Fault::Refused(_)) => {
                self.stores.forget(connection);
                self.catalogues.forget(connection).await;
            }
            Err(Fault::Unavailable(_)) => self.catalogues.forget(connection).await,
            _ => {}
        }
        opened
    }

    async fn open(&self, table: &Table, known: Option<Snapshot>) -> Result<Snapshot, Fault> {
        let connection = &table.source.connection;
        match (&connection.kind, &table.source.path) {
            (ConnectionKind::Directory { url, store }, SourcePath::Url(location)) => {
                let granted = table.source.granted.as_deref();
                let root = self.stores.table_root(&connection.name, url, store, location)?;
                let root = self.stores.granted(root, granted)?;
                // What is known through a store that was closed meanwhile is not known.
                let known = known.filter(|known| Arc::ptr_eq(&known.root().root, &root.root));
                match (table.format, known) {
                    (TableFormat::Iceberg, Some(Snapshot::Iceberg(known))) => {
                        IcebergTable::open(root, Some(&known)).await.map(Snapshot::Iceberg)
                    }
                    (TableFormat::Iceberg, _) => IcebergTable::open(root, None).await.map(Snapshot::Iceberg),
                    (TableFormat::Delta, Some(Snapshot::Delta(known))) => {
                        DeltaTable::open(root, Some(&known)).await.map(Snapshot::Delta)
                    }
                    (TableFormat::Delta, _) => DeltaTable::open(root, None).await.map(Snapshot::Delta),
                }
            }
            (ConnectionKind::IcebergSql { file, catalog, warehouse, store }, SourcePath::Table(path)) => {
                let sql = SqlConnection { name: &connection.name, file, catalog, warehouse, store };
                let known = known.as_ref().and_then(Snapshot::iceberg);
                let granted = table.source.granted.as_deref();
                iceberg_log::sql_table(sql, &self.stores, path, granted, known).await.map(Snapshot::Iceberg)
            }
            (ConnectionKind::IcebergRest { uri, warehouse, prefix, auth, store }, SourcePath::Table(path)) => {
                let rest = RestConnection {
                    name: &connection.name,
                    uri,
                    warehouse: warehouse.as_deref(),
                    prefix: prefix.as_deref(),
                    auth,
                    store,
                };
                let known = known.as_ref().and_then(Snapshot::iceberg);
                let granted = table.source.granted.as_deref();
                self.catalogues.table(rest, &self.stores, path, granted, known).await.map(Snapshot::Iceberg)
            }
            _ => Err(Fault::Withheld(format!(
                "connection `{}` is not of the kind that its place needs",
                connection.name
            ))),
        }
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
