//! The rows of a query on their way out: counted, bounded in time, and the audit entry closed however the stream ends.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::RecordBatch;
use futures::Stream;
use portcullis_audit::{OpenEntry, Outcome, Status};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Sleep, sleep};

use crate::error::{ErrorKind, GatewayError};

/// Ends when the rows may not go on.
pub(crate) type Revoked = Pin<Box<dyn Future<Output = GatewayError> + Send>>;
pub(crate) type Batches = Pin<Box<dyn Stream<Item = Result<RecordBatch, GatewayError>> + Send>>;

/// Governed, scrubbed batches. Dropping it stops the work and is recorded as `cancelled`.
pub struct QueryStream {
    query_id: String,
    schema: SchemaRef,
    batches: Batches,
    deadline: Pin<Box<Sleep>>,
    limit: Duration,
    revoked: Revoked,
    /// None once the end is recorded.
    open: Option<Open>,
}

/// What a query holds while it runs.
struct Open {
    entry: OpenEntry,
    rows: u64,
    bytes: u64,
    _turn: OwnedSemaphorePermit,
}

impl QueryStream {
    /// A stream whose audit entry is on the disk; there is no other way to make one.
    pub(crate) fn new(
        schema: SchemaRef,
        batches: Batches,
        entry: OpenEntry,
        turn: OwnedSemaphorePermit,
        limit: Duration,
        revoked: Revoked,
    ) -> QueryStream {
        QueryStream {
            query_id: entry.query_id().to_owned(),
            schema,
            batches,
            deadline: Box::pin(sleep(limit)),
            limit,
            revoked,
            open: Some(Open { entry, rows: 0, bytes: 0, _turn: turn }),
        }
    }

    /// The schema that every batch has, as on the wire.
    pub fn schema(&self) -> SchemaRef {
        SchemaRef::clone(&self.schema)
    }

    /// The id under which the audit journal has this query.
    pub fn query_id(&self) -> &str {
        &self.query_id
    }

    fn end(&mut self, status: Status, error: Option<&GatewayError>) {
        if let Some(Open { entry, rows, bytes, .. }) = self.open.take() {
            let error_kind = error.map(|error| error.kind.as_str().to_owned());
            tracing::info!(query = %self.query_id, ?status, rows, bytes, error = ?error_kind, "query ended");
            entry.complete(Outcome { status, rows, bytes, error_kind });
        }
        // The work behind the stream stops now, not when the client lets go of it.
        self.batches = Box::pin(futures::stream::empty());
        self.revoked = Box::pin(std::future::pending());
    }

    fn fail(&mut self, error: GatewayError) -> Poll<Option<Result<RecordBatch, GatewayError>>> {
        let status = if error.kind == ErrorKind::Cancelled { Status::Cancelled } else { Status::Error };
        self.end(status, Some(&error));
        Poll::Ready(Some(Err(error)))
    }
}

impl Stream for QueryStream {
    type Item = Result<RecordBatch, GatewayError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.open.is_none() {
            return Poll::Ready(None);
        }
        if self.deadline.as_mut().poll(context).is_ready() {
            let message = format!("the query ran longer than the limit of {:?}, and was stopped", self.limit);
            return self.fail(GatewayError::new(ErrorKind::ResourceExhausted, message));
        }
        if let Poll::Ready(error) = self.revoked.as_mut().poll(context) {
            return self.fail(error);
        }
        match self.batches.as_mut().poll_next(context) {
            Poll::Ready(Some(Ok(batch))) => {
                if let Some(open) = &mut self.open {
                    open.rows += batch.num_rows() as u64;
                    open.bytes += batch.get_array_memory_size() as u64;
                }
                Poll::Ready(Some(Ok(batch)))
            }
            Poll::Ready(Some(Err(error))) => self.fail(error),
            Poll::Ready(None) => {
                self.end(Status::Success, None);
                Poll::Ready(None)
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl Drop for QueryStream {
    fn drop(&mut self) {
        self.end(Status::Cancelled, None);
    }
}
