use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::{ExecutionPlan, collect};

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
