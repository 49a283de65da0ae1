//! The planned files of a snapshot: what both formats' metadata end in, and what one scan reads.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Schema};
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, ScalarValue, Statistics};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::error::DataFusionError;
use datafusion_datasource::TableSchema;
use object_store::ObjectMeta;
use object_store::path::Path;
use parquet::arrow::RowNumber;
use portcullis_contract::MetadataColumn;

use super::adapter::{ColumnAdapterFactory, Identity};
use super::bind::Column;
use super::deletes::DeleteSource;
use super::fault::Fault;
use super::prune::{Facts, Known, Part};
use super::reader::RowsOfFile;
use super::shared::SharedFile;

/// Column of a scan that tells when its file was added, for equality deletes.
pub(super) const SEQUENCE: &str = "__portcullis_sequence";
/// Column of a scan that tells the partition of its file, for equality deletes.
pub(super) const PARTITION: &str = "__portcullis_partition";

/// Column of a scan that tells which id the first row of a file has.
pub(super) const FIRST_ROW: &str = "__portcullis_first_row";
/// Column of a scan that tells when its file was added, for rows that do not tell when they were changed.
pub(super) const ADDED: &str = "__portcullis_added";
/// Column of a scan that tells the number of a row in its file; it follows all others.
pub(super) const POSITION: &str = "__portcullis_position";

/// All files of a snapshot.
#[derive(Debug)]
pub(super) struct FilePlan {
    /// Identity, for caches.
    pub(super) id: u64,
    /// Forms of scans that the files need.
    pub(super) layouts: Vec<Layout>,
    /// Data files, in the order of their paths.
    pub(super) files: Vec<PlannedFile>,
    /// What is known of them.
    pub(super) known: Known,
    /// Equality deletes, each over all files of its layout that it may concern.
    pub(super) equality: Vec<EqualityDeletes>,
}

impl FilePlan {
    /// A plan of these.
    pub(super) fn new(layouts: Vec<Layout>, mut files: Vec<PlannedFile>, mut equality: Vec<EqualityDeletes>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        // So that a plan is the same each time.
        files.sort_by(|one, other| one.file.file.path().cmp(other.file.file.path()));
        for deletes in &mut equality {
            deletes.files.sort_by(|one, other| one.file.path().cmp(other.file.path()));
        }
        let unknown = Statistics::default();
        let facts: Vec<Facts<'_>> = files.iter().map(|file| file.facts(&layouts, &unknown)).collect();
        let known = Known::new(&facts);
        Self { id: NEXT.fetch_add(1, Ordering::Relaxed), layouts, files, known, equality }
    }

    /// An estimate of the memory that it takes.
    pub(super) fn bytes(&self) -> usize {
        let columns = self.layouts.first().map_or(0, |layout| layout.schema.table_schema().fields().len());
        let file =
            size_of::<PlannedFile>() + size_of::<PartitionedFile>() + 200 + columns * size_of::<ColumnStatistics>();
        let deletes: usize = self.equality.iter().map(|deletes| deletes.files.len() * 400).sum();
        self.files.len() * file + self.known.bytes() + deletes + 1000
    }
}

/// A data file.
#[derive(Debug)]
pub(super) struct PlannedFile {
    /// Index of its layout.
    pub(super) layout: usize,
    /// As DataFusion wants it, with statistics, before deletes.
    pub(super) file: SharedFile,
    /// Rows before deletes.
    pub(super) rows: Option<u64>,
    /// Its name in position deletes; empty if it has none.
    pub(super) uri: Arc<str>,
    /// Where its deleted rows are written down.
    pub(super) deletes: Vec<Arc<DeleteSource>>,
    /// What its partition says of columns, by index.
    pub(super) parts: Vec<(usize, Part)>,
}

impl PlannedFile {
    fn facts<'a>(&'a self, layouts: &'a [Layout], unknown: &'a Statistics) -> Facts<'a> {
        Facts {
            statistics: self.file.file.statistics.as_deref().unwrap_or(unknown),
            columns: layouts.get(self.layout).map_or(&[], |layout| &layout.positions),
            rows: self.rows,
            parts: &self.parts,
        }
    }
}

/// Files of equality deletes over the same columns.
#[derive(Debug)]
pub(super) struct EqualityDeletes {
    /// Indices of the compared columns, among the columns of the data files' layouts.
    pub(super) columns: Vec<usize>,
    /// Whether they concern one partition each, and not all of the table.
    pub(super) partitioned: bool,
    /// How the files are scanned.
    pub(super) layout: Layout,
    /// The files.
    pub(super) files: Vec<SharedFile>,
}

