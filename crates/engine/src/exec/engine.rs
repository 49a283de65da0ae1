//! The engine: from a governed plan to a bound one.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::logical_expr::TableSource;
use futures::future::try_join_all;
use portcullis_contract::TableName;
use portcullis_govern::{GovernedPlan, ScanSource};

use super::bind::bind;
use super::limits::EngineLimits;
use super::redact;
use super::runner::{Bound, Runner};
use crate::EngineError;
use crate::barrier::{BarrierTable, GovernedScan, ScanColumn};
use crate::tables::{PinnedTable, Tables};

/// Runs governed plans. One for each process; cheap to share.
#[derive(Debug)]
pub struct Engine {
    tables: Arc<Tables>,
    runner: Runner,
}

impl Engine {
    /// # Errors
    /// When the spill directory cannot be created.
    pub fn new(tables: Arc<Tables>, limits: EngineLimits) -> Result<Self, EngineError> {
        let runner = Runner::new(limits, tables.object_store_registry())?;
        Ok(Self { tables, runner })
    }

    /// Pins the current snapshot of every table of the plan, puts barriers before them, optimises, and verifies the result.
    ///
    /// # Errors
    /// When a table is not available, the plan cannot be executed, or it does not pass the check.
    pub async fn prepare(&self, plan: &GovernedPlan) -> Result<Bound, EngineError> {
        let turn = self.runner.turn().await?;
        let pinned = self.pin(plan).await?;
        let mut barriers = Vec::with_capacity(plan.scans().len());
        for source in plan.scans() {
            let name = &source.table().name;
            let Some(table) = pinned.get(name) else {
                return Err(EngineError::Internal(format!("table `{name}` was not pinned")));
            };
            barriers.push(barrier(source, table)?);
        }
        // By identity: a source that only looks like a decided one is not bound, and does not pass the check.
        let table = |source: &dyn TableSource| {
            let source = source.downcast_ref::<ScanSource>()?;
            let position = plan.scans().iter().position(|scan| std::ptr::eq(Arc::as_ptr(scan), source))?;
            barriers.get(position).cloned()
        };
        let logical = bind(plan.logical().clone(), &table).map_err(|e| redact::planning(&e))?;
        let scans: Vec<_> = barriers.iter().map(|barrier| Arc::clone(barrier.governed())).collect();
        let mut bound = self.runner.plan(logical, &scans, turn).await?;
        bound.snapshots = pinned.iter().map(|(name, table)| (name.clone(), table.snapshot().to_owned())).collect();
        Ok(bound)
    }

    /// One snapshot for each table, however often the plan scans it.
    async fn pin(&self, plan: &GovernedPlan) -> Result<BTreeMap<TableName, Arc<PinnedTable>>, EngineError> {
        let tables: BTreeMap<_, _> = plan.scans().iter().map(|scan| (&scan.table().name, scan.table())).collect();
        let pins = tables.into_iter().map(async |(name, table)| Ok((name.clone(), self.tables.pin(table).await?)));
        Ok(try_join_all(pins).await?.into_iter().collect())
    }
}

fn barrier(source: &ScanSource, table: &Arc<PinnedTable>) -> Result<Arc<BarrierTable>, EngineError> {
    let name = source.table().name.to_string();
    let columns = source.columns().iter().map(|c| ScanColumn { name: c.name.clone(), expr: c.expr.clone() });
    let base = source.base_schema().clone();
    // The text of such an error would quote a policy.
    let unfit = |_| EngineError::Internal(format!("the row filter or a mask of `{name}` does not fit its columns"));
    let scan = GovernedScan::try_new(source.id(), name.as_str(), base, source.filter(), columns).map_err(unfit)?;
    let barrier = BarrierTable::try_new(table.provider(), Arc::new(scan)).map_err(|e| redact::planning(&e))?;
    Ok(Arc::new(barrier))
}
