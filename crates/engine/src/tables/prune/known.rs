//! What is known of all files of a table, column by column: laid out once, asked by every query.

use std::cmp::Ordering;

use datafusion::arrow::array::{Array, LargeBinaryArray};
use datafusion::common::{ColumnStatistics, ScalarValue, Statistics};

use super::Part;

/// What is known of one file.
pub(in crate::tables) struct Facts<'a> {
    /// Statistics; bounds hold all values, and null counts are at least the true ones, whatever their precision says.
    pub(in crate::tables) statistics: &'a Statistics,
    /// Position in the statistics of each column of the table.
    pub(in crate::tables) columns: &'a [usize],
    /// Rows of the file before deletes.
    pub(in crate::tables) rows: Option<u64>,
    /// What its partition says beside bounds.
    pub(in crate::tables) parts: &'a [(usize, Part)],
}

impl Facts<'_> {
    fn column(&self, at: usize) -> Option<&ColumnStatistics> {
        self.statistics.column_statistics.get(*self.columns.get(at)?)
    }
}

/// What is known of files, by column; a file is told by its index.
#[derive(Debug, Default)]
pub(in crate::tables) struct Known {
    files: usize,
    columns: Vec<Column>,
}

/// A column of the table, in each file.
#[derive(Debug)]
pub(super) struct Column {
    /// Whether some of its values are null.
    pub(super) nulls: Vec<Nulls>,
    /// Least values, or less.
    pub(super) low: Bounds,
    /// Greatest values, or more.
    pub(super) high: Bounds,
    /// What partitions say beside bounds, of files that have such.
    pub(super) parts: Vec<(usize, Part)>,
}

impl Known {
    /// Of these files.
    pub(in crate::tables) fn new(files: &[Facts<'_>]) -> Self {
        let width = files.iter().map(|facts| facts.columns.len()).max().unwrap_or(0);
        Self { files: files.len(), columns: (0..width).map(|at| Column::new(at, files)).collect() }
    }

    /// How many files there are.
    pub(super) fn files(&self) -> usize {
        self.files
    }

    /// A column, if there is something about it to know.
    pub(super) fn column(&self, at: usize) -> Option<&Column> {
        self.columns.get(at)
    }

    /// An estimate of the memory that it takes.
    pub(in crate::tables) fn bytes(&self) -> usize {
        let column = |column: &Column| {
            let parts = column.parts.len() * (size_of::<(usize, Part)>() + 16);
            column.nulls.len() + column.low.bytes() + column.high.bytes() + parts + size_of::<Column>()
        };
        self.columns.iter().map(column).sum()
    }
}

impl Column {
    fn new(at: usize, files: &[Facts<'_>]) -> Self {
        let parts = files.iter().enumerate().flat_map(|(file, facts)| {
            let own = facts.parts.iter().filter(|(of, _)| *of == at);
            own.map(move |(_, part)| (file, part.clone()))
        });
        let bound = |of: fn(&ColumnStatistics) -> Option<&ScalarValue>| {
            Bounds::new(files.iter().map(move |facts| facts.column(at).and_then(of)))
        };
        Self {
            nulls: files.iter().map(|facts| Nulls::of(facts.column(at), facts.rows)).collect(),
            low: bound(|column| column.min_value.get_value()),
            high: bound(|column| column.max_value.get_value()),
            parts: parts.collect(),
        }
    }
}

/// How many of a file's values are null.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nulls {
    None,
    Some,
    All,
}

impl Nulls {
    fn of(column: Option<&ColumnStatistics>, rows: Option<u64>) -> Self {
        match (column.and_then(|column| column.null_count.get_value()), rows) {
            (Some(0), _) => Nulls::None,
            (Some(nulls), Some(rows)) if u64::try_from(*nulls).is_ok_and(|nulls| nulls >= rows) => Nulls::All,
            _ => Nulls::Some,
        }
    }
}

/// A bound of each file, as far as it is known, all of one kind. One that is of another kind than the first is not known.
#[derive(Debug)]
pub(super) struct Bounds {
    kind: Option<Kind>,
    values: Values,
}

#[derive(Debug)]
enum Values {
    None,
    Integers(Vec<Option<i64>>),
    Wide(Vec<Option<i128>>),
    Floats(Vec<Option<f64>>),
    Bytes(LargeBinaryArray),
}

impl Bounds {
    fn new<'a>(bounds: impl Iterator<Item = Option<&'a ScalarValue>> + Clone) -> Self {
        let keys = bounds.map(|bound| bound.and_then(key));
        let Some((kind, first)) = keys.clone().flatten().next() else {
            return Self { kind: None, values: Values::None };
        };
        let keys = keys.map(|found| found.filter(|(of, _)| *of == kind).map(|(_, key)| key));
        let values = match first {
            Key::Integer(_) => Values::Integers(
                keys.map(|key| if let Some(Key::Integer(value)) = key { Some(value) } else { None }).collect(),
            ),
            Key::Wide(_) => Values::Wide(
                keys.map(|key| if let Some(Key::Wide(value)) = key { Some(value) } else { None }).collect(),
            ),
            Key::Float(_) => Values::Floats(
                keys.map(|key| if let Some(Key::Float(value)) = key { Some(value) } else { None }).collect(),
            ),
            Key::Bytes(_) => Values::Bytes(
                keys.map(|key| if let Some(Key::Bytes(value)) = key { Some(value) } else { None }).collect(),
            ),
        };
        Self { kind: Some(kind), values }
    }

