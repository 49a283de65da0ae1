//! Which ids the rows of a manifest's data files have, where the files do not tell (version 3).

use iceberg::spec::DataFile;

/// The ids that a manifest hands out: a file has its own, else those that follow the ids of the files before it that have
/// none of their own, from the manifest's on. In a manifest of before there were ids, no row has one.
#[derive(Debug)]
pub(super) struct RowIds {
    next: FirstRow,
}

/// The id of a file's first row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FirstRow {
    /// Its rows have no ids.
    None,
    /// This one; the others follow it.
    Id(i64),
    /// There are no such ids.
    Impossible,
}

impl RowIds {
    /// Those from `first` on, as the list of manifests says.
    pub(super) fn new(first: Option<u64>) -> Self {
        let id = |first| i64::try_from(first).map_or(FirstRow::Impossible, FirstRow::Id);
        Self { next: first.map_or(FirstRow::None, id) }
    }

    /// The first id of the next file that is not deleted.
    pub(super) fn first_of(&mut self, file: &DataFile) -> FirstRow {
        self.first(file.first_row_id(), file.record_count())
    }

    fn first(&mut self, own: Option<i64>, rows: u64) -> FirstRow {
        let first = match (self.next, own) {
            (FirstRow::None, _) => return FirstRow::None,
            (_, Some(own)) if own >= 0 => FirstRow::Id(own),
            (_, Some(_)) => FirstRow::Impossible,
            (next, None) => next,
        };
        let after = |first: i64| first.checked_add(i64::try_from(rows).ok()?);
        let next = match first {
            FirstRow::Id(first) => after(first).map_or(FirstRow::Impossible, FirstRow::Id),
            other => other,
        };
        if own.is_none() {
            self.next = next;
        }
        if next == FirstRow::Impossible { next } else { first }
    }
}

#[cfg(test)]
mod tests {
    use super::FirstRow::{Id, Impossible, None as Without};
    use super::*;

    fn handed_out(first: Option<u64>, files: &[(Option<i64>, u64)]) -> Vec<FirstRow> {
        let mut ids = RowIds::new(first);
        files.iter().map(|(own, rows)| ids.first(*own, *rows)).collect()
    }

    #[test]
    fn files_without_ids_follow_each_other_and_those_with_ids_keep_them() {
        let files = [(None, 10), (Some(500), 7), (None, 5), (None, 0), (None, 1)];
        assert_eq!(handed_out(Some(100), &files), [Id(100), Id(500), Id(110), Id(115), Id(115)]);
        assert_eq!(handed_out(None, &[(None, 10), (Some(500), 7)]), [Without, Without]);
    }

    #[test]
    fn ids_end_where_numbers_do() {
        let last = i64::MAX;
        assert_eq!(handed_out(Some(u64::MAX), &[(None, 1), (Some(3), 1), (None, 1)]), [Impossible, Id(3), Impossible]);
        assert_eq!(handed_out(Some(5), &[(Some(-1), 1), (Some(last), 1), (None, u64::MAX)]), [Impossible; 3]);
        assert_eq!(
            handed_out(Some(last as u64 - 2), &[(None, 2), (None, 1), (None, 1)]),
            [Id(last - 2), Impossible, Impossible]
        );
    }
}
