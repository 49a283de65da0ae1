//! The files of an Iceberg snapshot, from its manifests.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use datafusion::arrow::datatypes::Field;
use datafusion::common::ScalarValue;
use iceberg::spec::{
    DataContentType, DataFile, DataFileFormat, ManifestEntryRef, NestedFieldRef, PartitionSpecRef, Struct, Transform,
};
use portcullis_contract::MetadataColumn;

use super::manifests::{self, Listed, ManifestCache};
use super::partitions::{self, Told};
use super::row_ids::{FirstRow, RowIds};
use super::{IcebergTable, types};
use crate::tables::bind::{Column, Origin};
use crate::tables::deletes::DeleteSource;
use crate::tables::fault::Fault;
use crate::tables::plan::{Bounds, EqualityDeletes, FilePlan, Layout, RawFile};

/// All files of the current snapshot.
pub(in crate::tables) async fn plan(
    table: &IcebergTable,
    columns: &[Column],
    manifests: &ManifestCache,
) -> Result<FilePlan, Fault> {
    let manifests = manifests::load(table, manifests).await?;
    let mut walk = Walk::new(table, columns)?;
    for Listed { spec, first_row, manifest } in &manifests {
        let mut ids = RowIds::new(*first_row);
        for entry in manifest.entries().iter().filter(|entry| entry.is_alive()) {
            walk.collect(*spec, entry, ids.first_of(entry.data_file()))?;
        }
    }
    walk.finish()
}

/// A delete that may apply to data files, with its sequence number.
type Sequenced<T> = (i64, T);

/// An equality delete file.
struct EqualityFile {
    sequence: i64,
    partition: Option<i32>,
    ids: Vec<i32>,
    spec: i32,
    snapshot: i64,
    file: DataFile,
}

/// A data file, with what decides which deletes apply to it.
struct Data {
    sequence: i64,
    partition: i32,
    spec: i32,
    first_row: FirstRow,
    file: ManifestEntryRef,
}

struct Walk<'a> {
    table: &'a IcebergTable,
    columns: Vec<Column>,
    declared: usize,
    partitions: HashMap<(i32, Struct), i32>,
    data: Vec<Data>,
    by_partition: HashMap<i32, Vec<Sequenced<Arc<DeleteSource>>>>,
    by_file: HashMap<String, Vec<Sequenced<Arc<DeleteSource>>>>,
    vectors: HashMap<String, Arc<DeleteSource>>,
    equality: Vec<EqualityFile>,
}

impl<'a> Walk<'a> {
    fn new(table: &'a IcebergTable, columns: &[Column]) -> Result<Self, Fault> {
        Ok(Self {
            table,
            columns: columns.to_vec(),
            declared: columns.len(),
            partitions: HashMap::new(),
            data: Vec::new(),
            by_partition: HashMap::new(),
            by_file: HashMap::new(),
            vectors: HashMap::new(),
            equality: Vec::new(),
        })
    }

    fn partition(&mut self, spec: i32, values: &Struct) -> i32 {
        let next = i32::try_from(self.partitions.len()).unwrap_or(i32::MAX);
        *self.partitions.entry((spec, values.clone())).or_insert(next)
    }