/// How a group of files is scanned.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    /// Columns that files have, then columns that are constant in each file.
    pub(super) schema: TableSchema,
    /// Position in `schema` of each column.
    pub(super) positions: Vec<usize>,
    /// Finds the columns in a file.
    pub(super) adapter: Arc<ColumnAdapterFactory>,
    /// Columns that are made of others, by index.
    pub(super) made: BTreeMap<usize, MetadataColumn>,
    /// Whether equality deletes apply: `SEQUENCE` and `PARTITION` are the last two columns then.
    pub(super) equality: bool,
    /// Whether rows have ids: there are `FIRST_ROW` and `ADDED` then.
    lineage: bool,
}

impl Layout {
    /// A scan of `columns`, of which those at `constants` are the same in all rows of a file.
    pub(super) fn new(columns: &[Column], constants: &BTreeSet<usize>, equality: bool, identity: Identity) -> Self {
        let of_rows = columns.iter().enumerate().filter(|(at, _)| !constants.contains(at));
        let made: BTreeMap<usize, MetadataColumn> =
            of_rows.clone().filter_map(|(at, column)| Some((at, column.metadata?))).collect();
        let lineage = made.values().any(|of| matches!(of, MetadataColumn::RowId | MetadataColumn::LastUpdated));
        // No file has its rows' numbers.
        let is_number = |at: &usize| made.get(at) == Some(&MetadataColumn::Position);
        let in_files: Vec<Column> =
            of_rows.filter(|(at, _)| !is_number(at)).map(|(_, column)| column.in_files()).collect();
        let mut positions = vec![0; columns.len()];
        let (mut from_file, mut constant) = (0, in_files.len());
        for (at, position) in positions.iter_mut().enumerate().filter(|(at, _)| !is_number(at)) {
            let next = if constants.contains(&at) { &mut constant } else { &mut from_file };
            *position = *next;
            *next += 1;
        }
        let file_schema = Schema::new(in_files.iter().map(|column| Arc::clone(&column.field)).collect::<Vec<_>>());
        let mut fixed: Vec<FieldRef> =
            constants.iter().filter_map(|at| columns.get(*at)).map(|column| Arc::clone(&column.field)).collect();
        if lineage {
            fixed.push(Arc::new(Field::new(FIRST_ROW, DataType::Int64, true)));
            fixed.push(Arc::new(Field::new(ADDED, DataType::Int64, true)));
        }
        if equality {
            fixed.push(Arc::new(Field::new(SEQUENCE, DataType::Int64, true)));
            fixed.push(Arc::new(Field::new(PARTITION, DataType::Int32, true)));
        }
        let schema = TableSchema::builder(Arc::new(file_schema)).with_table_partition_cols(fixed).build();
        for (_, position) in positions.iter_mut().enumerate().filter(|(at, _)| is_number(at)) {
            *position = schema.table_schema().fields().len();
        }
        let adapter = Arc::new(ColumnAdapterFactory::new(in_files, identity));
        Self { schema, positions, adapter, made, equality, lineage }
    }

    /// The columns, and behind them the number of each row in its file.
    pub(super) fn numbered(&self) -> TableSchema {
        let number = Field::new(POSITION, DataType::Int64, false).with_extension_type(RowNumber);
        TableSchema::builder(Arc::clone(self.schema.file_schema()))
            .with_table_partition_cols(self.schema.table_partition_cols().clone())
            .with_virtual_columns(vec![Arc::new(number)])
            .build()
    }

    /// The position of a column of scans.
    pub(super) fn position_of(&self, name: &str) -> Result<usize, DataFusionError> {
        let schema = self.schema.table_schema();
        if name == POSITION { Ok(schema.fields().len()) } else { Ok(schema.index_of(name)?) }
    }
}

/// What is known of a column of a file. Bounds hold all values.
#[derive(Debug, Clone, Default)]
pub(super) struct Bounds {
    /// Least value, or less.
    pub(super) low: Option<ScalarValue>,
    /// Greatest value, or more.
    pub(super) high: Option<ScalarValue>,
    /// Whether the bounds are values of the file.
    pub(super) exact: bool,
    /// Number of nulls.
    pub(super) nulls: Option<u64>,
}

