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

/// Answers one `DoPut` call. `late` is whether the client takes up an answer's cookies too late to set anything.
pub(crate) async fn put(
    gateway: &Arc<Gateway>,
    session: &Session,
    mut data: Streaming<FlightData>,
    late: bool,
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
        Command::CommandPreparedStatementUpdate(asked) => {
            let statement = Statement::from_handle(gateway, session, &asked.prepared_statement_handle)?;
            update(gateway, session, &statement, late).await
        }
        Command::CommandStatementUpdate(asked) => {
            command::no_transaction(asked.transaction_id.as_deref())?;
            let statement = Statement::new(gateway, session, asked.query);
            update(gateway, session, &statement, late).await
        }
        other => Err(command::refused(&other)),
    }
}

async fn update(
    gateway: &Arc<Gateway>,
    session: &Session,
    statement: &Statement,
    late: bool,
) -> Result<PutResult, Status> {
    if late {
        let message = "an update can only be a `SET`, because the gateway only reads, and this client takes up an update's cookies too \
                       late: run `SET` as a query, or set the session option";
        return Err(Status::unimplemented(message));
    }
    let record_count = statement::run_update(gateway, session, statement).await?;
    Ok(result(&DoPutUpdateResult { record_count }))
}

fn result(message: &impl Message) -> PutResult {
    PutResult { app_metadata: message.encode_to_vec().into() }
}
