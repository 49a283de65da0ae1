//! What is told of a query to who follows traces: words that stand in this code, numbers, and the query's id. Nothing of the
//! statement, of who asks, or of the mesh: there is no field for it.

use std::time::{Duration, Instant, SystemTime};

use crate::metrics::{Ended, outcome};

/// A query that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// The id that the client and the audit journal have.
    pub query_id: String,
    /// When it began.
    pub began: SystemTime,
    /// From its turn's beginning to the end of its rows.
    pub took: Duration,
    /// `success`, `error`, `denied` or `cancelled`.
    pub outcome: &'static str,
    /// The error's kind, as in the audit journal.
    pub error: Option<&'static str>,
    /// Rows that have left.
    pub rows: u64,
    /// Bytes of their values in memory.
    pub bytes: u64,
    /// Its stages, in the order of their ends.
    pub stages: Vec<TracedStage>,
}

/// A stage of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TracedStage {
    /// What was done.
    pub name: &'static str,
    /// From the query's beginning to the stage's.
    pub after: Duration,
    /// How long it took.
    pub took: Duration,
}

impl Trace {
    /// To be called at the query's end.
    pub(crate) fn of(ended: Ended<'_>) -> Trace {
        let now = Instant::now();
        let began = ended.stages.iter().map(|stage| stage.began).min().unwrap_or(now);
        let stage = |stage: &portcullis_engine::Stage| TracedStage {
            name: stage.name,
            after: stage.began.duration_since(began),
            took: stage.took,
        };
        let took = now.duration_since(began);
        Trace {
            query_id: ended.query_id.to_owned(),
            began: SystemTime::now().checked_sub(took).unwrap_or(SystemTime::UNIX_EPOCH),
            took,
            outcome: outcome(ended.status),
            error: ended.error.map(|error| error.kind.as_str()),
            rows: ended.rows,
            bytes: ended.bytes,
            stages: ended.stages.iter().map(stage).collect(),
        }
    }
}
