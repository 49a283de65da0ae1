//! What may be known of a table above its barrier, for the order of joins.
//!
//! Plans are visible: `EXPLAIN` shows them, and the order of rows tells of them. So an estimate is a function of what the principal
//! may see anyway. Where rows are hidden nothing is said, not even an order of magnitude: the files' numbers count every row. Where
//! none is, the number of rows and what is known of the columns that are shown as they are. Never bytes: a file has the size of its
//! masked values too.

use datafusion::common::Statistics;
use datafusion::physical_expr::expressions::Column;

/// The estimates, all inexact, so that nothing is answered from them. `clear`: for each column shown, the input's where it is shown as it is.
pub(super) fn estimates<'a>(
    unknown: Statistics,
    input: &Statistics,
    hides: bool,
    clear: impl Iterator<Item = Option<&'a Column>>,
) -> Statistics {
    let mut known = unknown;
    if hides {
        return known;
    }
    known.num_rows = input.num_rows.to_inexact();
    for (known, clear) in known.column_statistics.iter_mut().zip(clear) {
        if let Some(below) = clear.and_then(|column| input.column_statistics.get(column.index())) {
            *known = below.clone().to_inexact();
            known.byte_size = datafusion::common::stats::Precision::Absent;
        }
    }
    known
}

/// What there would be if statistics did not end at the barrier.
pub(super) fn exposed<'a>(input: &Statistics, clear: impl Iterator<Item = Option<&'a Column>>) -> Statistics {
    let below = |column: &Column| input.column_statistics.get(column.index()).cloned();
    let columns = clear.map(|clear| clear.and_then(below).unwrap_or_default());
    Statistics { column_statistics: columns.collect(), ..input.clone() }
}
