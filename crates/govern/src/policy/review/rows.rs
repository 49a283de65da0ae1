//! Whether two row filters keep the same rows.

use std::fmt;

use portcullis_contract::Table;
use serde::Serialize;

use super::grid::Grid;
use crate::policy::decision::RowFilter;
use crate::policy::render;

/// Which way a change goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Less is shown, and nothing more.
    Tightened,
    /// More is shown, and nothing less.
    Loosened,
    /// Some is shown that was hidden and the other way round, or nobody can tell.
    Changed,
}

impl Direction {
    /// The word in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Direction::Tightened => "tightened",
            Direction::Loosened => "loosened",
            Direction::Changed => "changed",
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How two row filters differ. The rows are synthetic: made from the constants of the filters, never read from a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowsChange {
    /// Which way.
    pub direction: Direction,
    /// A row that only the new filter keeps.
    pub gained: Option<String>,
    /// A row that only the old filter keeps.
    pub lost: Option<String>,
    /// Whether every kind of row that the filters can tell apart was tried.
    pub complete: bool,
}

/// How `new` differs from `old`; `None` if they keep the same rows. Where the search for a difference cannot be
/// complete and finds none, filters of different texts count as changed.
pub fn compare_rows(old: (&RowFilter, &Table), new: (&RowFilter, &Table)) -> Option<RowsChange> {
    let (before, after) = (old.0.expr.as_ref(), new.0.expr.as_ref());
    if before == after {
        return None;
    }
    let found = Grid::over([before, after], old.1, new.1).and_then(|grid| {
        let (kept_before, kept_after) = (grid.keeps(before)?, grid.keeps(after)?);
        let only = |these: &[bool], others: &[bool]| {
            these.iter().zip(others).position(|(this, other)| *this && !*other).map(|row| grid.describe(row))
        };
        Some((only(&kept_after, &kept_before), only(&kept_before, &kept_after), grid.complete))
    });
    let (gained, lost, complete) = found.unwrap_or((None, None, false));
    let (all, none) = (|filter: &RowFilter| filter.expr.is_none(), |filter: &RowFilter| is_nothing(filter));
    let direction = match (&gained, &lost) {
        (None, None) if complete => return None,
        // Nothing is more than all rows, or less than none.
        _ if all(old.0) || none(new.0) => Direction::Tightened,
        _ if all(new.0) || none(old.0) => Direction::Loosened,
        (Some(_), None) => Direction::Loosened,
        (None, Some(_)) if complete => Direction::Tightened,
        _ => Direction::Changed,
    };
    Some(RowsChange { direction, gained, lost, complete })
}

/// Whether a filter says by itself that it keeps nothing.
pub(super) fn is_nothing(filter: &RowFilter) -> bool {
    filter.expr.as_ref().is_some_and(|expr| render::filter(Some(expr)) == "no rows")
}
