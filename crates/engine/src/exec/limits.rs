//! What queries may use.

use std::path::PathBuf;
use std::time::Duration;

/// Limits of the engine and of each query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineLimits {
    /// Memory of all queries together, in bytes. Sorts, joins and aggregates share it fairly and spill what does not fit.
    pub memory_bytes: usize,
    /// Memory of one query, in bytes.
    pub query_memory_bytes: usize,
    /// Where spill files go: created if need be, readable by this user only, emptied of what a crashed process left.
    pub spill_dir: PathBuf,
    /// Bytes that all spill files together may have.
    pub spill_bytes: u64,
    /// Parallel partitions of one query.
    pub target_partitions: usize,
    /// Rows of a batch.
    pub batch_size: usize,
    /// Queries that are prepared or run at the same time; more wait.
    pub concurrent_queries: usize,
    /// The longest that a query waits for its turn.
    pub queue_time: Duration,
    /// The longest that a query runs, from its execution to its last batch; `None`: no limit.
    pub wall_time: Option<Duration>,
    /// The most rows that a query returns; `None`: no limit.
    pub rows: Option<u64>,
    /// Whether the log may have what errors quote: values of rows, hidden ones too.
    pub log_values: bool,
}

/// What one query may use, where that is not what each may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueryLimits {
    /// Memory, in bytes.
    pub memory_bytes: usize,
    /// The most rows; `None`: no limit.
    pub rows: Option<u64>,
    /// The longest that it runs, from its execution to its last batch; `None`: no limit.
    pub wall_time: Option<Duration>,
}

impl EngineLimits {
    /// Defaults for this machine, with spill files in `spill_dir`.
    pub fn new(spill_dir: impl Into<PathBuf>) -> Self {
        Self {
            memory_bytes: 2 << 30,
            query_memory_bytes: 1 << 30,
            spill_dir: spill_dir.into(),
            spill_bytes: 32 << 30,
            target_partitions: std::thread::available_parallelism().map_or(4, usize::from),
            batch_size: 8192,
            concurrent_queries: 64,
            queue_time: Duration::from_secs(30),
            wall_time: Some(Duration::from_secs(15 * 60)),
            rows: None,
            log_values: false,
        }
    }
}
