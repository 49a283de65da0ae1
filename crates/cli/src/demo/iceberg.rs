//! Writes a demo table as an Iceberg v2 table: Parquet data files with full metrics, one manifest and one snapshot for
//! each commit, `vN.metadata.json` and `version-hint.text`.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use arrow::array::{Array, AsArray, RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::{DataType, Date32Type};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use iceberg::io::FileIO;
use iceberg::spec::{
    DataFile, FormatVersion, Literal, MAIN_BRANCH, ManifestFile, ManifestListWriter, ManifestWriterBuilder,
    NestedField, Operation, Schema, Snapshot, SortOrder, Struct, Summary, TableMetadata, TableMetadataBuilder,
    Transform, Type, UnboundPartitionSpec,
};

use super::files::{DataFileWriter, iceberg_type};
use super::lake::{Progress, chunks};
use super::rng::Rng;
use super::tables::Rows;

/// Where a table is written to, and where it will be once the lake is renamed into place.
pub struct Place<'a> {
    /// The directory that is written to.
    pub written: &'a Path,
    /// The `file://` address that the metadata speaks of.
    pub address: &'a str,
}

struct Writer<'a> {
    table: &'a dyn Rows,
    place: Place<'a>,
    files: FileIO,
    manifests: Vec<ManifestFile>,
}

/// The id of the snapshot that a commit of a table makes, counted from 1: the same whenever it is written.
pub fn snapshot_id(table: &str, commit: i64) -> i64 {
    let stream = table.bytes().fold(7_u64, |hash, byte| hash.wrapping_mul(31) + u64::from(byte));
    (Rng::at(stream, commit.unsigned_abs()).next() >> 1) as i64
}

/// Writes the table, commit by commit.
pub async fn write(table: &dyn Rows, place: Place<'_>, now_ms: i64, progress: &Progress) -> Result<()> {
    let mut writer = Writer { table, place, files: FileIO::new_with_memory(), manifests: Vec::new() };
    let schema = table.batch(0..1)?.schema();
    let mut fields = Vec::new();
    for (field, id) in schema.fields().iter().zip(1..) {
        let kind = Type::Primitive(iceberg_type(field.data_type())?);
        fields.push(Arc::new(NestedField::optional(id, field.name(), kind)));
    }
    let iceberg_schema = Schema::builder().with_fields(fields).build()?;
    let mut spec = UnboundPartitionSpec::builder().with_spec_id(0);
    for name in table.partitions() {
        let id = iceberg_schema.field_id_by_name(name).with_context(|| format!("no column `{name}`"))?;
        spec = spec.add_partition_field(id, *name, Transform::Identity)?;
    }
    let mut builder = TableMetadataBuilder::new(
        iceberg_schema,
        spec.build(),
        SortOrder::unsorted_order(),
        writer.place.address.to_string(),
        FormatVersion::V2,
        HashMap::from([("write.format.default".to_string(), "parquet".to_string())]),
    )?;
    let empty = builder.clone().build()?.metadata;
    for (commit, range) in (1_i64..).zip(table.ranges()) {
        let files = writer.data_files(commit, range, progress)?;
        let at_ms = now_ms - (i64::try_from(table.commits())? - commit) * 3_600_000;
        let snapshot = writer.snapshot(&empty, commit, files, at_ms).await?;
        let metadata = builder.set_branch_snapshot(snapshot, MAIN_BRANCH)?.build()?.metadata;
        let name = format!("metadata/v{commit}.metadata.json");
        writer.put(&name, &serde_json::to_vec_pretty(&metadata)?)?;
        builder = metadata.into_builder(Some(format!("{}/{name}", writer.place.address)));
    }
    writer.put("metadata/version-hint.text", table.commits().to_string().as_bytes())
}

