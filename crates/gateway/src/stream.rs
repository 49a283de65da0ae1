//! The rows of a query on their way out: counted, bounded in time, and the audit entry closed however the stream ends.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::RecordBatch;
use futures::Stream;
use portcullis_audit::{OpenEntry, Outcome, Status};
use portcullis_engine::{Operators, Stage, Stopwatch, stages};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::error::{ErrorKind, GatewayError};
use crate::gateway::Gateway;
use crate::limits::OwnLimits;
use crate::metrics::{Ended, Metrics};
use crate::trace::TraceParent;
use crate::turns::{self, Turn};

/// Ends when the rows may not go on.
pub(crate) type Revoked = Pin<Box<dyn Future<Output = GatewayError> + Send>>;
pub(crate) type Batches = Pin<Box<dyn Stream<Item = Result<RecordBatch, GatewayError>> + Send>>;

/// What a stream is made from, beside its audit entry.
pub(crate) struct Start {
    pub schema: SchemaRef,
    pub batches: Batches,
    pub turn: Turn,
    pub notices: Vec<String>,
    pub revoked: Revoked,
    pub bounds: Bounds,
    pub metrics: Arc<Metrics>,
    /// The domains whose usage is counted.
    pub domains: Vec<String>,
    /// True once nothing may run any longer.
    pub ended: watch::Receiver<bool>,
    /// The caller's span.
    pub trace: Option<TraceParent>,
    /// What runs behind the batches.
    pub operators: Option<Operators>,
}

impl Start {
    /// Rows that nothing revokes, within these limits.
    pub(crate) fn new(gateway: &Gateway, limits: &OwnLimits, schema: SchemaRef, batches: Batches, turn: Turn) -> Start {
        let bounds = Bounds { time: limits.query_time, client_wait: limits.client_wait, bytes: limits.bytes };
        let revoked = Box::pin(std::future::pending());
        let metrics = Arc::clone(gateway.metrics());
        let (notices, domains) = (Vec::new(), Vec::new());
        let ended = gateway.ended();
        let (trace, operators) = (None, None);
        Start { schema, batches, turn, notices, revoked, bounds, metrics, domains, ended, trace, operators }
    }
}

#[derive(Clone, Copy)]
pub(crate) struct Bounds {
    time: Duration,
    client_wait: Duration,
    bytes: Option<u64>,
}

/// Governed, scrubbed batches. Dropping it stops the work and is recorded as `cancelled`. When its time is over, or the
/// client has not read for too long, the work is stopped although nobody asks for the next batch: a client that stops
/// reading cannot keep its turn.
pub struct QueryStream {
    query_id: String,
    schema: SchemaRef,
    notices: Vec<String>,
    running: Arc<Mutex<Running>>,
    watch: AbortHandle,
}

/// What a query has until it ends.
struct Running {
    query_id: String,
    batches: Batches,
    revoked: Revoked,
    /// None once the end is recorded.
    open: Option<Open>,
    /// What it was stopped with from outside, until that is handed on.
    stopped: Option<GatewayError>,
    waker: Option<Waker>,
    bounds: Bounds,
    /// Since when there is something that the client has not come for: the next batch, or word that there may be one.
    offered: Arc<Offered>,
    metrics: Arc<Metrics>,
}

/// Since when it is the client's turn; `None`: it waits for the query.
#[derive(Default)]
struct Offered(Mutex<Option<Instant>>);

impl Offered {
    fn since(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, since: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }
}

/// Wakes whoever waits for the query, and notes that it was told. What comes between may have its hands full with batches that
/// nobody takes, and then does not come again.
struct Told {
    offered: Arc<Offered>,
    waker: Waker,
}

impl Wake for Told {
    fn wake(self: Arc<Self>) {
        if self.offered.since().is_none() {
            self.offered.set(Some(Instant::now()));
        }
        self.waker.wake_by_ref();
    }
}

struct Open {
    entry: OpenEntry,
    rows: u64,
    bytes: u64,
    clock: Stopwatch,
    /// Those before the rows.
    stages: Vec<Stage>,
    domains: Vec<String>,
    began: Instant,
    trace: Option<TraceParent>,
    operators: Option<Operators>,
    _turn: Turn,
}

impl QueryStream {
    /// A stream whose audit entry is on the disk; there is no other way to make one. Must be called within a Tokio
    /// runtime.
    pub(crate) fn new(start: Start, entry: OpenEntry) -> QueryStream {
        let Start { schema, batches, turn, notices, revoked, bounds, metrics, domains, ended, trace, operators } =
            start;
        let query_id = entry.query_id().to_owned();
        let began = Instant::now();
        let (clock, stages) = (Stopwatch::start(), stages());
        let open =
            Some(Open { entry, rows: 0, bytes: 0, clock, stages, domains, began, trace, operators, _turn: turn });
        let running = Arc::new(Mutex::new(Running {
            query_id: query_id.clone(),
            batches,
            revoked,
            open,
            stopped: None,
            waker: None,
            bounds,
            offered: Arc::default(),
            metrics,
        }));
        let watch = tokio::spawn(watch(Arc::clone(&running), began, bounds, ended)).abort_handle();
        QueryStream { query_id, schema, notices, running, watch }
    }

