//! Limits that policies give to some.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Size, Span};

/// Limits of who has them by a policy (`Action::"useLimits"`, `Limits::"<name>"`), in place of those of `[limits]`; the name is one of
/// the vocabulary's `limits`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LimitClass {
    /// Queries of one principal that run at the same time.
    pub principal_queries: Option<u32>,
    /// Queries of one principal that may wait for their turn.
    pub principal_queued_queries: Option<u32>,
    /// How long a query may wait for its turn.
    pub queue_wait: Option<Span>,
    /// How long a query may run.
    pub query_time: Option<Span>,
    /// How long a client may leave a message of its result unread.
    pub client_wait: Option<Span>,
    /// Memory for sorts, joins and aggregations of one query.
    pub query_memory: Option<Size>,
    /// Most rows of an answer.
    pub rows: Option<u64>,
    /// Most bytes of an answer's values.
    pub bytes: Option<Size>,
    /// Longest statement.
    pub statement: Option<Size>,
    /// Deepest nesting of a statement's expressions and subqueries; 48 at most.
    pub statement_depth: Option<u32>,
}

impl LimitClass {
    /// The first key that must not be 0, and is.
    pub(super) fn zero(&self) -> Option<&'static str> {
        let positive = [
            ("principal_queries", self.principal_queries.map(u64::from)),
            ("query_memory", self.query_memory.map(Size::bytes)),
            ("statement", self.statement.map(Size::bytes)),
            ("statement_depth", self.statement_depth.map(u64::from)),
        ];
        positive.into_iter().find(|(_, value)| *value == Some(0)).map(|(key, _)| key)
    }
}
