//! Earlier versions of tables: what a statement asks for becomes one snapshot, and its columns those of today.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::datatypes::Schema;
use portcullis_contract::Table;
use portcullis_govern::schema::arrow_schema;
use portcullis_govern::{AsOf, ResolvedVersion};

use super::bind::Column;
use super::delta_log::DeltaTable;
use super::fault::Fault;
use super::provider::Snapshot;
use super::{PinnedTable, Tables};
use crate::EngineError;

impl Tables {
    /// Which version of `table` is meant, and the declared columns that it has.
    ///
    /// # Errors
    ///
    /// NoVersion, where the table has no such version, or not any more; and as [`Tables::pin`].
    pub async fn resolve(&self, table: &Table, as_of: &AsOf) -> Result<ResolvedVersion, EngineError> {
        let find = async {
            // It may be newer than what is known of the table.
            match self.find(table, as_of, self.options.refresh_age).await {
                Err(Fault::NoVersion(_)) => self.find(table, as_of, Duration::ZERO).await,
                found => found,
            }
        };
        let found = self.in_time(table, find).await;
        found.map_err(|fault| fault.at(&table.name.to_string()))
    }

    /// The version of `table` that was resolved before, and no other.
    ///
    /// # Errors
    ///
    /// As [`Tables::pin`]; Unavailable, where the table changed since, so that the version has other columns now.
    pub async fn pin_at(&self, table: &Table, version: &ResolvedVersion) -> Result<Arc<PinnedTable>, EngineError> {
        let pin = async {
            let now = self.now(table, self.options.refresh_age).await?;
            let then = self.open_at(&now, &version.snapshot, version.is_branch).await?;
            let pinned = self.bind(table, then, &now.version())?;
            match pinned.columns == version.columns {
                true => Ok(pinned),
                false => Err(Fault::Unavailable("its columns changed while the query was planned".into())),
            }
        };
        self.in_time(table, pin).await.map_err(|fault| fault.at(&table.name.to_string()))
    }

    async fn in_time<T>(&self, table: &Table, work: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
        let late = |_| {
            let connection = &table.source.connection.name;
            Err(Fault::Unavailable(format!("connection `{connection}` did not answer in time")))
        };
        tokio::time::timeout(self.options.store_timeout, work).await.unwrap_or_else(late)
    }

    async fn find(&self, table: &Table, as_of: &AsOf, age: Duration) -> Result<ResolvedVersion, Fault> {
        let now = self.now(table, age).await?;
        let (snapshot, is_branch) = match &now {
            Snapshot::Iceberg(now) => {
                let (id, is_branch) = now.find(as_of)?;
                (id.to_string(), is_branch)
            }
            Snapshot::Delta(now) => (now.find(as_of).await?.to_string(), false),
        };
        let then = self.open_at(&now, &snapshot, is_branch).await?;
        let columns = present(&then.columns(&arrow_schema(table))?);
        Ok(ResolvedVersion { snapshot, is_branch, columns })
    }

    async fn open_at(&self, now: &Snapshot, snapshot: &str, is_branch: bool) -> Result<Snapshot, Fault> {
        let no_number = || Fault::Internal("the name of a snapshot is no number".into());
        match now {
            Snapshot::Iceberg(now) => {
                let id = snapshot.parse().map_err(|_| no_number())?;
                now.at(id, is_branch).map(Snapshot::Iceberg)
            }
            Snapshot::Delta(now) => {
                let version = snapshot.parse().map_err(|_| no_number())?;
                self.delta_at(now, version).await.map(Snapshot::Delta)
            }
        }
    }

    /// A version of a Delta table, which is the same as long as its commit is.
    async fn delta_at(&self, now: &DeltaTable, version: u64) -> Result<DeltaTable, Fault> {
        let key = now.key_of(version).await?;
        let open = async { now.at(version).await };
        let then = self.caches.versions.try_get_with(key, open).await;
        Ok(then.map_err(|fault: Arc<Fault>| (*fault).clone())?.seen_from(now))
    }
}

impl Snapshot {
    /// The columns that a contract declares.
    pub(super) fn columns(&self, declared: &Schema) -> Result<Vec<Column>, Fault> {
        match self {
            Snapshot::Iceberg(table) => table.bind(declared),
            Snapshot::Delta(table) => table.bind(declared),
        }
    }
}

/// Names of the columns that are there.
pub(super) fn present(columns: &[Column]) -> BTreeSet<String> {
    let there = columns.iter().filter(|column| !column.origin.is_absent());
    there.map(|column| column.field.name().clone()).collect()
}
