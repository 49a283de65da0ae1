use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use datafusion::catalog::TableProvider;
use datafusion::common::DataFusionError;
use datafusion::common::stats::Precision;
use datafusion::datasource::MemTable;
use datafusion::logical_expr::{Expr, col, lit};
use datafusion::physical_plan::statistics::{StatisticsArgs, StatisticsContext};

use super::world::{Source, World, govern, rows};
use crate::barrier::BarrierTable;
use crate::exec::visible::VisibleRows;

/// Asks until there is a number.
async fn counted(visible: &VisibleRows, table: &Arc<BarrierTable>, world: &World) -> usize {
    let asking = async {
        loop {
            if let Some(rows) = visible.of(table, &world.runner).await {
                return rows;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), asking).await.unwrap()
}

async fn estimate(world: &World, table: &BarrierTable, filters: &[Expr]) -> Precision<usize> {
    let plan = table.scan(&world.context.state(), None, filters, None).await.unwrap();
    let statistics = StatisticsContext::default().compute(plan.as_ref(), &StatisticsArgs::default()).unwrap();
    statistics.num_rows
}

#[tokio::test]
async fn visible_rows_are_counted_when_they_are_asked_for_again() {
    let world = World::new(|_| {});
    let batch = rows();
    let base = || Arc::new(MemTable::try_new(batch.schema(), vec![vec![batch.clone()]]).unwrap());
    let visible = VisibleRows::new();
    let (table, _) = govern(&world.context, base(), "id % 2 = 0");
    assert_eq!(visible.of(&table, &world.runner).await, None);
    // A filter that only one query has is not counted: nobody asks again.
    let (other, _) = govern(&world.context, base(), "id % 5 = 0");
    assert_eq!(visible.of(&other, &world.runner).await, None);
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(visible.of(&table, &world.runner).await, None);
    assert_eq!(counted(&visible, &table, &world).await, 5);
    assert_eq!(counted(&visible, &other, &world).await, 2);
    assert_eq!(estimate(&world, &table, &[]).await, Precision::Absent);
    assert_eq!(estimate(&world, &table.expecting(5), &[]).await, Precision::Inexact(5));
    assert_eq!(estimate(&world, &table.expecting(7), &[col("id").gt(lit(3_i64))]).await, Precision::Inexact(2));
}

#[tokio::test]
async fn what_cannot_be_counted_stays_unknown() {
    let world = World::new(|_| {});
    let visible = VisibleRows::new();
    let (broken, asked) = Source::table(Some(|| DataFusionError::Execution("gone".into())));
    let (table, _) = govern(&world.context, broken, "id % 2 = 0");
    let trying = async {
        // Tried again after it failed.
        while asked.load(Ordering::SeqCst) < 4 {
            assert_eq!(visible.of(&table, &world.runner).await, None);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), trying).await.unwrap();
}

/// A table whose rows do not end holds up the counting of others for as long as a query may take, and no longer.
#[tokio::test]
async fn counting_takes_no_longer_than_a_query_may() {
    let world = World::new(|limits| limits.wall_time = Some(Duration::from_millis(50)));
    let visible = VisibleRows::new();
    let (endless, asked) = Source::table(None);
    let (endless, _) = govern(&world.context, endless, "id % 2 = 0");
    for _ in 0..2 {
        assert_eq!(visible.of(&endless, &world.runner).await, None);
    }
    while asked.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    let batch = rows();
    let base = Arc::new(MemTable::try_new(batch.schema(), vec![vec![batch]]).unwrap());
    let (table, _) = govern(&world.context, base, "id % 5 = 0");
    assert_eq!(counted(&visible, &table, &world).await, 2);
}
