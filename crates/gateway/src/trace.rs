//! What is told of a query to who follows traces: words that stand in this code, numbers, and the query's id. Nothing of the
//! statement, of who asks, or of the mesh: there is no field for it.

use std::time::{Duration, Instant, SystemTime};

use portcullis_engine::Operator;

use crate::metrics::{Ended, outcome};

/// The caller's span that a query is a part of (W3C Trace Context).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    /// The trace; never zero.
    pub trace_id: u128,
    /// The span; never zero.
    pub span_id: u64,
}

impl TraceParent {
    /// Reads a header `traceparent`; None if it is not as the standard says. Whether the caller keeps its trace (the flags) is for the
    /// collector to know.
    pub fn parse(header: &str) -> Option<TraceParent> {
        let mut parts = header.trim().split('-');
        let mut digits = |count: usize| {
            let part = parts.next()?;
            let hex = part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            (hex && part.len() == count).then_some(part)
        };
        let (version, trace_id, span_id, _flags) = (digits(2)?, digits(32)?, digits(16)?, digits(2)?);
        // Later versions may say more.
        if version == "ff" || (version == "00" && parts.next().is_some()) {
            return None;
        }
        let trace_id = u128::from_str_radix(trace_id, 16).ok().filter(|id| *id != 0)?;
        let span_id = u64::from_str_radix(span_id, 16).ok().filter(|id| *id != 0)?;
        Some(TraceParent { trace_id, span_id })
    }
}

/// A query that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// The id that the client and the audit journal have.
    pub query_id: String,
    /// The caller's span that it is a part of, if the caller said so.
    pub parent: Option<TraceParent>,
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
    /// What ran in the last of them, each before those that it has its rows from.
    pub operators: Vec<TracedOperator>,
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

/// An operator of a query's plan, above the barriers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TracedOperator {
    /// Its name in the program.
    pub name: String,
    /// The one that it hands its rows to, by its place in the list.
    pub parent: Option<usize>,
    /// From the query's beginning to the operator's.
    pub after: Duration,
    /// From there to its end.
    pub took: Duration,
    /// How long it computed, in all partitions together.
    pub busy: Option<Duration>,
    /// The rows that it handed on, as far as they are the principal's to know.
    pub rows: Option<u64>,
}

impl TracedOperator {
    /// An operator of a query that began then, and took so long. One that does not measure its times has the query's.
    fn of(operator: Operator, query: SystemTime, took: Duration) -> TracedOperator {
        // The clock may have been set meanwhile.
        let since = |at: SystemTime| at.duration_since(query).unwrap_or_default().min(took);
        let (after, end) = (operator.began.map_or(Duration::ZERO, since), operator.ended.map_or(took, since));
        let Operator { name, parent, busy, rows, .. } = operator;
        TracedOperator { name, parent, after, took: end.saturating_sub(after), busy, rows }
    }
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
        let query = SystemTime::now().checked_sub(took).unwrap_or(SystemTime::UNIX_EPOCH);
        let operators = ended.operators.map(|ran| ran.told()).unwrap_or_default();
        Trace {
            query_id: ended.query_id.to_owned(),
            parent: ended.trace,
            began: query,
            took,
            outcome: outcome(ended.status),
            error: ended.error.map(|error| error.kind.as_str()),
            rows: ended.rows,
            bytes: ended.bytes,
            stages: ended.stages.iter().map(stage).collect(),
            operators: operators.into_iter().map(|operator| TracedOperator::of(operator, query, took)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::TraceParent;

    #[test]
    fn a_caller_is_read_as_the_standard_says() {
        let (trace, span) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
        let expect =
            TraceParent { trace_id: 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c, span_id: 0xb7ad_6b71_6920_3331 };
        for good in
            [format!("00-{trace}-{span}-01"), format!(" 00-{trace}-{span}-00 "), format!("cc-{trace}-{span}-01-more")]
        {
            assert_eq!(TraceParent::parse(&good), Some(expect), "{good}");
        }
        for bad in [
            String::new(),
            format!("00-{trace}-{span}"),
            format!("00-{trace}-{span}-01-more"),
            format!("ff-{trace}-{span}-01"),
            format!("0-{trace}-{span}-01"),
            format!("00-{}-{span}-01", "0".repeat(32)),
            format!("00-{trace}-{}-01", "0".repeat(16)),
            format!("00-{}-{span}-01", trace.to_uppercase()),
            format!("00-+{}-{span}-01", &trace[1..]),
            format!("00-{trace}0-{span}-01"),
            format!("00-{trace}-{span}-0x"),
        ] {
            assert_eq!(TraceParent::parse(&bad), None, "{bad}");
        }
    }
}
