//! Filters that operators above a barrier make up while they run, as they may be used below it.
//!
//! A join knows which keys it can match before it asks the other side for rows; that filter is complete, and drops the same visible
//! rows wherever it is evaluated. A TopK sharpens its filter with every batch: which visible rows are dropped early then hangs on how
//! files and batches fall, and that hangs on hidden rows. An expression between the two fails on a row or never sees it, and so
//! tells. Where rows are hidden, a filter is therefore used as it is when the first row is asked for: complete, or not at all.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::common::Result;
use datafusion::physical_expr::expressions::{Column, DynamicFilterPhysicalExpr, lit};
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_expr::{DynamicFilterTracking, PhysicalExpr};
use datafusion::physical_expr_common::physical_expr::snapshot_physical_expr;

/// Whether a filter may change while a query runs.
pub(super) fn is_dynamic(filter: &Arc<dyn PhysicalExpr>) -> bool {
    DynamicFilterTracking::classify(filter).contains_dynamic_filter()
}

/// One such filter, over the barrier's input.
#[derive(Debug)]
struct Frozen {
    source: Arc<dyn PhysicalExpr>,
    /// What the scan below has instead.
    below: Arc<DynamicFilterPhysicalExpr>,
    /// Whether the scan evaluates it on every row.
    exact: AtomicBool,
}

/// All of a barrier.
#[derive(Debug, Clone, Default)]
pub(super) struct FrozenFilters(Arc<Mutex<Vec<Frozen>>>);

impl FrozenFilters {
    fn with<T>(&self, work: impl FnOnce(&mut Vec<Frozen>) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn is_empty(&self) -> bool {
        self.with(|all| all.is_empty())
    }

    /// Forgets all. What is below lets everything pass from now on.
    pub fn clear(&self) -> Result<()> {
        self.with(|all| all.drain(..).try_for_each(|frozen| frozen.below.update(lit(true))))
    }

    /// What the scan is to have for `source`.
    pub fn add(&self, source: Arc<dyn PhysicalExpr>) -> Arc<dyn PhysicalExpr> {
        let columns = collect_columns(&source);
        let columns = columns.into_iter().map(|column: Column| Arc::new(column) as Arc<dyn PhysicalExpr>).collect();
        let below = Arc::new(DynamicFilterPhysicalExpr::new(columns, lit(true)));
        let given = Arc::clone(&below) as Arc<dyn PhysicalExpr>;
        self.with(|all| all.push(Frozen { source, below, exact: AtomicBool::new(false) }));
        given
    }

    /// Remembers whether the scan evaluates filter `number` on every row.
    pub fn set_exact(&self, number: usize, exact: bool) {
        self.with(|all| all.get(number).map(|frozen| frozen.exact.store(exact, Ordering::Relaxed)));
    }

    /// Hands the filters that are complete to the scan, before its first row is asked for. Returns those that it does not evaluate.
    pub fn settle(&self) -> Result<Vec<Arc<dyn PhysicalExpr>>> {
        self.with(|all| {
            let mut left = Vec::new();
            for frozen in all {
                if DynamicFilterTracking::classify(&frozen.source).watcher().is_some() {
                    continue;
                }
                let now = snapshot_physical_expr(Arc::clone(&frozen.source))?;
                frozen.below.update(Arc::clone(&now))?;
                if !frozen.exact.load(Ordering::Relaxed) {
                    left.push(now);
                }
            }
            Ok(left)
        })
    }
}
