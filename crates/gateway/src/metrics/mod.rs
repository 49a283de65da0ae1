//! What the gateway counts: numbers only, labelled by words that stand in this code. No principal, no name of the mesh, no
//! value; only where the configuration asks for it, the names of domains.

mod text;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use portcullis_audit::Status;
use portcullis_engine::{Operators, Stage};
use tokio::sync::mpsc;

use crate::error::{ErrorKind, GatewayError};
use crate::trace::{Trace, TraceParent};

/// Upper bounds of histograms of times, in seconds.
const SECONDS: [f64; 14] = [0.0002, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 10.0, 60.0, 600.0];

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Counts this many.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// One more.
    pub fn up(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// One less.
    pub fn down(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    /// What it is now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Numbers by a word of this code.
#[derive(Debug, Default)]
struct Family(Mutex<BTreeMap<&'static str, u64>>);

impl Family {
    fn add(&self, label: &'static str) {
        *lock(&self.0).entry(label).or_default() += 1;
    }

    fn all(&self) -> BTreeMap<&'static str, u64> {
        lock(&self.0).clone()
    }
}

/// How long something took, each time.
#[derive(Debug, Default, Clone)]
struct Histogram {
    buckets: [u64; SECONDS.len()],
    micros: u64,
    count: u64,
}

impl Histogram {
    fn add(&mut self, time: Duration) {
        let seconds = time.as_secs_f64();
        SECONDS
            .iter()
            .zip(&mut self.buckets)
            .filter(|(bound, _)| seconds <= **bound)
            .for_each(|(_, count)| *count += 1);
        self.micros = self.micros.saturating_add(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
        self.count += 1;
    }
}

/// What the answers were of which a domain's tables were part.
#[derive(Debug, Default, Clone)]
struct Usage {
    queries: u64,
    rows: u64,
    bytes: u64,
    micros: u64,
}

/// A query that has ended, however it did.
pub(crate) struct Ended<'a> {
    pub query_id: &'a str,
    pub status: Status,
    pub error: Option<&'a GatewayError>,
    pub rows: u64,
    pub bytes: u64,
    pub stages: Vec<Stage>,
    pub trace: Option<TraceParent>,
    /// What ran, if anything did.
    pub operators: Option<Operators>,
}

/// All that is counted, from the start of the process.
#[derive(Debug, Default)]
pub struct Metrics {
    queries: Family,
    decisions: Family,
    errors: Family,
    refusals: Family,
    limits: Family,
    rows: Counter,
    bytes: Counter,
    seconds: Mutex<Histogram>,
    stages: Mutex<BTreeMap<&'static str, Histogram>>,
    domains: Mutex<BTreeMap<String, Usage>>,
    traces: Mutex<Option<mpsc::Sender<Trace>>>,
    traces_lost: Counter,
    /// Reloads that left the policies as they were, because they do not compile.
    pub(crate) reloads_refused: Counter,
    /// Connections that are open.
    pub connections: Gauge,
    /// Connections that were closed at once, because there were too many.
    pub connections_refused: Counter,
}

/// A number of this moment: its name, what it is, its value.
pub(crate) type Now<'a> = (&'a str, &'a str, u64);

impl Metrics {
    /// The traces of queries that end from now on. Of those that nobody takes so many may wait; more are counted and lost.
    pub fn traces(&self, waiting: usize) -> mpsc::Receiver<Trace> {
        let (sender, receiver) = mpsc::channel(waiting);
        *lock(&self.traces) = Some(sender);
        receiver
    }

    /// There will be no more traces.
    pub fn end_traces(&self) {
        *lock(&self.traces) = None;
    }

    /// Traces that could not be sent.
    pub fn lost(&self, traces: u64) {
        self.traces_lost.add(traces);
    }

    /// A query that has ended, however it did.
    pub(crate) fn ended(&self, ended: Ended<'_>) {
        self.queries.add(outcome(ended.status));
        self.rows.add(ended.rows);
        self.bytes.add(ended.bytes);
        if let Some(error) = ended.error {
            self.failed(error.kind, error.limit);
        }
        let mut stages = lock(&self.stages);
        ended.stages.iter().for_each(|stage| stages.entry(stage.name).or_default().add(stage.took));
        drop(stages);
        if let Some(traces) = lock(&self.traces).as_ref()
            && let Err(mpsc::error::TrySendError::Full(_)) = traces.try_send(Trace::of(ended))
        {
            self.traces_lost.add(1);
        }
    }

    /// A query that was given up before it came to a stream or a refusal.
    pub(crate) fn abandoned(&self) {
        self.queries.add(outcome(Status::Cancelled));
    }

    /// How long a query took whose rows were sent.
    pub(crate) fn took(&self, time: Duration) {
        lock(&self.seconds).add(time);
    }

    /// An answer of which tables of these domains were part.
    pub(crate) fn used(&self, domains: &[String], rows: u64, bytes: u64, time: Duration) {
        let mut all = lock(&self.domains);
        for domain in domains {
            let usage = all.entry(domain.clone()).or_default();
            usage.queries += 1;
            usage.rows = usage.rows.saturating_add(rows);
            usage.bytes = usage.bytes.saturating_add(bytes);
            usage.micros = usage.micros.saturating_add(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
        }
    }

    /// What was decided on a statement: `permitted`, `denied` or `undecided`.
    pub(crate) fn decided(&self, decision: &'static str) {
        self.decisions.add(decision);
    }

    /// What was refused before there was a query: `login`, `token`, `certificate`, `impersonation` or `query`.
    pub(crate) fn refused(&self, what: &'static str, kind: ErrorKind, limit: Option<&'static str>) {
        self.refusals.add(what);
        self.failed(kind, limit);
    }

    fn failed(&self, kind: ErrorKind, limit: Option<&'static str>) {
        self.errors.add(kind.as_str());
        limit.into_iter().for_each(|limit| self.limits.add(limit));
    }

    /// A limit that was met outside of a query.
    pub fn limited(&self, limit: &'static str) {
        self.limits.add(limit);
    }
}

/// How a query ended, as a word.
pub(crate) fn outcome(status: Status) -> &'static str {
    match status {
        Status::Success => "success",
        Status::Error => "error",
        Status::Cancelled => "cancelled",
        Status::Denied => "denied",
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
