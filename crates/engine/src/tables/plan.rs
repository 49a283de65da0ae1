//! The planned files of a snapshot: what both formats' metadata end in, and what one scan reads.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Schema};
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, ScalarValue, Statistics};
use datafusion::datasource::listing::PartitionedFile;
use datafusion_datasource::TableSchema;
use object_store::ObjectMeta;
use object_store::path::Path;

use super::adapter::{ColumnAdapterFactory, Identity};
use super::bind::Column;
use super::deletes::DeleteSource;
use super::fault::Fault;
use super::prune::Part;
use super::reader::RowsOfFile;

/// Column of a scan that tells when its file was added, for equality deletes.
pub(super) const SEQUENCE: &str = "__portcullis_sequence";
/// Column of a scan that tells the partition of its file, for equality deletes.
pub(super) const PARTITION: &str = "__portcullis_partition";

/// All files of a snapshot.
#[derive(Debug)]
pub(super) struct FilePlan {
    /// Identity, for caches.
    pub(super) id: u64,
    /// Forms of scans that the files need.
    pub(super) layouts: Vec<Layout>,
    /// Data files.
    pub(super) files: Vec<PlannedFile>,
    /// Equality deletes, each over all files of its layout that it may concern.
    pub(super) equality: Vec<EqualityDeletes>,
}

impl FilePlan {
    /// A plan of these.
    pub(super) fn new(layouts: Vec<Layout>, mut files: Vec<PlannedFile>, equality: Vec<EqualityDeletes>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        // As scans order them: to sort again what is sorted costs a query little.
        files.sort_by(|one, other| one.file.path().cmp(other.file.path()));
        Self { id: NEXT.fetch_add(1, Ordering::Relaxed), layouts, files, equality }
    }

    /// An estimate of the memory that it takes.
    pub(super) fn bytes(&self) -> usize {
        let columns = self.layouts.first().map_or(0, |layout| layout.schema.table_schema().fields().len());
        let file = size_of::<PlannedFile>() + 200 + columns * size_of::<ColumnStatistics>();
        let deletes: usize = self.equality.iter().map(|deletes| deletes.files.len() * 400).sum();
        self.files.len() * file + deletes + 1000
    }
}

/// A data file.
#[derive(Debug)]
pub(super) struct PlannedFile {
    /// Index of its layout.
    pub(super) layout: usize,
    /// As DataFusion wants it, with statistics, before deletes.
    pub(super) file: PartitionedFile,
    /// Rows before deletes.
    pub(super) rows: Option<u64>,
    /// Its name in position deletes; empty if it has none.
    pub(super) uri: Arc<str>,
    /// Where its deleted rows are written down.
    pub(super) deletes: Vec<Arc<DeleteSource>>,
    /// What its partition says of columns, by index.
    pub(super) parts: Vec<(usize, Part)>,
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
    pub(super) files: Vec<PartitionedFile>,
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
    /// Whether equality deletes apply: `SEQUENCE` and `PARTITION` are the last two columns then.
    pub(super) equality: bool,
}

impl Layout {
    /// A scan of `columns`, of which those at `constants` are the same in all rows of a file.
    pub(super) fn new(columns: &[Column], constants: &BTreeSet<usize>, equality: bool, identity: Identity) -> Self {
        let in_files: Vec<&Column> =
            columns.iter().enumerate().filter(|(at, _)| !constants.contains(at)).map(|(_, column)| column).collect();
        let mut positions = vec![0; columns.len()];
        let (mut from_file, mut constant) = (0, in_files.len());
        for (at, position) in positions.iter_mut().enumerate() {
            let next = if constants.contains(&at) { &mut constant } else { &mut from_file };
            *position = *next;
            *next += 1;
        }
        let file_schema = Schema::new(in_files.iter().map(|column| Arc::clone(&column.field)).collect::<Vec<_>>());
        let mut fixed: Vec<FieldRef> =
            constants.iter().filter_map(|at| columns.get(*at)).map(|column| Arc::clone(&column.field)).collect();
        if equality {
            fixed.push(Arc::new(Field::new(SEQUENCE, DataType::Int64, true)));
            fixed.push(Arc::new(Field::new(PARTITION, DataType::Int32, true)));
        }
        let schema = TableSchema::builder(Arc::new(file_schema)).with_table_partition_cols(fixed).build();
        let adapter = Arc::new(ColumnAdapterFactory::new(in_files.into_iter().cloned(), identity));
        Self { schema, positions, adapter, equality }
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
    /// Sequence number and partition, where equality deletes apply.
    pub(super) marks: Option<(i64, i32)>,
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
        let file = self.partitioned(layout)?;
        let RawFile { rows, uri, deletes, parts, .. } = self;
        Ok(PlannedFile { layout: index, file, rows, uri, deletes, parts })
    }

    fn partitioned(&self, layout: &Layout) -> Result<PartitionedFile, Fault> {
        let mut values: Vec<ScalarValue> = self.constants.values().cloned().collect();
        if let Some((sequence, partition)) = self.marks.filter(|_| layout.equality) {
            values.push(ScalarValue::Int64(Some(sequence)));
            values.push(ScalarValue::Int32(Some(partition)));
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
