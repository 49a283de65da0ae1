//! Filters that operators above a barrier make up while they run, as they may be used below it.
//!
//! A join knows which keys it can match before it asks the other side for rows; that filter is complete, and drops the same visible
//! rows wherever it is evaluated. A TopK sharpens its filter with every batch: which visible rows are dropped early then hangs on how
//! files and batches fall, and that hangs on hidden rows. An expression between the two fails on a row or never sees it, and so
//! tells. Where rows are hidden, a filter is therefore used as it is when the first row is asked for: complete, or not at all. The
//! exception is a TopK with nothing between it and the barrier that could tell ([`super::live`]): its filter is handed on as it sharpens.

use std::sync::{Arc, Mutex, PoisonError};

use datafusion::common::Result;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::physical_expr::expressions::{Column, DynamicFilterPhysicalExpr, lit};
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_expr::{DynamicFilterTracking, PhysicalExpr};
use datafusion::physical_expr_common::physical_expr::{snapshot_generation, snapshot_physical_expr};

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
    exact: bool,
    /// Whether it is handed on while it changes.
    live: bool,
    /// Its generation when it was handed on.
    handed_on: u64,
}

impl Frozen {
    fn is_complete(&self) -> bool {
        DynamicFilterTracking::classify(&self.source).watcher().is_none()
    }

    /// Gives the scan what the filter says now.
    fn hand_on(&mut self) -> Result<Arc<dyn PhysicalExpr>> {
        // Read first: what changes meanwhile is handed on again.
        self.handed_on = snapshot_generation(&self.source);
        let now = snapshot_physical_expr(Arc::clone(&self.source))?;
        self.below.update(Arc::clone(&now))?;
        Ok(now)
    }

    fn comes_from(&self, producers: &[u64]) -> bool {
        let mut found = false;
        let walked = self.source.apply(|expr| {
            found |= expr.expression_id().is_some_and(|id| producers.contains(&id));
            Ok(TreeNodeRecursion::Continue)
        });
        walked.is_ok() && found
    }
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
        self.with(|all| all.push(Frozen { source, below, exact: false, live: false, handed_on: 0 }));
        given
    }

    /// Remembers whether the scan evaluates filter `number` on every row.
    pub fn set_exact(&self, number: usize, exact: bool) {
        self.with(|all| {
            if let Some(frozen) = all.get_mut(number) {
                frozen.exact = exact;
            }
        });
    }

    /// From now on, filters that these expressions make up are handed on while they change.
    pub fn release(&self, producers: &[u64]) {
        self.with(|all| all.iter_mut().for_each(|frozen| frozen.live |= frozen.comes_from(producers)));
    }

    /// Hands on what live filters say by now.
    pub fn refresh(&self) -> Result<()> {
        self.with(|all| {
            let changed = |frozen: &&mut Frozen| frozen.live && snapshot_generation(&frozen.source) != frozen.handed_on;
            all.iter_mut().filter(changed).try_for_each(|frozen| frozen.hand_on().map(drop))
        })
    }

    /// Hands the filters that are complete to the scan, before its first row is asked for. Returns those that it does not evaluate.
    pub fn settle(&self) -> Result<Vec<Arc<dyn PhysicalExpr>>> {
        self.with(|all| {
            let mut left = Vec::new();
            for frozen in all.iter_mut().filter(|frozen| frozen.is_complete()) {
                let now = frozen.hand_on()?;
                if !frozen.exact {
                    left.push(now);
                }
            }
            Ok(left)
        })
    }
}
