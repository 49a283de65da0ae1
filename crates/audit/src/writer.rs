//! The one thread that writes: it takes what has queued up, writes it in one go and syncs once for all of it.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::error::AuditError;
use crate::journal::JournalOptions;
use crate::record::{Line, now_ms};
use crate::segment::{self, Segment};

/// Ends of queries kept in memory while the disk refuses them; older ones are given up (they read as interrupted).
const KEPT_ENDS: usize = 65_536;
/// Commands taken into one write.
const BATCH: usize = 1_024;

type Ack = oneshot::Sender<Result<(), String>>;

/// What the writer is asked to do. The queue keeps the order, so an end never precedes its beginning.
#[derive(Debug)]
pub(crate) enum Command {
    Begin { line: Box<Line>, ack: Ack },
    End { line: Box<Line> },
    Close { ack: oneshot::Sender<()> },
}

pub(crate) struct Writer {
    dir: PathBuf,
    options: JournalOptions,
    /// None after a failure: the next batch begins a new segment, for a file whose sync failed cannot be trusted.
    current: Option<Current>,
    last_number: u64,
    /// Ends that could not be written yet.
    kept: Vec<Vec<u8>>,
    /// Whether something was written that is not synced yet, and since when.
    unsynced: Option<Instant>,
    _lock: File,
}

struct Current {
    segment: Segment,
    file: File,
    length: u64,
}

#[derive(Default)]
struct Batch {
    begins: Vec<(Vec<u8>, Ack)>,
    /// In order of arrival: true for a beginning, and its index among its kind.
    order: Vec<(bool, usize)>,
    ends: Vec<Vec<u8>>,
    closed: Vec<oneshot::Sender<()>>,
}

impl Writer {
    pub(crate) fn open(dir: &Path, options: JournalOptions, lock: File) -> Result<Writer, AuditError> {
        let mut writer = Writer {
            dir: dir.to_owned(),
            options,
            current: None,
            last_number: 0,
            kept: Vec::new(),
            unsynced: None,
            _lock: lock,
        };
        let at_ms = now_ms();
        let mut lines = Vec::new();
        if let Some(last) = segment::list(dir)?.pop() {
            let path = last.path.clone();
            let (file, length, torn) = segment::reopen(&last).map_err(AuditError::io("open", &path))?;
            writer.last_number = last.number;
            writer.current = Some(Current { segment: last, file, length });
            if torn > 0 {
                tracing::warn!(segment = %path.display(), bytes = torn, "a torn line was cut off the audit journal");
                let text = format!("a line torn by a crash was cut off here ({torn} bytes)");
                lines.extend(encode(&Line::Note { at_ms, text }));
            }
        }
        lines.extend(encode(&Line::Opened { at_ms, version: env!("CARGO_PKG_VERSION").to_owned() }));
        writer.append(&lines, true).map_err(AuditError::io("write to the audit journal in", dir))?;
        Ok(writer)
    }

    /// Runs until it is told to close or nobody is left who could ask for anything.
    pub(crate) fn run(mut self, inbox: &Receiver<Command>) {
        loop {
            let wait = self
                .unsynced
                .map_or(Duration::from_secs(3600), |since| self.options.flush_interval.saturating_sub(since.elapsed()));
            let first = match inbox.recv_timeout(wait) {
                Ok(command) => command,
                Err(RecvTimeoutError::Timeout) => {
                    self.flush();
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => break,
            };
            let mut batch = Batch::default();
            batch.push(first);
            while batch.order.len() < BATCH
                && let Ok(command) = inbox.try_recv()
            {
                batch.push(command);
            }
            let closed = std::mem::take(&mut batch.closed);
            self.commit(batch);
            if !closed.is_empty() {
                self.shut();
                drop(self);
                for ack in closed {
                    // Whoever waited may have gone.
                    let _ = ack.send(());
                }
                return;
            }
        }
        self.shut();
    }

    fn commit(&mut self, batch: Batch) {
        if batch.order.is_empty() {
            return;
        }
        let Batch { begins, order, ends, .. } = batch;
        let mut bytes: Vec<u8> = self.kept.concat();
        for (is_begin, index) in order {
            let line = if is_begin { begins.get(index).map(|(line, _)| line) } else { ends.get(index) };
            bytes.extend(line.into_iter().flatten());
        }
        let sync = !begins.is_empty() || !self.kept.is_empty();
        match self.append(&bytes, sync) {
            Ok(()) => {
                self.kept.clear();
                begins.into_iter().for_each(|(_, ack)| drop(ack.send(Ok(()))));
            }
            Err(error) => {
                let reason = error.to_string();
                tracing::error!(dir = %self.dir.display(), error = %reason, "the audit journal cannot be written");
                begins.into_iter().for_each(|(_, ack)| drop(ack.send(Err(reason.clone()))));
                self.kept.extend(ends);
                let excess = self.kept.len().saturating_sub(KEPT_ENDS);
                self.kept.drain(..excess);
            }
        }
    }

    /// Writes all of `bytes` or, as far as the disk allows, nothing of them.
    fn append(&mut self, bytes: &[u8], sync: bool) -> std::io::Result<()> {
        let mut current = self.segment()?;
        let written = current.file.write_all(bytes).and_then(|()| if sync { current.file.sync_data() } else { Ok(()) });
        match written {
            Ok(()) => {
                current.length += bytes.len() as u64;
                self.current = Some(current);
                self.unsynced = if sync { None } else { self.unsynced.or_else(|| Some(Instant::now())) };
                Ok(())
            }
            Err(error) => {
                // Half a line must not stay in front of the next one; a new segment follows in any case.
                if let Err(cut) = current.file.set_len(current.length) {
                    tracing::error!(segment = %current.segment.path.display(), error = %cut, "cannot cut a half-written record off");
                }
                self.unsynced = None;
                Err(error)
            }
        }
    }

    /// Takes the current segment, or begins the next one if there is none, or it is full or old.
    fn segment(&mut self) -> std::io::Result<Current> {
        if let Some(current) = self.current.take() {
            let age = u128::try_from(now_ms().saturating_sub(current.segment.begun_ms)).unwrap_or(0);
            if current.length < self.options.segment_bytes && age < self.options.segment_age.as_millis() {
                return Ok(current);
            }
            current.file.sync_data()?;
        }
        let segment = Segment::new(&self.dir, self.last_number + 1, now_ms());
        let file = segment::create(&segment)?;
        self.last_number = segment.number;
        Ok(Current { segment, file, length: 0 })
    }

    fn flush(&mut self) {
        self.unsynced = None;
        if let Some(current) = &self.current
            && let Err(error) = current.file.sync_data()
        {
            tracing::error!(segment = %current.segment.path.display(), error = %error, "cannot sync the audit journal");
            self.current = None;
        }
    }

    fn shut(&mut self) {
        let mut bytes = std::mem::take(&mut self.kept).concat();
        bytes.extend(encode(&Line::Closed { at_ms: now_ms() }));
        if let Err(error) = self.append(&bytes, true) {
            tracing::error!(dir = %self.dir.display(), error = %error, "the audit journal cannot be closed in good order");
        }
    }
}

impl Batch {
    fn push(&mut self, command: Command) {
        match command {
            Command::Begin { line, ack } => {
                self.order.push((true, self.begins.len()));
                self.begins.push((encode(&line), ack));
            }
            Command::End { line } => {
                self.order.push((false, self.ends.len()));
                self.ends.push(encode(&line));
            }
            Command::Close { ack } => self.closed.push(ack),
        }
    }
}

/// One line with its line end. JSON escapes line ends inside of texts, so a record is always one line.
fn encode(line: &Line) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(line).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}
