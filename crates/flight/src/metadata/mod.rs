//! The metadata commands of Flight SQL: each has a schema, which never varies, and an answer, which holds only what the
//! gateway says that this session's principal may discover.

mod column;
mod java_names;
mod keys;
mod sql_info;
mod tables;
#[cfg(test)]
mod tests;
mod xdbc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use arrow_flight::error::FlightError;
use arrow_flight::sql::metadata::{SqlInfoData, SqlInfoDataBuilder, XdbcTypeInfoData};
use arrow_flight::sql::{Command, CommandGetCatalogs};
use portcullis_gateway::{Config, Gateway, Session, VisibleTable};
use tonic::Status;

use crate::status;

/// The one catalogue that there is.
pub(crate) const CATALOG: &str = "mesh";

/// The answers that are the same for everyone, made once.
pub(crate) struct Metadata {
    sql_info: SqlInfoData,
    xdbc: XdbcTypeInfoData,
}

impl Metadata {
    /// Metadata of a server with this configuration.
    pub(crate) fn new(config: &Config) -> Result<Metadata, FlightError> {
        Ok(Metadata { sql_info: sql_info::all(config)?, xdbc: xdbc::all()? })
    }

    /// The schema of a command's answer, None if it is no metadata command.
    pub(crate) fn schema(command: &Command) -> Option<SchemaRef> {
        Some(match command {
            Command::CommandGetCatalogs(_) => CommandGetCatalogs {}.into_builder().schema(),
            Command::CommandGetDbSchemas(query) => query.clone().into_builder().schema(),
            Command::CommandGetTables(query) => query.clone().into_builder().schema(),
            Command::CommandGetTableTypes(_) => tables::types_schema(),
            Command::CommandGetPrimaryKeys(_) => keys::primary_schema(),
            Command::CommandGetImportedKeys(_)
            | Command::CommandGetExportedKeys(_)
            | Command::CommandGetCrossReference(_) => keys::foreign_schema(),
            Command::CommandGetSqlInfo(_) => java_names::schema(SqlInfoDataBuilder::schema()),
            Command::CommandGetXdbcTypeInfo(_) => xdbc::schema(),
            _ => return None,
        })
    }

    /// The answer to a metadata command, for this session's principal.
    pub(crate) fn answer(
        &self,
        gateway: &Gateway,
        session: &Session,
        command: &Command,
    ) -> Result<RecordBatch, Status> {
        if let Some(fixed) = self.fixed(command) {
            return fixed.map_err(failed);
        }
        let tables = gateway.visible_tables(session).map_err(status::from_gateway)?;
        of_tables(tables, command).unwrap_or_else(|| Err(crate::command::refused(command)))
    }

    /// The answers that do not depend on who asks.
    fn fixed(&self, command: &Command) -> Option<Result<RecordBatch, FlightError>> {
        Some(match command {
            Command::CommandGetSqlInfo(query) => {
                let batch = self.sql_info.record_batch(query.info.iter().copied());
                batch.and_then(|batch| java_names::batch(&batch).map_err(FlightError::from))
            }
            Command::CommandGetXdbcTypeInfo(query) => self.xdbc.record_batch(query.data_type),
            Command::CommandGetTableTypes(_) => tables::types().map_err(FlightError::from),
            Command::CommandGetCatalogs(_) => {
                let mut builder = CommandGetCatalogs {}.into_builder();
                builder.append(CATALOG);
                builder.build()
            }
            _ => return None,
        })
    }
}

/// The answers over the tables that a principal may discover.
fn of_tables(tables: Vec<VisibleTable>, command: &Command) -> Option<Result<RecordBatch, Status>> {
    let answer = match command {
        Command::CommandGetDbSchemas(query) => tables::schemas(&tables, query.clone()),
        Command::CommandGetTables(query) => tables::tables(&tables, query.clone()),
        Command::CommandGetPrimaryKeys(query) => keys::primary(&tables, query).map_err(FlightError::from),
        Command::CommandGetImportedKeys(_)
        | Command::CommandGetExportedKeys(_)
        | Command::CommandGetCrossReference(_) => Ok(RecordBatch::new_empty(keys::foreign_schema())),
        _ => return None,
    };
    Some(answer.map_err(failed))
}

fn failed(error: FlightError) -> Status {
    status::internal("answering a metadata command", error)
}

/// Whether a filter by catalogue lets ours through. ODBC drivers send the pattern `%` where the protocol has a name.
fn is_our_catalog(filter: Option<&str>) -> bool {
    filter.is_none_or(|name| name == CATALOG || name == "%")
}
