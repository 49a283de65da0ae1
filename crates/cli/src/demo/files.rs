//! Writes one Parquet data file with Iceberg field ids and gathers the metrics that Iceberg wants of it.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute;
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Field, Float64Type, Int32Type, Int64Type, Schema, SchemaRef, TimeUnit,
    TimestampMicrosecondType,
};
use iceberg::spec::{DataContentType, DataFile, DataFileBuilder, DataFileFormat, Datum, PrimitiveType, Struct};
use parquet::arrow::{ArrowWriter, PARQUET_FIELD_ID_META_KEY};
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::ParquetMetaData;
use parquet::file::properties::WriterProperties;

/// Rows of a row group: small enough that a file of the demo has several.
const ROW_GROUP_ROWS: usize = 65_536;

/// An open data file.
pub struct DataFileWriter {
    writer: ArrowWriter<File>,
    schema: SchemaRef,
    rows: u64,
    columns: Vec<ColumnMetrics>,
}

#[derive(Default)]
struct ColumnMetrics {
    nulls: u64,
    bounds: Option<(Datum, Datum)>,
}

/// The same schema with Iceberg's field ids: 1, 2, 3, … in column order.
pub fn with_field_ids(schema: &Schema) -> SchemaRef {
    let numbered = schema.fields().iter().zip(1..).map(|(field, id): (_, i32)| {
        Field::clone(field).with_metadata(HashMap::from([(PARQUET_FIELD_ID_META_KEY.to_string(), id.to_string())]))
    });
    Arc::new(Schema::new(numbered.collect::<Vec<_>>()))
}

/// Iceberg's type for a column of the demo.
pub fn iceberg_type(data_type: &DataType) -> Result<PrimitiveType> {
    Ok(match data_type {
        DataType::Boolean => PrimitiveType::Boolean,
        DataType::Int32 => PrimitiveType::Int,
        DataType::Int64 => PrimitiveType::Long,
        DataType::Float64 => PrimitiveType::Double,
        DataType::Date32 => PrimitiveType::Date,
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => PrimitiveType::Timestamptz,
        DataType::Timestamp(TimeUnit::Microsecond, None) => PrimitiveType::Timestamp,
        DataType::Decimal128(precision, scale) => {
            PrimitiveType::Decimal { precision: u32::from(*precision), scale: u32::from(scale.unsigned_abs()) }
        }
        DataType::Utf8 => PrimitiveType::String,
        DataType::Float32 => PrimitiveType::Float,
        DataType::Time64(TimeUnit::Microsecond) => PrimitiveType::Time,
        DataType::Binary => PrimitiveType::Binary,
        DataType::FixedSizeBinary(16) => PrimitiveType::Uuid,
        other => bail!("the demo's writer has no Iceberg type for `{other}`"),
    })
}

