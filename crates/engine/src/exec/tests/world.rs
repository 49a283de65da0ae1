//! A runner, a governed table in memory, and the plans of statements over it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringViewArray};
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::common::{Column, DFSchema, DataFusionError};
use datafusion::datasource::MemTable;
use datafusion::execution::object_store::DefaultObjectStoreRegistry;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use datafusion::prelude::SessionContext;
use futures::{Stream, StreamExt, TryStreamExt};

use crate::Guards;
use crate::barrier::{BarrierTable, GovernedScan, ScanColumn};
use crate::exec::runner::{Bound, Runner, Shown};
use crate::exec::{EngineLimits, ScrubbedStream};
use crate::{EngineError, wire_schema};

/// `id` 0 to 9, `name` with a needle in every row of an odd id, which the filter hides.
pub fn rows() -> RecordBatch {
    let name = |i: i64| if i % 2 == 1 { format!("NEEDLE of row {i}") } else { format!("visible in row {i}") };
    let ids = Arc::new(Int64Array::from_iter_values(0..10)) as ArrayRef;
    let names = Arc::new(StringViewArray::from_iter_values((0..10).map(name))) as ArrayRef;
    RecordBatch::try_from_iter([("id", ids), ("name", names)]).unwrap()
}

pub struct World {
    pub runner: Arc<Runner>,
    pub context: SessionContext,
    pub scan: Arc<GovernedScan>,
    pub spill: tempfile::TempDir,
}

impl World {
    pub fn new(change: impl FnOnce(&mut EngineLimits)) -> Self {
        let batch = rows();
        Self::over(Arc::new(MemTable::try_new(batch.schema(), vec![vec![batch]]).unwrap()), change)
    }

    pub fn over(base: Arc<dyn TableProvider>, change: impl FnOnce(&mut EngineLimits)) -> Self {
        let spill = tempfile::tempdir().unwrap();
        let mut limits = EngineLimits::new(spill.path().join("spill"));
        limits.target_partitions = 2;
        change(&mut limits);
        let runner = Runner::new(limits, Arc::new(DefaultObjectStoreRegistry::new()), Guards::default()).unwrap();
        let context = SessionContext::new();
        let (table, scan) = govern(&context, base, "id % 2 = 0");
        context.register_table("t", table).unwrap();
        Self { runner: Arc::new(runner), context, scan, spill }
    }

    pub async fn logical(&self, sql: &str) -> LogicalPlan {
        self.context.state().create_logical_plan(sql).await.unwrap()
    }

    pub async fn prepare(&self, sql: &str) -> Result<Bound, EngineError> {
        self.prepare_for(sql, Shown::Answer).await
    }

    pub async fn prepare_for(&self, sql: &str, shown: Shown) -> Result<Bound, EngineError> {
        self.prepare_as(sql, None, shown).await
    }

    /// With columns of types that were announced.
    pub async fn prepare_as(&self, sql: &str, announced: Option<&Schema>, shown: Shown) -> Result<Bound, EngineError> {
        let logical = self.logical(sql).await;
        self.runner
            .plan(
                logical,
                announced,
                portcullis_govern::UTC,
                shown,
                &[Arc::clone(&self.scan)],
                self.runner.turn().await?,
            )
            .await
    }

    pub async fn start(&self, sql: &str) -> Result<ScrubbedStream, EngineError> {
        self.prepare(sql).await?.execute()
    }

    pub async fn run(&self, sql: &str) -> Result<Vec<RecordBatch>, EngineError> {
        let bound = self.prepare(sql).await?;
        let schema = bound.schema();
        let batches: Vec<RecordBatch> = bound.execute()?.try_collect().await?;
        for batch in &batches {
            assert_eq!(batch.schema(), schema);
            assert_eq!(wire_schema(&schema), schema);
        }
        Ok(batches)
    }
}

pub fn govern(
    context: &SessionContext,
    base: Arc<dyn TableProvider>,
    filter: &str,
) -> (Arc<BarrierTable>, Arc<GovernedScan>) {
    let schema = base.schema();
    let filter = context.parse_sql_expr(filter, &DFSchema::try_from(Arc::clone(&schema)).unwrap()).unwrap();
    let columns = schema.fields().iter().map(|field| ScanColumn {
        name: field.name().clone(),
        expr: Expr::Column(Column::new_unqualified(field.name())),
    });
    let scan = Arc::new(GovernedScan::try_new(7, "shop.t", schema.clone(), Some(&filter), columns).unwrap());
    (Arc::new(BarrierTable::try_new(base, Arc::clone(&scan)).unwrap()), scan)
}

/// A table that has more rows for whoever asks, and counts the batches asked for.
#[derive(Debug)]
pub struct Source {
    pub asked: Arc<AtomicUsize>,
    /// What comes instead of the second batch.
    pub failure: Option<fn() -> DataFusionError>,
    schema: SchemaRef,
}

impl Source {
    pub fn table(failure: Option<fn() -> DataFusionError>) -> (Arc<dyn TableProvider>, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let schema = rows().schema();
        let source = Self { asked: Arc::clone(&asked), failure, schema: Arc::clone(&schema) };
        (Arc::new(StreamingTable::try_new(schema, vec![Arc::new(source)]).unwrap()), asked)
    }

    fn batches(&self) -> impl Stream<Item = Result<RecordBatch, DataFusionError>> + use<> {
        let (asked, failure) = (Arc::clone(&self.asked), self.failure);
        futures::stream::repeat_with(move || match (asked.fetch_add(1, Ordering::SeqCst), failure) {
            (1.., Some(failure)) => Err(failure()),
            _ => Ok(rows()),
        })
        .then(async |batch| {
            tokio::task::yield_now().await;
            batch
        })
    }
}

impl PartitionStream for Source {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), self.batches()))
    }
}
