//! Who may sharpen a filter below the barrier, and what that saves.

use std::sync::Arc;

use datafusion::physical_plan::{ExecutionPlan, collect};

use super::barrier;
use crate::barrier::release;

/// Rows that the scan gave, and rows of the answer.
async fn read(query: &str, follow: bool) -> (usize, usize) {
    let (world, _dir) = barrier(true).await;
    let plan = world.context.sql(query).await.unwrap().create_physical_plan().await.unwrap();
    if follow {
        release(&plan);
    }
    let mut state = world.context.state();
    // A barrier waits until a batch is full.
    *state.config_mut() = state.config().clone().with_batch_size(16);
    let answer = collect(Arc::clone(&plan), state.task_ctx()).await.unwrap();
    let rows = scan(&plan).metrics().unwrap().output_rows().unwrap();
    (rows, answer.iter().map(|batch| batch.num_rows()).sum())
}

fn scan(plan: &Arc<dyn ExecutionPlan>) -> &Arc<dyn ExecutionPlan> {
    match plan.children().first() {
        Some(child) => scan(child),
        None => plan,
    }
}

#[tokio::test]
async fn a_top_ten_directly_above_is_followed() {
    for query in ["SELECT id FROM t ORDER BY id LIMIT 3", "SELECT note, big FROM t ORDER BY big LIMIT 3"] {
        assert_eq!(read(query, false).await, (200, 3), "{query}: every visible row without it");
        let (rows, answer) = read(query, true).await;
        assert!(rows < 200 && answer == 3, "{query}: {rows} rows were read");
    }
}

/// A visible row that an expression fails on must reach it, however the hidden rows beside it lie.
#[tokio::test]
async fn what_looks_at_rows_in_between_sees_them_all() {
    for query in [
        "SELECT id FROM t WHERE CAST(amt AS INT) >= 0 ORDER BY id LIMIT 3",
        "SELECT id FROM (SELECT id, CAST(amt AS INT) AS n FROM t) ORDER BY id, n LIMIT 3",
        "SELECT max(id) FROM (SELECT id, sum(salary) OVER (PARTITION BY id) AS s FROM t) GROUP BY s ORDER BY s LIMIT 3",
    ] {
        assert_eq!(read(query, true).await, (200, 3), "{query}");
    }
}
