//! Options of sessions (`SET purpose`, `SET TIME ZONE`), kept here by session id: a bounded map that forgets.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What a session has set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionOptions {
    /// `SET purpose`.
    pub purpose: Option<String>,
    /// `SET TIME ZONE`.
    pub time_zone: Option<String>,
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
