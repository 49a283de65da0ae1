//! What may be known of a table above its barrier, for the order of joins.
//!
//! Plans are visible: `EXPLAIN` shows them, and the order of rows tells of them. So an estimate is a function of what the principal
//! may see anyway. Where rows are hidden nothing of the files is said, not even an order of magnitude: their numbers count every row.
//! There it is how many rows were seen when somebody counted them. Where none is hidden, the number of rows and what is known of the
//! columns that are shown as they are. Never bytes: a file has the size of its masked values too.

use datafusion::common::Statistics;
use datafusion::common::stats::Precision;
use datafusion::physical_expr::expressions::Column;

/// One row of so many passes a predicate of which nothing is known.
const NARROWED: usize = 5;

/// The estimates, all inexact, so that nothing is answered from them. `clear`: for each column shown, the input's where it is shown as it is.
pub(super) fn estimates<'a>(
    unknown: Statistics,
    input: &Statistics,
    clear: impl Iterator<Item = Option<&'a Column>>,
) -> Statistics {
    let mut known = unknown;
    known.num_rows = input.num_rows.to_inexact();
    for (known, clear) in known.column_statistics.iter_mut().zip(clear) {
        if let Some(below) = clear.and_then(|column| input.column_statistics.get(column.index())) {
            *known = below.clone().to_inexact();
            known.byte_size = Precision::Absent;
        }
    }
    known
}

/// The estimates where rows are hidden. `visible`: how many were seen once. `narrowed`: whether a predicate of the user's is evaluated
/// below; it is taken to keep as many as DataFusion takes one to keep of which it knows nothing.
pub(super) fn expected(unknown: Statistics, visible: Option<usize>, narrowed: bool) -> Statistics {
    let rows = visible.map(|rows| if narrowed { rows.div_ceil(NARROWED) } else { rows });
    let num_rows = rows.map_or(Precision::Absent, Precision::Inexact);
    Statistics { num_rows, ..unknown }
}

/// What there would be if statistics did not end at the barrier.
pub(super) fn exposed<'a>(input: &Statistics, clear: impl Iterator<Item = Option<&'a Column>>) -> Statistics {
    let below = |column: &Column| input.column_statistics.get(column.index()).cloned();
    let columns = clear.map(|clear| clear.and_then(below).unwrap_or_default());
    Statistics { column_statistics: columns.collect(), ..input.clone() }
}