    fn spec(&self, id: i32) -> Result<&'a PartitionSpecRef, Fault> {
        let metadata = &self.table.metadata;
        metadata.partition_spec_by_id(id).ok_or_else(|| Fault::Corrupt("it lacks one of its partition specs".into()))
    }

    fn collect(&mut self, spec: i32, entry: &ManifestEntryRef, first_row: FirstRow) -> Result<(), Fault> {
        let file = entry.data_file();
        let sequence = entry.sequence_number().unwrap_or(0);
        let partition = self.partition(spec, file.partition());
        match file.content_type() {
            DataContentType::Data => {
                require_parquet(file)?;
                self.data.push(Data { sequence, partition, spec, first_row, file: Arc::clone(entry) });
            }
            DataContentType::PositionDeletes if file.file_format() == DataFileFormat::Puffin => {
                let (target, source) = self.vector(file)?;
                self.vectors.insert(target, Arc::new(source));
            }
            DataContentType::PositionDeletes => {
                require_parquet(file)?;
                let path = self.table.root.locate(file.file_path())?;
                let source = Arc::new(DeleteSource::Positions(path));
                match file.referenced_data_file() {
                    Some(target) => self.by_file.entry(target).or_default().push((sequence, source)),
                    None => self.by_partition.entry(partition).or_default().push((sequence, source)),
                }
            }
            DataContentType::EqualityDeletes => {
                require_parquet(file)?;
                let mut ids = file.equality_ids().unwrap_or_default();
                ids.sort_unstable();
                let partition = (!self.spec(spec)?.is_unpartitioned()).then_some(partition);
                let snapshot = entry.snapshot_id().unwrap_or(0);
                self.equality.push(EqualityFile { sequence, partition, ids, spec, snapshot, file: file.clone() });
            }
        }
        Ok(())
    }

    fn vector(&self, file: &DataFile) -> Result<(String, DeleteSource), Fault> {
        let broken = || Fault::Corrupt("one of its deletion vectors has no place".into());
        let target = file.referenced_data_file().ok_or_else(broken)?;
        let number = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok()).ok_or_else(broken);
        let (start, length) = (number(file.content_offset())?, number(file.content_size_in_bytes())?);
        let path = self.table.root.locate(file.file_path())?;
        Ok((target, DeleteSource::Vector { path, range: start..start + length, rows: Some(file.record_count()) }))
    }

    /// Indices of the columns that equality deletes compare, added where the contract does not declare them.
    fn equality_columns(&mut self, ids: &[i32]) -> Result<Vec<usize>, Fault> {
        ids.iter()
            .map(|id| {
                let is_it = |column: &Column| column.origin.id == Some(*id);
                if let Some(at) = self.columns.iter().skip(self.declared).position(is_it) {
                    return Ok(self.declared + at);
                }
                let field = self
                    .top_level(*id)
                    .ok_or_else(|| Fault::Withheld("it has equality deletes on a nested or unknown column".into()))?;
                let (name, default) = (format!("__portcullis_equality_{id}"), types::initial_default(&field));
                self.columns.push(Column {
                    field: Arc::new(Field::new(name, types::arrow_type(&field.field_type), true)),
                    origin: Origin { id: Some(*id), names: vec![field.name.clone()], children: Vec::new(), default },
                    metadata: None,
                });
                Ok(self.columns.len() - 1)
            })
            .collect()
    }

    fn top_level(&self, id: i32) -> Option<NestedFieldRef> {
        let metadata = &self.table.metadata;
        let current = metadata.current_schema();
        std::iter::once(current)
            .chain(metadata.schemas_iter())
            .find_map(|schema| schema.as_struct().fields().iter().find(|field| field.id == id))
            .filter(|field| field.field_type.is_primitive() && !self.table.opaque.contains_key(&id))
            .cloned()
    }

    /// Columns that a spec keeps constant in a file: index of the column, index of the partition field.
    fn constants(&self, spec: &PartitionSpecRef) -> BTreeMap<usize, usize> {
        let mut constants = BTreeMap::new();
        for (index, field) in spec.fields().iter().enumerate() {
            if field.transform == Transform::Identity {
                for (at, column) in self.columns.iter().enumerate() {
                    if column.origin.id == Some(field.source_id) {
                        constants.insert(at, index);
                    }
                }
            }
        }
        constants
    }

    fn finish(mut self) -> Result<FilePlan, Fault> {
        let mut groups: BTreeMap<(Vec<i32>, bool), Vec<usize>> = BTreeMap::new();
        for (at, delete) in self.equality.iter().enumerate() {
            groups.entry((delete.ids.clone(), delete.partition.is_some())).or_default().push(at);
        }
        let mut keys = Vec::with_capacity(groups.len());
        for ((ids, partitioned), files) in groups {
            let columns = self.equality_columns(&ids)?;
            keys.push((columns, partitioned, files));
        }
        let mut layouts: Vec<Layout> = Vec::new();
        let mut known: HashMap<(i32, bool), usize> = HashMap::new();
        let mut files = Vec::with_capacity(self.data.len());
        let identity = self.table.identity();
        for data in std::mem::take(&mut self.data) {
            let applies = |delete: &EqualityFile| {
                delete.sequence > data.sequence && delete.partition.is_none_or(|partition| partition == data.partition)
            };
            let equality = self.equality.iter().any(applies);
            let spec = self.spec(data.spec)?;
            let constants = self.constants(spec);
            let index = *known.entry((data.spec, equality)).or_insert_with(|| {
                let constants = constants.keys().copied().filter(|at| *at < self.width(equality));
                let fixed: BTreeSet<usize> = constants.chain(self.names_of_files()).collect();
                let columns = self.columns.get(..self.width(equality)).unwrap_or_default();
                layouts.push(Layout::new(columns, &fixed, equality, identity));
                layouts.len() - 1
            });
            let layout = layouts.get(index).ok_or_else(|| Fault::Internal("no layout".into()))?;
            files.push(self.raw(&data, spec, &constants, equality)?.planned(index, layout)?);
        }
        let deletes = keys
            .into_iter()
            .map(|(columns, partitioned, files)| self.equality_deletes(columns, partitioned, &files))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(FilePlan::new(layouts, files, deletes))
    }

    /// Columns of the names of files.
    fn names_of_files(&self) -> impl Iterator<Item = usize> {
        let columns = self.columns.iter().enumerate();
        columns.filter(|(_, column)| column.metadata == Some(MetadataColumn::File)).map(|(at, _)| at)
    }

    fn width(&self, equality: bool) -> usize {
        if equality { self.columns.len() } else { self.declared }
    }

    fn raw(
        &self,
        data: &Data,
        spec: &PartitionSpecRef,
        constants: &BTreeMap<usize, usize>,
        equality: bool,
    ) -> Result<RawFile, Fault> {
        let file = data.file.data_file();
        let width = self.width(equality);
        let path = self.table.root.locate(file.file_path())?;
        let mut constants = constants
            .iter()
            .filter(|(at, _)| **at < width)
            .map(|(at, index)| Ok((*at, self.constant(*at, *index, spec, file)?)))
            .collect::<Result<BTreeMap<_, _>, Fault>>()?;
        let name = || ScalarValue::Utf8View(Some(self.table.root.name_of(&path)));
        constants.extend(self.names_of_files().map(|at| (at, name())));
        let first_row = match data.first_row {
            FirstRow::None => None,
            FirstRow::Id(first) => Some(first),
            FirstRow::Impossible if self.columns.iter().all(|column| column.metadata.is_none()) => None,
            FirstRow::Impossible => return Err(Fault::Corrupt("the ids of its rows are impossible".into())),
        };
        // What a file tells of a metadata column is of the rows whose values are written down.
        let bounds = self.columns.iter().take(width).enumerate();
        let bounds = bounds.filter(|(at, column)| column.metadata.is_none() && !constants.contains_key(at));
        let mut bounds: BTreeMap<usize, Bounds> =
            bounds.filter_map(|(at, column)| Some((at, bounds_of(column, file)?))).collect();
        let mut parts = Vec::new();
        for (at, told) in self.told(spec, file, width).filter(|(at, _)| !constants.contains_key(at)) {
            parts.extend(told.part.clone().map(|part| (at, part)));
            told.tighten(file.record_count(), bounds.entry(at).or_default());
        }
        let deletes = self.deletes_of(data, file);
        Ok(RawFile {
            path,
            size: file.file_size_in_bytes(),
            stamp: data.file.snapshot_id().unwrap_or(0).unsigned_abs(),
            rows: Some(file.record_count()),
            bounds,
            constants,
            first_row,
            sequence: data.sequence,
            partition: data.partition,
            uri: if deletes.is_empty() { Arc::from("") } else { Arc::from(file.file_path()) },
            deletes,
            parts,
        })
    }

    /// What the partition of a file tells of the first `width` columns.
    fn told<'b>(
        &'b self,
        spec: &'b PartitionSpecRef,
        file: &'b DataFile,
        width: usize,
    ) -> impl Iterator<Item = (usize, Told)> + 'b {
        let values = spec.fields().iter().zip(file.partition().fields());
        values.flat_map(move |(field, value)| {
            let source = self.top_level(field.source_id);
            let columns = self.columns.iter().take(width).enumerate();
            columns.filter(|(_, column)| column.origin.id == Some(field.source_id)).filter_map(move |(at, column)| {
                let source = source.as_ref()?.field_type.as_primitive_type()?;
                Some((at, partitions::told(field.transform, value.as_ref(), source, column.field.data_type())?))
            })
        })
    }

    fn constant(
        &self,
        at: usize,
        index: usize,
        spec: &PartitionSpecRef,
        file: &DataFile,
    ) -> Result<ScalarValue, Fault> {
        let broken = || Fault::Corrupt("a partition value of it has another type than its column".into());
        let target = self.columns.get(at).ok_or_else(broken)?.field.data_type();
        let Some(value) = file.partition().fields().get(index).and_then(Option::as_ref) else {
            return ScalarValue::try_new_null(target).map_err(|_| broken());
        };
        let source = spec.fields().get(index).and_then(|field| self.top_level(field.source_id)).ok_or_else(broken)?;
        let kind = source.field_type.as_primitive_type().ok_or_else(broken)?;
        let value = types::scalar(value, kind).ok_or_else(broken)?;
        value.cast_to(target).map_err(|_| broken())
    }

    fn deletes_of(&self, data: &Data, file: &DataFile) -> Vec<Arc<DeleteSource>> {
        if let Some(vector) = self.vectors.get(file.file_path()) {
            return vec![Arc::clone(vector)];
        }
        let partition = self.by_partition.get(&data.partition).into_iter().flatten();
        let own = self.by_file.get(file.file_path()).into_iter().flatten();
        let applying = partition.chain(own).filter(|(sequence, _)| *sequence >= data.sequence);
        applying.map(|(_, source)| Arc::clone(source)).collect()
    }

    fn equality_deletes(
        &self,
        columns: Vec<usize>,
        partitioned: bool,
        files: &[usize],
    ) -> Result<EqualityDeletes, Fault> {
        let compared: Vec<Column> = columns.iter().filter_map(|at| self.columns.get(*at)).cloned().collect();
        let layout = Layout::new(&compared, &BTreeSet::new(), true, self.table.identity());
        let files = files.iter().filter_map(|at| self.equality.get(*at)).map(|delete| {
            let file = &delete.file;
            let raw = RawFile {
                path: self.table.root.locate(file.file_path())?,
                size: file.file_size_in_bytes(),
                stamp: delete.snapshot.unsigned_abs(),
                rows: Some(file.record_count()),
                bounds: BTreeMap::new(),
                constants: BTreeMap::new(),
                first_row: None,
                sequence: delete.sequence,
                partition: delete.partition.unwrap_or(delete.spec),
                deletes: Vec::new(),
                uri: Arc::from(""),
                parts: Vec::new(),
            };
            Ok(raw.planned(0, &layout)?.file)
        });
        let files = files.collect::<Result<Vec<_>, Fault>>()?;
        Ok(EqualityDeletes { columns, partitioned, layout, files })
    }
}

