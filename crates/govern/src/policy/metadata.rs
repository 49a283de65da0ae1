//! Metadata columns are for who sees a table whole.
//!
//! Positions and ids count rows, those that are hidden too; names of files may hold values of any column, and files may be
//! sorted by any. So they exist for those only from whom nothing of their table is hidden, whatever policies say of them.

use portcullis_contract::{MetadataColumn, Table};

use super::decision::{ColumnDecision, Disclosure, TableDecision};

/// Whether nothing of a table is hidden: all rows are shown, and all columns are clear but those of metadata.
pub(crate) fn shows_whole(table: &Table, decision: &TableDecision) -> bool {
    let is_clear = |column: &ColumnDecision| column.disclosure == Disclosure::Clear;
    decision.query.allowed
        && decision.filter.expr.is_none()
        && decision.aggregation.is_none()
        && decision.columns.iter().all(|column| is_clear(column) || is_metadata(table, column))
}

/// Denies the metadata columns of a table that is not shown whole.
pub(super) fn withhold_metadata(table: &Table, decision: &mut TableDecision) {
    if shows_whole(table, decision) {
        return;
    }
    for column in decision.columns.iter_mut().filter(|column| is_metadata(table, column)) {
        column.disclosure = Disclosure::Denied;
        column.policies = std::sync::Arc::default();
    }
}

fn is_metadata(table: &Table, column: &ColumnDecision) -> bool {
    MetadataColumn::of(table, &column.name).is_some()
}
