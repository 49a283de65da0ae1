//! Who may run now: a bounded number of queries at once, a bounded number that wait, for a bounded time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::Limits;
use crate::error::{ErrorKind, GatewayError};

pub(crate) struct Turns {
    permits: Arc<Semaphore>,
    all: u32,
    waiting: AtomicU32,
    queue: u32,
    longest_wait: Duration,
    closing: AtomicBool,
}

/// Counts one that waits, and not any longer when it is dropped.
struct Waiting<'a>(&'a AtomicU32);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Turns {
    pub(crate) fn new(limits: &Limits) -> Turns {
        Turns {
            permits: Arc::new(Semaphore::new(limits.concurrent_queries as usize)),
            all: limits.concurrent_queries,
            waiting: AtomicU32::new(0),
            queue: limits.queued_queries,
            longest_wait: limits.queue_wait.duration(),
            closing: AtomicBool::new(false),
        }
    }

    /// Waits for a turn; the turn ends when the permit is dropped.
    pub(crate) async fn take(&self) -> Result<OwnedSemaphorePermit, GatewayError> {
        if self.closing.load(Ordering::Relaxed) {
            return Err(closed());
        }
        if let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
            return Ok(permit);
        }
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(&self.waiting);
        if before >= self.queue {
            return Err(exhausted("too many queries are waiting already: try again later"));
        }
        match tokio::time::timeout(self.longest_wait, Arc::clone(&self.permits).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) => Err(closed()),
            Err(_) => Err(exhausted("the gateway is busy, and no turn came in time: try again later")),
        }
    }

    /// Lets nobody in any more, and returns when all who are in have gone, or when `patience` is at its end. Whether
    /// all have gone.
    pub(crate) async fn drain(&self, patience: Duration) -> bool {
        self.closing.store(true, Ordering::Relaxed);
        let all = tokio::time::timeout(patience, Arc::clone(&self.permits).acquire_many_owned(self.all)).await;
        self.permits.close();
        all.is_ok()
    }
}

fn exhausted(message: &str) -> GatewayError {
    GatewayError::new(ErrorKind::ResourceExhausted, message)
}

fn closed() -> GatewayError {
    GatewayError::new(ErrorKind::Unavailable, "the gateway is shutting down")
}
