//! How many rows are seen of a table of which some are hidden.
//!
//! Joins are planned by the number of rows, and the files' numbers count hidden ones. So they are counted: in the background, one table
//! at a time, once for everybody who sees the same rows. Whoever sees them may count them, so that the number says nothing new; it is
//! an estimate, and outlives the snapshot that it was made of.

use std::sync::Arc;
use std::time::Duration;

use datafusion::logical_expr::Expr;
use moka::future::Cache;
use portcullis_govern::{CacheUse, Lookups};
use tokio::sync::Semaphore;

use super::runner::Runner;
use crate::barrier::{BarrierTable, GovernedScan};

/// How many pairs of table and filter are remembered.
const REMEMBERED: u64 = 4096;
/// How long a number is used.
const AGE: Duration = Duration::from_secs(3600);

/// A table, and the filter that its rows pass.
type Key = (String, Expr);

#[derive(Debug, Clone, Copy)]
enum Known {
    /// It was asked for. What is asked for again is counted; a filter that no other query has is not worth it.
    Asked,
    Counting,
    Rows(usize),
}

/// The numbers of all tables.
#[derive(Debug)]
pub(super) struct VisibleRows {
    known: Cache<Key, Known>,
    lookups: Lookups,
    turn: Arc<Semaphore>,
}

impl VisibleRows {
    pub fn new() -> Self {
        let known = Cache::builder().max_capacity(REMEMBERED).time_to_live(AGE).build();
        Self { known, lookups: Lookups::default(), turn: Arc::new(Semaphore::new(1)) }
    }

    /// The rows that pass the filter, where they were counted. Otherwise sees to it that they will be, within Tokio's runtime.
    pub async fn of(&self, table: &Arc<BarrierTable>, runner: &Arc<Runner>) -> Option<usize> {
        let key = key(table.governed())?;
        match self.known.get(&key).await {
            Some(Known::Rows(rows)) => {
                self.lookups.hit();
                return Some(rows);
            }
            Some(Known::Counting) => {}
            Some(Known::Asked) => self.count(key, table, runner).await,
            None => self.known.insert(key, Known::Asked).await,
        }
        self.lookups.miss();
        None
    }

    /// How they are used.
    pub fn usage(&self) -> CacheUse {
        self.lookups.of("visible_rows", self.known.entry_count(), None)
    }

    async fn count(&self, key: Key, table: &Arc<BarrierTable>, runner: &Arc<Runner>) {
        let Ok(turn) = Arc::clone(&self.turn).try_acquire_owned() else { return };
        self.known.insert(key.clone(), Known::Counting).await;
        let (known, table, runner) = (self.known.clone(), Arc::clone(table), Arc::clone(runner));
        tokio::spawn(async move {
            match runner.count(&table).await {
                Ok(rows) => known.insert(key, Known::Rows(rows)).await,
                // Whoever reads the table is told what is wrong with it.
                Err(_) => known.invalidate(&key).await,
            }
            drop(turn);
        });
    }
}

/// None where every row is seen, or no row on its own.
fn key(scan: &GovernedScan) -> Option<Key> {
    let filter = scan.filter().filter(|_| scan.at_least().is_none())?;
    Some((scan.table().to_owned(), filter.clone()))
}
