//! Builds one record batch column by column; the parts of nested columns are named as Parquet and Delta name them.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int32Array, Int64Array, ListBuilder,
    MapBuilder, MapFieldNames, RecordBatch, StringArray, StringBuilder, StructArray, TimestampMicrosecondArray,
};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::error::ArrowError;

/// Columns under construction; every one is nullable.
#[derive(Default)]
pub struct Columns {
    fields: Vec<Field>,
    arrays: Vec<ArrayRef>,
}

impl Columns {
    fn push(mut self, name: &str, array: ArrayRef) -> Self {
        self.fields.push(Field::new(name, array.data_type().clone(), true));
        self.arrays.push(array);
        self
    }

    /// A string column.
    pub fn text<S: AsRef<str>>(self, name: &str, values: impl IntoIterator<Item = Option<S>>) -> Self {
        self.push(name, Arc::new(values.into_iter().collect::<StringArray>()))
    }

    /// A 32 bit integer column.
    pub fn int(self, name: &str, values: impl IntoIterator<Item = Option<i32>>) -> Self {
        self.push(name, Arc::new(values.into_iter().collect::<Int32Array>()))
    }

    /// A 64 bit integer column.
    pub fn long(self, name: &str, values: impl IntoIterator<Item = Option<i64>>) -> Self {
        self.push(name, Arc::new(values.into_iter().collect::<Int64Array>()))
    }

    /// A double precision column.
    pub fn double(self, name: &str, values: impl IntoIterator<Item = Option<f64>>) -> Self {
        self.push(name, Arc::new(values.into_iter().collect::<Float64Array>()))
    }

    /// A boolean column.
    pub fn flag(self, name: &str, values: impl IntoIterator<Item = Option<bool>>) -> Self {
        self.push(name, Arc::new(values.into_iter().collect::<BooleanArray>()))
    }

    /// A date column, in days since 1970.
    pub fn date(self, name: &str, days: impl IntoIterator<Item = Option<i32>>) -> Self {
        self.push(name, Arc::new(days.into_iter().collect::<Date32Array>()))
    }

    /// A timestamp column in UTC, in microseconds since 1970.
    pub fn instant(self, name: &str, micros: impl IntoIterator<Item = Option<i64>>) -> Self {
        let array = micros.into_iter().collect::<TimestampMicrosecondArray>().with_timezone("UTC");
        self.push(name, Arc::new(array))
    }

    /// A `decimal(precision, 2)` column of cents.
    pub fn cents(
        self,
        name: &str,
        precision: u8,
        cents: impl IntoIterator<Item = Option<i64>>,
    ) -> Result<Self, ArrowError> {
        let values = cents.into_iter().map(|value| value.map(i128::from)).collect::<Decimal128Array>();
        Ok(self.push(name, Arc::new(values.with_precision_and_scale(precision, 2)?)))
    }

    /// A struct column; `valid` says in which rows there is one.
    pub fn group(
        self,
        name: &str,
        columns: Columns,
        valid: impl IntoIterator<Item = bool>,
    ) -> Result<Self, ArrowError> {
        let nulls = valid.into_iter().collect::<NullBuffer>();
        let array = StructArray::try_new(columns.fields.into(), columns.arrays, Some(nulls))?;
        Ok(self.push(name, Arc::new(array)))
    }

    /// A column of lists of strings.
    pub fn texts<'a>(self, name: &str, values: impl IntoIterator<Item = Option<&'a [&'a str]>>) -> Self {
        let mut builder =
            ListBuilder::new(StringBuilder::new()).with_field(Field::new("element", DataType::Utf8, true));
        for value in values {
            builder.append_option(value.map(|texts| texts.iter().copied().map(Some)));
        }
        self.push(name, Arc::new(builder.finish()))
    }

    /// A column of maps from strings to strings.
    pub fn pairs<'a>(
        self,
        name: &str,
        values: impl IntoIterator<Item = &'a [(&'a str, &'a str)]>,
    ) -> Result<Self, ArrowError> {
        let names = MapFieldNames { entry: "key_value".into(), key: "key".into(), value: "value".into() };
        let mut builder = MapBuilder::new(Some(names), StringBuilder::new(), StringBuilder::new());
        for value in values {
            for (key, value) in value {
                builder.keys().append_value(key);
                builder.values().append_value(value);
            }
            builder.append(true)?;
        }
        Ok(self.push(name, Arc::new(builder.finish())))
    }

    /// The batch.
    pub fn finish(self) -> Result<RecordBatch, ArrowError> {
        RecordBatch::try_new(Arc::new(Schema::new(self.fields)), self.arrays)
    }
}
