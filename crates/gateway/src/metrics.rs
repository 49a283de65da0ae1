//! What the gateway counts: numbers only, labelled by words that stand in this code. No principal, no name of the mesh, no
//! value.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use portcullis_audit::Status;

use crate::error::{ErrorKind, GatewayError};

/// Upper bounds of the histogram of queries' times, in seconds.
const SECONDS: [f64; 12] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 600.0];

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
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(label).or_default() += 1;
    }

    fn all(&self) -> BTreeMap<&'static str, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// All that is counted, from the start of the process.
#[derive(Debug, Default)]
pub struct Metrics {
    queries: Family,
    errors: Family,
    refusals: Family,
    limits: Family,
    rows: Counter,
    bytes: Counter,
    buckets: [Counter; SECONDS.len()],
    millis: Counter,
    timed: Counter,
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
    /// A query that has ended, however it did.
    pub(crate) fn ended(&self, status: Status, error: Option<&GatewayError>, rows: u64, bytes: u64) {
        self.queries.add(outcome(status));
        self.rows.add(rows);
        self.bytes.add(bytes);
        if let Some(error) = error {
            self.failed(error.kind, error.limit);
        }
    }

    /// How long a query took whose rows were sent.
    pub(crate) fn took(&self, time: Duration) {
        let seconds = time.as_secs_f64();
        SECONDS.iter().zip(&self.buckets).filter(|(bound, _)| seconds <= **bound).for_each(|(_, count)| count.add(1));
        self.millis.add(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        self.timed.add(1);
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

    /// All numbers in Prometheus' text format.
    pub(crate) fn text(&self, now: &[Now<'_>]) -> String {
        let mut out = String::new();
        let family = |out: &mut String, name: &str, label: &str, help: &str, family: &Family| {
            head(out, name, "counter", help);
            for (word, count) in family.all() {
                let _ = writeln!(out, "portcullis_{name}{{{label}=\"{word}\"}} {count}");
            }
        };
        family(&mut out, "queries_total", "outcome", "Queries that have ended.", &self.queries);
        family(&mut out, "errors_total", "kind", "Refusals and errors, by their kind.", &self.errors);
        family(&mut out, "refusals_total", "what", "Refusals before there was a query.", &self.refusals);
        family(&mut out, "limits_total", "limit", "Times that a limit was met.", &self.limits);
        for (name, help, counter) in [
            ("rows_total", "Rows that have left.", &self.rows),
            ("bytes_total", "Bytes of their values in memory.", &self.bytes),
            ("reloads_refused_total", "Reloads that were refused: the policies do not compile.", &self.reloads_refused),
            ("connections_refused_total", "Connections beyond `limits.connections`.", &self.connections_refused),
        ] {
            head(&mut out, name, "counter", help);
            let _ = writeln!(out, "portcullis_{name} {}", counter.get());
        }
        for (name, help, value) in
            now.iter().copied().chain([("connections", "Connections that are open.", self.connections.get())])
        {
            head(&mut out, name, "gauge", help);
            let _ = writeln!(out, "portcullis_{name} {value}");
        }
        head(&mut out, "query_seconds", "histogram", "How long queries took whose rows were sent.");
        for (bound, count) in SECONDS.iter().zip(&self.buckets) {
            let _ = writeln!(out, "portcullis_query_seconds_bucket{{le=\"{bound}\"}} {}", count.get());
        }
        let timed = self.timed.get();
        let _ = writeln!(out, "portcullis_query_seconds_bucket{{le=\"+Inf\"}} {timed}");
        let _ = writeln!(out, "portcullis_query_seconds_sum {}", self.millis.get() as f64 / 1_000.0);
        let _ = writeln!(out, "portcullis_query_seconds_count {timed}");
        out
    }
}

fn outcome(status: Status) -> &'static str {
    match status {
        Status::Success => "success",
        Status::Error => "error",
        Status::Cancelled => "cancelled",
        Status::Denied => "denied",
    }
}

fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(out, "# HELP portcullis_{name} {help}");
    let _ = writeln!(out, "# TYPE portcullis_{name} {kind}");
}
