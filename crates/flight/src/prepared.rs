//! Prepared statements. A handle is the statement itself, sealed, with the parameters once they are bound: closing one
//! frees nothing, and any replica can run it.

use arrow::record_batch::RecordBatch;
use arrow_flight::FlightData;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use arrow_flight::sql::{ActionCreatePreparedStatementRequest, CommandPreparedStatementQuery, ProstMessageExt};
use bytes::Bytes;
use futures::{Stream, TryStreamExt};
use portcullis_gateway::{Gateway, Session};
use tonic::Status;

use crate::command;
use crate::info;
use crate::statement::Answer;
use crate::status;
use crate::ticket::Statement;
use crate::wire;

/// The protocol's `ActionCreatePreparedStatementResult`, with the field that arrow-flight does not have yet.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ActionCreatePreparedStatementResult {
    /// The sealed statement.
    #[prost(bytes = "bytes", tag = "1")]
    pub(crate) prepared_statement_handle: Bytes,
    /// The result's schema. Never empty for a query: an empty one means an update to clients that do not know tag 4.
    #[prost(bytes = "bytes", tag = "2")]
    pub(crate) dataset_schema: Bytes,
    /// One field for each parameter; a schema without fields if there are none.
    #[prost(bytes = "bytes", tag = "3")]
    pub(crate) parameter_schema: Bytes,
    /// Whether the client must run it as an update.
    #[prost(bool, optional, tag = "4")]
    pub(crate) is_update: Option<bool>,
}

/// Plans a statement and seals it. What sets an option is an update to clients, unless they take up cookies of updates `late`.
pub(crate) async fn create(
    gateway: &Gateway,
    session: &Session,
    request: ActionCreatePreparedStatementRequest,
    late: bool,
) -> Result<ActionCreatePreparedStatementResult, Status> {
    command::no_transaction(request.transaction_id.as_deref())?;
    let described = gateway.describe(session, &request.query, None).await.map_err(status::from_gateway)?;
    Ok(ActionCreatePreparedStatementResult {
        prepared_statement_handle: Statement::new(gateway, session, request.query).into_handle(gateway, session),
        dataset_schema: info::schema_bytes(&wire::schema(&described.schema))?,
        parameter_schema: info::schema_bytes(&wire::parameters(&described.parameters))?,
        is_update: Some(described.sets_option && !late),
    })
}

/// What a prepared statement will return and the ticket that runs it.
pub(crate) async fn describe(
    gateway: &Gateway,
    session: &Session,
    query: CommandPreparedStatementQuery,
) -> Result<Answer, Status> {
    let statement = Statement::from_handle(gateway, session, &query.prepared_statement_handle)?;
    let session = statement.session(session);
    let bound = statement.parameters()?;
    let described = gateway.describe(&session, &statement.sql, bound).await.map_err(status::from_gateway)?;
    let sets = described.sets_option.then_some(statement);
    Ok(Answer { schema: wire::schema(&described.schema), ticket: query.as_any(), notices: described.notices, sets })
}

/// Binds the parameters of a `DoPut`: the answer is a new handle, which has them.
pub(crate) async fn bind(
    gateway: &Gateway,
    session: &Session,
    handle: &[u8],
    data: impl Stream<Item = Result<FlightData, Status>> + Send + 'static,
) -> Result<Bytes, Status> {
    let statement = Statement::from_handle(gateway, session, handle)?;
    let parameters = one_row(data).await?;
    Ok(statement.bind(parameters.as_ref())?.into_handle(gateway, session))
}

/// The one row of parameters in a stream, None if it has no row at all.
async fn one_row(
    data: impl Stream<Item = Result<FlightData, Status>> + Send + 'static,
) -> Result<Option<RecordBatch>, Status> {
    let data = data.map_err(|status| FlightError::Tonic(Box::new(status)));
    let mut batches = FlightRecordBatchStream::new_from_flight_data(data);
    let mut row: Option<RecordBatch> = None;
    while let Some(batch) = batches.try_next().await.map_err(unreadable)? {
        let rows = batch.num_rows() + usize::from(row.is_some());
        if rows > 1 {
            return Err(status::invalid("more than one row of parameters: a query takes one row at a time"));
        }
        if rows == 1 && row.is_none() {
            row = Some(batch);
        }
    }
    Ok(row)
}

fn unreadable(error: FlightError) -> Status {
    match error {
        FlightError::Tonic(status) => *status,
        other => status::invalid(format!("the parameters cannot be read: {other}")),
    }
}
