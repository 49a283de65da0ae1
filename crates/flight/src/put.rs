//! `DoPut`: parameters of prepared statements, and updates, which here can only be `SET …`.

use std::sync::Arc;

use arrow_flight::sql::{Command, DoPutPreparedStatementResult, DoPutUpdateResult};
use arrow_flight::{FlightData, PutResult};
use futures::{StreamExt, TryStreamExt, stream};
use portcullis_gateway::{Gateway, Session};
use prost::Message;
use tonic::{Status, Streaming};

use crate::command;
use crate::prepared;
use crate::statement;
use crate::status;
use crate::ticket::Statement;

/// Answers one `DoPut` call.
pub(crate) async fn put(
    gateway: &Arc<Gateway>,
    session: &Session,
    mut data: Streaming<FlightData>,
) -> Result<PutResult, Status> {
    let first = data.try_next().await?.ok_or_else(|| status::invalid("the call has no message: send a descriptor"))?;
    let descriptor =
        first.flight_descriptor.as_ref().ok_or_else(|| status::invalid("the first message has no descriptor"))?;
    match command::of_descriptor(descriptor)? {
        Command::CommandPreparedStatementQuery(query) => {
            let data = stream::iter([Ok(first)]).chain(data);
            let handle = prepared::bind(gateway, session, &query.prepared_statement_handle, data).await?;
            Ok(result(&DoPutPreparedStatementResult { prepared_statement_handle: Some(handle) }))
        }
        Command::CommandPreparedStatementUpdate(update) => {
            let statement = Statement::from_handle(gateway, session, &update.prepared_statement_handle)?;
            let record_count = statement::run_update(gateway, session, &statement).await?;
            Ok(result(&DoPutUpdateResult { record_count }))
        }
        Command::CommandStatementUpdate(update) => {
            command::no_transaction(update.transaction_id.as_deref())?;
            let statement = Statement::new(gateway, session, update.query);
            let record_count = statement::run_update(gateway, session, &statement).await?;
            Ok(result(&DoPutUpdateResult { record_count }))
        }
        other => Err(command::refused(&other)),
    }
}

fn result(message: &impl Message) -> PutResult {
    PutResult { app_metadata: message.encode_to_vec().into() }
}
