//! Delta tables: their log, what they offer, and which files a version has.

mod diagnosis;
mod files;
mod travel;
mod types;
mod vector;

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::datatypes::Schema;
use deltalake::kernel::Snapshot;
use deltalake::logstore::{LogStoreRef, StorageConfig, default_logstore};
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use serde_json::Value;
use url::Url;

use super::adapter::Identity;
use super::bind::{Column, TableField, as_of, bind};
use super::fault::Fault;
use super::store::TableRoot;

pub(super) use files::plan;

/// What a table's readers must know that we do. A variant is refused where a contract declares it.
const READER_FEATURES: &[&str] = &[
    "columnMapping",
    "deletionVectors",
    "timestampNtz",
    "typeWidening",
    "typeWidening-preview",
    "v2Checkpoint",
    "vacuumProtocolCheck",
    "variantType",
    "variantType-preview",
    "variantShredding",
    "variantShredding-preview",
];

/// Commits that are looked at for whether there is anything in them.
const RECENT_COMMITS: u64 = 100;

/// A commit longer than this is not searched for its time.
const LONGEST_COMMIT: u64 = 4 << 20;

/// A Delta table as of one version.
#[derive(Clone)]
pub(super) struct DeltaTable {
    /// Its directory.
    pub(super) root: TableRoot,
    /// When the version was committed, in milliseconds since 1970.
    pub(super) time_ms: Option<i64>,
    mark: Option<String>,
    snapshot: Arc<Snapshot>,
    log: LogStoreRef,
    /// The newest version, where this is an earlier one.
    now: Option<Arc<Snapshot>>,
}

impl fmt::Debug for DeltaTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeltaTable").field("root", &self.root).field("version", &self.version()).finish_non_exhaustive()
    }
}

impl DeltaTable {
    /// The newest version of the table in a directory, found from `known` on, if that is given.
    pub(super) async fn open(root: TableRoot, known: Option<&DeltaTable>) -> Result<Self, Fault> {
        if let Some(known) = known
            && known.is_newest(&root).await?
        {
            return Ok(known.clone());
        }
        if let Some(known) = known
            && commit_mark(&root, known.version()).await? == known.mark
            && let Ok(snapshot) = Arc::clone(&known.snapshot).update(known.log.engine(None), None).await
        {
            if snapshot.version() == known.snapshot.version() {
                return Ok(known.clone());
            }
            return Self::new(root, snapshot, Arc::clone(&known.log)).await;
        }
        let log = log_store(&root)?;
        let snapshot = match Snapshot::try_new(log.as_ref(), None).await {
            Ok(snapshot) => Arc::new(snapshot),
            Err(error) => {
                return Err(diagnosis::explained(Fault::delta(&root.root.connection, &error), &root).await);
            }
        };
        Self::new(root, snapshot, log).await
    }

    /// Whether the table has not moved on, as far as that is seen at once: its commit is as it was, and the next is not
    /// there.
    async fn is_newest(&self, root: &TableRoot) -> Result<bool, Fault> {
        let version = self.version();
        let Some(next) = version.checked_add(1) else { return Ok(false) };
        let found = futures::try_join!(commit_mark(root, version), commit_mark(root, next))?;
        Ok(matches!(found, (Some(mark), None) if Some(&mark) == self.mark.as_ref()))
    }

    async fn new(root: TableRoot, snapshot: Arc<Snapshot>, log: LogStoreRef) -> Result<Self, Fault> {
        known_features(&snapshot)?;
        no_empty_commit(&root, snapshot.version()).await?;
        let mark = commit_mark(&root, snapshot.version()).await?;
        let time_ms = commit_time(&root, snapshot.version(), false).await?;
        Ok(Self { root, time_ms, mark, snapshot, log, now: None })
    }

    /// What tells this state of the table from its others.
    pub(super) fn state(&self) -> String {
        format!("{} {}", self.version(), self.mark.as_deref().unwrap_or_default())
    }

    /// The version.
    pub(super) fn version(&self) -> u64 {
        self.snapshot.version()
    }

    /// The columns that a contract declares.
    pub(super) fn bind(&self, declared: &Schema) -> Result<Vec<Column>, Fault> {
        let then = types::fields(&self.snapshot.schema(), self.identity());
        let Some(now) = &self.now else { return bind(declared, &then) };
        // A physical name is given once; where columns are not mapped, it is the name.
        let same = |one: &TableField, other: &TableField| {
            let ids = one.id.zip(other.id);
            one.physical == other.physical && ids.is_none_or(|(one, other)| one == other)
        };
        bind(declared, &as_of(&types::fields(&now.schema(), mapping(now)), &then, &same))
    }

    fn identity(&self) -> ColumnMapping {
        mapping(&self.snapshot)
    }
}

