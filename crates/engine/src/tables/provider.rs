//! The provider of a pinned snapshot: prunes its files, loads their deletes, and scans them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Statistics;
use datafusion::common::stats::Precision;
use datafusion::datasource::TableType;
use datafusion::datasource::physical_plan::parquet::ParquetRowSelection;
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use futures::{StreamExt, TryStreamExt};
use roaring::RoaringTreemap;

use super::bind::Column;
use super::cache::Caches;
use super::deletes::{DeleteSource, load_positions, load_vector, of_rows, parse_bitmap, selection};
use super::delta_log::{self, DeltaTable};
use super::fault::Fault;
use super::iceberg_log::{self, IcebergTable};
use super::plan::{FilePlan, PlannedFile};
use super::prune::Pruner;
use super::scan::{Scan, unite};
use super::shared::SharedFile;
use super::store::TableRoot;

const AT_ONCE: usize = 8;

/// A table of either format, at one snapshot.
#[derive(Debug, Clone)]
pub(super) enum Snapshot {
    /// Iceberg.
    Iceberg(IcebergTable),
    /// Delta.
    Delta(DeltaTable),
}

impl Snapshot {
    /// Its directory.
    pub(super) fn root(&self) -> &TableRoot {
        match self {
            Snapshot::Iceberg(table) => &table.root,
            Snapshot::Delta(table) => &table.root,
        }
    }

    /// The table, if it is one of Iceberg.
    pub(super) fn iceberg(&self) -> Option<&IcebergTable> {
        match self {
            Snapshot::Iceberg(table) => Some(table),
            Snapshot::Delta(_) => None,
        }
    }

    /// Snapshot id or version, for people.
    pub(super) fn name(&self) -> String {
        match self {
            Snapshot::Iceberg(table) => {
                table.snapshot().map_or("empty".into(), |found| found.snapshot_id().to_string())
            }
            Snapshot::Delta(table) => table.version().to_string(),
        }
    }

    /// When it was written.
    pub(super) fn time_ms(&self) -> Option<i64> {
        match self {
            Snapshot::Iceberg(table) => table.snapshot().map(|found| found.timestamp_ms()),
            Snapshot::Delta(table) => table.time_ms,
        }
    }

    /// How many values columns are said to have, by index.
    pub(super) fn distinct(&self, columns: &[Column]) -> BTreeMap<usize, usize> {
        let counts = self.iceberg().map(IcebergTable::distinct).unwrap_or_default();
        let of = |column: &Column| counts.get(&column.origin.id?).copied();
        columns.iter().enumerate().filter_map(|(at, column)| Some((at, of(column)?))).collect()
    }

    /// What tells this state of the table from its others.
    pub(super) fn version(&self) -> String {
        match self {
            Snapshot::Iceberg(table) => table.version.clone(),
            Snapshot::Delta(table) => table.state(),
        }
    }
}

/// Rows of one snapshot, in declared columns.
pub(super) struct SnapshotProvider {
    /// `domain.table`, for messages.
    pub(super) table: String,
    /// Declared columns.
    pub(super) schema: SchemaRef,
    /// Where they come from.
    pub(super) columns: Vec<Column>,
    /// How many values they are said to have, by index.
    pub(super) distinct: BTreeMap<usize, usize>,
    /// The snapshot.
    pub(super) snapshot: Snapshot,
    /// Key of its file plan.
    pub(super) plan_key: String,
    /// Shared memory.
    pub(super) caches: Arc<Caches>,
}

impl fmt::Debug for SnapshotProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.table, self.snapshot.name())
    }
}

impl SnapshotProvider {
    pub(super) fn root(&self) -> &TableRoot {
        self.snapshot.root()
    }

    /// The files of the snapshot, planned once for all queries.
    async fn plan(&self) -> std::result::Result<Arc<FilePlan>, Fault> {
        let planned = async {
            let plan = match &self.snapshot {
                Snapshot::Iceberg(table) => iceberg_log::plan(table, &self.columns, &self.caches.manifests).await?,
                Snapshot::Delta(table) => delta_log::plan(table, &self.columns).await?,
            };
            Ok(Arc::new(plan))
        };
        self.caches
            .plans
            .try_get_with(self.plan_key.clone(), planned)
            .await
            .map_err(|fault: Arc<Fault>| (*fault).clone())
    }

    /// The file without its deleted rows; none if no row is left.
    async fn ready(&self, plan: &FilePlan, at: usize) -> std::result::Result<Option<SharedFile>, Fault> {
        let Some(planned) = plan.files.get(at) else { return Ok(None) };
        let exact = plan.layouts.get(planned.layout).is_some_and(|layout| !layout.equality);
        let load = async { self.without_deletes(planned, exact).await };
        self.caches.ready.try_get_with((plan.id, at), load).await.map_err(|fault: Arc<Fault>| (*fault).clone())
    }

