//! Statements that were parsed before.

use super::{Defaults, ParseLimits, Statement, StatementKind, parse_in};
use crate::error::GovernError;
use crate::memo::{CacheUse, Memo};

/// Bytes, by estimate, in each of the memory's two generations.
const CAPACITY: usize = 8 << 20;
/// The longest statement that is remembered: one alone must not be the end of all others.
const LONGEST: usize = 64 << 10;

/// What a statement is made from, within which limits, and for whom: nobody learns from the time that parsing takes what others have asked.
type Key = (String, String, ParseLimits, Defaults);

/// Parses as [`parse_in`] does, and remembers what came of it. A statement is its text, with what its session says of names and times:
/// nothing else is in it, so that it is good whatever policies say by then. What is refused, and what sets an option, is not remembered.
#[derive(Debug)]
pub struct Statements {
    known: Memo<Key, Statement>,
}

impl Default for Statements {
    fn default() -> Statements {
        Statements::new()
    }
}

impl Statements {
    /// None is known yet.
    pub fn new() -> Statements {
        Statements { known: Memo::new(CAPACITY) }
    }

    /// One statement of this principal, within its limits of this moment.
    ///
    /// # Errors
    ///
    /// As [`parse_in`].
    pub fn parse(
        &self,
        principal: &str,
        sql: &str,
        limits: &ParseLimits,
        defaults: &Defaults,
    ) -> Result<Statement, GovernError> {
        if sql.len() > LONGEST {
            return parse_in(sql, limits, defaults);
        }
        let key = (principal.to_owned(), sql.to_owned(), *limits, defaults.clone());
        if let Some(known) = self.known.get(&key) {
            return Ok(known);
        }
        let statement = parse_in(sql, limits, defaults)?;
        if !matches!(statement.kind(), StatementKind::Set(_)) {
            self.known.insert(key, statement.clone(), statement.weight());
        }
        Ok(statement)
    }

    /// How it is used.
    pub fn usage(&self) -> CacheUse {
        self.known.usage("statements", true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uses(statements: &Statements) -> (u64, u64, u64) {
        let CacheUse { hits, misses, entries, .. } = statements.usage();
        (hits, misses, entries)
    }

    #[test]
    fn a_statement_is_known_to_its_principal_in_its_session() {
        const LIMITS: ParseLimits = ParseLimits { max_bytes: 100, max_depth: 48, max_chain: 256 };
        let statements = Statements::new();
        let usual = Defaults::default();
        let sql = "SELECT 'x', now() FROM events";
        let first = statements.parse("ana", sql, &LIMITS, &usual).unwrap();
        let again = statements.parse("ana", sql, &LIMITS, &usual).unwrap();
        assert_eq!(uses(&statements), (1, 1, 1));
        assert_eq!((again.redacted(), again.tables()), (first.redacted(), first.tables()));
        assert_eq!(again.redacted(), "SELECT ?, now() FROM events");
        let elsewhere = [
            Defaults { time_zone: "Europe/Vienna".into(), ..usual.clone() },
            Defaults { schema: Some("orders".into()), ..usual.clone() },
            Defaults { as_of: Some(1), ..usual.clone() },
        ];
        for (n, defaults) in elsewhere.iter().enumerate() {
            let other = statements.parse("ana", sql, &LIMITS, defaults).unwrap();
            assert_eq!((uses(&statements).0, uses(&statements).1), (1, n as u64 + 2), "{defaults:?}");
            assert_eq!(other.time_zone(), &*defaults.time_zone);
            assert_eq!(other.schema(), defaults.schema.as_deref());
            assert_eq!(other.as_of().is_some(), defaults.as_of.is_some());
        }
        statements.parse("eve", sql, &LIMITS, &usual).unwrap();
        statements.parse("ana", "SELECT 'y', now() FROM events", &LIMITS, &usual).unwrap();
        assert_eq!(uses(&statements), (1, 6, 6));
        // Nor is it known to who may not ask it any longer.
        let narrow = ParseLimits { max_bytes: 10, ..LIMITS };
        assert!(matches!(statements.parse("ana", sql, &narrow, &usual), Err(GovernError::TooLarge { .. })));
    }

    #[test]
    fn what_is_refused_or_sets_something_is_not_remembered() {
        let (statements, limits) = (Statements::new(), ParseLimits { max_depth: 8, ..ParseLimits::default() });
        let long = format!("SELECT '{}'", "x".repeat(LONGEST));
        for sql in ["SELECT 1 FROM (", "DROP TABLE x", "SELECT ((((((((((1))))))))))", "SET purpose = 'x'", &long] {
            let first =
                statements.parse("ana", sql, &limits, &Defaults::default()).map(|statement| statement.kind().clone());
            let again =
                statements.parse("ana", sql, &limits, &Defaults::default()).map(|statement| statement.kind().clone());
            assert_eq!(format!("{first:?}"), format!("{again:?}"));
            let CacheUse { hits, entries, .. } = statements.usage();
            assert_eq!((hits, entries), (0, 0), "{}", sql.split_at(10).0);
        }
    }

    #[test]
    fn the_memory_of_statements_is_bounded_by_what_they_weigh() {
        let statements = Statements::new();
        let list = "1,".repeat(2_000);
        for n in 0..40 {
            statements
                .parse("ana", &format!("SELECT {n} IN ({list}0)"), &ParseLimits::default(), &Defaults::default())
                .unwrap();
            assert!(statements.usage().bytes.unwrap() <= 2 * CAPACITY as u64);
        }
        assert!(statements.usage().entries < 20, "{:?}", statements.usage());
    }
}
