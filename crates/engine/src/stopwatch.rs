//! Where the time of a query goes, for who looks after the gateway: one log line of level debug for each stage, and the stages
//! themselves for who collects them around the work.

use std::cell::RefCell;
use std::time::{Duration, Instant};

tokio::task_local! {
    static STAGES: RefCell<Vec<Stage>>;
}

/// A stage that has ended. Its name is a word of this code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stage {
    /// What was done.
    pub name: &'static str,
    /// When it began.
    pub began: Instant,
    /// How long it took.
    pub took: Duration,
}

/// Measures one stage after the other.
#[derive(Debug)]
pub struct Stopwatch {
    last: Instant,
}

impl Stopwatch {
    /// The first stage begins now.
    pub fn start() -> Stopwatch {
        Stopwatch { last: Instant::now() }
    }

    /// A stage has ended, and the next begins.
    pub fn stage(&mut self, name: &'static str) -> Stage {
        let now = Instant::now();
        let stage = Stage { name, began: self.last, took: now.duration_since(self.last) };
        tracing::debug!(stage = name, us = stage.took.as_micros() as u64);
        STAGES.try_with(|stages| stages.borrow_mut().push(stage)).ok();
        self.last = now;
        stage
    }
}

/// Does work of which [`stages`] are wanted.
pub async fn collecting<T>(work: impl Future<Output = T>) -> T {
    STAGES.scope(RefCell::default(), work).await
}

/// Takes the stages that have ended until now in the work that this is called in; none outside of [`collecting`].
pub fn stages() -> Vec<Stage> {
    STAGES.try_with(RefCell::take).unwrap_or_default()
}
