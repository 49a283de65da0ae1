//! A contract's columns, matched with the columns that its table has.

use std::sync::Arc;

use datafusion::arrow::array::StructArray;
use datafusion::arrow::datatypes::{DataType, FieldRef, Schema, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::error::DataFusionError;
use portcullis_contract::MetadataColumn;

use super::fault::Fault;

/// A column or nested field as the table has it.
#[derive(Debug, Clone)]
pub(super) struct TableField {
    /// Name in the table's current schema.
    pub(super) name: String,
    /// Names in data files, where files are read by name.
    pub(super) physical: Vec<String>,
    /// Identity that survives renames.
    pub(super) id: Option<i32>,
    /// Type; of nested types, only the kind counts, and `children` holds the rest.
    pub(super) data_type: DataType,
    /// Fields of a struct, the element of a list, or the key and value of a map.
    pub(super) children: Vec<TableField>,
    /// Value in files that are older than the field; of a struct, the empty one, and its fields have theirs.
    pub(super) default: Option<ScalarValue>,
    /// The name of its type, where that cannot be read.
    pub(super) unread: Option<String>,
}

/// Where the values of a declared column or nested field come from.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Origin {
    /// Identity in data files.
    pub(super) id: Option<i32>,
    /// Names in data files.
    pub(super) names: Vec<String>,
    /// Of the declared type's own fields, in their order.
    pub(super) children: Vec<Origin>,
    /// Value in files that lack it, in the declared type.
    pub(super) default: Option<ScalarValue>,
}

impl Origin {
    /// Whether no data file has it, so that it is NULL throughout.
    pub(super) fn is_absent(&self) -> bool {
        self.id.is_none() && self.names.is_empty()
    }

    /// Its value in a file that lacks it.
    pub(super) fn missing(&self, declared: &DataType) -> Result<ScalarValue, DataFusionError> {
        match &self.default {
            Some(value) => Ok(value.clone()),
            None => ScalarValue::try_new_null(declared),
        }
    }
}

/// A column that a scan can produce.
#[derive(Debug, Clone)]
pub(super) struct Column {
    /// Name and type under which it is produced.
    pub(super) field: FieldRef,
    /// Where it comes from.
    pub(super) origin: Origin,
    /// Which column of metadata it is; files may have values of it, and need not.
    pub(super) metadata: Option<MetadataColumn>,
}

impl Column {
    /// The same, as files may have it: what is made of it has its name.
    pub(super) fn in_files(&self) -> Column {
        match self.metadata {
            Some(_) => {
                let field = self.field.as_ref().clone().with_name(format!("__portcullis_stored{}", self.field.name()));
                Column { field: Arc::new(field), ..self.clone() }
            }
            None => self.clone(),
        }
    }
}

/// The declared columns, in the contract's order; or why the table does not offer them.
pub(super) fn bind(declared: &Schema, fields: &[TableField]) -> Result<Vec<Column>, Fault> {
    declared
        .fields()
        .iter()
        .map(|field| {
            let found = lookup(fields, field.name()).map_err(Fault::Withheld)?;
            let origin = origin(field.name(), field.data_type(), found).map_err(Fault::Withheld)?;
            Ok(Column { field: Arc::clone(field), origin, metadata: None })
        })
        .collect()
}

/// The fields of now, as an earlier schema of the table has them: under today's names and in today's types. `same` says
/// whether a field of now (the first) and one of then are one field. One that did not exist then has no origin, whatever
/// else had its name.
pub(super) fn as_of(
    now: &[TableField],
    then: &[TableField],
    same: &dyn Fn(&TableField, &TableField) -> bool,
) -> Vec<TableField> {
    let field = |field: &TableField| match then.iter().find(|old| same(field, old)) {
        Some(old) => TableField {
            name: field.name.clone(),
            physical: old.physical.clone(),
            id: old.id,
            // Another type stays as it was, to be refused.
            data_type: if promotes(&old.data_type, &field.data_type) { &field.data_type } else { &old.data_type }
                .clone(),
            children: as_of(&field.children, &old.children, same),
            default: old.default.clone(),
            unread: field.unread.clone().or_else(|| old.unread.clone()),
        },
        None => absent(field),
    };
    now.iter().map(field).collect()
}

fn absent(field: &TableField) -> TableField {
    let children = field.children.iter().map(absent).collect();
    TableField { physical: Vec::new(), id: None, children, default: None, ..field.clone() }
}

/// Whether the formats let a column of type `from` become one of type `to`.
fn promotes(from: &DataType, to: &DataType) -> bool {
    use DataType as T;
    match (from, to) {
        (T::Int8 | T::Int16 | T::Int32, T::Float64) => true,
        (T::Int8, T::Int16) => true,
        (T::Int8 | T::Int16 | T::Int32 | T::Int64, T::Decimal128(precision, scale)) => {
            let digits = if *from == T::Int64 { 20 } else { 10 };
            i16::from(*precision) - i16::from(*scale) >= digits
        }
        (T::Decimal128(p, s), T::Decimal128(q, t)) => {
            t >= s && i16::from(*q) - i16::from(*t) >= i16::from(*p) - i16::from(*s)
        }
        (T::Date32, T::Timestamp(_, None)) => true,
        _ => from == to || widens(from, to),
    }
}

fn lookup<'a>(fields: &'a [TableField], name: &str) -> Result<&'a TableField, String> {
    if let Some(field) = fields.iter().find(|field| field.name == name) {
        return Ok(field);
    }
    let mut similar = fields.iter().filter(|field| field.name.eq_ignore_ascii_case(name));
    match (similar.next(), similar.next()) {
        (Some(field), None) => Ok(field),
        (None, _) => Err(format!("the contract declares a column `{name}` that the table does not have")),
        (Some(_), Some(_)) => Err(format!(
            "the contract declares a column `{name}`, and the table has several whose names differ in case only"
        )),
    }
}

