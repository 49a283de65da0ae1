//! Iceberg tables: where their current metadata is, what they offer, and which files a snapshot has.

mod avro;
mod client;
mod distinct;
mod files;
mod manifests;
mod metadata;
mod opaque;
mod partitions;
mod rest;
mod row_ids;
mod sql;
mod storage;
mod travel;
mod types;

use std::sync::Arc;

use datafusion::arrow::datatypes::Schema;
use futures::TryStreamExt;
use iceberg::spec::{FormatVersion, PartitionField, SchemaRef, SnapshotRef, TableMetadataRef, Transform};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use portcullis_contract::MetadataColumn;

use super::adapter::Identity;
use super::bind::{Column, TableField, as_of, bind};
use super::fault::Fault;
use super::store::TableRoot;
use opaque::Opaque;
use rest::Told;

pub(super) use files::plan;
pub(super) use manifests::ManifestCache;
pub(super) use partitions::bucket;
pub(super) use rest::{Catalogues, RestConnection};
pub(super) use sql::{SqlConnection, SqlServers, table as sql_table};

/// The table property that maps names in files without field ids.
const NAME_MAPPING: &str = "schema.name-mapping.default";

/// An Iceberg table as of one version of its metadata: at its current snapshot, or at an earlier one.
#[derive(Debug, Clone)]
pub(super) struct IcebergTable {
    /// Its directory.
    pub(super) root: TableRoot,
    /// Its metadata.
    pub(super) metadata: TableMetadataRef,
    /// What tells this version of the metadata from others.
    pub(super) version: String,
    /// Types that the library does not know.
    opaque: Arc<Opaque>,
    /// The number and file of this version, where the name of the next one's follows from it.
    numbered: Option<(u64, Path)>,
    /// When a REST catalogue last said everything of it, and how it calls that.
    told: Option<Told>,
    then: Option<Then>,
}

/// An earlier snapshot.
#[derive(Debug, Clone)]
struct Then {
    snapshot: SnapshotRef,
    /// The columns that it had, where they are not those of now.
    schema: Option<SchemaRef>,
}

impl IcebergTable {
    /// The table at `metadata`, below `root`.
    fn new(mut root: TableRoot, metadata: TableMetadataRef, opaque: Arc<Opaque>, version: String) -> Self {
        root.declared = Some(metadata.location().trim_end_matches('/').to_owned());
        Self { root, metadata, version, opaque, numbered: None, told: None, then: None }
    }

    /// The newest version of the table in a directory, or `known` if that is it.
    pub(super) async fn open(root: TableRoot, known: Option<&IcebergTable>) -> Result<Self, Fault> {
        if let Some(known) = known
            && known.is_newest(&root).await?
        {
            return Ok(known.clone());
        }
        let (found, number) = current_metadata(&root).await?;
        let (version, path) = (mark(&found), found.location);
        if let Some(known) = known.filter(|known| known.version == version) {
            return Ok(known.clone());
        }
        let (metadata, opaque) = metadata::read(&root, &path).await?;
        let root = match is_metadata_file(&root.base) {
            true => root.of_metadata(&path)?,
            false => root,
        };
        let numbered = number.map(|number| (number, path));
        Ok(Self { numbered, ..Self::new(root, metadata, opaque, version) })
    }

    /// Whether the table has not moved on, as far as that is seen at once: this version is as it was, and the next is not
    /// there.
    async fn is_newest(&self, root: &TableRoot) -> Result<bool, Fault> {
        let Some((number, file)) = &self.numbered else { return Ok(false) };
        let Some(next) = number.checked_add(1) else { return Ok(false) };
        let [plain, compressed] = names(next);
        let [plain, compressed] = [root.below(&plain)?, root.below(&compressed)?];
        let found = futures::try_join!(head(root, file), head(root, &plain), head(root, &compressed))?;
        Ok(matches!(found, (Some(found), None, None) if mark(&found) == self.version))
    }

    /// The snapshot that is read; none of an empty table.
    pub(super) fn snapshot(&self) -> Option<&SnapshotRef> {
        match &self.then {
            Some(then) => Some(&then.snapshot),
            None => self.metadata.current_snapshot(),
        }
    }

    /// The columns that a contract declares.
    pub(super) fn bind(&self, declared: &Schema) -> Result<Vec<Column>, Fault> {
        let mut fields = self.fields(self.metadata.current_schema());
        if let Some(schema) = self.then.as_ref().and_then(|then| then.schema.as_ref()) {
            let same = |one: &TableField, other: &TableField| one.id == other.id;
            fields = as_of(&fields, &self.fields(schema), &same);
        }
        // Only under exactly these names, which policies know, and only where no column has one of them.
        let is_declared = |of: &MetadataColumn| declared.field_with_name(of.name()).is_ok();
        let has_none = |of: &MetadataColumn| fields.iter().all(|field| !field.name.eq_ignore_ascii_case(of.name()));
        let wanted: Vec<MetadataColumn> = self.metadata_columns().filter(is_declared).filter(has_none).collect();
        fields.extend(wanted.iter().map(|of| types::metadata_field(*of)));
        let mut columns = bind(declared, &fields)?;
        for column in &mut columns {
            column.metadata = wanted.iter().copied().find(|of| column.origin.id == Some(of.id()));
        }
        Ok(columns)
    }

