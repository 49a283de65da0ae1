//! The operator that drops groups which are too small.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::{Array, BooleanArray, Int64Array, RecordBatch, RecordBatchOptions};
use datafusion::arrow::compute::filter_record_batch;
use datafusion::arrow::datatypes::{FieldRef, Schema, SchemaRef};
use datafusion::common::cast::as_int64_array;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{CardinalityEffect, ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::{StreamExt, stream};

use crate::barrier::Kept;

/// Keeps the rows whose last columns, counts, reach their limits, and hands on the columns before those.
///
/// What it hands on has batches of one size: where one ends would tell of the groups that were dropped.
///
/// It takes over no predicate, limit, order or projection: nothing of the statement's is evaluated on a group that it
/// drops. What is not said here about pushing down is refused by `ExecutionPlan`'s defaults.
#[derive(Debug, Clone)]
pub struct GroupGuardExec {
    input: Arc<dyn ExecutionPlan>,
    limits: Vec<u64>,
    schema: SchemaRef,
    properties: Arc<PlanProperties>,
}

impl GroupGuardExec {
    /// # Errors
    /// When the input has not a count for each limit.
    pub fn try_new(input: Arc<dyn ExecutionPlan>, limits: Vec<u64>) -> Result<Self> {
        let offered = input.schema();
        let Some(kept) = offered.fields().len().checked_sub(limits.len()).filter(|_| !limits.is_empty()) else {
            return internal_err!("a group guard has {} limits for its input", limits.len());
        };
        let nullable = |field: &FieldRef| field.as_ref().clone().with_nullable(true);
        let schema = Arc::new(Schema::new(offered.fields().iter().take(kept).map(nullable).collect::<Vec<_>>()));
        let from = input.properties();
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&schema)),
            Partitioning::UnknownPartitioning(from.output_partitioning().partition_count()),
            from.emission_type,
            from.boundedness,
        )
        .with_scheduling_type(from.scheduling_type)
        .with_evaluation_type(from.evaluation_type);
        Ok(GroupGuardExec { input, limits, schema, properties: Arc::new(properties) })
    }

    /// What the last columns of the input must reach.
    pub fn limits(&self) -> &[u64] {
        &self.limits
    }
}

/// The rows of a batch that every limit lets through, without the counts.
fn let_through(batch: &RecordBatch, limits: &[u64], schema: &SchemaRef) -> Result<RecordBatch> {
    let kept = schema.fields().len();
    let mut counts: Vec<&Int64Array> = Vec::with_capacity(limits.len());
    for at in 0..limits.len() {
        match batch.columns().get(kept + at) {
            Some(column) => counts.push(as_int64_array(column)?),
            None => return internal_err!("a group guard's input has no count {at}"),
        }
    }
    let reaches = |row: usize| {
        let reached = |(count, limit): (&&Int64Array, &u64)| {
            count.is_valid(row) && u64::try_from(count.value(row)).is_ok_and(|count| count >= *limit)
        };
        counts.iter().zip(limits).all(reached)
    };
    let through: BooleanArray = (0..batch.num_rows()).map(|row| Some(reaches(row))).collect();
    let kept = filter_record_batch(&batch.project(&(0..kept).collect::<Vec<_>>())?, &through)?;
    let options = RecordBatchOptions::new().with_row_count(Some(kept.num_rows()));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), kept.columns().to_vec(), &options)?)
}

/// The groups that are large enough, as they come.
struct Large {
    /// `None` once it ended.
    input: Option<SendableRecordBatchStream>,
    kept: Kept,
    limits: Vec<u64>,
    schema: SchemaRef,
}

impl Large {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if let Some(batch) = self.kept.next_completed_batch() {
                return Ok(Some(batch));
            }
            let Some(input) = &mut self.input else { return Ok(None) };
            match input.next().await {
                Some(batch) => {
                    self.kept.push_batch(let_through(&batch?, &self.limits, &self.schema)?)?;
                }
                None => {
                    self.input = None;
                    self.kept.finish()?;
                }
            }
        }
    }
}

impl DisplayAs for GroupGuardExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "GroupGuardExec: at_least={:?}", self.limits)
    }
}

impl ExecutionPlan for GroupGuardExec {
    fn name(&self) -> &str {
        "GroupGuardExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        // `true` would let a sort with a fallible key below.
        vec![false]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.is_empty()) {
            (Some(input), true) => Ok(Arc::new(GroupGuardExec::try_new(input, self.limits.clone())?)),
            _ => internal_err!("a group guard has one input"),
        }
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let input = self.input.execute(partition, Arc::clone(&context))?;
        let kept = Kept::new(Arc::clone(&self.schema), context.session_config().batch_size().max(1), None);
        let large = Large { input: Some(input), kept, limits: self.limits.clone(), schema: Arc::clone(&self.schema) };
        let batches =
            stream::try_unfold(large, |mut large| async move { Ok(large.next().await?.map(|batch| (batch, large))) });
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), batches)))
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        CardinalityEffect::LowerEqual
    }
}
