//! Values of all types that contracts have, and the Arrow arrays that they are written as.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, FixedSizeBinaryArray, Float32Array,
    Float64Array, Int32Array, Int64Array, ListArray, MapArray, StringArray, StructArray, Time64MicrosecondArray,
    TimestampMicrosecondArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field, Fields};

/// A type, as contracts name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Boolean,
    Int,
    Long,
    Float,
    Double,
    /// `decimal(12,2)`.
    Decimal,
    Date,
    Time,
    Timestamp,
    TimestampTz,
    Text,
    Binary,
    Uuid,
    Longs,
    Texts,
    /// `struct<city:string,zip:int>`.
    Place,
    /// `map<string,string>`.
    Tags,
}

/// A value of a row.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Null,
    Boolean(bool),
    Int(i32),
    Long(i64),
    Float(f32),
    Double(f64),
    /// In hundredths.
    Decimal(i128),
    /// Days since 1970.
    Date(i32),
    /// Microseconds of the day, or since 1970.
    Micros(i64),
    Text(String),
    Bytes(Vec<u8>),
    List(Vec<Value>),
    /// City and zip.
    Place(Box<Value>, Box<Value>),
    Tags(Vec<(String, String)>),
}

impl Kind {
    /// In a contract.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Boolean => "boolean",
            Kind::Int => "int",
            Kind::Long => "long",
            Kind::Float => "float",
            Kind::Double => "double",
            Kind::Decimal => "decimal(12,2)",
            Kind::Date => "date",
            Kind::Time => "time",
            Kind::Timestamp => "timestamp",
            Kind::TimestampTz => "timestamptz",
            Kind::Text => "string",
            Kind::Binary => "binary",
            Kind::Uuid => "uuid",
            Kind::Longs => "list<long>",
            Kind::Texts => "list<string>",
            Kind::Place => "struct<city:string,zip:int>",
            Kind::Tags => "map<string,string>",
        }
    }
}

/// The array of a column, named inside as Parquet and Delta name it.
pub fn array(kind: Kind, values: &[&Value]) -> ArrayRef {
    macro_rules! plain {
        ($array:ty, $variant:ident) => {{
            let items = values.iter().map(|value| match value {
                Value::$variant(value) => Some(*value),
                _ => None,
            });
            Arc::new(items.collect::<$array>()) as ArrayRef
        }};
    }
    let valid = || NullBuffer::from_iter(values.iter().map(|value| **value != Value::Null));
    match kind {
        Kind::Boolean => plain!(BooleanArray, Boolean),
        Kind::Int => plain!(Int32Array, Int),
        Kind::Long => plain!(Int64Array, Long),
        Kind::Float => plain!(Float32Array, Float),
        Kind::Double => plain!(Float64Array, Double),
        Kind::Date => plain!(Date32Array, Date),
        Kind::Time => plain!(Time64MicrosecondArray, Micros),
        Kind::Timestamp => plain!(TimestampMicrosecondArray, Micros),
        Kind::TimestampTz => {
            let micros = values.iter().map(|value| match value {
                Value::Micros(value) => Some(*value),
                _ => None,
            });
            Arc::new(micros.collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
        }
        Kind::Decimal => {
            let unscaled = values.iter().map(|value| match value {
                Value::Decimal(value) => Some(*value),
                _ => None,
            });
            Arc::new(unscaled.collect::<Decimal128Array>().with_precision_and_scale(12, 2).unwrap())
        }
        Kind::Text => Arc::new(values.iter().map(|value| text(value)).collect::<StringArray>()),
        Kind::Binary => Arc::new(values.iter().map(|value| bytes(value)).collect::<BinaryArray>()),
        Kind::Uuid => Arc::new(
            FixedSizeBinaryArray::try_from_sparse_iter_with_size(values.iter().map(|value| bytes(value)), 16).unwrap(),
        ),
        Kind::Longs => lists(Kind::Long, DataType::Int64, values, valid()),
        Kind::Texts => lists(Kind::Text, DataType::Utf8, values, valid()),
        Kind::Place => {
            let null = Value::Null;
            let parts: Vec<(&Value, &Value)> = values
                .iter()
                .map(|value| match value {
                    Value::Place(city, zip) => (city.as_ref(), zip.as_ref()),
                    _ => (&null, &null),
                })
                .collect();
            let (cities, zips): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
            let fields =
                Fields::from(vec![Field::new("city", DataType::Utf8, true), Field::new("zip", DataType::Int32, true)]);
            let columns = vec![array(Kind::Text, &cities), array(Kind::Int, &zips)];
            Arc::new(StructArray::try_new(fields, columns, Some(valid())).unwrap())
        }
        Kind::Tags => {
            let pairs = |value: &&Value| match value {
                Value::Tags(pairs) => pairs.clone(),
                _ => Vec::new(),
            };
            let each: Vec<_> = values.iter().map(pairs).collect();
            let offsets = OffsetBuffer::from_lengths(each.iter().map(Vec::len));
            let (keys, items): (Vec<_>, Vec<_>) = each.into_iter().flatten().unzip();
            let fields =
                Fields::from(vec![Field::new("key", DataType::Utf8, false), Field::new("value", DataType::Utf8, true)]);
            let columns: Vec<ArrayRef> = vec![Arc::new(StringArray::from(keys)), Arc::new(StringArray::from(items))];
            let entries = StructArray::try_new(fields.clone(), columns, None).unwrap();
            let field = Arc::new(Field::new("key_value", DataType::Struct(fields), false));
            Arc::new(MapArray::try_new(field, offsets, entries, Some(valid()), false).unwrap())
        }
    }
}

fn lists(kind: Kind, item: DataType, values: &[&Value], valid: NullBuffer) -> ArrayRef {
    let items = |value: &&Value| match value {
        Value::List(items) => items.clone(),
        _ => Vec::new(),
    };
    let each: Vec<Vec<Value>> = values.iter().map(items).collect();
    let offsets = OffsetBuffer::from_lengths(each.iter().map(Vec::len));
    let all: Vec<&Value> = each.iter().flatten().collect();
    let field = Arc::new(Field::new("element", item, true));
    Arc::new(ListArray::try_new(field, offsets, array(kind, &all), Some(valid)).unwrap())
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::Text(text) => Some(text),
        _ => None,
    }
}

fn bytes(value: &Value) -> Option<&[u8]> {
    match value {
        Value::Bytes(bytes) => Some(bytes),
        _ => None,
    }
}
