//! Tables of Iceberg SQL catalogues: where a table's metadata is, is a row of a database, in the schema that Iceberg's JDBC
//! catalogue and pyiceberg share.
//!
//! All of a catalogue's tables lie in one directory, its connection's warehouse, and a table in the directory that its
//! metadata is in: whoever can write to the catalogue cannot name files elsewhere.

mod postgres;
mod sqlite;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use portcullis_contract::{SqlDatabase, StoreOptions};
use tokio::sync::{Mutex, OnceCell};
use tokio_postgres::Client;

use super::{IcebergTable, is_metadata_file, metadata};
use crate::tables::fault::Fault;
use crate::tables::store::Stores;

/// The row of a table: catalogues of before there were views have no `iceberg_type`.
const QUERY: &str = "SELECT * FROM iceberg_tables WHERE catalog_name = $1 AND table_namespace = $2 AND table_name = $3";

/// An SQL catalogue, as its connection describes it.
#[derive(Debug, Clone, Copy)]
pub(in crate::tables) struct SqlConnection<'a> {
    /// Name of the connection.
    pub(in crate::tables) name: &'a str,
    /// The database.
    pub(in crate::tables) database: &'a SqlDatabase,
    /// Name of the catalogue in it.
    pub(in crate::tables) catalog: &'a str,
    /// The directory of its tables.
    pub(in crate::tables) warehouse: &'a str,
    /// The store of that.
    pub(in crate::tables) store: &'a StoreOptions,
}

/// The connections to servers that are open, by connection.
#[derive(Default)]
pub(in crate::tables) struct SqlServers {
    open: Mutex<HashMap<String, Arc<OnceCell<Client>>>>,
}

impl fmt::Debug for SqlServers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlServers").finish_non_exhaustive()
    }
}

impl SqlServers {
    /// Closes those of a connection, so that secrets are read anew.
    pub(in crate::tables) async fn forget(&self, connection: &str) {
        self.open.lock().await.retain(|key, _| key.split('\n').next() != Some(connection));
    }

    /// The place of a connection's client. Whoever comes while it is being opened waits for that; one that was closed is
    /// forgotten.
    async fn place(&self, connection: SqlConnection<'_>) -> Arc<OnceCell<Client>> {
        let key = format!("{}\n{:?}", connection.name, connection.database);
        let mut open = self.open.lock().await;
        open.retain(|_, place| place.get().is_none_or(|client| !client.is_closed()));
        Arc::clone(open.entry(key).or_default())
    }
}

/// A table's row.
#[derive(Debug)]
struct Entry {
    location: Option<String>,
    kind: Option<String>,
}

/// The current version of a table, by its dotted name.
pub(in crate::tables) async fn table(
    connection: SqlConnection<'_>,
    servers: &SqlServers,
    stores: &Stores,
    name: &str,
    granted: Option<&[String]>,
    known: Option<&IcebergTable>,
) -> Result<IcebergTable, Fault> {
    let location = current(connection, servers, stores, name).await?;
    let found = stores.table_root(connection.name, connection.warehouse, connection.store, &location)?;
    let file = found.base.clone();
    if !is_metadata_file(&file) {
        return Err(Fault::Withheld(format!(
            "the catalogue of connection `{}` names a file that is not a table's metadata",
            connection.name
        )));
    }
    let root = stores.granted(found.of_metadata(&file)?, granted)?;
    // A file of metadata never changes.
    let same = |known: &&IcebergTable| known.version == location && known.root.is(&root);
    if let Some(known) = known.filter(same) {
        return Ok(known.clone());
    }
    let (metadata, opaque) = metadata::read(&root, &file).await?;
    Ok(IcebergTable::new(root, metadata, opaque, location))
}

/// Where the current metadata of a table is.
async fn current(
    connection: SqlConnection<'_>,
    servers: &SqlServers,
    stores: &Stores,
    name: &str,
) -> Result<String, Fault> {
    let wrong = || Fault::Withheld(format!("`{name}` is not a name of a table with its namespace"));
    let (namespace, table) = name.rsplit_once('.').ok_or_else(wrong)?;
    let key = [connection.catalog, namespace, table].map(str::to_owned);
    let entry = match connection.database {
        SqlDatabase::Sqlite { file } => {
            sqlite::entry(connection.name, stores.absolute(file), key, stores.timeout).await?
        }
        SqlDatabase::Postgres { host, port, database, user, password, tls } => {
            let place = servers.place(connection).await;
            let open = async {
                let password =
                    password.as_ref().map(|password| stores.secret(connection.name, password)).transpose()?;
                let login = postgres::Login {
                    connection: connection.name,
                    host,
                    port: *port,
                    database,
                    user,
                    password,
                    trusted: tls.then(postgres::trusted),
                };
                postgres::open(login, stores.timeout).await
            };
            postgres::entry(place.get_or_try_init(|| open).await?, connection.name, &key).await?
        }
    };
    let absent = || Fault::Absent(format!("the catalogue of connection `{}` does not have it", connection.name));
    let entry = entry.ok_or_else(absent)?;
    match (entry.location, entry.kind.as_deref()) {
        (Some(location), None | Some("TABLE")) => Ok(location),
        _ => Err(Fault::Withheld(format!("in the catalogue of connection `{}` it is not a table", connection.name))),
    }
}

#[cfg(test)]
mod tests;
