//! The tables of the meshes that are compared.

use portcullis::demo::lake::Format;

use super::values::Kind;

/// A table of the meshes.
pub struct TableDef {
    pub domain: &'static str,
    pub name: &'static str,
    pub format: Format,
    pub columns: &'static [(&'static str, Kind)],
    pub rows: usize,
    pub role: Role,
}

/// What is special about a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Rows are filtered and columns masked, by principal.
    Governed,
    /// Every row is visible to everybody, columns are masked.
    Unfiltered,
    /// The same in all worlds, and everything of it visible.
    Open,
    /// No row of it is visible to anybody.
    Empty,
    /// It can be found, but not queried.
    Locked,
    /// Nobody may know of it.
    Hidden,
    /// Its contract declares a column that the files do not have.
    Withheld,
    /// Its files hold text where its log says numbers.
    Broken,
    /// Its contract asks for a purpose that some may declare: they see every row, others none.
    Purposed,
    /// Its rows are there for those who may break the glass, and have.
    Sealed,
    /// Only aggregates may be seen; the regions of [`LARGE`] have enough entities, no other has.
    Grouped,
    /// Only aggregates may be seen, and the whole table has not entities enough.
    Tiny,
}

/// How many entities a group must have where only aggregates may be seen.
pub const AT_LEAST: usize = 5;
/// Regions of which a table of [`Role::Grouped`] has entities enough.
pub const LARGE: [&str; 3] = ["EU", "US", "APAC"];

impl Role {
    /// Whether the table is there to be aggregated only.
    pub fn is_aggregated(self) -> bool {
        matches!(self, Role::Grouped | Role::Tiny)
    }
}

impl TableDef {
    pub fn full_name(&self) -> String {
        format!("{}.{}", self.domain, self.name)
    }

    pub fn index(&self, column: &str) -> Option<usize> {
        self.columns.iter().position(|(name, _)| *name == column)
    }
}

const EVENTS: &[(&str, Kind)] = &[
    ("id", Kind::Long),
    ("region", Kind::Text),
    ("kind", Kind::Text),
    ("level", Kind::Int),
    ("amount", Kind::Long),
    ("price", Kind::Decimal),
    ("ratio", Kind::Double),
    ("rate", Kind::Float),
    ("day", Kind::Date),
    ("at", Kind::Timestamp),
    ("seen", Kind::TimestampTz),
    ("hour", Kind::Time),
    ("active", Kind::Boolean),
    ("note", Kind::Text),
    ("digits", Kind::Text),
    ("email", Kind::Text),
    ("code", Kind::Binary),
    ("token", Kind::Uuid),
    ("salary", Kind::Long),
    ("born", Kind::Date),
];

const PEOPLE: &[(&str, Kind)] = &[
    ("id", Kind::Long),
    ("region", Kind::Text),
    ("level", Kind::Int),
    ("name", Kind::Text),
    ("nums", Kind::Longs),
    ("words", Kind::Texts),
    ("place", Kind::Place),
    ("tags", Kind::Tags),
    ("pay", Kind::Double),
    ("fee", Kind::Decimal),
    ("born", Kind::Date),
    ("joined", Kind::TimestampTz),
    ("raw", Kind::Binary),
    ("active", Kind::Boolean),
    ("digits", Kind::Text),
    ("badge", Kind::Text),
];

const PLAIN: &[(&str, Kind)] = &[
    ("id", Kind::Long),
    ("pin", Kind::Text),
    ("pay", Kind::Long),
    ("born", Kind::Date),
    ("seen", Kind::Timestamp),
    ("code", Kind::Binary),
    ("level", Kind::Int),
    ("badge", Kind::Text),
];

const CODES: &[(&str, Kind)] = &[("region", Kind::Text), ("n", Kind::Long), ("label", Kind::Text)];
const SMALL: &[(&str, Kind)] = &[("id", Kind::Long), ("secret", Kind::Text), ("level", Kind::Int)];

const CLAIMS: &[(&str, Kind)] = &[
    ("id", Kind::Long),
    ("badge", Kind::Text),
    ("region", Kind::Text),
    ("level", Kind::Int),
    ("amount", Kind::Long),
    ("note", Kind::Text),
    ("day", Kind::Date),
];
const DEALS: &[(&str, Kind)] = &[
    ("id", Kind::Long),
    ("who", Kind::Text),
    ("region", Kind::Text),
    ("kind", Kind::Text),
    ("level", Kind::Int),
    ("amount", Kind::Long),
    ("price", Kind::Decimal),
    ("ratio", Kind::Double),
    ("day", Kind::Date),
    ("note", Kind::Text),
];

/// All tables.
pub const TABLES: &[TableDef] = &[
    TableDef {
        domain: "shop",
        name: "events",
        format: Format::Iceberg,
        columns: EVENTS,
        rows: 150,
        role: Role::Governed,
    },
    TableDef { domain: "shop", name: "people", format: Format::Delta, columns: PEOPLE, rows: 80, role: Role::Governed },
    TableDef {
        domain: "shop",
        name: "plain",
        format: Format::Iceberg,
        columns: PLAIN,
        rows: 60,
        role: Role::Unfiltered,
    },
    TableDef { domain: "ref", name: "codes", format: Format::Delta, columns: CODES, rows: 12, role: Role::Open },
    TableDef { domain: "shop", name: "bare", format: Format::Iceberg, columns: SMALL, rows: 20, role: Role::Empty },
    TableDef { domain: "shop", name: "locked", format: Format::Delta, columns: SMALL, rows: 10, role: Role::Locked },
    TableDef { domain: "vault", name: "keys", format: Format::Iceberg, columns: SMALL, rows: 10, role: Role::Hidden },
    TableDef { domain: "shop", name: "gone", format: Format::Delta, columns: SMALL, rows: 10, role: Role::Withheld },
    TableDef { domain: "shop", name: "broken", format: Format::Delta, columns: SMALL, rows: 10, role: Role::Broken },
    TableDef { domain: "shop", name: "claims", format: Format::Delta, columns: CLAIMS, rows: 40, role: Role::Purposed },
    TableDef { domain: "shop", name: "sealed", format: Format::Iceberg, columns: CLAIMS, rows: 30, role: Role::Sealed },
    TableDef { domain: "shop", name: "deals", format: Format::Iceberg, columns: DEALS, rows: 200, role: Role::Grouped },
    TableDef { domain: "shop", name: "rare", format: Format::Delta, columns: DEALS, rows: 25, role: Role::Tiny },
];