    /// What stops the query from elsewhere.
    pub fn canceller(&self) -> Canceller {
        Canceller(Arc::downgrade(&self.running))
    }

    /// The schema that every batch has, as on the wire.
    pub fn schema(&self) -> SchemaRef {
        SchemaRef::clone(&self.schema)
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
        if let Some(open) = self.open.take() {
            let Open { entry, rows, bytes, mut clock, mut stages, domains, began, trace, operators, .. } = open;
            stages.push(clock.stage("execute"));
            self.metrics.took(began.elapsed());
            self.metrics.used(&domains, rows, bytes, began.elapsed());
            self.metrics.ended(Ended {
                query_id: &self.query_id,
                status,
                error,
                rows,
                bytes,
                stages,
                trace,
                operators,
            });
            let error_kind = error.map(|error| error.kind.as_str().to_owned());
            tracing::info!(query = %self.query_id, ?status, rows, bytes, error = ?error_kind, "query ended");
            entry.complete(Outcome { status, rows, bytes, error_kind });
        }
        // The work behind the stream stops now, not when the client lets go of it.
        self.batches = Box::pin(futures::stream::empty());
        self.revoked = Box::pin(std::future::pending());
    }

    /// Stops it from outside. Whether it was still running.
    fn stop(&mut self, status: Status, error: GatewayError) -> bool {
        if self.open.is_none() {
            return false;
        }
        self.end(status, Some(&error));
        self.stopped = Some(error);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
        true
    }

    /// What has gone on for too long at this moment.
    fn overdue(&self, now: Instant, end: Instant) -> Option<GatewayError> {
        let Bounds { time, client_wait, .. } = self.bounds;
        if now >= end {
            let message = format!("the query ran longer than the limit of {time:?}, and was stopped");
            return Some(GatewayError::limit("query_time", message));
        }
        let waits = self.offered.since().is_some_and(|since| now.duration_since(since) >= client_wait);
        waits.then(|| {
            let message = format!("the client did not read for {client_wait:?}, and the query was stopped");
            GatewayError::limit("client_wait", message)
        })
    }

    /// Counts a batch that is handed on.
    fn tally(&mut self, batch: &RecordBatch) -> Result<(), GatewayError> {
        let Some(open) = &mut self.open else { return Ok(()) };
        let bytes = open.bytes.saturating_add(batch.get_array_memory_size() as u64);
        if let Some(limit) = self.bounds.bytes.filter(|limit| bytes > *limit) {
            let message = format!("the query was stopped: its answer exceeded the limit of {limit} bytes");
            return Err(GatewayError::limit("bytes", message));
        }
        open.bytes = bytes;
        open.rows += batch.num_rows() as u64;
        Ok(())
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<RecordBatch, GatewayError>>> {
        self.offered.set(None);
        if let Some(error) = self.stopped.take() {
            return Poll::Ready(Some(Err(error)));
        }
        if self.open.is_none() {
            return Poll::Ready(None);
        }
        let told = Arc::new(Told { offered: Arc::clone(&self.offered), waker: context.waker().clone() });
        let waker = Waker::from(told);
        let context = &mut Context::from_waker(&waker);
        if let Poll::Ready(error) = self.revoked.as_mut().poll(context) {
            self.end(Status::Error, Some(&error));
            return Poll::Ready(Some(Err(error)));
        }
        let next = self.batches.as_mut().poll_next(context);
        let next = next.map(|next| next.map(|batch| batch.and_then(|batch| self.tally(&batch).map(|()| batch))));
        match &next {
            Poll::Ready(Some(Ok(_))) => self.offered.set(Some(Instant::now())),
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
        self.watch.abort();
        lock(&self.running).end(Status::Cancelled, None);
    }
}

/// Stops a query from elsewhere than its stream; it does not keep it alive.
#[derive(Clone)]
pub struct Canceller(Weak<Mutex<Running>>);

impl Canceller {
    /// Stops the query. Whether it was still running.
    pub fn cancel(&self) -> bool {
        let error = || GatewayError::new(ErrorKind::Cancelled, "the query was cancelled");
        self.0.upgrade().is_some_and(|running| lock(&running).stop(Status::Cancelled, error()))
    }
}

/// Stops what goes on for too long, or longer than the gateway. A client that waits is looked at no later than after twice its time.
async fn watch(running: Arc<Mutex<Running>>, began: Instant, bounds: Bounds, mut ended: watch::Receiver<bool>) {
    let end = began + bounds.time;
    loop {
        let next = lock(&running).offered.since().unwrap_or_else(Instant::now) + bounds.client_wait;
        tokio::select! {
            () = tokio::time::sleep_until(next.min(end)) => {}
            Ok(_) = ended.wait_for(|ended| *ended) => {
                lock(&running).stop(Status::Error, turns::closed());
                return;
            }
        }
        let mut running = lock(&running);
        if let Some(error) = running.overdue(Instant::now(), end) {
            running.stop(Status::Error, error);
            return;
        }
        if running.open.is_none() {
            return;
        }
    }
}

fn lock(running: &Mutex<Running>) -> MutexGuard<'_, Running> {
    running.lock().unwrap_or_else(PoisonError::into_inner)
}
