//! SQL catalogues in files of SQLite, opened read only for each question.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, Row};

use super::{Entry, QUERY};
use crate::tables::fault::Fault;

/// The row of a table, by the names of catalogue, namespace and table.
pub(super) async fn entry(
    connection: &str,
    file: PathBuf,
    key: [String; 3],
    patience: Duration,
) -> Result<Option<Entry>, Fault> {
    let asked = tokio::task::spawn_blocking(move || found(&file, &key, patience)).await;
    let asked = asked.map_err(|_| Fault::Internal("a catalogue was not asked to the end".into()))?;
    asked.map_err(|error| failed(connection, &error))
}

fn found(file: &Path, key: &[String; 3], patience: Duration) -> rusqlite::Result<Option<Entry>> {
    let database =
        Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    database.busy_timeout(patience)?;
    let read = |row: &Row<'_>| {
        let has_kind = row.as_ref().column_names().any(|name| name == "iceberg_type");
        let kind = if has_kind { row.get("iceberg_type")? } else { None };
        Ok(Entry { location: row.get("metadata_location")?, kind })
    };
    database.query_row(QUERY, key.each_ref(), read).optional()
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
