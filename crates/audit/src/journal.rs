//! The journal as its callers see it: open, begin, complete, close.

use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::error::AuditError;
use crate::record::{Begin, Line, Outcome, Status, now_ms, rfc3339};
use crate::segment;
use crate::writer::{Command, Writer};

/// How the journal cuts its segments.
#[derive(Debug, Clone)]
pub struct JournalOptions {
    /// A segment that has grown to this size is closed and a new one begun.
    pub segment_bytes: u64,
    /// A segment of this age is closed and a new one begun.
    pub segment_age: Duration,
    /// How long the end of a query may wait for a sync that it shares with others.
    pub flush_interval: Duration,
}

impl Default for JournalOptions {
    fn default() -> JournalOptions {
        JournalOptions {
            segment_bytes: 64 << 20,
            segment_age: Duration::from_secs(24 * 3600),
            flush_interval: Duration::from_millis(200),
        }
    }
}

/// The journal, open for writing. Cheap to clone; all clones share one writer.
#[derive(Clone, Debug)]
pub struct Journal {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    dir: PathBuf,
    commands: mpsc::Sender<Command>,
    /// When a record could not be written, if none was since.
    failed: Mutex<Option<Instant>>,
}

/// So long after a record could not be written, it is worth to try again.
const TRY_AGAIN: Duration = Duration::from_secs(10);

impl Journal {
    /// Opens the journal in `dir` for writing, making the directory if need be. Other processes may have it
    /// open too: each writes to a directory of its own below `dir`, one at a time. Repairs a line that a crash tore.
    ///
    /// # Errors
    ///
    /// [`AuditError::Locked`] if too many processes write there, [`AuditError::Io`] if the directory cannot be used.
    pub fn open(dir: &Path, options: JournalOptions) -> Result<Journal, AuditError> {
        segment::make_dir(dir)?;
        let (strand, lock) = segment::take_strand(dir)?;
        let (commands, inbox) = mpsc::channel();
        let writer = Writer::open(&strand, options, lock)?;
        std::thread::Builder::new()
            .name("audit-journal".to_owned())
            .spawn(move || writer.run(&inbox))
            .map_err(AuditError::io("start the writer of", dir))?;
        Ok(Journal { shared: Arc::new(Shared { dir: dir.to_owned(), commands, failed: Mutex::default() }) })
    }

    /// The directory of the segments.
    pub fn dir(&self) -> &Path {
        &self.shared.dir
    }

    /// Records that a query begins. Returns when the record is on the disk, and not before.
    ///
    /// # Errors
    ///
    /// [`AuditError::NotWritten`] if the disk is full or failing: the query must then not be answered.
    /// [`AuditError::Closed`] after [`Journal::close`].
    pub async fn begin(&self, record: Begin) -> Result<OpenEntry, AuditError> {
        let query_id = record.query_id.clone();
        let at_ms = now_ms();
        let line = Line::Begin { at: rfc3339(at_ms), at_ms, begin: Box::new(record) };
        let (ack, written) = oneshot::channel();
        let entry = OpenEntry { query_id, started: Instant::now(), commands: self.shared.commands.clone(), open: true };
        if self.shared.commands.send(Command::Begin { line: Box::new(line), ack }).is_err() {
            return Err(entry.forget(AuditError::Closed));
        }
        // If this future is dropped here, `entry` writes `cancelled`, after the beginning: the queue keeps the order.
        match written.await {
            Ok(Ok(())) => {
                *self.failed() = None;
                Ok(entry)
            }
            Ok(Err(reason)) => {
                *self.failed() = Some(Instant::now());
                Err(entry.forget(AuditError::NotWritten { reason }))
            }
            Err(_) => Err(entry.forget(AuditError::Closed)),
        }
    }

    /// Whether records can be written, as far as is known: for ten seconds after one could not be, they cannot.
    pub fn is_sound(&self) -> bool {
        self.failed().is_none_or(|failed| failed.elapsed() > TRY_AGAIN)
    }

    fn failed(&self) -> MutexGuard<'_, Option<Instant>> {
        self.shared.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what is outstanding, syncs, and lets go of the journal. Later calls of `begin` fail.
    pub async fn close(&self) {
        let (ack, closed) = oneshot::channel();
        if self.shared.commands.send(Command::Close { ack }).is_ok() {
            let _ = closed.await;
        }
    }
}

/// An entry whose end is still to be written. Completing it consumes it; dropping it writes `cancelled`.
#[derive(Debug)]
#[must_use = "complete the entry, or it is recorded as cancelled"]
pub struct OpenEntry {
    query_id: String,
    started: Instant,
    commands: mpsc::Sender<Command>,
    open: bool,
}

impl OpenEntry {
    /// The query's id.
    pub fn query_id(&self) -> &str {
        &self.query_id
    }

    /// Records how the query ended. Never blocks: the writer does the rest.
    pub fn complete(mut self, outcome: Outcome) {
        self.end(outcome);
    }

    /// Records that the query was abandoned after this many rows and bytes.
    pub fn cancel(self, rows: u64, bytes: u64) {
        self.complete(Outcome { rows, bytes, ..Outcome::of(Status::Cancelled) });
    }

    fn forget(mut self, error: AuditError) -> AuditError {
        self.open = false;
        error
    }

    fn end(&mut self, outcome: Outcome) {
        if !std::mem::take(&mut self.open) {
            return;
        }
        let line = Line::End {
            at_ms: now_ms(),
            query_id: std::mem::take(&mut self.query_id),
            status: outcome.status,
            rows: outcome.rows,
            bytes: outcome.bytes,
            duration_ms: u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            error_kind: outcome.error_kind,
        };
        if self.commands.send(Command::End { line: Box::new(line) }).is_err() {
            tracing::error!("the end of a query came after the audit journal was closed; it will read as interrupted");
        }
    }
}

impl Drop for OpenEntry {
    fn drop(&mut self) {
        self.end(Outcome::of(Status::Cancelled));
    }
}
