//! The memory that one query may hold, of that which all share.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::common::{Result, resources_datafusion_err};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation};
use datafusion::execution::runtime_env::RuntimeEnv;

/// One query's part of a pool. What it is refused here it spills, as if the pool were at its end.
#[derive(Debug)]
pub(super) struct QueryPool {
    shared: Arc<dyn MemoryPool>,
    held: AtomicUsize,
    limit: usize,
}

impl QueryPool {
    pub fn new(shared: Arc<dyn MemoryPool>, limit: usize) -> QueryPool {
        QueryPool { shared, held: AtomicUsize::new(0), limit }
    }
}

/// The shared environment, with a bound of one query's own on memory.
pub(super) fn bounded(shared: &RuntimeEnv, limit: usize) -> Arc<RuntimeEnv> {
    let pool = QueryPool::new(Arc::clone(&shared.memory_pool), limit);
    Arc::new(RuntimeEnv { memory_pool: Arc::new(pool), ..shared.clone() })
}

impl fmt::Display for QueryPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "one query's {} bytes of {}", self.limit, self.shared)
    }
}

impl MemoryPool for QueryPool {
    fn name(&self) -> &str {
        "query"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.shared.register(consumer);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.shared.unregister(consumer);
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.held.fetch_add(additional, Ordering::Relaxed);
        self.shared.grow(reservation, additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.held.fetch_sub(shrink, Ordering::Relaxed);
        self.shared.shrink(reservation, shrink);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        let more = |held: usize| held.checked_add(additional).filter(|held| *held <= self.limit);
        if self.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_err() {
            return Err(resources_datafusion_err!("the query may hold {} bytes", self.limit));
        }
        self.shared.try_grow(reservation, additional).inspect_err(|_| {
            self.held.fetch_sub(additional, Ordering::Relaxed);
        })
    }

    fn reserved(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.limit)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::execution::memory_pool::{GreedyMemoryPool, MemoryConsumer, MemoryPool};

    use super::QueryPool;

    #[test]
    fn a_query_has_its_own_bound_below_that_of_all() {
        let shared: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(150));
        let pool = || Arc::new(QueryPool::new(Arc::clone(&shared), 100)) as Arc<dyn MemoryPool>;
        let (one, other) = (pool(), pool());
        let (first, second) = (MemoryConsumer::new("a").register(&one), MemoryConsumer::new("b").register(&one));
        let third = MemoryConsumer::new("c").register(&other);
        first.try_grow(60).unwrap();
        second.try_grow(50).unwrap_err();
        second.try_grow(40).unwrap();
        assert_eq!((one.reserved(), shared.reserved()), (100, 100), "what was refused is not counted");
        third.try_grow(60).unwrap_err();
        assert_eq!(other.reserved(), 0, "nor what the pool of all refused");
        third.try_grow(50).unwrap();
        drop((first, second));
        assert_eq!((one.reserved(), shared.reserved()), (0, 50));
    }
}
