//! Columns that Iceberg tables have beside those of their schema: where a row is, which row it is, and when it was written.

use crate::model::{Table, TableFormat};
use crate::types::FieldType;

/// A metadata column of Iceberg. A contract offers it by declaring a column of its name and type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetadataColumn {
    /// The row's data file, relative to the table's directory.
    File,
    /// The row's number in its data file, from 0.
    Position,
    /// What a row keeps while its table is rewritten (version 3).
    RowId,
    /// The sequence number of the commit that wrote or changed the row last (version 3).
    LastUpdated,
}

impl MetadataColumn {
    /// All of them.
    pub const ALL: [MetadataColumn; 4] = [Self::File, Self::Position, Self::RowId, Self::LastUpdated];

    /// The column's reserved name.
    pub fn name(self) -> &'static str {
        match self {
            Self::File => "_file",
            Self::Position => "_pos",
            Self::RowId => "_row_id",
            Self::LastUpdated => "_last_updated_sequence_number",
        }
    }

    /// Its reserved field id.
    pub fn id(self) -> i32 {
        match self {
            Self::File => 2_147_483_646,
            Self::Position => 2_147_483_645,
            Self::RowId => 2_147_483_540,
            Self::LastUpdated => 2_147_483_539,
        }
    }

    /// Its type.
    pub fn data_type(self) -> FieldType {
        match self {
            Self::File => FieldType::String,
            Self::Position | Self::RowId | Self::LastUpdated => FieldType::Long,
        }
    }

    /// Which of them a column of `table` is, by its name in any case.
    pub fn of(table: &Table, column: &str) -> Option<Self> {
        let is_it = |found: &Self| found.name().eq_ignore_ascii_case(column);
        Self::ALL.into_iter().find(is_it).filter(|_| table.format == TableFormat::Iceberg)
    }
}