    async fn without_deletes(
        &self,
        planned: &PlannedFile,
        exact: bool,
    ) -> std::result::Result<Option<SharedFile>, Fault> {
        let rows = planned.rows.ok_or_else(|| Fault::Corrupt("a file of it has no number of rows".into()))?;
        let mut deleted = RoaringTreemap::new();
        for source in &planned.deletes {
            match source.as_ref() {
                DeleteSource::Vector { path, range, rows } => {
                    let vector = load_vector(self.root(), path, range).await?;
                    deleted |= of_rows(vector, *rows).map_err(|fault| fault.in_file(path.as_ref()))?;
                }
                DeleteSource::Inline { bytes, rows } => deleted |= of_rows(parse_bitmap(bytes)?, *rows)?,
                DeleteSource::Positions(path) => {
                    let key = format!("{}{path}", self.root().root.url.as_str());
                    let load = async { load_positions(self.root(), path).await.map(Arc::new) };
                    let positions = self.caches.positions.try_get_with(key, load).await;
                    let positions = positions.map_err(|fault: Arc<Fault>| (*fault).clone())?;
                    if let Some(found) = positions.get(planned.uri.as_ref()) {
                        deleted |= found;
                    }
                }
            }
        }
        let left = rows.saturating_sub(deleted.len());
        if left == 0 {
            return Ok(None);
        }
        let mut file = planned.file.file.as_ref().clone();
        let mut statistics: Statistics = file.statistics.as_deref().cloned().unwrap_or_default();
        if let (true, Ok(left)) = (exact, usize::try_from(left)) {
            statistics.num_rows = Precision::Exact(left);
        }
        file.statistics = Some(Arc::new(statistics));
        if !deleted.is_empty() {
            file = file.with_extension(ParquetRowSelection::new(selection(&deleted, rows)?));
        }
        Ok(Some(file.into()))
    }

    async fn scan_files(
        &self,
        state: &dyn Session,
        wanted: &[usize],
        filters: &[Expr],
        limit: Option<usize>,
    ) -> std::result::Result<Vec<Arc<dyn ExecutionPlan>>, Problem> {
        let plan = self.plan().await?;
        let kept = Pruner::new(filters, &self.schema).kept(&plan.known);
        let mut groups: Vec<Vec<(usize, SharedFile)>> = vec![Vec::new(); plan.layouts.len()];
        let mut with_deletes = Vec::new();
        for (at, (planned, _)) in plan.files.iter().zip(kept).enumerate().filter(|(_, (_, kept))| *kept) {
            match groups.get_mut(planned.layout) {
                Some(group) if planned.deletes.is_empty() => group.push((at, planned.file.clone())),
                _ => with_deletes.push((at, planned.layout)),
            }
        }
        let plan = &plan;
        let ready: Vec<(usize, usize, Option<SharedFile>)> = futures::stream::iter(with_deletes)
            .map(|(at, layout)| async move { Ok::<_, Fault>((at, layout, self.ready(plan, at).await?)) })
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        for (at, layout, file) in ready {
            if let (Some(group), Some(file)) = (groups.get_mut(layout), file) {
                group.push((at, file));
            }
        }
        let (schema, distinct) = (&self.schema, &self.distinct);
        let scan = Scan { state, root: self.root(), schema, distinct, wanted, limit };
        let mut plans = Vec::new();
        for (layout, mut files) in plan.layouts.iter().zip(groups) {
            // In the order of the plan, whether or not rows of them are deleted.
            files.sort_unstable_by_key(|(at, _)| *at);
            let files: Vec<SharedFile> = files.into_iter().map(|(_, file)| file).collect();
            if !files.is_empty() {
                plans.push(scan.of(layout, files, &plan.equality)?);
            }
        }
        Ok(plans)
    }
}

/// Ours or DataFusion's.
enum Problem {
    Fault(Fault),
    DataFusion(datafusion::error::DataFusionError),
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        Problem::Fault(fault)
    }
}

impl From<datafusion::error::DataFusionError> for Problem {
    fn from(error: datafusion::error::DataFusionError) -> Self {
        Problem::DataFusion(error)
    }
}

#[async_trait]
impl TableProvider for SnapshotProvider {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let wanted: Vec<usize> = match projection {
            Some(wanted) => wanted.clone(),
            None => (0..self.schema.fields().len()).collect(),
        };
        match self.scan_files(state, &wanted, filters, limit).await {
            Ok(plans) if plans.is_empty() => Ok(Arc::new(EmptyExec::new(Arc::new(self.schema.project(&wanted)?)))),
            Ok(plans) => unite(plans),
            Err(Problem::Fault(fault)) => Err(fault.external(&self.table)),
            Err(Problem::DataFusion(error)) => Err(error),
        }
    }
}
