//! A running query, and the batches that it may send.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use datafusion::arrow::array::{Array, RecordBatch};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use futures::{FutureExt, Stream, StreamExt};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::JoinSet;
use tokio::time::Sleep;

use super::redact;
use crate::EngineError;
use crate::Guards;
use crate::scrub::scrub;

/// Batches of a query that wait for the client, for each partition: the bound that holds back the scan.
const AHEAD: usize = 2;

/// Rows and bytes that left a stream so far. A copy counts on: it outlives the stream.
#[derive(Debug, Clone, Default)]
pub struct Progress(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    rows: AtomicU64,
    bytes: AtomicU64,
}

impl Progress {
    /// Rows handed on.
    pub fn rows(&self) -> u64 {
        self.0.rows.load(Ordering::Relaxed)
    }

    /// Bytes of their values in memory.
    pub fn bytes(&self) -> u64 {
        self.0.bytes.load(Ordering::Relaxed)
    }
}

/// Scrubbed batches, all of the schema [`ScrubbedStream::schema`]. Partitions run in tasks of their own, at most [`AHEAD`] batches
/// ahead; dropping the stream cancels them. After an error nothing follows.
pub struct ScrubbedStream {
    schema: SchemaRef,
    batches: mpsc::Receiver<Result<RecordBatch, EngineError>>,
    tasks: JoinSet<()>,
    deadline: Option<(Pin<Box<Sleep>>, Duration)>,
    max_rows: Option<u64>,
    progress: Progress,
    ended: bool,
    _turn: Option<OwnedSemaphorePermit>,
}

impl std::fmt::Debug for ScrubbedStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ScrubbedStream")
            .field("progress", &self.progress)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

/// What a stream is started with.
pub(super) struct Start {
    pub plan: Arc<dyn ExecutionPlan>,
    pub context: Arc<TaskContext>,
    pub schema: SchemaRef,
    pub wall_time: Option<Duration>,
    pub max_rows: Option<u64>,
    pub guards: Guards,
    pub turn: Option<OwnedSemaphorePermit>,
}

impl ScrubbedStream {
    /// Must be called within a Tokio runtime.
    pub(super) fn start(start: Start) -> Self {
        let Start { plan, context, schema, wall_time, max_rows, guards, turn } = start;
        let partitions = plan.output_partitioning().partition_count();
        let (sender, batches) = mpsc::channel(AHEAD * partitions.max(1));
        let mut tasks = JoinSet::new();
        for partition in 0..partitions {
            let partition = Partition { plan: Arc::clone(&plan), number: partition, context: Arc::clone(&context) };
            let run = run(partition, Arc::clone(&schema), guards.clone(), sender.clone());
            let sender = sender.clone();
            tasks.spawn(async move {
                if AssertUnwindSafe(run).catch_unwind().await.is_err() {
                    let _ = sender.send(Err(redact::defect())).await;
                }
            });
        }
        let deadline = wall_time.map(|limit| (Box::pin(tokio::time::sleep(limit)), limit));
        let progress = Progress::default();
        Self { schema, batches, tasks, deadline, max_rows, progress, ended: false, _turn: turn }
    }

    /// The wire schema, identical to every batch's.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// Counts what leaves, also after the stream is gone.
    pub fn progress(&self) -> Progress {
        self.progress.clone()
    }

    fn end(&mut self) {
        self.ended = true;
        self.batches.close();
        self.tasks.abort_all();
        self.deadline = None;
        self._turn = None;
    }

    fn tally(&mut self, batch: &RecordBatch) -> Result<(), EngineError> {
        let rows = self.progress.0.rows.fetch_add(batch.num_rows() as u64, Ordering::Relaxed) + batch.num_rows() as u64;
        let bytes: usize = batch.columns().iter().map(|c| c.to_data().get_slice_memory_size().unwrap_or(0)).sum();
        self.progress.0.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        match self.max_rows {
            Some(value) if rows > value => Err(EngineError::LimitExceeded { limit: "rows", value }),
            _ => Ok(()),
        }
    }
}

impl Stream for ScrubbedStream {
    type Item = Result<RecordBatch, EngineError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        if let Some((sleep, limit)) = &mut self.deadline
            && sleep.as_mut().poll(cx).is_ready()
        {
            let error = EngineError::LimitExceeded { limit: "seconds", value: limit.as_secs() };
            self.end();
            return Poll::Ready(Some(Err(error)));
        }
        let next = match self.batches.poll_recv(cx) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(next) => next,
        };
        let next = next.map(|batch| batch.and_then(|batch| self.tally(&batch).map(|()| batch)));
        if !matches!(next, Some(Ok(_))) {
            self.end();
        }
        Poll::Ready(next)
    }
}

struct Partition {
    plan: Arc<dyn ExecutionPlan>,
    number: usize,
    context: Arc<TaskContext>,
}

/// Runs one partition. Scrubbing belongs to it: partitions do it in parallel.
async fn run(
    Partition { plan, number, context }: Partition,
    schema: SchemaRef,
    guards: Guards,
    sender: mpsc::Sender<Result<RecordBatch, EngineError>>,
) {
    let log = |error: &dyn std::fmt::Display| redact::log(context.session_config(), error);
    let redacted = |error| {
        log(&error);
        redact::execution(&error, &guards)
    };
    let mut stream = match plan.execute(number, Arc::clone(&context)) {
        Ok(stream) => stream,
        Err(error) => {
            let _ = sender.send(Err(redacted(error))).await;
            return;
        }
    };
    while let Some(batch) = stream.next().await {
        let batch = match batch {
            Ok(batch) if batch.num_rows() == 0 => continue,
            Ok(batch) if guards.scrubber() => scrub(&batch, &schema).map_err(|error| {
                log(&error);
                redact::arrow(&error)
            }),
            Ok(batch) => Ok(batch),
            Err(error) => Err(redacted(error)),
        };
        let failed = batch.is_err();
        if sender.send(batch).await.is_err() || failed {
            return;
        }
    }
}
