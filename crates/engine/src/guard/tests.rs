use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::{ExecutionPlan, collect};
use datafusion::prelude::SessionConfig;

use super::GroupGuardExec;

fn groups() -> Arc<dyn ExecutionPlan> {
    let names = Arc::new(StringArray::from(vec!["a", "b", "c", "d"])) as ArrayRef;
    let ones = Arc::new(Int64Array::from(vec![Some(5), Some(4), None, Some(9)])) as ArrayRef;
    let others = Arc::new(Int64Array::from(vec![3, 9, 9, 2])) as ArrayRef;
    let batch = RecordBatch::try_from_iter_with_nullable([
        ("name", names, true),
        ("ones", ones, true),
        ("others", others, true),
    ])
    .unwrap();
    MemorySourceConfig::try_new_exec(&[vec![batch.clone()]], batch.schema(), None).unwrap()
}

#[tokio::test]
async fn every_count_must_reach_its_limit() {
    for (limits, expect) in [(vec![5, 3], "a"), (vec![5, 2], "ad"), (vec![10, 1], "")] {
        let guard = Arc::new(GroupGuardExec::try_new(groups(), limits.clone()).unwrap());
        assert_eq!(guard.schema().fields().len(), 1, "counts do not come out");
        let batches = collect(guard, Arc::new(TaskContext::default())).await.unwrap();
        let names = batches.iter().flat_map(|batch| {
            let names = batch.column(0).as_any().downcast_ref::<StringArray>().unwrap();
            names.iter().flatten().map(str::to_owned).collect::<Vec<_>>()
        });
        assert_eq!(names.collect::<String>(), expect, "{limits:?}");
    }
}

#[test]
fn a_guard_has_a_count_for_each_limit() {
    assert!(GroupGuardExec::try_new(groups(), vec![]).is_err());
    assert!(GroupGuardExec::try_new(groups(), vec![1, 1, 1, 1]).is_err());
}

/// Where a batch ends would tell how many groups were dropped before it.
#[tokio::test]
async fn batches_tell_of_no_group_that_was_dropped() {
    let sizes = |dropped: Vec<usize>| async move {
        let groups = (0..40).map(|group| if dropped.contains(&group) { 1 } else { 9 });
        let groups: Vec<i64> = groups.collect();
        let batches = groups.chunks(7).map(|counts| {
            let names = Arc::new(Int64Array::from(vec![0; counts.len()])) as ArrayRef;
            RecordBatch::try_from_iter([("name", names), ("count", Arc::new(Int64Array::from(counts.to_vec())) as _)])
                .unwrap()
        });
        let batches: Vec<RecordBatch> = batches.collect();
        let input =
            MemorySourceConfig::try_new_exec(std::slice::from_ref(&batches), batches[0].schema(), None).unwrap();
        let config = SessionConfig::new().with_batch_size(8);
        let context = Arc::new(TaskContext::default().with_session_config(config));
        let kept = collect(Arc::new(GroupGuardExec::try_new(input, vec![5]).unwrap()), context).await.unwrap();
        kept.iter().map(RecordBatch::num_rows).collect::<Vec<_>>()
    };
    let expected = vec![8, 8, 8, 8, 3];
    assert_eq!(sizes(vec![0, 1, 2, 3, 30]).await, expected);
    assert_eq!(sizes(vec![5, 14, 21, 22, 39]).await, expected);
}
