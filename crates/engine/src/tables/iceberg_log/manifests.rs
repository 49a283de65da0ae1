//! Manifests of the current snapshot.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::{FutureExt, StreamExt, TryStreamExt};
use iceberg::io::FileIO;
use iceberg::spec::{Manifest, ManifestFile};
use iceberg::table::Table;
use iceberg::{Runtime, TableIdent};

use super::{IcebergTable, metadata, storage};
use crate::tables::cache::Counted;
use crate::tables::fault::Fault;
use crate::tables::store::TableRoot;

/// Manifests by store and path; they never change.
pub(in crate::tables) type ManifestCache = Counted<String, Arc<Manifest>>;

const AT_ONCE: usize = 8;

/// A manifest, and what its list says of it.
pub(super) struct Listed {
    /// The id of its partition spec.
    pub(super) spec: i32,
    /// The id of the first of its rows whose files do not tell theirs.
    pub(super) first_row: Option<u64>,
    /// The manifest.
    pub(super) manifest: Arc<Manifest>,
}

/// All manifests.
pub(super) async fn load(table: &IcebergTable, cache: &ManifestCache) -> Result<Vec<Listed>, Fault> {
    let Some(snapshot) = table.snapshot() else { return Ok(Vec::new()) };
    let connection = &table.root.root.connection;
    let failed = |error: iceberg::Error| Fault::iceberg(connection, &error);
    table.root.locate(snapshot.manifest_list())?;
    let io = storage::file_io(&table.root, table.needs_help());
    let runtime = Runtime::try_current().map_err(|error| Fault::Internal(error.to_string()))?;
    let listed = Table::builder()
        .metadata(Arc::clone(&table.metadata))
        .identifier(TableIdent::from_strs(["table", "table"]).map_err(failed)?)
        .file_io(io.clone())
        .runtime(runtime)
        .readonly(true)
        .disable_cache()
        .build()
        .map_err(failed)?;
    let reader = listed.manifest_list_reader(snapshot);
    // The parser of Avro panics at names that are none.
    let list = AssertUnwindSafe(reader.load()).catch_unwind().await;
    let list =
        list.unwrap_or_else(|_| Err(iceberg::Error::new(iceberg::ErrorKind::DataInvalid, "Avro that is damaged")));
    let list = list.map_err(|error| failed(error).in_file(snapshot.manifest_list()))?;
    let files: Vec<ManifestFile> = list.consume_entries().into_iter().collect();
    futures::stream::iter(files)
        .map(|file| {
            let path = file.manifest_path.clone();
            let one = one(table.root.clone(), io.clone(), cache.clone(), file);
            // A task for each: to decode one takes longer than to read it.
            async move { tokio::spawn(one).await.unwrap_or_else(|_| Err(metadata::invalid().in_file(&path))) }
        })
        .buffered(AT_ONCE)
        .try_collect()
        .await
}

async fn one(root: TableRoot, io: FileIO, cache: ManifestCache, file: ManifestFile) -> Result<Listed, Fault> {
    if file.key_metadata.is_some() {
        return Err(Fault::Withheld("it is encrypted".into()));
    }
    // Before the cache is asked, which has the manifests of all tables of the store.
    let path = root.locate(&file.manifest_path)?;
    let key = format!("{}{path}", root.root.url.as_str());
    let load = async {
        let manifest = file.load_manifest(&io).await;
        let manifest = manifest.map_err(|error| Fault::iceberg(&root.root.connection, &error))?;
        // A file that was cut between two of its blocks is one that can be read.
        match entries_of(&file).is_none_or(|entries| entries == manifest.entries().len()) {
            true => Ok(Arc::new(manifest)),
            false => Err(Fault::Corrupt("a manifest of it is not complete".into())),
        }
    };
    let manifest = cache.try_get_with(key, load).await;
    let manifest = manifest.map_err(|fault: Arc<Fault>| (*fault).clone().in_file(&file.manifest_path))?;
    Ok(Listed { spec: file.partition_spec_id, first_row: file.first_row_id, manifest })
}

/// How many entries a manifest has, where its list says so.
fn entries_of(file: &ManifestFile) -> Option<usize> {
    let counts = [file.added_files_count?, file.existing_files_count?, file.deleted_files_count?];
    usize::try_from(counts.into_iter().map(u64::from).sum::<u64>()).ok()
}
