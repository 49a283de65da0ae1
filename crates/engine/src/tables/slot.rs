//! One slot for each table: its last known snapshot, refreshed by at most one caller at a time.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use moka::future::Cache;
use tokio::sync::Mutex;

use super::fault::Fault;
use super::provider::Snapshot;

/// A failure is told to further callers for this long, before the store is asked again.
const FAILURE_AGE: Duration = Duration::from_secs(1);
/// Tables that nobody used for this long are forgotten.
const IDLE: Duration = Duration::from_secs(3600);
const MOST_TABLES: u64 = 100_000;

#[derive(Debug, Default)]
struct Slot {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    known: Option<Snapshot>,
    last: Option<(Instant, Result<(), Fault>)>,
}

/// The slots, by a table's format, place and connection.
#[derive(Debug)]
pub(super) struct Slots {
    slots: Cache<String, Arc<Slot>>,
}

impl Slots {
    /// No slot yet.
    pub(super) fn new() -> Self {
        Self { slots: Cache::builder().max_capacity(MOST_TABLES).time_to_idle(IDLE).build() }
    }

    /// The snapshot of `key`, from `refresh` if the last known one is older than `age`. Whoever waited for another's
    /// refresh takes its result, be it a failure.
    pub(super) async fn current<F>(
        &self,
        key: String,
        age: Duration,
        refresh: impl FnOnce(Option<Snapshot>) -> F,
    ) -> Result<Snapshot, Fault>
    where
        F: Future<Output = Result<Snapshot, Fault>>,
    {
        let asked = Instant::now();
        let slot = self.slots.get_with(key, async { Arc::default() }).await;
        let mut state = slot.state.lock().await;
        if let Some((at, result)) = &state.last {
            let valid = match result {
                Ok(()) => age,
                Err(_) => age.min(FAILURE_AGE),
            };
            if *at >= asked || at.elapsed() < valid {
                result.clone()?;
                if let Some(known) = &state.known {
                    return Ok(known.clone());
                }
            }
        }
        let refreshed = refresh(state.known.clone()).await;
        state.last = Some((Instant::now(), refreshed.as_ref().map(|_| ()).map_err(Clone::clone)));
        if let Ok(snapshot) = &refreshed {
            state.known = Some(snapshot.clone());
        }
        refreshed
    }
}

#[cfg(test)]
mod tests;
