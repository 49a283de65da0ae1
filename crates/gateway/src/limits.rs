//! The limits of one statement: those of `[limits]`, or of the classes that policies give its principal.

use std::time::Duration;

use portcullis_engine::QueryLimits;
use portcullis_govern::{ParseLimits, PolicySnapshot, Subject};

use crate::config::{LimitClass, Limits, Size, Span};

/// What one statement, and the queries of one principal, may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OwnLimits {
    /// Queries of the principal that run at the same time.
    pub queries: u32,
    /// Queries of the principal that wait.
    pub queued: u32,
    pub queue_wait: Duration,
    pub query_time: Duration,
    pub client_wait: Duration,
    pub query_memory: usize,
    pub rows: Option<u64>,
    pub bytes: Option<u64>,
    pub parse: ParseLimits,
}

impl OwnLimits {
    /// Those of a subject at this moment.
    pub(crate) fn of(limits: &Limits, snapshot: &PolicySnapshot, subject: &Subject) -> OwnLimits {
        if limits.classes.is_empty() {
            return OwnLimits::new(limits, &[]);
        }
        let given = snapshot.limits(subject);
        let classes: Vec<&LimitClass> = given.iter().filter_map(|name| limits.classes.get(name)).collect();
        OwnLimits::new(limits, &classes)
    }

    /// With some classes: of each limit, the largest that one of them has, whatever `[limits]` says; that of `[limits]` where none has
    /// one.
    pub(crate) fn new(limits: &Limits, classes: &[&LimitClass]) -> OwnLimits {
        let span = |usual: Span, of: fn(&LimitClass) -> Option<Span>| most(classes, of).unwrap_or(usual).duration();
        let size = |usual: Size, of: fn(&LimitClass) -> Option<Size>| most(classes, of).unwrap_or(usual).in_memory();
        let number = |usual: u32, of: fn(&LimitClass) -> Option<u32>| most(classes, of).unwrap_or(usual);
        OwnLimits {
            queries: number(limits.principal_queries, |class| class.principal_queries),
            queued: number(limits.principal_queued_queries, |class| class.principal_queued_queries),
            queue_wait: span(limits.queue_wait, |class| class.queue_wait),
            query_time: span(limits.query_time, |class| class.query_time),
            client_wait: span(limits.client_wait, |class| class.client_wait),
            query_memory: size(limits.query_memory, |class| class.query_memory),
            rows: most(classes, |class| class.rows).or(limits.rows),
            bytes: most(classes, |class| class.bytes).or(limits.bytes).map(Size::bytes),
            parse: ParseLimits {
                max_bytes: size(limits.statement, |class| class.statement),
                max_depth: number(limits.statement_depth, |class| class.statement_depth) as usize,
                ..ParseLimits::default()
            },
        }
    }

    /// Those that the engine keeps.
    pub(crate) fn of_engine(&self) -> QueryLimits {
        QueryLimits { memory_bytes: self.query_memory, rows: self.rows, wall_time: Some(self.query_time) }
    }
}

fn most<T: Ord>(classes: &[&LimitClass], of: fn(&LimitClass) -> Option<T>) -> Option<T> {
    classes.iter().filter_map(|class| of(class)).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_of_the_classes_holds_and_what_none_has_is_usual() {
        let limits = Limits { rows: Some(1_000), ..Limits::default() };
        let usual = OwnLimits::new(&limits, &[]);
        assert_eq!((usual.rows, usual.query_time), (Some(1_000), Duration::from_secs(3_600)));
        let small = LimitClass { rows: Some(10), query_time: Some(Span::seconds(1)), ..LimitClass::default() };
        let long = LimitClass { query_time: Some(Span::hours(8)), statement_depth: Some(8), ..LimitClass::default() };
        let own = OwnLimits::new(&limits, &[&small]);
        assert_eq!((own.rows, own.query_time), (Some(10), Duration::from_secs(1)), "a class may be narrower");
        let own = OwnLimits::new(&limits, &[&small, &long]);
        assert_eq!((own.rows, own.query_time), (Some(10), Duration::from_secs(8 * 3_600)));
        assert_eq!(own.parse, ParseLimits { max_depth: 8, ..usual.parse });
        let rest = OwnLimits { rows: usual.rows, query_time: usual.query_time, parse: usual.parse, ..own };
        assert_eq!(rest, usual);
    }
}