fn require_parquet(file: &DataFile) -> Result<(), Fault> {
    if file.key_metadata().is_some() {
        return Err(Fault::Withheld("it is encrypted".into()));
    }
    match file.file_format() {
        DataFileFormat::Parquet => Ok(()),
        other => Err(Fault::Withheld(format!("it has files of format `{other}`, and only Parquet can be read"))),
    }
}

fn bounds_of(column: &Column, file: &DataFile) -> Option<Bounds> {
    let id = column.origin.id?;
    let target = column.field.data_type();
    if target.is_nested() {
        return None;
    }
    let nulls = file.null_value_counts().get(&id).copied();
    // A NaN is not within the bounds, so they hold only where there is none.
    let usable = !target.is_floating() || file.nan_value_counts().get(&id) == Some(&0);
    let bound = |datum: Option<&iceberg::spec::Datum>| {
        let datum = datum.filter(|_| usable)?;
        types::primitive(datum.literal(), datum.data_type())?.cast_to(target).ok()
    };
    let exact = target.is_integer() || target.is_temporal() || target.is_decimal();
    let (low, high) = (bound(file.lower_bounds().get(&id)), bound(file.upper_bounds().get(&id)));
    (low.is_some() || high.is_some() || nulls.is_some()).then_some(Bounds { low, high, exact, nulls })
}
