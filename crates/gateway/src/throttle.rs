//! A small throttle on failed logins: so many for one user name, or from one address, within a window, then none until
//! it has passed.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Names remembered at most; beyond it those whose window has passed are forgotten, and then all.
const NAMES: usize = 10_000;

pub(crate) struct Throttle {
    attempts: u32,
    window: Duration,
    failures: Mutex<HashMap<String, (u32, Instant)>>,
}

impl Throttle {
    pub(crate) fn new(attempts: u32, window: Duration) -> Throttle {
        Throttle { attempts, window, failures: Mutex::default() }
    }

    /// How long this name has to wait; None: it may try.
    pub(crate) fn wait(&self, user: &str) -> Option<Duration> {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let (count, since) = failures.get(user)?;
        let left = self.window.checked_sub(since.elapsed())?;
        (*count >= self.attempts).then_some(left)
    }

    pub(crate) fn failed(&self, user: &str) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() >= NAMES {
            failures.retain(|_, (_, since)| since.elapsed() < self.window);
        }
        if failures.len() >= NAMES {
            failures.clear();
        }
        let entry = failures.entry(user.to_owned()).or_insert_with(|| (0, Instant::now()));
        if entry.1.elapsed() >= self.window {
            *entry = (0, Instant::now());
        }
        entry.0 = entry.0.saturating_add(1);
    }

    pub(crate) fn succeeded(&self, user: &str) {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).remove(user);
    }
}
