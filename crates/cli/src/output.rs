//! Rows on their way out of the command: table, CSV, JSON lines, Arrow file, Parquet.

use std::io::Write;

use arrow::array::RecordBatch;
use arrow::csv;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::ipc::writer::FileWriter;
use arrow::json::LineDelimitedWriter;
use arrow::util::display::FormatOptions;
use arrow::util::pretty::pretty_format_batches_with_options;
use parquet::arrow::ArrowWriter;

use crate::args::RowFormat;
use crate::mesh::Failure;

/// Rows that a table shows; whoever wants more wants a file.
const TABLE_ROWS: usize = 1_000;

/// Writes batches as they come.
pub struct RowWriter<W: Write + Send> {
    schema: SchemaRef,
    rows: usize,
    kind: Kind<W>,
}

enum Kind<W: Write + Send> {
    Table { to: W, shown: Vec<RecordBatch> },
    Csv(Box<csv::Writer<W>>),
    Json(LineDelimitedWriter<W>),
    Arrow(Box<FileWriter<W>>),
    Parquet(Box<ArrowWriter<W>>),
}

impl<W: Write + Send> RowWriter<W> {
    /// A writer of rows with this schema.
    pub fn new(format: RowFormat, to: W, schema: SchemaRef) -> Result<Self, Failure> {
        let kind = match format {
            RowFormat::Table => Kind::Table { to, shown: Vec::new() },
            RowFormat::Csv => {
                let mut writer = csv::WriterBuilder::new().with_header(true).build(to);
                writer.write(&RecordBatch::new_empty(SchemaRef::clone(&schema)))?;
                Kind::Csv(Box::new(writer))
            }
            RowFormat::Json => Kind::Json(LineDelimitedWriter::new(to)),
            RowFormat::Arrow => Kind::Arrow(Box::new(FileWriter::try_new(to, &schema)?)),
            RowFormat::Parquet => {
                let writer = ArrowWriter::try_new(to, SchemaRef::clone(&schema), None).map_err(ArrowError::from)?;
                Kind::Parquet(Box::new(writer))
            }
        };
        Ok(Self { schema, rows: 0, kind })
    }

    /// Rows written so far.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Writes some rows.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), Failure> {
        match &mut self.kind {
            Kind::Table { shown, .. } => {
                let left = TABLE_ROWS.saturating_sub(self.rows);
                if left > 0 {
                    shown.push(batch.slice(0, left.min(batch.num_rows())));
                }
            }
            Kind::Csv(writer) => writer.write(batch)?,
            Kind::Json(writer) => writer.write(batch)?,
            Kind::Arrow(writer) => writer.write(batch)?,
            Kind::Parquet(writer) => writer.write(batch).map_err(ArrowError::from)?,
        }
        self.rows += batch.num_rows();
        Ok(())
    }

    /// Writes what is left to write.
    pub fn finish(self) -> Result<(), Failure> {
        match self.kind {
            Kind::Table { mut to, shown } => {
                writeln!(to, "{}", table(&self.schema, &shown)?)?;
                let rows = if self.rows == 1 { "row" } else { "rows" };
                match self.rows.saturating_sub(TABLE_ROWS) {
                    0 => writeln!(to, "{} {rows}", self.rows)?,
                    _ => writeln!(to, "{} {rows}, of which {TABLE_ROWS} are shown (all: -f csv, -o FILE)", self.rows)?,
                }
                to.flush()?;
            }
            Kind::Csv(writer) => writer.into_inner().flush()?,
            Kind::Json(mut writer) => {
                writer.finish()?;
                writer.into_inner().flush()?;
            }
            Kind::Arrow(mut writer) => writer.finish()?,
            Kind::Parquet(writer) => drop(writer.close().map_err(ArrowError::from)?),
        }
        Ok(())
    }
}

/// Rows as a table to read, NULL as `NULL`, without anything that would steer a terminal.
pub fn table(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<String, ArrowError> {
    let options = FormatOptions::default().with_null("NULL");
    let empty = [RecordBatch::new_empty(SchemaRef::clone(schema))];
    let batches = if batches.is_empty() { &empty[..] } else { batches };
    let text = pretty_format_batches_with_options(batches, &options)?.to_string();
    Ok(printable(&text))
}

/// The text with control characters (line ends apart) written out.
pub fn printable(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && c != '\n' {
            safe.extend(c.escape_default());
        } else {
            safe.push(c);
        }
    }
    safe
}
