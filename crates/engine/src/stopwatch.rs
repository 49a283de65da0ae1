//! Where the time of a query goes, for who looks after the gateway: one log line of level debug for each stage.

use std::time::Instant;

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
    pub fn stage(&mut self, stage: &'static str) {
        let now = Instant::now();
        tracing::debug!(stage, us = now.duration_since(self.last).as_micros() as u64);
        self.last = now;
    }
}