impl Writer<'_> {
    fn put(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.place.written.join(name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(&path, bytes).with_context(|| format!("cannot write `{}`", path.display()))
    }

    /// The data files of one commit.
    fn data_files(&self, commit: i64, range: std::ops::Range<u64>, progress: &Progress) -> Result<Vec<DataFile>> {
        let mut done = Vec::new();
        let total = range.end.saturating_sub(range.start);
        for (part, slice) in chunks(total, self.table.files()).enumerate() {
            let mut open: BTreeMap<String, (DataFileWriter, PathBuf, String, Struct)> = BTreeMap::new();
            let start = range.start + slice.start;
            for batch_range in super::lake::batches(start..range.start + slice.end) {
                let count = batch_range.end - batch_range.start;
                let batch = self.table.batch(batch_range)?;
                for (directory, partition, rows) in self.partitioned(&batch)? {
                    let entry = match open.entry(directory) {
                        std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
                        std::collections::btree_map::Entry::Vacant(entry) => {
                            let name = format!("data/{}{commit:05}-{part}.parquet", entry.key());
                            let path = self.place.written.join(&name);
                            let writer = DataFileWriter::create(&path, &batch.schema())?;
                            entry.insert((writer, path, format!("{}/{name}", self.place.address), partition))
                        }
                    };
                    entry.0.write(&rows)?;
                }
                progress.add(count);
            }
            for (_, (writer, path, address, partition)) in open {
                done.push(writer.finish(address, &path, partition)?);
            }
        }
        Ok(done)
    }

    /// The rows of a batch by partition: directory (with a closing slash, or empty), values, rows.
    fn partitioned(&self, batch: &RecordBatch) -> Result<Vec<(String, Struct, RecordBatch)>> {
        if self.table.partitions().is_empty() {
            return Ok(vec![(String::new(), Struct::empty(), batch.clone())]);
        }
        let mut columns = Vec::new();
        for name in self.table.partitions() {
            columns.push((*name, batch.column_by_name(name).with_context(|| format!("no column `{name}`"))?));
        }
        let options = FormatOptions::default();
        let mut formatters = Vec::new();
        for (name, column) in &columns {
            formatters.push((*name, ArrayFormatter::try_new(column.as_ref(), &options)?));
        }
        let mut groups: BTreeMap<String, Vec<u32>> = BTreeMap::new();
        for row in 0..batch.num_rows() {
            let directory: String = formatters.iter().map(|(name, f)| format!("{name}={}/", f.value(row))).collect();
            groups.entry(directory).or_default().push(u32::try_from(row)?);
        }
        let mut parts = Vec::new();
        for (directory, rows) in groups {
            let first = rows.first().copied().unwrap_or(0) as usize;
            let values: Result<Vec<_>> = columns.iter().map(|(_, column)| literal(column, first)).collect();
            parts.push((directory, values?.into_iter().collect(), take_record_batch(batch, &UInt32Array::from(rows))?));
        }
        Ok(parts)
    }

    /// Writes the manifest and the manifest list of a commit.
    async fn snapshot(
        &mut self,
        empty: &TableMetadata,
        commit: i64,
        files: Vec<DataFile>,
        at_ms: i64,
    ) -> Result<Snapshot> {
        let id = |commit| snapshot_id(self.table.name(), commit);
        let (snapshot_id, parent) = (id(commit), (commit > 1).then(|| id(commit - 1)));
        let added: u64 = files.iter().map(DataFile::record_count).sum();
        let size: u64 = files.iter().map(DataFile::file_size_in_bytes).sum();
        let summary = [
            ("added-data-files", files.len() as u64),
            ("added-records", added),
            ("added-files-size", size),
            ("total-records", self.manifests.iter().filter_map(|m| m.added_rows_count).sum::<u64>() + added),
            ("total-delete-files", 0),
        ];
        let name = format!("metadata/manifest-{commit}.avro");
        let output = self.files.new_output(format!("{}/{name}", self.place.address))?;
        let mut manifest = ManifestWriterBuilder::new(
            output,
            Some(snapshot_id),
            Arc::clone(empty.current_schema()),
            empty.default_partition_spec().as_ref().clone(),
        )
        .build_v2_data();
        for file in files {
            manifest.add_file(file, commit)?;
        }
        self.manifests.push(manifest.write_manifest_file().await?);
        self.store(&name).await?;

        let name = format!("metadata/snap-{commit}.avro");
        let output = self.files.new_output(format!("{}/{name}", self.place.address))?;
        let mut list = ManifestListWriter::v2(output.writer().await?, snapshot_id, parent, commit);
        list.add_manifests(self.manifests.iter().cloned())?;
        list.close().await?;
        self.store(&name).await?;
        for manifest in &mut self.manifests {
            if manifest.sequence_number < 0 {
                (manifest.sequence_number, manifest.min_sequence_number) = (commit, commit);
            }
        }
        Ok(Snapshot::builder()
            .with_snapshot_id(snapshot_id)
            .with_parent_snapshot_id(parent)
            .with_sequence_number(commit)
            .with_timestamp_ms(at_ms)
            .with_manifest_list(format!("{}/{name}", self.place.address))
            .with_summary(Summary {
                operation: Operation::Append,
                additional_properties: summary.map(|(key, value)| (key.to_string(), value.to_string())).into(),
            })
            .with_schema_id(empty.current_schema_id())
            .build())
    }

    /// Copies a metadata file out of memory to where the table is written.
    async fn store(&self, name: &str) -> Result<()> {
        let bytes = self.files.new_input(format!("{}/{name}", self.place.address))?.read().await?;
        self.put(name, &bytes)
    }
}

fn literal(column: &dyn Array, row: usize) -> Result<Option<Literal>> {
    if column.is_null(row) {
        return Ok(None);
    }
    Ok(Some(match column.data_type() {
        DataType::Date32 => Literal::date(column.as_primitive::<Date32Type>().value(row)),
        DataType::Utf8 => Literal::string(column.as_string::<i32>().value(row)),
        other => bail!("the demo's writer has no partitions of type `{other}`"),
    }))
}
