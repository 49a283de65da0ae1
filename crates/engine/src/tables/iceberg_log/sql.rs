//! Tables of Iceberg SQL catalogues: where a table's metadata is, is a row of a database, in the schema that Iceberg's JDBC
//! catalogue and pyiceberg share.
//!
//! All of a catalogue's tables lie in one directory, its connection's warehouse, and a table in the directory that its
//! metadata is in: whoever can write to the catalogue cannot name files elsewhere.

use std::path::Path as FilePath;
use std::time::Duration;

use portcullis_contract::StoreOptions;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, Row};

use super::{IcebergTable, is_metadata_file, metadata};
use crate::tables::fault::Fault;
use crate::tables::store::Stores;

/// An SQL catalogue, as its connection describes it.
#[derive(Debug, Clone, Copy)]
pub(in crate::tables) struct SqlConnection<'a> {
    /// Name of the connection.
    pub(in crate::tables) name: &'a str,
    /// The database.
    pub(in crate::tables) file: &'a str,
    /// Name of the catalogue in it.
    pub(in crate::tables) catalog: &'a str,
    /// The directory of its tables.
    pub(in crate::tables) warehouse: &'a str,
    /// The store of that.
    pub(in crate::tables) store: &'a StoreOptions,
}

/// The current version of a table, by its dotted name.
pub(in crate::tables) async fn table(
    connection: SqlConnection<'_>,
    stores: &Stores,
    name: &str,
    granted: Option<&[String]>,
    known: Option<&IcebergTable>,
) -> Result<IcebergTable, Fault> {
    let location = current(connection, stores, name).await?;
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

/// A table's row.
#[derive(Debug)]
struct Entry {
    location: Option<String>,
    /// Catalogues of before there were views have no such column.
    kind: Option<String>,
}

/// Where the current metadata of a table is.
async fn current(connection: SqlConnection<'_>, stores: &Stores, name: &str) -> Result<String, Fault> {
    let wrong = || Fault::Withheld(format!("`{name}` is not a name of a table with its namespace"));
    let (namespace, table) = name.rsplit_once('.').ok_or_else(wrong)?;
    let key = [connection.catalog, namespace, table].map(str::to_owned);
    let (file, patience) = (stores.absolute(connection.file), stores.timeout);
    let connection = connection.name.to_owned();
    let asked = tokio::task::spawn_blocking(move || {
        let entry = entry(&file, &key, patience).map_err(|error| failed(&connection, &error))?;
        let absent = || Fault::Absent(format!("the catalogue of connection `{connection}` does not have it"));
        let entry = entry.ok_or_else(absent)?;
        match (entry.location, entry.kind.as_deref()) {
            (Some(location), None | Some("TABLE")) => Ok(location),
            _ => Err(Fault::Withheld(format!("in the catalogue of connection `{connection}` it is not a table"))),
        }
    });
    asked.await.map_err(|_| Fault::Internal("a catalogue was not asked to the end".into()))?
}

fn entry(file: &FilePath, key: &[String; 3], patience: Duration) -> rusqlite::Result<Option<Entry>> {
    let database =
        Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    database.busy_timeout(patience)?;
    let read = |row: &Row<'_>| {
        let has_kind = row.as_ref().column_names().any(|name| name == "iceberg_type");
        let kind = if has_kind { row.get("iceberg_type")? } else { None };
        Ok(Entry { location: row.get("metadata_location")?, kind })
    };
    let query = "SELECT * FROM iceberg_tables WHERE catalog_name = ?1 AND table_namespace = ?2 AND table_name = ?3";
    database.query_row(query, key.each_ref(), read).optional()
}

/// Without what the database says, which quotes statements and files.
fn failed(connection: &str, error: &rusqlite::Error) -> Fault {
    tracing::warn!(connection, %error, "the catalogue failed");
    match error.sqlite_error_code() {
        Some(ErrorCode::CannotOpen) => {
            Fault::Unavailable(format!("the database of connection `{connection}` cannot be opened"))
        }
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt | ErrorCode::Unknown) | None => {
            Fault::Unavailable(format!("the database of connection `{connection}` holds no Iceberg catalogue"))
        }
        Some(_) => Fault::Unavailable(format!("the database of connection `{connection}` did not answer")),
    }
}

#[cfg(test)]
mod tests;