fn origin(path: &str, declared: &DataType, field: &TableField) -> Result<Origin, String> {
    if let Some(name) = &field.unread {
        return Err(format!("its column `{path}` has the type `{name}`, which the gateway cannot read"));
    }
    let mismatch = || {
        Err(format!(
            "the contract declares the column `{path}` as `{}`, and the table has it as `{}`",
            describe(declared),
            describe(&field.data_type)
        ))
    };
    let children = match (declared, &field.data_type) {
        (DataType::Struct(wanted), DataType::Struct(_)) => wanted
            .iter()
            .map(|wanted| {
                let path = format!("{path}.{}", wanted.name());
                let found = lookup(&field.children, wanted.name())
                    .map_err(|_| format!("the contract declares a field `{path}` that the table does not have"))?;
                origin(&path, wanted.data_type(), found)
            })
            .collect::<Result<Vec<_>, _>>()?,
        (DataType::List(wanted), DataType::List(_)) => {
            let [element] = field.children.as_slice() else { return mismatch() };
            vec![origin(&format!("{path}.element"), wanted.data_type(), element)?]
        }
        (DataType::Map(entries, _), DataType::Map(_, _)) => {
            let (DataType::Struct(wanted), [key, value]) = (entries.data_type(), field.children.as_slice()) else {
                return mismatch();
            };
            let [wanted_key, wanted_value] = &wanted[..] else { return mismatch() };
            vec![
                origin(&format!("{path}.key"), wanted_key.data_type(), key)?,
                origin(&format!("{path}.value"), wanted_value.data_type(), value)?,
            ]
        }
        (declared, physical) if widens(physical, declared) => Vec::new(),
        _ => return mismatch(),
    };
    let default = match &field.default {
        Some(value) => {
            let value = default_value(value, declared, &children);
            Some(value.map_err(|_| format!("the default of its column `{path}` is not of the column's type"))?)
        }
        None => None,
    };
    Ok(Origin { id: field.id, names: field.physical.clone(), children, default })
}

/// A default in the declared type.
fn default_value(
    value: &ScalarValue,
    declared: &DataType,
    children: &[Origin],
) -> Result<ScalarValue, DataFusionError> {
    let DataType::Struct(fields) = declared else { return value.cast_to(declared) };
    let columns =
        fields.iter().zip(children).map(|(field, child)| child.missing(field.data_type())?.to_array_of_size(1));
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    let one = StructArray::try_new_with_length(fields.clone(), columns, None, 1)?;
    Ok(ScalarValue::Struct(Arc::new(one)))
}

/// Whether every value of type `from` is also one of type `to`.
pub(super) fn widens(from: &DataType, to: &DataType) -> bool {
    use DataType as T;
    if from == to {
        return !from.is_nested();
    }
    match (from, to) {
        // All of its values are null.
        (T::Null, to) => !to.is_nested(),
        (T::Int8 | T::Int16, T::Int32 | T::Int64) | (T::Int32, T::Int64) => true,
        (T::Float32, T::Float64) => true,
        (T::Decimal128(p, s), T::Decimal128(q, t)) => s == t && p <= q,
        (T::Utf8 | T::LargeUtf8 | T::Utf8View, T::Utf8 | T::Utf8View) => true,
        (T::Binary | T::LargeBinary | T::BinaryView, T::BinaryView) => true,
        // Nanoseconds are not microseconds, nor the other way round: one would be cut, the other not fit.
        (T::Timestamp(from_unit, from_zone), T::Timestamp(to_unit, to_zone)) if from_unit == to_unit => {
            match (from_zone.as_deref(), to_zone.as_deref()) {
                (None, None) => true,
                (Some(from), Some(to)) => is_utc(from) && is_utc(to),
                _ => false,
            }
        }
        _ => false,
    }
}

fn is_utc(zone: &str) -> bool {
    matches!(zone, "UTC" | "utc" | "Etc/UTC" | "Z" | "+00:00" | "+00" | "+0000" | "-00:00")
}

/// A type in the words of contracts.
fn describe(data_type: &DataType) -> String {
    match data_type {
        DataType::Boolean => "boolean".into(),
        DataType::Int8 | DataType::Int16 | DataType::Int32 => "int".into(),
        DataType::Int64 => "long".into(),
        DataType::Float32 => "float".into(),
        DataType::Float64 => "double".into(),
        DataType::Decimal128(precision, scale) => format!("decimal({precision},{scale})"),
        DataType::Date32 => "date".into(),
        DataType::Time64(_) => "time".into(),
        DataType::Timestamp(TimeUnit::Nanosecond, None) => "timestamp_ns".into(),
        DataType::Timestamp(TimeUnit::Nanosecond, Some(_)) => "timestamptz_ns".into(),
        DataType::Timestamp(_, None) => "timestamp".into(),
        DataType::Timestamp(_, Some(_)) => "timestamptz".into(),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "string".into(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => "binary".into(),
        DataType::FixedSizeBinary(16) => "uuid or fixed(16)".into(),
        DataType::FixedSizeBinary(width) => format!("fixed({width})"),
        DataType::List(_) => "list".into(),
        DataType::Map(_, _) => "map".into(),
        DataType::Struct(_) => "struct".into(),
        DataType::Null => "unknown".into(),
        _ => "a type that the gateway does not know".into(),
    }
}

#[cfg(test)]
mod tests;