/// A data file, before it is put into its layout.
#[derive(Debug)]
pub(super) struct RawFile {
    /// Place in the store.
    pub(super) path: Path,
    /// Length in bytes.
    pub(super) size: u64,
    /// Tells it from another file that was written in its place before; the lower 16 bits do not count.
    pub(super) stamp: u64,
    /// Rows before deletes.
    pub(super) rows: Option<u64>,
    /// Of the columns, by index.
    pub(super) bounds: BTreeMap<usize, Bounds>,
    /// Constant columns, by index.
    pub(super) constants: BTreeMap<usize, ScalarValue>,
    /// The id of its first row, where rows have ids.
    pub(super) first_row: Option<i64>,
    /// The sequence number of the commit that added it.
    pub(super) sequence: i64,
    /// Its partition, as equality deletes tell partitions apart.
    pub(super) partition: i32,
    /// Where deleted rows are written down.
    pub(super) deletes: Vec<Arc<DeleteSource>>,
    /// Its name in position deletes.
    pub(super) uri: Arc<str>,
    /// What its partition says of columns beside bounds, by index.
    pub(super) parts: Vec<(usize, Part)>,
}

impl RawFile {
    /// The file in its layout, which has this index.
    pub(super) fn planned(self, index: usize, layout: &Layout) -> Result<PlannedFile, Fault> {
        let file = self.partitioned(layout)?.into();
        let RawFile { rows, uri, deletes, parts, .. } = self;
        Ok(PlannedFile { layout: index, file, rows, uri, deletes, parts })
    }

    fn partitioned(&self, layout: &Layout) -> Result<PartitionedFile, Fault> {
        let mut values: Vec<ScalarValue> = self.constants.values().cloned().collect();
        if layout.lineage {
            values.extend([ScalarValue::Int64(self.first_row), ScalarValue::Int64(Some(self.sequence))]);
        }
        if layout.equality {
            values.extend([ScalarValue::Int64(Some(self.sequence)), ScalarValue::Int32(Some(self.partition))]);
        }
        if values.len() != layout.schema.table_partition_cols().len() {
            return Err(Fault::Corrupt("a file of it has other partition values than its partitioning says".into()));
        }
        let meta = ObjectMeta {
            location: self.path.clone(),
            last_modified: (SystemTime::UNIX_EPOCH + Duration::from_millis(self.stamp >> 16)).into(),
            size: self.size,
            e_tag: None,
            version: None,
        };
        let mut file = PartitionedFile::new_from_meta(meta);
        file.partition_values = values;
        file.statistics = Some(Arc::new(self.statistics(layout)));
        Ok(match self.rows {
            Some(rows) => file.with_extension(RowsOfFile(rows)),
            None => file,
        })
    }

    fn statistics(&self, layout: &Layout) -> Statistics {
        let mut statistics = Statistics::new_unknown(layout.schema.table_schema());
        let whole = self.deletes.is_empty() && !layout.equality;
        let rows = self.rows.and_then(|rows| usize::try_from(rows).ok());
        let precise = |rows: usize| if whole { Precision::Exact(rows) } else { Precision::Inexact(rows) };
        statistics.num_rows = rows.map_or(Precision::Absent, precise);
        statistics.total_byte_size = usize::try_from(self.size).map_or(Precision::Absent, Precision::Inexact);
        for (at, position) in layout.positions.iter().enumerate() {
            let Some(column) = statistics.column_statistics.get_mut(*position) else { continue };
            if let Some(value) = self.constants.get(&at) {
                column.null_count = match rows {
                    Some(rows) if value.is_null() => precise(rows),
                    _ if value.is_null() => Precision::Absent,
                    _ => Precision::Exact(0),
                };
                if !value.is_null() {
                    column.min_value = Precision::Exact(value.clone());
                    column.max_value = Precision::Exact(value.clone());
                }
            } else if let Some(bounds) = self.bounds.get(&at) {
                let nulls = bounds.nulls.and_then(|nulls| usize::try_from(nulls).ok());
                column.null_count = nulls.map_or(Precision::Absent, precise);
                let precision = |value: &ScalarValue| match bounds.exact && whole {
                    true => Precision::Exact(value.clone()),
                    false => Precision::Inexact(value.clone()),
                };
                column.min_value = bounds.low.as_ref().map_or(Precision::Absent, precision);
                column.max_value = bounds.high.as_ref().map_or(Precision::Absent, precision);
            }
        }
        statistics
    }
}
