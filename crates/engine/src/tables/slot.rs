//! One slot for each table: its last known snapshot, refreshed by one task at a time, for which nobody waits who may use
//! what is known.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use moka::future::Cache;
use portcullis_govern::{CacheUse, Lookups};

use super::fault::Fault;

/// A failure is told to further callers for this long, before the store is asked again.
const FAILURE_AGE: Duration = Duration::from_secs(1);
/// Tables that nobody used for this long are forgotten.
const IDLE: Duration = Duration::from_secs(3600);
const MOST_TABLES: u64 = 100_000;

type Answer<T> = Result<T, Fault>;
type Running<T> = Shared<BoxFuture<'static, Answer<T>>>;

/// What is known of a table, as of when it was asked for.
struct State<T: Clone> {
    known: Option<(Instant, T)>,
    failed: Option<(Instant, Fault)>,
    running: Option<Running<T>>,
}

impl<T: Clone> State<T> {
    /// What may be said without asking.
    fn answer(&self, age: Duration) -> Option<Answer<T>> {
        let fresh = self.known.as_ref().filter(|(asked, _)| asked.elapsed() < age);
        fresh.map(|(_, known)| Ok(known.clone())).or_else(|| self.failure(age).map(Err))
    }

    fn failure(&self, age: Duration) -> Option<Fault> {
        let recent = self.failed.as_ref().filter(|(asked, _)| asked.elapsed() < age.min(FAILURE_AGE));
        recent.map(|(_, fault)| fault.clone())
    }

    /// Whether to ask, so that nobody will have to wait soon.
    fn is_due(&self, age: Duration) -> bool {
        let is_old = self.known.as_ref().is_some_and(|(asked, _)| asked.elapsed() >= age / 2);
        is_old && self.running.is_none() && self.failure(age).is_none()
    }
}

struct Slot<T: Clone>(Mutex<State<T>>);

impl<T: Clone> Slot<T> {
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Clone + Send + Sync + 'static> Slot<T> {
    /// What `refresh` will say, noted whether or not somebody waits for it.
    fn begin<F>(self: &Arc<Self>, state: &mut State<T>, refresh: impl FnOnce(Option<T>) -> F) -> Running<T>
    where
        F: Future<Output = Answer<T>> + Send + 'static,
    {
        let asked = Instant::now();
        let refresh = refresh(state.known.as_ref().map(|(_, known)| known.clone()));
        let slot = Arc::clone(self);
        let task = tokio::spawn(async move {
            let answer = refresh.await;
            let mut state = slot.state();
            state.running = None;
            match &answer {
                Ok(known) => (state.known, state.failed) = (Some((asked, known.clone())), None),
                Err(fault) => state.failed = Some((Instant::now(), fault.clone())),
            }
            drop(state);
            answer
        });
        let slot = Arc::clone(self);
        let done = async move {
            task.await.unwrap_or_else(|_| {
                slot.state().running = None;
                Err(Fault::Internal("the look-up of a table ended without an answer".into()))
            })
        };
        let running = done.boxed().shared();
        state.running = Some(running.clone());
        running
    }
}

/// The slots, by a table's format, place and connection.
pub(super) struct Slots<T: Clone + Send + Sync + 'static> {
    slots: Cache<String, Arc<Slot<T>>>,
    lookups: Lookups,
}

impl<T: Clone + Send + Sync + 'static> fmt::Debug for Slots<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} slots", self.slots.entry_count())
    }
}

impl<T: Clone + Send + Sync + 'static> Slots<T> {
    /// No slot yet.
    pub(super) fn new() -> Self {
        let slots = Cache::builder().max_capacity(MOST_TABLES).time_to_idle(IDLE).build();
        Self { slots, lookups: Lookups::default() }
    }

    /// How they are used: a snapshot that is known, and not too old, is there.
    pub(super) fn usage(&self) -> CacheUse {
        self.lookups.of("tables", self.slots.entry_count(), None)
    }

    /// The snapshot of `key`, at most this old. Where none is known, `refresh` is asked for one, by one caller for all
    /// that wait. One that has reached half of its age is used, and the next one asked for meanwhile.
    pub(super) async fn current<F>(&self, key: &str, age: Duration, refresh: impl FnOnce(Option<T>) -> F) -> Answer<T>
    where
        F: Future<Output = Answer<T>> + Send + 'static,
    {
        let new = || Arc::new(Slot(Mutex::new(State { known: None, failed: None, running: None })));
        let slot = match self.slots.get(key).await {
            Some(slot) => slot,
            None => self.slots.get_with(key.to_owned(), async { new() }).await,
        };
        let running = {
            let mut state = slot.state();
            let answer = state.answer(age);
            match &answer {
                Some(Ok(_)) => self.lookups.hit(),
                _ => self.lookups.miss(),
            }
            if let Some(answer) = answer {
                if state.is_due(age) {
                    // The task goes on by itself.
                    drop(slot.begin(&mut state, refresh));
                }
                return answer;
            }
            match &state.running {
                Some(running) => running.clone(),
                None => slot.begin(&mut state, refresh),
            }
        };
        running.await
    }
}

#[cfg(test)]
mod tests;
