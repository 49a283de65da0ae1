//! The partitions that a barrier offers: as many as the session wants, however many files there are below.
//!
//! How many files a scan reads, and into how many ranges they are cut, follows from all rows and values of a table. Above the
//! barrier it would be seen: in plans, and in the order of rows.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{EmptyRecordBatchStream, ExecutionPlan, ExecutionPlanProperties};
use futures::{StreamExt, stream};

/// What partition `number` of `count` reads: every `count`th partition of the input, one after the other; nothing where there is none.
pub(super) fn input(
    input: &Arc<dyn ExecutionPlan>,
    number: usize,
    count: usize,
    context: &Arc<TaskContext>,
) -> Result<SendableRecordBatchStream> {
    let below = input.output_partitioning().partition_count();
    let mut parts = (number..below)
        .step_by(count.max(1))
        .map(|partition| input.execute(partition, Arc::clone(context)))
        .collect::<Result<Vec<_>>>()?;
    match (parts.pop(), parts.is_empty()) {
        (None, _) => Ok(Box::pin(EmptyRecordBatchStream::new(input.schema()))),
        (Some(only), true) => Ok(only),
        (Some(last), false) => {
            parts.push(last);
            Ok(Box::pin(RecordBatchStreamAdapter::new(input.schema(), stream::iter(parts).flatten())))
        }
    }
}
