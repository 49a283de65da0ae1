//! The rows of a query on their way out: counted, bounded in time, and the audit entry closed however the stream ends.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::RecordBatch;
use futures::Stream;
use portcullis_audit::{OpenEntry, Outcome, Status};
use portcullis_engine::Stopwatch;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::AbortHandle;

use crate::error::{ErrorKind, GatewayError};

/// Ends when the rows may not go on.
pub(crate) type Revoked = Pin<Box<dyn Future<Output = GatewayError> + Send>>;
pub(crate) type Batches = Pin<Box<dyn Stream<Item = Result<RecordBatch, GatewayError>> + Send>>;

/// Governed, scrubbed batches. Dropping it stops the work and is recorded as `cancelled`; at the time limit the work is
/// stopped also if nobody asks for the next batch, so a client that stops reading cannot keep its turn.
pub struct QueryStream {
    query_id: String,
    schema: SchemaRef,
    notices: Vec<String>,
    running: Arc<Mutex<Running>>,
    limit: AbortHandle,
}

/// What a query has until it ends.
struct Running {
    query_id: String,
    batches: Batches,
    revoked: Revoked,
    /// None once the end is recorded.
    open: Option<Open>,
    /// The error of the time limit, until it is handed on.
    overdue: Option<GatewayError>,
    waker: Option<Waker>,
}

struct Open {
    entry: OpenEntry,
    rows: u64,
    bytes: u64,
    clock: Stopwatch,
    _turn: OwnedSemaphorePermit,
}

impl QueryStream {
    /// A stream whose audit entry is on the disk; there is no other way to make one. Must be called within a Tokio
    /// runtime.
    pub(crate) fn new(
        schema: SchemaRef,
        batches: Batches,
        entry: OpenEntry,
        turn: OwnedSemaphorePermit,
        limit: Duration,
        revoked: Revoked,
    ) -> QueryStream {
        let query_id = entry.query_id().to_owned();
        let open = Some(Open { entry, rows: 0, bytes: 0, clock: Stopwatch::start(), _turn: turn });
        let running = Running { query_id: query_id.clone(), batches, revoked, open, overdue: None, waker: None };
        let running = Arc::new(Mutex::new(running));
        let overdue = Arc::clone(&running);
        let watch = tokio::spawn(async move {
            tokio::time::sleep(limit).await;
            lock(&overdue).expire(limit);
        });
        QueryStream { query_id, schema, notices: Vec::new(), running, limit: watch.abort_handle() }
    }

    /// The schema that every batch has, as on the wire.
    pub fn schema(&self) -> SchemaRef {
        SchemaRef::clone(&self.schema)
    }

    pub(crate) fn with_notices(mut self, notices: Vec<String>) -> QueryStream {
        self.notices = notices;
        self
    }

    /// What the answer does not show, in words, where policies allow saying so.
    pub fn notices(&self) -> &[String] {
        &self.notices
    }

    /// The id under which the audit journal has this query.
    pub fn query_id(&self) -> &str {
        &self.query_id
    }
}

impl Running {
    fn end(&mut self, status: Status, error: Option<&GatewayError>) {
        if let Some(Open { entry, rows, bytes, mut clock, .. }) = self.open.take() {
            clock.stage("execute");
            let error_kind = error.map(|error| error.kind.as_str().to_owned());
            tracing::info!(query = %self.query_id, ?status, rows, bytes, error = ?error_kind, "query ended");
            entry.complete(Outcome { status, rows, bytes, error_kind });
        }
        // The work behind the stream stops now, not when the client lets go of it.
        self.batches = Box::pin(futures::stream::empty());
        self.revoked = Box::pin(std::future::pending());
    }

    fn expire(&mut self, limit: Duration) {
        if self.open.is_none() {
            return;
        }
        let message = format!("the query ran longer than the limit of {limit:?}, and was stopped");
        let error = GatewayError::new(ErrorKind::ResourceExhausted, message);
        self.end(Status::Error, Some(&error));
        self.overdue = Some(error);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<RecordBatch, GatewayError>>> {
        if let Some(error) = self.overdue.take() {
            return Poll::Ready(Some(Err(error)));
        }
        if self.open.is_none() {
            return Poll::Ready(None);
        }
        if let Poll::Ready(error) = self.revoked.as_mut().poll(context) {
            self.end(Status::Error, Some(&error));
            return Poll::Ready(Some(Err(error)));
        }
        let next = self.batches.as_mut().poll_next(context);
        match &next {
            Poll::Ready(Some(Ok(batch))) => {
                if let Some(open) = &mut self.open {
                    open.rows += batch.num_rows() as u64;
                    open.bytes += batch.get_array_memory_size() as u64;
                }
            }
            Poll::Ready(Some(Err(error))) => {
                let cancelled = error.kind == ErrorKind::Cancelled;
                self.end(if cancelled { Status::Cancelled } else { Status::Error }, Some(error));
            }
            Poll::Ready(None) => self.end(Status::Success, None),
            Poll::Pending => self.waker = Some(context.waker().clone()),
        }
        next
    }
}

impl Stream for QueryStream {
    type Item = Result<RecordBatch, GatewayError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        lock(&self.running).poll(context)
    }
}

impl Drop for QueryStream {
    fn drop(&mut self) {
        self.limit.abort();
        lock(&self.running).end(Status::Cancelled, None);
    }
}

fn lock(running: &Mutex<Running>) -> MutexGuard<'_, Running> {
    running.lock().unwrap_or_else(PoisonError::into_inner)
}
