//! What a session says of statements' names and times that do not say it themselves.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::sql::sqlparser::ast::{Query, Statement as Ast, Visit, Visitor};

use super::show;

/// The time zone of a statement that is given no other.
pub const UTC: &str = "+00:00";

/// What holds for a statement where it does not say otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Defaults {
    /// The time zone of times without one, an IANA name or an offset.
    pub time_zone: Arc<str>,
    /// The domain of tables without one; without it there are none.
    pub schema: Option<Arc<str>>,
    /// The time of tables whose version is not asked for, in microseconds since 1970; without it that is now.
    pub as_of: Option<i64>,
}

impl Default for Defaults {
    fn default() -> Defaults {
        Defaults { time_zone: UTC.into(), schema: None, as_of: None }
    }
}

/// The names of all common table expressions, wherever they stand.
pub(super) fn expressions(statement: &Ast) -> BTreeSet<String> {
    let mut found = Expressions(BTreeSet::new());
    let _: ControlFlow<()> = statement.visit(&mut found);
    found.0
}

struct Expressions(BTreeSet<String>);

impl Visitor for Expressions {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let tables = query.with.iter().flat_map(|with| &with.cte_tables);
        self.0.extend(tables.map(|table| show::normal(&table.alias.name)));
        ControlFlow::Continue(())
    }
}
