//! The memory of window functions: DataFusion's operators hold rows, and ask no pool for them.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_err};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowAggExec};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::{StreamExt, TryStreamExt};

use super::operators::with_children;

/// The operator of window functions, reserving what it holds; `None` if it is none.
pub(super) fn counted(plan: &Arc<dyn ExecutionPlan>) -> Option<Arc<dyn ExecutionPlan>> {
    (plan.is::<WindowAggExec>() || plan.is::<BoundedWindowAggExec>()).then(|| {
        let window = Arc::clone(plan);
        Arc::new(CountedWindow { window, metrics: ExecutionPlanMetricsSet::new() }) as Arc<dyn ExecutionPlan>
    })
}

fn columns(plan: &Arc<dyn ExecutionPlan>) -> usize {
    plan.schema().fields().len()
}

/// Bytes of a window function's result for a row: a number, or a view of a text.
const RESULT: usize = 16;

/// What one partition of a window operator holds.
#[derive(Debug)]
struct Held {
    reservation: MemoryReservation,
    /// Whether rows that were handed on are let go. Otherwise everything is held until the end.
    lets_go: bool,
    /// How many columns it adds.
    added: usize,
    rows: AtomicUsize,
    bytes: AtomicUsize,
    gone: AtomicUsize,
}

impl Held {
    fn came(&self, batch: &RecordBatch) -> Result<()> {
        self.rows.fetch_add(batch.num_rows(), Ordering::Relaxed);
        let bytes = size(batch) + batch.num_rows() * self.added * RESULT;
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.reservation.try_resize(self.now())
    }

    fn went(&self, batch: &RecordBatch) {
        self.gone.fetch_add(batch.num_rows(), Ordering::Relaxed);
        let now = self.now();
        if now < self.reservation.size() {
            self.reservation.resize(now);
        }
    }

    /// Bytes. Rows are held twice: as they came, and in one batch.
    fn now(&self) -> usize {
        let (rows, bytes) = (self.rows.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed));
        let gone = if self.lets_go { self.gone.load(Ordering::Relaxed) } else { 0 };
        let left = rows.saturating_sub(gone);
        let held = (bytes as u128 * left as u128).checked_div(rows as u128).unwrap_or(0);
        usize::try_from(held.saturating_mul(2)).unwrap_or(usize::MAX)
    }
}

/// Bytes of the values of a batch, whatever else its buffers hold.
fn size(batch: &RecordBatch) -> usize {
    let column = |column: &dyn Array| match column.data_type() {
        DataType::Utf8View => 16 * column.len() + column.as_string_view().total_buffer_bytes_used(),
        DataType::BinaryView => 16 * column.len() + column.as_binary_view().total_buffer_bytes_used(),
        _ => column.to_data().get_slice_memory_size().unwrap_or_else(|_| column.get_array_memory_size()),
    };
    batch.columns().iter().map(|c| column(c.as_ref())).sum()
}

/// A window operator that reserves what it holds. To plans and their readers it is the operator.
#[derive(Debug)]
struct CountedWindow {
    window: Arc<dyn ExecutionPlan>,
    metrics: ExecutionPlanMetricsSet,
}

impl DisplayAs for CountedWindow {
    fn fmt_as(&self, form: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        self.window.fmt_as(form, f)
    }
}

impl ExecutionPlan for CountedWindow {
    fn name(&self) -> &str {
        self.window.name()
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.window.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.window.children()
    }

    fn apply_expressions(
        &self,
        visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.window.apply_expressions(visit)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let window = Arc::clone(&self.window).replace_children(children, options)?;
        Ok(Arc::new(CountedWindow { window, metrics: ExecutionPlanMetricsSet::new() }))
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let held = Arc::new(Held {
            reservation: MemoryConsumer::new("window functions").register(context.memory_pool()),
            lets_go: self.window.is::<BoundedWindowAggExec>(),
            added: columns(&self.window).saturating_sub(self.children().into_iter().map(columns).sum()),
            rows: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            gone: AtomicUsize::new(0),
        });
        let inputs = self.window.children().into_iter();
        let inputs = inputs.map(|input| Arc::new(Input { input: Arc::clone(input), held: Arc::clone(&held) }) as _);
        let rows = with_children(&self.window, inputs.collect())?.execute(partition, context)?;
        let baseline = BaselineMetrics::new(&self.metrics, partition);
        let rows = rows.inspect_ok(move |batch| {
            baseline.record_output(batch.num_rows());
            held.went(batch);
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

/// What a window operator reads, counted. It is there while one partition runs.
#[derive(Debug)]
struct Input {
    input: Arc<dyn ExecutionPlan>,
    held: Arc<Held>,
}

impl DisplayAs for Input {
    fn fmt_as(&self, form: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        self.input.fmt_as(form, f)
    }
}

impl ExecutionPlan for Input {
    fn name(&self) -> &str {
        self.input.name()
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
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
            (Some(input), true) => Ok(Arc::new(Input { input, held: Arc::clone(&self.held) })),
            _ => internal_err!("a window operator has one input"),
        }
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let held = Arc::clone(&self.held);
        let rows = self.input.execute(partition, context)?;
        let rows = rows.map(move |batch| batch.and_then(|batch| held.came(&batch).map(|()| batch)));
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.input.schema(), rows)))
    }
}
