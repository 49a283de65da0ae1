//! Why a log cannot be read: the file that is damaged, or the version that is missing. The library does not tell.

use object_store::ObjectStoreExt;
use object_store::path::Path;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;

use super::{DeltaTable, LONGEST_COMMIT, unknown_feature};
use crate::tables::fault::Fault;
use crate::tables::store::TableRoot;

/// Files of a log that are looked into.
const MOST: usize = 1000;

/// The same fault, with what is wrong in the log, if that is found.
pub(super) async fn explained(fault: Fault, root: &TableRoot) -> Fault {
    if !matches!(fault, Fault::Corrupt(_)) {
        return fault;
    }
    match DeltaTable::files_of_log(root).await {
        Ok(files) => wrong(root, files).await.unwrap_or(fault),
        Err(_) => fault,
    }
}

async fn wrong(root: &TableRoot, mut files: Vec<Path>) -> Option<Fault> {
    files.sort();
    let mut commits: Vec<u64> = Vec::new();
    let mut checkpoint = None;
    for file in files.iter().rev().take(MOST) {
        let name = file.filename().unwrap_or_default();
        let version = name.split('.').next().and_then(|digits| digits.parse::<u64>().ok());
        if name.ends_with(".json") && !name.contains(".checkpoint.") {
            commits.extend(version);
        }
        if name.contains(".checkpoint.") {
            checkpoint = checkpoint.max(version);
        }
        match look_into(root, file, name).await {
            Found::Nothing => {}
            Found::Damage => {
                return Some(Fault::Corrupt("a file of its Delta log is damaged".into()).in_file(file.as_ref()));
            }
            Found::Feature(feature) => return Some(Fault::delta_feature(Some(&feature))),
        }
    }
    commits.sort_unstable();
    let expected = checkpoint.map_or(0, |version| version + 1)..*commits.last()?;
    let missing = expected.into_iter().find(|version| commits.binary_search(version).is_err())?;
    Some(Fault::Corrupt("its Delta log lacks a version".into()).in_file(&format!("_delta_log/{missing:020}.json")))
}

enum Found {
    Nothing,
    Damage,
    /// The protocol asks for it, and we do not know it.
    Feature(String),
}

async fn look_into(root: &TableRoot, file: &Path, name: &str) -> Found {
    let Ok(found) = root.store.get(file).await else { return Found::Nothing };
    if found.meta.size > LONGEST_COMMIT {
        return Found::Nothing;
    }
    let Ok(bytes) = found.bytes().await else { return Found::Nothing };
    let is_damaged = if name.ends_with(".parquet") {
        let rows = ParquetRecordBatchReaderBuilder::try_new(bytes).and_then(|builder| builder.build());
        rows.map_or(true, |mut rows| rows.any(|batch| batch.is_err()))
    } else if name.ends_with(".json") {
        let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
        let lines: Vec<Option<Value>> = lines.map(|line| serde_json::from_slice(line).ok()).collect();
        let protocols = lines.iter().flatten().filter_map(|line| line.get("protocol"));
        if let Some(feature) = protocols.filter_map(unknown_feature).next_back() {
            return Found::Feature(feature.to_owned());
        }
        lines.is_empty() || !lines.iter().all(|line| line.as_ref().is_some_and(Value::is_object))
    } else {
        false
    };
    if is_damaged { Found::Damage } else { Found::Nothing }
}
