//! Earlier versions of Delta tables: by number, by time.

use std::collections::BTreeMap;
use std::sync::Arc;

use deltalake::kernel::Snapshot;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore};
use portcullis_govern::AsOf;

use super::{DeltaTable, commit_mark, commit_time};
use crate::tables::fault::Fault;
use crate::tables::store::TableRoot;

/// What the log's directory has.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// When each commit was written, in milliseconds since 1970, by version.
    pub(super) commits: BTreeMap<u64, i64>,
    /// Versions with a checkpoint, with the parts that are there and those that there must be.
    pub(super) checkpoints: BTreeMap<u64, (usize, usize)>,
}

impl DeltaTable {
    /// The version that is meant.
    pub(in crate::tables) async fn find(&self, as_of: &AsOf) -> Result<u64, Fault> {
        match as_of {
            AsOf::Version(version) => Ok(*version),
            AsOf::Reference(_) => {
                let message = "a Delta table has no branches or tags; write the version's number without quotes";
                Err(Fault::NoVersion(message.into()))
            }
            AsOf::Time(micros) => self.current_at(micros.div_euclid(1000), as_of).await,
        }
    }

    /// What tells a version from others, also from one of a table that was written in this one's place.
    pub(in crate::tables) async fn key_of(&self, version: u64) -> Result<String, Fault> {
        let mark = commit_mark(&self.root, version).await?.unwrap_or_default();
        let (store, id, places) = (self.root.root.url.as_str(), self.snapshot.metadata().id(), self.root.directories());
        Ok(format!("{store}{places:?}\n{id}\n{version}\n{mark}"))
    }

    /// The table at one of its versions.
    pub(in crate::tables) async fn at(&self, version: u64) -> Result<DeltaTable, Fault> {
        if version == self.version() {
            return Ok(self.clone());
        }
        if version > self.version() {
            let message = format!("it has no version {version}; its newest is {}", self.version());
            return Err(Fault::NoVersion(message));
        }
        let snapshot = match Snapshot::try_new(self.log.as_ref(), Some(version)).await {
            Ok(snapshot) => snapshot,
            Err(error) => {
                let earliest = self.log().await?.earliest();
                return Err(match earliest {
                    Some(earliest) if version < earliest => Fault::NoVersion(format!(
                        "its log does not reach back to version {version}; the earliest version is {earliest}"
                    )),
                    _ => Fault::delta(&self.root.root.connection, &error),
                });
            }
        };
        if snapshot.version() != version {
            return Err(Fault::Internal(format!("version {} was opened for {version}", snapshot.version())));
        }
        Self::new(self.root.clone(), Arc::new(snapshot), Arc::clone(&self.log)).await
    }

    /// This version with the columns that `now` has: under its names and in its types.
    pub(in crate::tables) fn seen_from(self, now: &DeltaTable) -> DeltaTable {
        DeltaTable { now: Some(Arc::clone(&now.snapshot)), ..self }
    }

    /// The version that was current at a time, in milliseconds since 1970: by what commits say of themselves where the
    /// table has them do so, else by when their files were written.
    async fn current_at(&self, millis: i64, asked: &AsOf) -> Result<u64, Fault> {
        let log = self.log().await?;
        let earliest = log.earliest().unwrap_or(self.version());
        let properties = self.snapshot.metadata().configuration();
        let number = |name: &str| properties.get(name).and_then(|text| text.parse::<i64>().ok());
        let says = properties.get("delta.enableInCommitTimestamps").is_some_and(|text| text == "true");
        let begin = number("delta.inCommitTimestampEnablementVersion").and_then(|version| u64::try_from(version).ok());
        let begin = says.then_some(begin.unwrap_or(0));
        let since = number("delta.inCommitTimestampEnablementTimestamp").unwrap_or(i64::MIN);
        let of_age = log.commits.range(earliest..=self.version().max(earliest));
        let found = match begin {
            Some(begin) if millis >= since => {
                let said: Vec<u64> = of_age.map(|(version, _)| *version).filter(|version| *version >= begin).collect();
                self.last_said(&said, millis).await?
            }
            _ => last_written(of_age.filter(|(version, _)| begin.is_none_or(|begin| **version < begin)), millis),
        };
        found.ok_or_else(|| {
            Fault::NoVersion(match earliest {
                0 => format!("it has no version of {asked}"),
                _ => format!("its log does not reach back to {asked}; the earliest version is {earliest}"),
            })
        })
    }

    /// The last of these versions that says a time not after `millis`; such times only grow.
    async fn last_said(&self, versions: &[u64], millis: i64) -> Result<Option<u64>, Fault> {
        let (mut low, mut high) = (0, versions.len());
        while low < high {
            let middle = low + (high - low) / 2;
            let Some(version) = versions.get(middle) else { break };
            let said = commit_time(&self.root, *version, true).await?;
            let said = said.ok_or_else(|| Fault::Corrupt(format!("its version {version} does not say its time")))?;
            if said <= millis { low = middle + 1 } else { high = middle }
        }
        Ok(low.checked_sub(1).and_then(|last| versions.get(last)).copied())
    }

    async fn log(&self) -> Result<Log, Fault> {
        let mut log = Log::default();
        for file in listed(&self.root).await? {
            log.add(&file.location, file.last_modified.timestamp_millis());
        }
        Ok(log)
    }

    /// The files of a log.
    pub(super) async fn files_of_log(root: &TableRoot) -> Result<Vec<Path>, Fault> {
        Ok(listed(root).await?.into_iter().map(|file| file.location).collect())
    }
}

async fn listed(root: &TableRoot) -> Result<Vec<ObjectMeta>, Fault> {
    let listed = root.store.list_with_delimiter(Some(&root.below("_delta_log")?)).await;
    Ok(listed.map_err(|error| Fault::store(&root.root.connection, &error))?.objects)
}

impl Log {
    /// Takes note of a file.
    pub(super) fn add(&mut self, path: &Path, written: i64) {
        let mut parts = path.filename().unwrap_or_default().split('.');
        let version = parts.next().filter(|digits| digits.len() == 20).and_then(|digits| digits.parse().ok());
        let (Some(version), rest) = (version, parts.collect::<Vec<_>>()) else { return };
        let whole = match rest.as_slice() {
            ["json"] => {
                self.commits.insert(version, written);
                return;
            }
            ["checkpoint", "parquet"] | ["checkpoint", _, "parquet" | "json"] => 1,
            ["checkpoint", _, of, "parquet"] => of.parse().unwrap_or(usize::MAX),
            _ => return,
        };
        let (have, need) = self.checkpoints.entry(version).or_insert((0, whole));
        if whole == 1 {
            (*have, *need) = (1, 1);
        } else if *need == whole {
            *have += 1;
        }
    }

    /// The earliest version that can be read.
    pub(super) fn earliest(&self) -> Option<u64> {
        let first = self.commits.keys().next().filter(|first| **first == 0);
        let whole = self.checkpoints.iter().find(|(_, (have, need))| have >= need).map(|(version, _)| version);
        first.or(whole).copied()
    }
}

/// The last of these commits that was not written after `millis`, where each counts as written after the one before.
pub(super) fn last_written<'a>(commits: impl Iterator<Item = (&'a u64, &'a i64)>, millis: i64) -> Option<u64> {
    let (mut last, mut time) = (None, i64::MIN);
    for (version, written) in commits {
        time = (*written).max(time.saturating_add(1));
        if time > millis {
            break;
        }
        last = Some(*version);
    }
    last
}
