//! What a decision comes to for the person: the effect, without the reasons.

use std::collections::BTreeMap;

use portcullis_contract::Aggregation;

use crate::policy::decision::{Disclosure, RowFilter, TableDecision};
use crate::policy::matrix::aggregates;

/// What somebody sees of a table.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct View {
    pub(super) discover: bool,
    pub(super) query: bool,
    /// Where only aggregates are shown, which.
    pub(super) aggregates: Option<Aggregation>,
    /// Whether the person is told of what is held back.
    pub(super) notices: bool,
    /// Whether the glass is broken, which the journal tells loudly.
    pub(super) broken_glass: bool,
    pub(super) filter: RowFilter,
    /// Columns that exist for the person.
    pub(super) columns: BTreeMap<String, Disclosure>,
}

impl View {
    /// A table that does not exist for the person.
    pub(super) fn nothing() -> View {
        View {
            discover: false,
            query: false,
            aggregates: None,
            notices: false,
            broken_glass: false,
            filter: RowFilter::nothing(),
            columns: BTreeMap::new(),
        }
    }

    /// Whatever a decision holds has to have a place here, or a reason not to.
    pub(super) fn of(decision: &TableDecision) -> View {
        let TableDecision { table: _, discover, query, filter, aggregation, break_glass, notice, columns, undecided } =
            decision;
        if !discover.allowed || undecided.is_some() {
            return View::nothing();
        }
        let filter = if query.allowed { filter.clone() } else { RowFilter::nothing() };
        let shown = columns.iter().filter(|column| column.disclosure != Disclosure::Denied);
        let columns = shown.map(|column| (column.name.clone(), column.disclosure)).collect();
        View {
            discover: true,
            query: query.allowed,
            aggregates: aggregation.clone().filter(|_| query.allowed),
            notices: notice.allowed,
            broken_glass: break_glass.as_ref().is_some_and(|access| access.allowed),
            filter,
            columns,
        }
    }

    /// How far rows may be queried: the words, and a number that is smaller where more is shown. Limits that cannot be
    /// compared have the same number.
    pub(super) fn reach(&self) -> (String, (u8, u64)) {
        match &self.aggregates {
            _ if !self.query => ("no".to_owned(), (2, 0)),
            None => ("yes".to_owned(), (0, 0)),
            Some(limit) => (aggregates(limit), (1, limit.at_least)),
        }
    }

    /// The level of a column; `Denied` for one that does not exist.
    pub(super) fn level(&self, column: &str) -> Disclosure {
        self.columns.get(column).copied().unwrap_or(Disclosure::Denied)
    }
}
