//! Statements: described by `GetFlightInfo`, run by `DoGet`.

use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use arrow_flight::sql::{Any, CommandStatementQuery};
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use portcullis_gateway::{Canceller, Gateway, Session};
use tonic::Status;

use crate::command;
use crate::status;
use crate::ticket::Statement;
use crate::wire;

/// Rows to be streamed.
pub(crate) struct Rows {
    /// The schema of every batch.
    pub(crate) schema: SchemaRef,
    /// The batches.
    pub(crate) batches: BoxStream<'static, Result<RecordBatch, Status>>,
    /// The id of the query, where there is one: metadata has none.
    pub(crate) query_id: Option<String>,
    /// What the rows do not show, in words.
    pub(crate) notices: Vec<String>,
    /// What stops the query, where there is one.
    pub(crate) query: Option<Canceller>,
}

impl Rows {
    /// No columns and no rows.
    fn none() -> Rows {
        let (schema, batches) = (Arc::new(Schema::empty()), stream::empty().boxed());
        Rows { schema, batches, query_id: None, notices: Vec::new(), query: None }
    }

    /// The rows of one batch.
    pub(crate) fn of(batch: RecordBatch) -> Rows {
        let (schema, batches) = (batch.schema(), stream::iter([Ok(batch)]).boxed());
        Rows { schema, batches, query_id: None, notices: Vec::new(), query: None }
    }
}

/// What a command will return, and how to get it.
pub(crate) struct Answer {
    /// The schema of its rows.
    pub(crate) schema: SchemaRef,
    /// The ticket that gets them.
    pub(crate) ticket: Any,
    /// What they do not show, in words.
    pub(crate) notices: Vec<String>,
    /// The statement, if it sets an option of the session and does nothing else.
    pub(crate) sets: Option<Statement>,
}

/// What a statement will return and the ticket that runs it.
pub(crate) async fn describe(
    gateway: &Gateway,
    session: &Session,
    query: CommandStatementQuery,
) -> Result<Answer, Status> {
    command::no_transaction(query.transaction_id.as_deref())?;
    let described = gateway.describe(session, &query.query, None).await.map_err(status::from_gateway)?;
    let statement = Statement::new(gateway, session, query.query);
    let sets = described.sets_option.then(|| statement.clone());
    let ticket = statement.into_ticket(gateway, session);
    Ok(Answer { schema: wire::schema(&described.schema), ticket, notices: described.notices, sets })
}

/// Runs a statement, which can set nothing. The principal is authorised now, whatever held when the ticket or handle was made.
pub(crate) async fn run(gateway: &Arc<Gateway>, session: &Session, statement: &Statement) -> Result<Rows, Status> {
    if statement.set {
        return Ok(Rows::none());
    }
    rows(gateway, &statement.session(session).fixed(), statement).await
}

async fn rows(gateway: &Arc<Gateway>, session: &Session, statement: &Statement) -> Result<Rows, Status> {
    let parameters = statement.parameters()?;
    let rows = gateway.query(session, &statement.sql, parameters).await.map_err(status::from_gateway)?;
    let (query_id, notices) = (rows.query_id().to_owned(), rows.notices().to_vec());
    let query = Some(rows.canceller());
    let schema = wire::schema(&rows.schema());
    let (id, announced) = (query_id.clone(), Arc::clone(&schema));
    let batches = rows.map(move |batch| match batch {
        Ok(batch) => wire::batch(batch, &announced).map_err(|error| status::internal("handing on a batch", error)),
        Err(error) => Err(status::from_query(error, &id)),
    });
    let batches = batches.boxed();
    Ok(Rows { schema, batches, query_id: Some(query_id), notices, query })
}

/// Runs a statement that changes nothing but an option of the session (`SET …`), for clients that run such as updates.
pub(crate) async fn run_update(
    gateway: &Arc<Gateway>,
    session: &Session,
    statement: &Statement,
) -> Result<i64, Status> {
    let session = statement.session(session);
    let described = gateway.describe(&session, &statement.sql, None).await.map_err(status::from_gateway)?;
    if !described.sets_option {
        return Err(status::unsupported("updates"));
    }
    let mut rows = rows(gateway, &session, statement).await?;
    while let Some(batch) = rows.batches.next().await {
        batch?;
    }
    Ok(0)
}
