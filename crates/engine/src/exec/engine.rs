//! The engine: from a governed plan to a bound one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::common::Column;
use datafusion::logical_expr::{Expr, TableSource};
use futures::future::try_join_all;
use portcullis_contract::{Table, TableName};
use portcullis_govern::{AsOf, CacheUse, Disclosure, ExplainKind, GovernedPlan, ResolvedVersion, ScanSource};

use super::bind::bind;
use super::limits::EngineLimits;
use super::redact;
use super::runner::{Bound, Runner, Shown};
use super::visible::VisibleRows;
use crate::EngineError;
use crate::Guards;
use crate::Stopwatch;
use crate::barrier::{BarrierTable, GovernedScan, ScanColumn};
use crate::tables::{PinnedTable, Tables};

/// Runs governed plans. One for each process; cheap to share.
#[derive(Debug)]
pub struct Engine {
    tables: Arc<Tables>,
    runner: Arc<Runner>,
    visible: VisibleRows,
    guards: Guards,
}

impl Engine {
    /// # Errors
    /// When the spill directory cannot be created.
    pub fn new(tables: Arc<Tables>, limits: EngineLimits, guards: Guards) -> Result<Self, EngineError> {
        let runner = Arc::new(Runner::new(limits, tables.object_store_registry(), guards.clone())?);
        Ok(Self { tables, runner, visible: VisibleRows::new(), guards })
    }

    /// Bytes of memory that running queries hold for sorts, joins and aggregations.
    pub fn memory_reserved(&self) -> usize {
        self.runner.memory_reserved()
    }

    /// How what is kept between queries is used.
    pub fn caches(&self) -> Vec<CacheUse> {
        let mut caches = self.tables.caches();
        caches.push(self.visible.usage());
        caches
    }

    /// Which version of a table a statement means.
    ///
    /// # Errors
    /// When there is no such version, or the table is not available.
    pub async fn resolve(&self, table: &Table, as_of: &AsOf) -> Result<ResolvedVersion, EngineError> {
        self.tables.resolve(table, as_of).await
    }

    /// Pins the current snapshot of every table of the plan, or the version that was decided on, puts barriers before them, optimises, and verifies the result.
    ///
    /// # Errors
    /// When a table is not available, the plan cannot be executed, or it does not pass the check.
    pub async fn prepare(&self, plan: &GovernedPlan) -> Result<Bound, EngineError> {
        let turn = self.runner.turn().await?;
        let mut clock = Stopwatch::start();
        let pinned = self.pin(plan).await?;
        clock.stage("pin");
        let mut barriers: Vec<Arc<BarrierTable>> = Vec::with_capacity(plan.scans().len());
        for (at, source) in plan.scans().iter().enumerate() {
            // Equal subqueries are planned once: scans that show the same are one, so that none of them is missed.
            let same = plan.scans().iter().take(at).position(|earlier| earlier.shows_the_same(source));
            if let Some(barrier) = same.and_then(|earlier| barriers.get(earlier)) {
                barriers.push(Arc::clone(barrier));
                continue;
            }
            let key = pin_of(source);
            let Some(table) = pinned.get(&key) else {
                return Err(EngineError::Internal(format!("table `{}` was not pinned", key.0)));
            };
            barriers.push(self.barrier(source, table, plan.scans().len() > 1).await?);
        }
        // By identity: a source that only looks like a decided one is not bound, and does not pass the check.
        let table = |source: &dyn TableSource| {
            let source = source.downcast_ref::<ScanSource>()?;
            let position = plan.scans().iter().position(|scan| std::ptr::eq(Arc::as_ptr(scan), source))?;
            barriers.get(position).cloned()
        };
        let logical = bind(plan.logical().clone(), &table).map_err(|e| redact::planning(&e))?;
        clock.stage("bind");
        let scans: Vec<_> = barriers.iter().map(|barrier| Arc::clone(barrier.governed())).collect();
        // Which partition a row is in follows from the hash of what is matched, and shows in the order of rows.
        let is_matched =
            |source: &Arc<ScanSource>| source.columns().iter().any(|c| c.disclosure == Disclosure::JoinOnly);
        let shown = match plan.explains() {
            Some(ExplainKind::Analyze) => Shown::Counts,
            _ if plan.scans().iter().any(is_matched) || plan.hangs_on_order() => Shown::Order,
            _ => Shown::Answer,
        };
        let mut bound = self.runner.plan(logical, Some(&plan.schema()), plan.time_zone(), shown, &scans, turn).await?;
        let snapshots = pinned.iter().map(|((name, _), table)| ((*name).clone(), table.snapshot().to_owned()));
        bound.snapshots = snapshots.collect::<BTreeSet<_>>().into_iter().collect();
        Ok(bound)
    }

    /// The view of a table. `joined`: it is worth knowing how many rows it has.
    async fn barrier(
        &self,
        source: &ScanSource,
        table: &Arc<PinnedTable>,
        joined: bool,
    ) -> Result<Arc<BarrierTable>, EngineError> {
        let barrier = barrier(source, table, &self.guards)?;
        let rows = if joined { self.visible.of(&barrier, &self.runner).await } else { None };
        Ok(match rows {
            Some(rows) => Arc::new(barrier.expecting(rows)),
            None => barrier,
        })
    }

    /// One snapshot for each table and version, however often the plan scans it.
    async fn pin<'a>(&self, plan: &'a GovernedPlan) -> Result<BTreeMap<Pin<'a>, Arc<PinnedTable>>, EngineError> {
        let tables: BTreeMap<_, _> = plan.scans().iter().map(|scan| (pin_of(scan), scan.table())).collect();
        let pins = tables.into_iter().map(async |(pin, table)| {
            let pinned = match pin.1 {
                Some(version) => self.tables.pin_at(table, version).await?,
                None => self.tables.pin(table).await?,
            };
            Ok((pin, pinned))
        });
        Ok(try_join_all(pins).await?.into_iter().collect())
    }
}

/// What is pinned: a table, and the version of it that was decided on.
type Pin<'a> = (&'a TableName, Option<&'a ResolvedVersion>);

fn pin_of(source: &ScanSource) -> Pin<'_> {
    (&source.table().name, source.version().map(AsRef::as_ref))
}

fn barrier(source: &ScanSource, table: &Arc<PinnedTable>, guards: &Guards) -> Result<Arc<BarrierTable>, EngineError> {
    let name = source.table().name.to_string();
    let columns = source.columns().iter().map(|c| match guards.mask(&c.name) {
        true => ScanColumn { name: c.name.clone(), expr: c.expr.clone() },
        false => ScanColumn { name: c.name.clone(), expr: Expr::Column(Column::new_unqualified(&c.name)) },
    });
    let base = source.base_schema().clone();
    // The text of such an error would quote a policy.
    let unfit = |_| EngineError::Internal(format!("the row filter or a mask of `{name}` does not fit its columns"));
    let scan = GovernedScan::try_new(source.id(), name.as_str(), base, source.filter(), columns)
        .map_err(unfit)?
        .guarded(guards.clone())
        .aggregates_of(source.decision().aggregation.as_ref().map(|limit| limit.at_least));
    let barrier = BarrierTable::try_new(table.provider(), Arc::new(scan)).map_err(|e| redact::planning(&e))?;
    Ok(Arc::new(barrier))
}
