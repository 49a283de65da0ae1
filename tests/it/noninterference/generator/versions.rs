//! Earlier versions of tables.

use portcullis::demo::lake::{Format, snapshot_id};

use super::Generator;
use crate::noninterference::tables::TABLES;

/// Between the two commits of each table.
const BETWEEN: &str = "2026-06-30 23:30:00";

impl Generator<'_> {
    /// A table as it stands in FROM, now and then as of an earlier version.
    pub(super) fn version_of(&mut self, table: usize) -> String {
        let name = TABLES[table].full_name();
        if self.common || !self.rng.once_in(7) {
            return name;
        }
        let commit = 1 + i64::from(self.rng.once_in(2));
        let version = match (self.rng.below(12), TABLES[table].format) {
            (0, _) => {
                (*self.rng.pick(&["VERSION AS OF 17", "VERSION AS OF 'none'", "TIMESTAMP AS OF '1999-12-31'"])).into()
            }
            (1, _) => "FOR SYSTEM_TIME AS OF '2100-01-01'".into(),
            (2..=4, _) => format!("TIMESTAMP AS OF '{BETWEEN}'"),
            (5..=7, Format::Iceberg) => {
                let reference = *self.rng.pick(&["main", "first", "side", "side"]);
                format!("VERSION AS OF '{reference}'")
            }
            (_, Format::Iceberg) => format!("FOR VERSION AS OF {}", snapshot_id(TABLES[table].name, commit)),
            (5, Format::Delta) => "VERSION AS OF 0".into(),
            (_, Format::Delta) => format!("VERSION AS OF {commit}"),
        };
        format!("{name} {version}")
    }
}
