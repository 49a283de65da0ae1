//! Earlier snapshots of Iceberg tables: by id, by branch or tag, by time.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use iceberg::spec::SnapshotReference;
use portcullis_govern::AsOf;

use super::{IcebergTable, Then};
use crate::tables::fault::Fault;

impl IcebergTable {
    /// The id of the snapshot that is meant, and whether a branch was named.
    pub(in crate::tables) fn find(&self, as_of: &AsOf) -> Result<(i64, bool), Fault> {
        let none = || Fault::NoVersion(format!("it has no {}, or not any more", what(as_of)));
        let (id, is_branch) = match as_of {
            AsOf::Version(number) => (i64::try_from(*number).map_err(|_| none())?, false),
            AsOf::Reference(name) => {
                let references = self.references()?;
                let reference = references.get(name).ok_or_else(none)?;
                (reference.snapshot_id, reference.is_branch())
            }
            AsOf::Time(micros) => (self.current_at(micros.div_euclid(1000)).ok_or_else(none)?, false),
        };
        let known = self.metadata.snapshot_by_id(id).is_some();
        let published = known && (!matches!(as_of, AsOf::Version(_)) || self.was_published(id)?);
        if published { Ok((id, is_branch)) } else { Err(none()) }
    }

    /// The table at one of its snapshots; at the head of a branch with the columns of now, as readers of Iceberg do.
    pub(in crate::tables) fn at(&self, id: i64, is_branch: bool) -> Result<IcebergTable, Fault> {
        let snapshot = self.metadata.snapshot_by_id(id);
        let snapshot = snapshot.ok_or_else(|| Fault::NoVersion(format!("it has no snapshot {id}, or not any more")))?;
        let schema = match snapshot.schema_id().filter(|_| !is_branch) {
            Some(schema) => {
                let found = self.metadata.schema_by_id(schema);
                Some(Arc::clone(found.ok_or_else(|| Fault::Corrupt("it lacks the schema of a snapshot".into()))?))
            }
            // The first writers did not note it.
            None => None,
        };
        let then = Then { snapshot: Arc::clone(snapshot), schema };
        Ok(IcebergTable { then: Some(then), version: format!("{} @{id} {is_branch}", self.version), ..self.clone() })
    }

    /// The snapshot that was current at a time, in milliseconds since 1970, by the table's log.
    fn current_at(&self, millis: i64) -> Option<i64> {
        let log = self.metadata.history();
        if log.is_empty() {
            let only = self.metadata.current_snapshot().filter(|only| only.timestamp_ms() <= millis);
            return only.map(|only| only.snapshot_id());
        }
        log.iter().rev().find(|entry| entry.timestamp_ms <= millis).map(|entry| entry.snapshot_id)
    }

    /// Whether a snapshot was current once, or leads to a branch or tag: one that was only staged was never published.
    fn was_published(&self, id: i64) -> Result<bool, Fault> {
        if self.metadata.history().iter().any(|entry| entry.snapshot_id == id) {
            return Ok(true);
        }
        let mut seen = BTreeSet::new();
        let heads = self.references()?.into_values().map(|reference| reference.snapshot_id);
        for head in heads.chain(self.metadata.current_snapshot_id()) {
            let mut next = Some(head);
            while let Some(at) = next.filter(|at| seen.insert(*at)) {
                next = self.metadata.snapshot_by_id(at).and_then(|snapshot| snapshot.parent_snapshot_id());
            }
        }
        Ok(seen.contains(&id))
    }

    /// Branches and tags, which the library keeps to itself.
    fn references(&self) -> Result<HashMap<String, SnapshotReference>, Fault> {
        let unreadable = |_| Fault::Corrupt("its branches and tags cannot be read".into());
        let mut written = serde_json::to_value(self.metadata.as_ref()).map_err(unreadable)?;
        match written.get_mut("refs").map(serde_json::Value::take) {
            Some(references) if !references.is_null() => serde_json::from_value(references).map_err(unreadable),
            _ => Ok(HashMap::new()),
        }
    }
}

fn what(as_of: &AsOf) -> String {
    match as_of {
        AsOf::Version(number) => format!("snapshot {number}"),
        AsOf::Reference(_) => as_of.to_string(),
        AsOf::Time(_) => format!("snapshot of {as_of}"),
    }
}
