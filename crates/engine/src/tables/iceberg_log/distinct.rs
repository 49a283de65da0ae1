//! How many different values columns have, as the table's statistics files say.
//!
//! The files hold sketches; the counts that were made with them are in the table's metadata, beside the files' names.

use std::collections::BTreeMap;

use iceberg::puffin::APACHE_DATASKETCHES_THETA_V1;
use iceberg::spec::BlobMetadata;

use super::IcebergTable;

/// The property of a sketch that has its count.
const COUNT: &str = "ndv";
/// How many snapshots are looked at: the counts of older ones say little.
const SNAPSHOTS: usize = 100;

impl IcebergTable {
    /// Estimates by field id: of the snapshot that is read, or of the newest before it that has one.
    pub(in crate::tables) fn distinct(&self) -> BTreeMap<i32, usize> {
        let mut found = BTreeMap::new();
        if self.metadata.statistics_iter().len() == 0 {
            return found;
        }
        let mut next = self.snapshot();
        for _ in 0..SNAPSHOTS {
            let Some(snapshot) = next else { break };
            let file = self.metadata.statistics_for_snapshot(snapshot.snapshot_id());
            for (id, count) in file.iter().flat_map(|file| &file.blob_metadata).filter_map(count) {
                found.entry(id).or_insert(count);
            }
            next = snapshot.parent_snapshot_id().and_then(|id| self.metadata.snapshot_by_id(id));
        }
        found
    }
}

/// A column, and how many values it has. That it has none says no more than that all of them are null.
fn count(sketch: &BlobMetadata) -> Option<(i32, usize)> {
    let [id] = sketch.fields.as_slice() else { return None };
    let count = sketch.properties.get(COUNT).filter(|_| sketch.r#type == APACHE_DATASKETCHES_THETA_V1)?;
    Some((*id, count.parse().ok().filter(|count| *count > 0)?))
}

#[cfg(test)]
mod tests;
