//! Which columns policies can read, and as what.
//!
//! Cedar has 64-bit integers, decimals of four digits and millisecond datetimes. A column whose values Cedar could not
//! hold (float, wide decimal, time, binary, nested) is not part of its table's `Row` type, so that a policy that names
//! it fails when it is loaded.

use std::collections::BTreeMap;

use datafusion::arrow::datatypes::DataType;
use portcullis_contract::{FieldType, Table};

/// The type of a column in Cedar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CedarType {
    String,
    Long,
    Bool,
    Decimal,
    /// Dates and timestamps alike.
    Datetime,
    /// A list; its null elements are no members.
    StringSet,
    LongSet,
    BoolSet,
}

impl CedarType {
    /// The type of a column, or `None` where Cedar has none for it.
    pub(crate) fn of(data_type: &FieldType) -> Option<CedarType> {
        Some(match data_type {
            FieldType::String => CedarType::String,
            FieldType::Int | FieldType::Long => CedarType::Long,
            FieldType::Boolean => CedarType::Bool,
            // 922337203685477.5807 is Cedar's largest: fourteen digits before the point always fit.
            FieldType::Decimal { precision, scale } if *scale <= 4 && precision.saturating_sub(*scale) <= 14 => {
                CedarType::Decimal
            }
            FieldType::Date => CedarType::Datetime,
            timestamp if timestamp.is_timestamp() => CedarType::Datetime,
            FieldType::List(item) => match CedarType::of(item)? {
                CedarType::String => CedarType::StringSet,
                CedarType::Long => CedarType::LongSet,
                CedarType::Bool => CedarType::BoolSet,
                _ => return None,
            },
            _ => return None,
        })
    }

    /// The type's name in a Cedar schema.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            CedarType::String => "String",
            CedarType::Long => "Long",
            CedarType::Bool => "Bool",
            CedarType::Decimal => "decimal",
            CedarType::Datetime => "datetime",
            CedarType::StringSet => "Set<String>",
            CedarType::LongSet => "Set<Long>",
            CedarType::BoolSet => "Set<Bool>",
        }
    }

    pub(crate) fn is_set(self) -> bool {
        matches!(self, CedarType::StringSet | CedarType::LongSet | CedarType::BoolSet)
    }
}

/// A column that policies can read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RowColumn {
    pub(crate) name: String,
    pub(crate) cedar: CedarType,
    /// The type that the engine's base scan has for it.
    pub(crate) arrow: DataType,
}

/// The columns of one table that policies can read, by name.
pub(crate) type RowColumns = BTreeMap<String, RowColumn>;

/// The readable columns of a table.
pub(crate) fn row_columns(table: &Table) -> RowColumns {
    let schema = crate::schema::arrow_schema(table);
    let mut columns = RowColumns::new();
    for field in table.fields() {
        let (Some(cedar), Ok(arrow)) = (CedarType::of(&field.data_type), schema.field_with_name(&field.name)) else {
            continue;
        };
        let column = RowColumn { name: field.name.clone(), cedar, arrow: arrow.data_type().clone() };
        columns.insert(field.name.clone(), column);
    }
    columns
}

/// Whether two columns can be compared with each other without a cast that could fail.
pub(crate) fn comparable(left: &RowColumn, right: &RowColumn) -> bool {
    left.arrow == right.arrow
        || (left.cedar == right.cedar && matches!(left.cedar, CedarType::Long | CedarType::Decimal))
}
