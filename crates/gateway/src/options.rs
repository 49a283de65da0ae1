//! Options of sessions (`SET purpose`, `SET break_glass`, `SET TIME ZONE`), kept here by session id: a bounded map that forgets.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What a session has set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionOptions {
    /// `SET break_glass`.
    pub break_glass: Option<BrokenGlass>,
    /// `SET purpose`.
    pub purpose: Option<String>,
    /// `SET TIME ZONE`.
    pub time_zone: Option<String>,
}

/// A reason to see more, for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokenGlass {
    /// Why.
    pub reason: String,
    /// Of the clock that only goes forward.
    pub until: Instant,
}

impl SessionOptions {
    /// The reason, while it holds.
    pub(crate) fn break_glass(&self) -> Option<&str> {
        self.break_glass.as_ref().filter(|broken| Instant::now() < broken.until).map(|broken| broken.reason.as_str())
    }
}

pub(crate) struct OptionStore {
    capacity: usize,
    lifetime: Duration,
    sessions: Mutex<HashMap<String, (SessionOptions, Instant)>>,
}

impl OptionStore {
    pub(crate) fn new(capacity: u64, lifetime: Duration) -> OptionStore {
        let capacity = usize::try_from(capacity).unwrap_or(usize::MAX).max(1);
        OptionStore { capacity, lifetime, sessions: Mutex::default() }
    }

    pub(crate) fn get(&self, session: &str) -> SessionOptions {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        match sessions.get_mut(session) {
            Some((options, used)) if used.elapsed() < self.lifetime => {
                *used = Instant::now();
                options.clone()
            }
            _ => SessionOptions::default(),
        }
    }

    pub(crate) fn update(&self, session: &str, change: impl FnOnce(&mut SessionOptions)) {
        let mut options = self.get(session);
        change(&mut options);
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        if options == SessionOptions::default() {
            sessions.remove(session);
            return;
        }
        if sessions.len() >= self.capacity && !sessions.contains_key(session) {
            sessions.retain(|_, (_, used)| used.elapsed() < self.lifetime);
            if sessions.len() >= self.capacity
                && let Some(oldest) = sessions.iter().min_by_key(|(_, (_, used))| *used).map(|(id, _)| id.clone())
            {
                sessions.remove(&oldest);
            }
        }
        sessions.insert(session.to_owned(), (options, Instant::now()));
    }

    pub(crate) fn forget(&self, session: &str) {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).remove(session);
    }
}