    /// The metadata columns that it has.
    fn metadata_columns(&self) -> impl Iterator<Item = MetadataColumn> {
        let has_lineage = self.metadata.format_version() >= FormatVersion::V3;
        let is_lineage = |of: &MetadataColumn| matches!(of, MetadataColumn::RowId | MetadataColumn::LastUpdated);
        MetadataColumn::ALL.into_iter().filter(move |of| has_lineage || !is_lineage(of))
    }

    /// Whether the library cannot read its manifests as they are.
    fn needs_help(&self) -> bool {
        let is_void = |field: &PartitionField| field.transform == Transform::Void;
        let mut specs = self.metadata.partition_specs_iter();
        !self.opaque.is_empty() || specs.any(|spec| spec.fields().iter().any(is_void))
    }

    fn fields(&self, schema: &SchemaRef) -> Vec<TableField> {
        let mapping = self.name_mapping();
        types::Names { mapping: mapping.as_ref(), opaque: &self.opaque }.fields(schema.as_struct())
    }

    fn name_mapping(&self) -> Option<types::NameMapping> {
        self.metadata.properties().get(NAME_MAPPING).and_then(|text| types::name_mapping(text))
    }

    /// By what the columns of its data files are known.
    fn identity(&self) -> Identity {
        if self.name_mapping().is_some() { Identity::Id } else { Identity::IdOnly }
    }
}

/// Tells a file from another that was written in its place.
fn mark(found: &ObjectMeta) -> String {
    let written = found.last_modified.timestamp_micros();
    format!("{} {} {written}", found.location, found.e_tag.as_deref().unwrap_or_default())
}

fn is_metadata_file(path: &Path) -> bool {
    path.filename().is_some_and(|name| name.ends_with(".metadata.json"))
}

/// The file of the current metadata: what the location itself names, else what `version-hint.text` names or a later
/// one (which has a number then), else the one with the highest version in the directory.
async fn current_metadata(root: &TableRoot) -> Result<(ObjectMeta, Option<u64>), Fault> {
    if is_metadata_file(&root.base) {
        let found = root.store.head(&root.base).await;
        return Ok((found.map_err(|error| Fault::store(&root.root.connection, &error))?, None));
    }
    match hinted(root).await? {
        Some(found) => Ok(found),
        None => Ok((highest(root).await?, None)),
    }
}

async fn hinted(root: &TableRoot) -> Result<Option<(ObjectMeta, Option<u64>)>, Fault> {
    let store = &root.store;
    let failed = |error: object_store::Error| Fault::store(&root.root.connection, &error);
    let hint = match store.get(&root.below("metadata/version-hint.text")?).await {
        Ok(found) => found.bytes().await.map_err(failed)?,
        Err(object_store::Error::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let hint = String::from_utf8_lossy(&hint).trim().to_owned();
    let gone = || Fault::Corrupt("its `metadata/version-hint.text` names a file that is not there".into());
    let Ok(mut version) = hint.parse::<u64>() else {
        let name = hint.strip_suffix(".metadata.json").unwrap_or(&hint);
        if !name.chars().all(|character| character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.')) {
            return Err(gone());
        }
        let names = [format!("metadata/{name}.metadata.json"), format!("metadata/{name}.gz.metadata.json")];
        return match first_of(root, &names).await? {
            Some(found) => Ok(Some((found, None))),
            None => Err(gone().in_file(&format!("metadata/{name}.metadata.json"))),
        };
    };
    let found = first_of(root, &names(version)).await?;
    let mut found = found.ok_or_else(|| gone().in_file(&format!("metadata/v{version}.metadata.json")))?;
    // A writer commits by creating the next version, and renews the hint afterwards.
    while let Some(next) = version.checked_add(1) {
        let Some(later) = first_of(root, &names(next)).await? else { break };
        (found, version) = (later, next);
    }
    Ok(Some((found, Some(version))))
}

/// The names that a version's file may have.
fn names(version: u64) -> [String; 2] {
    [format!("metadata/v{version}.metadata.json"), format!("metadata/v{version}.gz.metadata.json")]
}

async fn first_of(root: &TableRoot, names: &[String]) -> Result<Option<ObjectMeta>, Fault> {
    for name in names {
        let found = head(root, &root.below(name)?).await?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

async fn head(root: &TableRoot, path: &Path) -> Result<Option<ObjectMeta>, Fault> {
    match root.store.head(path).await {
        Ok(found) => Ok(Some(found)),
        Err(object_store::Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(Fault::store(&root.root.connection, &error)),
    }
}

async fn highest(root: &TableRoot) -> Result<ObjectMeta, Fault> {
    let connection = &root.root.connection;
    let listed: Vec<ObjectMeta> = root
        .store
        .list(Some(&root.below("metadata")?))
        .try_collect()
        .await
        .map_err(|error| Fault::store(connection, &error))?;
    listed
        .into_iter()
        .filter_map(|meta| Some((version_of(meta.location.filename()?)?, meta)))
        .max_by(|(a, x), (b, y)| (a, x.last_modified, &x.location).cmp(&(b, y.last_modified, &y.location)))
        .map(|(_, meta)| meta)
        .ok_or_else(|| Fault::Absent(format!("there is no Iceberg table at its place in connection `{connection}`")))
}

/// The version in `v12.metadata.json` or `00012-<uuid>.metadata.json`.
fn version_of(name: &str) -> Option<u64> {
    let name = name.strip_suffix(".metadata.json")?;
    let name = name.strip_suffix(".gz").unwrap_or(name);
    let name = name.strip_prefix('v').unwrap_or(name);
    name.split('-').next()?.parse().ok()
}

#[cfg(test)]
mod tests;
