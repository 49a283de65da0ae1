//! Why a log cannot be read: the file that is damaged, or the version that is missing. The library does not tell.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use datafusion::arrow::array::{AsArray, RecordBatch};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::errors::ParquetError;
use serde_json::Value;

use super::{DeltaTable, LONGEST_COMMIT, unknown_feature};
use crate::tables::fault::Fault;
use crate::tables::store::TableRoot;

/// Files of a log that are looked into.
const MOST: usize = 1000;

/// The same fault, with what is wrong in the log, if that is found.
pub(super) async fn explained(fault: Fault, root: &TableRoot) -> Fault {
    // The library does not tell a file that is cut from a store that does not answer.
    if !matches!(fault, Fault::Corrupt(_) | Fault::Unavailable(_)) {
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
        if let Some(fault) = damage(root, file).await {
            return Some(fault);
        }
        if name.contains(".checkpoint.") {
            if checkpoint.is_none() {
                for sidecar in sidecars(root, file, name).await {
                    if let Some(fault) = lost_or_damaged(root, &sidecar).await {
                        return Some(fault);
                    }
                }
            }
            checkpoint = checkpoint.max(version);
        }
    }
    commits.sort_unstable();
    for file in noted_checkpoint(root).await.unwrap_or_default() {
        if let Some(fault) = lost_or_damaged(root, &file).await {
            return Some(fault);
        }
    }
    let expected = checkpoint.map_or(0, |version| version.saturating_add(1))..*commits.last()?;
    let missing = expected.into_iter().find(|version| commits.binary_search(version).is_err())?;
    Some(Fault::Corrupt("its Delta log lacks a version".into()).in_file(&format!("_delta_log/{missing:020}.json")))
}

async fn damage(root: &TableRoot, file: &Path) -> Option<Fault> {
    match look_into(root, file, file.filename().unwrap_or_default()).await {
        Found::Nothing => None,
        Found::Damage => Some(Fault::Corrupt("a file of its Delta log is damaged".into()).in_file(file.as_ref())),
        Found::Feature(feature) => Some(Fault::delta_feature(Some(&feature))),
    }
}

async fn lost_or_damaged(root: &TableRoot, file: &Path) -> Option<Fault> {
    match root.store.head(file).await {
        Err(object_store::Error::NotFound { .. }) => {
            Some(Fault::Corrupt("a file of its Delta log is gone".into()).in_file(file.as_ref()))
        }
        _ => damage(root, file).await,
    }
}

/// The files that a checkpoint of version 2 is continued in.
async fn sidecars(root: &TableRoot, file: &Path, name: &str) -> Vec<Path> {
    let Some(bytes) = content(root, file).await else { return Vec::new() };
    let named: Vec<String> = if name.ends_with(".parquet") {
        let rows = parquet(bytes);
        let batches = rows.into_iter().flatten().flatten();
        batches.flat_map(|batch| sidecars_in(&batch)).collect()
    } else {
        let lines = bytes.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice::<Value>(line).ok());
        lines.filter_map(|line| line.get("sidecar")?.get("path")?.as_str().map(str::to_owned)).collect()
    };
    let place = |path: &String| match path.contains("://") {
        true => root.locate(path),
        false => root.below(&format!("_delta_log/_sidecars/{path}")),
    };
    named.iter().filter_map(|path| place(path).ok()).collect()
}

fn sidecars_in(batch: &RecordBatch) -> Vec<String> {
    let sidecars = batch.column_by_name("sidecar").and_then(|column| column.as_struct_opt());
    let paths =
        sidecars.and_then(|sidecars| sidecars.column_by_name("path")).and_then(|path| path.as_string_opt::<i32>());
    paths.into_iter().flatten().flatten().map(str::to_owned).collect()
}

/// The files of the checkpoint that `_last_checkpoint` tells of.
async fn noted_checkpoint(root: &TableRoot) -> Option<Vec<Path>> {
    let note: Value =
        serde_json::from_slice(&content(root, &root.below("_delta_log/_last_checkpoint").ok()?).await?).ok()?;
    let version = note.get("version")?.as_u64()?;
    let path = |name: &str| root.below(&format!("_delta_log/{name}")).ok();
    if let Some(named) = note.get("v2Checkpoint").and_then(|checkpoint| checkpoint.get("path")?.as_str()) {
        return Some(vec![path(named)?]);
    }
    match note.get("parts").and_then(Value::as_u64) {
        Some(parts) => {
            let name = |part| format!("{version:020}.checkpoint.{part:010}.{parts:010}.parquet");
            (1..=parts.min(MOST as u64)).map(|part| path(&name(part))).collect()
        }
        None => Some(vec![path(&format!("{version:020}.checkpoint.parquet"))?]),
    }
}

/// What is in a file of a log, unless it is too long to be looked into.
async fn content(root: &TableRoot, file: &Path) -> Option<Bytes> {
    let found = root.store.get(file).await.ok()?;
    if found.meta.size > LONGEST_COMMIT { None } else { found.bytes().await.ok() }
}

/// The rows of a checkpoint. Without the schema that Arrow's writers put beside Parquet's, whose parser panics where it is
/// damaged.
fn parquet(bytes: Bytes) -> Result<ParquetRecordBatchReader, ParquetError> {
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    ParquetRecordBatchReaderBuilder::try_new_with_options(bytes, options)?.build()
}

enum Found {
    Nothing,
    Damage,
    /// The protocol asks for it, and we do not know it.
    Feature(String),
}

async fn look_into(root: &TableRoot, file: &Path, name: &str) -> Found {
    let Some(bytes) = content(root, file).await else { return Found::Nothing };
    let is_damaged = if name.ends_with(".parquet") {
        let is_damaged = || parquet(bytes).map_or(true, |mut rows| rows.any(|batch| batch.is_err()));
        // Parsers panic at lengths that lie.
        catch_unwind(AssertUnwindSafe(is_damaged)).unwrap_or(true)
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
