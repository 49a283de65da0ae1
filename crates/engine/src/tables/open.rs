//! Opening tables: from a contract's port to the newest snapshot, within the time allowed.

use std::sync::Arc;

use portcullis_contract::{ConnectionKind, Source, SourcePath, TableFormat};

use super::TablesOptions;
use super::delta_log::DeltaTable;
use super::fault::Fault;
use super::iceberg_log::{self, Catalogues, IcebergTable, RestConnection, SqlConnection, SqlServers};
use super::provider::Snapshot;
use super::store::Stores;

/// The stores and catalogues through which tables are opened.
#[derive(Debug)]
pub(super) struct Opener {
    /// The stores.
    pub(super) stores: Stores,
    pub(super) catalogues: Catalogues,
    servers: SqlServers,
}

impl Opener {
    /// No store or catalogue is touched yet.
    pub(super) fn new(options: &TablesOptions) -> Self {
        Self { stores: Stores::new(options), catalogues: Catalogues::default(), servers: SqlServers::default() }
    }

    /// The newest snapshot, found from `known` on.
    pub(super) async fn newest(
        self: Arc<Self>,
        format: TableFormat,
        source: Source,
        known: Option<Snapshot>,
    ) -> Result<Snapshot, Fault> {
        let connection = &source.connection.name;
        let opened = tokio::time::timeout(self.stores.timeout, self.open(format, &source, known)).await;
        let opened = opened
            .unwrap_or_else(|_| Err(Fault::Unavailable(format!("connection `{connection}` did not answer in time"))));
        // The next attempt starts from nothing, with secrets read anew.
        match &opened {
            Err(Fault::Refused(_)) => {
                self.stores.forget(connection);
                self.catalogues.forget(connection).await;
                self.servers.forget(connection).await;
            }
            Err(Fault::Unavailable(_)) => {
                self.catalogues.forget(connection).await;
                self.servers.forget(connection).await;
            }
            _ => {}
        }
        opened
    }

    async fn open(&self, format: TableFormat, source: &Source, known: Option<Snapshot>) -> Result<Snapshot, Fault> {
        let (connection, granted) = (&source.connection, source.granted.as_deref());
        let known_table = known.as_ref().and_then(Snapshot::iceberg);
        match (&connection.kind, &source.path) {
            (ConnectionKind::Directory { url, store }, SourcePath::Url(location)) => {
                let root = self.stores.table_root(&connection.name, url, store, location)?;
                let root = self.stores.granted(root, granted)?;
                // What is known through a store that was closed meanwhile is not known.
                let known = known.filter(|known| Arc::ptr_eq(&known.root().root, &root.root));
                match (format, known) {
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
            (ConnectionKind::IcebergSql { database, catalog, warehouse, store }, SourcePath::Table(path)) => {
                let sql = SqlConnection { name: &connection.name, database, catalog, warehouse, store };
                iceberg_log::sql_table(sql, &self.servers, &self.stores, path, granted, known_table)
                    .await
                    .map(Snapshot::Iceberg)
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
                self.catalogues.table(rest, &self.stores, path, granted, known_table).await.map(Snapshot::Iceberg)
            }
            _ => Err(Fault::Withheld(format!(
                "connection `{}` is not of the kind that its place needs",
                connection.name
            ))),
        }
    }
}
