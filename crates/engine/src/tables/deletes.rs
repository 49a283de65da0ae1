//! Rows that a table's deletes remove from a data file.

use std::collections::HashMap;
use std::ops::Range;

use bytes::Bytes;
use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::{DataType, Int64Type};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection, RowSelector};
use parquet::arrow::{PARQUET_FIELD_ID_META_KEY, ProjectionMask};
use roaring::RoaringTreemap;

use super::fault::Fault;
use super::store::TableRoot;

/// Start of a serialised bitmap, in both formats.
const MAGIC: [u8; 4] = [0xD1, 0xD3, 0x39, 0x64];
const FILE_PATH_ID: &str = "2147483546";
const POSITION_ID: &str = "2147483545";

/// Where the deleted rows of a data file are written down.
#[derive(Debug)]
pub(super) enum DeleteSource {
    /// A bitmap in a part of a file: its length in four bytes, then the bitmap, then a checksum.
    Vector {
        /// File.
        path: Path,
        /// Part of it.
        range: Range<u64>,
        /// How many rows it names.
        rows: Option<u64>,
    },
    /// A bitmap in the log itself.
    Inline {
        /// It.
        bytes: Bytes,
        /// How many rows it names.
        rows: Option<u64>,
    },
    /// A Parquet file of data file names and row numbers.
    Positions(Path),
}

/// Row numbers by the data file that they are deleted from.
pub(super) type Positions = HashMap<String, RoaringTreemap>;

/// A bitmap that is a part of a file.
pub(super) async fn load_vector(root: &TableRoot, path: &Path, range: &Range<u64>) -> Result<RoaringTreemap, Fault> {
    let bytes = match root.store.get_range(path, range.clone()).await {
        Ok(bytes) => bytes,
        Err(error) => {
            let is_short = root.store.head(path).await.is_ok_and(|found| found.size < range.end);
            let fault = if is_short { damaged() } else { Fault::store(&root.root.connection, &error) };
            return Err(fault.in_file(path.as_ref()));
        }
    };
    let here = || damaged().in_file(path.as_ref());
    let length = bytes.first_chunk::<4>().map(|length| u32::from_be_bytes(*length) as usize).ok_or_else(here)?;
    let bitmap = bytes.get(4..4 + length).ok_or_else(here)?;
    if let Some(sum) = bytes.get(4 + length..8 + length) {
        let expected = sum.first_chunk::<4>().map(|sum| u32::from_be_bytes(*sum)).ok_or_else(here)?;
        if crc32(bitmap) != expected {
            return Err(here());
        }
    }
    parse_bitmap(bitmap).map_err(|fault| fault.in_file(path.as_ref()))
}

/// A bitmap, if it names as many rows as the metadata says.
pub(super) fn of_rows(bitmap: RoaringTreemap, rows: Option<u64>) -> Result<RoaringTreemap, Fault> {
    if rows.is_none_or(|rows| rows == bitmap.len()) { Ok(bitmap) } else { Err(damaged()) }
}

/// A bitmap with its magic number.
pub(super) fn parse_bitmap(bytes: &[u8]) -> Result<RoaringTreemap, Fault> {
    let bitmap = bytes.strip_prefix(&MAGIC).ok_or_else(damaged)?;
    RoaringTreemap::deserialize_from(bitmap).map_err(|_| damaged())
}

fn damaged() -> Fault {
    Fault::Corrupt("one of its deletion vectors is damaged".into())
}

/// The checksum of deletion vectors (CRC-32, ISO-HDLC).
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |mut crc, byte| {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg());
        }
        crc
    })
}

/// All positions of a Parquet file of position deletes.
pub(super) async fn load_positions(root: &TableRoot, path: &Path) -> Result<Positions, Fault> {
    let failed = |error: object_store::Error| Fault::store(&root.root.connection, &error);
    let bytes = root.store.get(path).await.map_err(failed)?.bytes().await.map_err(failed)?;
    let parsed = tokio::task::spawn_blocking(move || parse_positions(bytes)).await;
    parsed.unwrap_or_else(|_| Err(broken())).map_err(|fault| fault.in_file(path.as_ref()))
}

fn broken() -> Fault {
    Fault::Corrupt("one of its position delete files cannot be read".into())
}

fn parse_positions(bytes: Bytes) -> Result<Positions, Fault> {
    // The schema that Arrow's writers put beside Parquet's is not needed, and its parser panics where it is damaged.
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(bytes, options).map_err(|_| broken())?;
    let fields = builder.schema().fields().clone();
    let column = |id: &str, name: &str| {
        let id_of = |at: usize| fields.get(at).and_then(|field| field.metadata().get(PARQUET_FIELD_ID_META_KEY));
        let by_id = (0..fields.len()).find(|at| id_of(*at).is_some_and(|found| found == id));
        by_id.or_else(|| fields.find(name).map(|(at, _)| at)).ok_or_else(broken)
    };
    let (paths, positions) = (column(FILE_PATH_ID, "file_path")?, column(POSITION_ID, "pos")?);
    let mask = ProjectionMask::roots(builder.parquet_schema(), [paths, positions]);
    let (paths, positions) = if paths < positions { (0, 1) } else { (1, 0) };
    let mut found = Positions::new();
    for batch in builder.with_projection(mask).build().map_err(|_| broken())? {
        let batch = batch.map_err(|_| broken())?;
        let names = datafusion::arrow::compute::cast(batch.column(paths), &DataType::Utf8).map_err(|_| broken())?;
        let names = names.as_string_opt::<i32>().ok_or_else(broken)?;
        let rows = batch.column(positions).as_primitive_opt::<Int64Type>().ok_or_else(broken)?;
        let mut pairs = names.iter().zip(rows.iter()).peekable();
        while let Some((Some(name), _)) = pairs.peek().copied() {
            let bitmap = found.entry(name.to_owned()).or_default();
            while let Some((_, row)) = pairs.next_if(|(next, _)| *next == Some(name)) {
                bitmap.insert(row.and_then(|row| u64::try_from(row).ok()).ok_or_else(broken)?);
            }
        }
        if pairs.next().is_some() {
            return Err(broken());
        }
    }
    Ok(found)
}

/// The rows of a file of `rows` rows that are left.
pub(super) fn selection(deleted: &RoaringTreemap, rows: u64) -> Result<RowSelection, Fault> {
    if deleted.max().is_some_and(|last| last >= rows) {
        return Err(Fault::Corrupt("its deletes name rows that its files do not have".into()));
    }
    let length = |rows: u64| usize::try_from(rows).map_err(|_| Fault::Corrupt("a file of it is too long".into()));
    let mut selectors = Vec::new();
    let (mut position, mut skipped) = (0u64, 0u64);
    // By ranges: a vector of a few bytes may name billions of rows.
    for (upper, bitmap) in deleted.bitmaps() {
        let mut bitmap = bitmap.iter();
        while let Some(range) = bitmap.next_range() {
            let first = (u64::from(upper) << 32) | u64::from(*range.start());
            let end = position + skipped;
            if first > end {
                if skipped > 0 {
                    selectors.push(RowSelector::skip(length(skipped)?));
                }
                selectors.push(RowSelector::select(length(first - end)?));
                (position, skipped) = (first, 0);
            }
            skipped += u64::from(range.end() - range.start()) + 1;
        }
    }
    if skipped > 0 {
        selectors.push(RowSelector::skip(length(skipped)?));
    }
    if position + skipped < rows {
        selectors.push(RowSelector::select(length(rows - position - skipped)?));
    }
    Ok(RowSelection::from(selectors))
}

#[cfg(test)]
mod tests;