    /// How the bound of each of `files` files compares with a value; none where that is not known.
    pub(super) fn against(&self, value: &ScalarValue, files: usize) -> Vec<Option<Ordering>> {
        let key = key(value).filter(|(kind, _)| self.kind == Some(*kind)).map(|(_, key)| key);
        match (&self.values, key) {
            (Values::Integers(bounds), Some(Key::Integer(value))) => {
                bounds.iter().map(|bound| bound.map(|bound| bound.cmp(&value))).collect()
            }
            (Values::Wide(bounds), Some(Key::Wide(value))) => {
                bounds.iter().map(|bound| bound.map(|bound| bound.cmp(&value))).collect()
            }
            (Values::Floats(bounds), Some(Key::Float(value))) => {
                bounds.iter().map(|bound| bound.and_then(|bound| order_floats(bound, value))).collect()
            }
            (Values::Bytes(bounds), Some(Key::Bytes(value))) => {
                bounds.iter().map(|bound| bound.map(|bound| bound.cmp(value))).collect()
            }
            _ => vec![None; files],
        }
    }

    /// What `told` says of the bound of each of `files` files, where that is text.
    pub(super) fn texts(&self, files: usize, told: impl Fn(&[u8]) -> bool) -> Vec<bool> {
        match (&self.values, self.kind) {
            (Values::Bytes(bounds), Some(Kind::Text)) => bounds.iter().map(|bound| bound.is_some_and(&told)).collect(),
            _ => vec![false; files],
        }
    }

    fn bytes(&self) -> usize {
        match &self.values {
            Values::None => 0,
            Values::Integers(bounds) => size_of_val(bounds.as_slice()),
            Values::Wide(bounds) => size_of_val(bounds.as_slice()),
            Values::Floats(bounds) => size_of_val(bounds.as_slice()),
            Values::Bytes(bounds) => bounds.get_array_memory_size(),
        }
    }
}

/// Values of one kind are compared with each other, and with no others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Boolean,
    Int32,
    Int64,
    Date,
    Time,
    Micros { zoned: bool },
    Nanos { zoned: bool },
    Decimal { scale: i8 },
    Float32,
    Float64,
    Text,
    Binary,
    Fixed { length: i32 },
}

/// What values of one kind are compared by.
enum Key<'a> {
    Integer(i64),
    Wide(i128),
    Float(f64),
    Bytes(&'a [u8]),
}

/// None of what is null, and of types that the engine may compare in more than one way.
fn key(value: &ScalarValue) -> Option<(Kind, Key<'_>)> {
    use ScalarValue as S;
    if let Some(text) = value.try_as_str() {
        return Some((Kind::Text, Key::Bytes(text?.as_bytes())));
    }
    Some(match value {
        S::Boolean(Some(value)) => (Kind::Boolean, Key::Integer(i64::from(*value))),
        S::Int32(Some(value)) => (Kind::Int32, Key::Integer(i64::from(*value))),
        S::Int64(Some(value)) => (Kind::Int64, Key::Integer(*value)),
        S::Date32(Some(value)) => (Kind::Date, Key::Integer(i64::from(*value))),
        S::Time64Microsecond(Some(value)) => (Kind::Time, Key::Integer(*value)),
        S::TimestampMicrosecond(Some(value), zone) => (Kind::Micros { zoned: zone.is_some() }, Key::Integer(*value)),
        S::TimestampNanosecond(Some(value), zone) => (Kind::Nanos { zoned: zone.is_some() }, Key::Integer(*value)),
        S::Decimal128(Some(value), _, scale) => (Kind::Decimal { scale: *scale }, Key::Wide(*value)),
        S::Float32(Some(value)) => (Kind::Float32, Key::Float(f64::from(*value))),
        S::Float64(Some(value)) => (Kind::Float64, Key::Float(*value)),
        S::Binary(Some(value)) | S::BinaryView(Some(value)) => (Kind::Binary, Key::Bytes(value)),
        S::FixedSizeBinary(length, Some(value)) => (Kind::Fixed { length: *length }, Key::Bytes(value)),
        _ => return None,
    })
}

/// The order of two values, where every way of comparing them that the engine may use agrees on it.
pub(in crate::tables) fn order(left: &ScalarValue, right: &ScalarValue) -> Option<Ordering> {
    let ((kind, left), (other, right)) = (key(left)?, key(right)?);
    if kind != other {
        return None;
    }
    match (left, right) {
        (Key::Integer(left), Key::Integer(right)) => Some(left.cmp(&right)),
        (Key::Wide(left), Key::Wide(right)) => Some(left.cmp(&right)),
        (Key::Float(left), Key::Float(right)) => order_floats(left, right),
        (Key::Bytes(left), Key::Bytes(right)) => Some(left.cmp(right)),
        _ => None,
    }
}

/// Zeros have two signs and NaN has no agreed place, so neither is ordered.
fn order_floats(a: f64, b: f64) -> Option<Ordering> {
    if a == 0.0 && b == 0.0 { None } else { a.partial_cmp(&b) }
}