/// The library takes an empty file for a commit of nothing.
async fn no_empty_commit(root: &TableRoot, version: u64) -> Result<(), Fault> {
    let offset = commit_path(root, version.saturating_sub(RECENT_COMMITS))?;
    let listed = root.store.list_with_offset(Some(&root.below("_delta_log")?), &offset);
    let listed: Vec<ObjectMeta> =
        listed.try_collect().await.map_err(|error| Fault::store(&root.root.connection, &error))?;
    let is_empty = |file: &&ObjectMeta| file.size == 0 && file.location.as_ref().ends_with(".json");
    match listed.iter().find(is_empty) {
        Some(file) => Err(Fault::Corrupt("a file of its Delta log is empty".into()).in_file(file.location.as_ref())),
        None => Ok(()),
    }
}

/// The library may know more than we do: a table that its catalogue commits to is not read without it, for one.
fn known_features(snapshot: &Snapshot) -> Result<(), Fault> {
    let protocol = serde_json::to_value(snapshot.protocol()).map_err(|error| Fault::Internal(error.to_string()))?;
    unknown_feature(&protocol).map_or(Ok(()), |feature| Err(Fault::delta_feature(Some(feature))))
}

/// What a protocol asks of readers that we do not know.
fn unknown_feature(protocol: &Value) -> Option<&str> {
    let features = protocol.get("readerFeatures").and_then(Value::as_array).into_iter().flatten();
    features.filter_map(Value::as_str).find(|feature| !READER_FEATURES.contains(feature))
}

fn mapping(snapshot: &Snapshot) -> ColumnMapping {
    match snapshot.metadata().configuration().get("delta.columnMapping.mode").map(String::as_str) {
        Some("id") => ColumnMapping::Id,
        Some("name") => ColumnMapping::Name,
        _ => ColumnMapping::None,
    }
}

/// How the columns of data files are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ColumnMapping {
    None,
    Name,
    Id,
}

impl ColumnMapping {
    fn identity(self) -> Identity {
        match self {
            ColumnMapping::Id => Identity::Id,
            ColumnMapping::None | ColumnMapping::Name => Identity::Name,
        }
    }
}

/// The library's view of the table, over the store of its connection.
fn log_store(root: &TableRoot) -> Result<LogStoreRef, Fault> {
    // Nobody resolves this URL: it tells the library how to order listings, and the path within the store.
    let mut location = Url::parse(root.root.scheme_hint()).map_err(|error| Fault::Internal(error.to_string()))?;
    location
        .path_segments_mut()
        .map_err(|()| Fault::Internal("a location without a path".into()))?
        .clear()
        .extend(root.base.parts().map(|part| part.as_ref().to_owned()))
        .push("");
    let store = Arc::clone(&root.store) as Arc<dyn ObjectStore>;
    let prefixed = Arc::new(PrefixStore::new(Arc::clone(&store), root.base.clone()));
    Ok(default_logstore(prefixed, store, &location, &StorageConfig::default()))
}

fn commit_path(root: &TableRoot, version: u64) -> Result<Path, Fault> {
    root.below(&format!("_delta_log/{version:020}.json"))
}

/// Tells a commit from one of another table that was written in its place; none if the log was cleaned of it.
async fn commit_mark(root: &TableRoot, version: u64) -> Result<Option<String>, Fault> {
    match root.store.head(&commit_path(root, version)?).await {
        Ok(found) => {
            let written = found.last_modified.timestamp_micros();
            Ok(Some(format!("{} {written}", found.e_tag.as_deref().unwrap_or_default())))
        }
        Err(object_store::Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(Fault::store(&root.root.connection, &error)),
    }
}

/// When a version was committed: as its commit says (with `strictly`, only as it says in a way that is in order from
/// version to version), else when its file was written.
async fn commit_time(root: &TableRoot, version: u64, strictly: bool) -> Result<Option<i64>, Fault> {
    let path = commit_path(root, version)?;
    let failed = |error: object_store::Error| Fault::store(&root.root.connection, &error);
    let found = match root.store.get(&path).await {
        Ok(found) => found,
        Err(object_store::Error::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let written = Some(found.meta.last_modified.timestamp_millis()).filter(|_| !strictly);
    if found.meta.size > LONGEST_COMMIT && !strictly {
        return Ok(written);
    }
    let text = found.bytes().await.map_err(failed)?;
    let said = text
        .split(|byte| *byte == b'\n')
        .filter(|line| line.starts_with(b"{\"commitInfo\""))
        .find_map(|line| serde_json::from_slice::<Value>(line).ok())
        .and_then(|line| {
            let info = line.get("commitInfo")?;
            let in_order = info.get("inCommitTimestamp");
            if strictly { in_order } else { in_order.or_else(|| info.get("timestamp")) }?.as_i64()
        });
    Ok(said.or(written))
}

#[cfg(test)]
mod tests;