impl DataFileWriter {
    /// Creates the file and the directories above it.
    pub fn create(path: &Path, schema: &Schema) -> Result<Self> {
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).with_context(|| format!("cannot create `{}`", parent.display()))?;
        }
        let file = File::create(path).with_context(|| format!("cannot create `{}`", path.display()))?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
            .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
            .build();
        let schema = with_field_ids(schema);
        let columns = schema.fields().iter().map(|_| ColumnMetrics::default()).collect();
        let writer = ArrowWriter::try_new(file, Arc::clone(&schema), Some(properties))?;
        Ok(Self { writer, schema, rows: 0, columns })
    }

    /// Appends rows.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), batch.columns().to_vec())?;
        for (metrics, column) in self.columns.iter_mut().zip(batch.columns()) {
            metrics.nulls += column.null_count() as u64;
            if let Some((low, high)) = bounds(column)? {
                metrics.bounds = Some(match metrics.bounds.take() {
                    None => (low, high),
                    Some((l, h)) => (if low < l { low } else { l }, if high > h { high } else { h }),
                });
            }
        }
        self.rows += batch.num_rows() as u64;
        self.writer.write(&batch)?;
        Ok(())
    }

    /// Closes the file; `path` is its final address, `size_of` the path it was written to.
    pub fn finish(self, path: String, written: &Path, partition: Struct) -> Result<DataFile> {
        let metadata = self.writer.close()?;
        let size = std::fs::metadata(written)?.len();
        let ids = || 1_i32..;
        let nan_counts = self
            .schema
            .fields()
            .iter()
            .zip(ids())
            .filter_map(|(field, id)| matches!(field.data_type(), DataType::Float64).then_some((id, 0_u64)));
        let bound = |pick: fn(&(Datum, Datum)) -> &Datum| -> HashMap<i32, Datum> {
            let of_column = |(column, id): (&ColumnMetrics, i32)| Some((id, pick(column.bounds.as_ref()?).clone()));
            self.columns.iter().zip(ids()).filter_map(of_column).collect()
        };
        DataFileBuilder::default()
            .content(DataContentType::Data)
            .file_path(path)
            .file_format(DataFileFormat::Parquet)
            .partition(partition)
            .record_count(self.rows)
            .file_size_in_bytes(size)
            .column_sizes(column_sizes(&metadata))
            .value_counts(ids().take(self.columns.len()).map(|id| (id, self.rows)).collect())
            .null_value_counts(self.columns.iter().zip(ids()).map(|(column, id)| (id, column.nulls)).collect())
            .nan_value_counts(nan_counts.collect())
            .lower_bounds(bound(|b| &b.0))
            .upper_bounds(bound(|b| &b.1))
            .split_offsets(Some(split_offsets(&metadata)))
            .build()
            .context("incomplete metrics of a data file")
    }
}

fn column_sizes(metadata: &ParquetMetaData) -> HashMap<i32, u64> {
    let mut sizes = HashMap::new();
    for group in metadata.row_groups() {
        for (column, id) in group.columns().iter().zip(1..) {
            *sizes.entry(id).or_default() += u64::try_from(column.compressed_size()).unwrap_or(0);
        }
    }
    sizes
}

fn split_offsets(metadata: &ParquetMetaData) -> Vec<i64> {
    let starts = metadata.row_groups().iter().filter_map(|group| {
        let first = group.columns().first()?;
        Some(first.dictionary_page_offset().unwrap_or_else(|| first.data_page_offset()))
    });
    starts.collect()
}

/// The least and the greatest value of a column, if it has any.
fn bounds(column: &ArrayRef) -> Result<Option<(Datum, Datum)>> {
    macro_rules! numbers {
        ($kind:ty, $datum:expr) => {{
            let array = column.as_primitive::<$kind>();
            compute::min(array).zip(compute::max(array)).map(|(low, high)| ($datum(low), $datum(high)))
        }};
    }
    Ok(match column.data_type() {
        DataType::Boolean => {
            let array = column.as_boolean();
            let (low, high) = (compute::min_boolean(array), compute::max_boolean(array));
            low.zip(high).map(|(low, high)| (Datum::bool(low), Datum::bool(high)))
        }
        DataType::Int32 => numbers!(Int32Type, Datum::int),
        DataType::Int64 => numbers!(Int64Type, Datum::long),
        DataType::Float64 => numbers!(Float64Type, Datum::double),
        DataType::Date32 => numbers!(Date32Type, Datum::date),
        DataType::Timestamp(_, Some(_)) => numbers!(TimestampMicrosecondType, Datum::timestamptz_micros),
        DataType::Timestamp(_, None) => numbers!(TimestampMicrosecondType, Datum::timestamp_micros),
        DataType::Utf8 => {
            let array = column.as_string::<i32>();
            let (low, high) = (compute::min_string(array), compute::max_string(array));
            low.zip(high).map(|(low, high)| (Datum::string(low), Datum::string(high)))
        }
        DataType::Decimal128(..) => {
            let array = column.as_primitive::<Decimal128Type>();
            let kind = iceberg_type(column.data_type())?;
            let datum = |value: i128| Datum::try_from_bytes(&value.to_be_bytes(), kind.clone());
            match (compute::min(array), compute::max(array)) {
                (Some(low), Some(high)) => Some((datum(low)?, datum(high)?)),
                _ => None,
            }
        }
        _ => None,
    })
}
