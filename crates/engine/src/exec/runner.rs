//! Plans and runs what is bound, wherever its tables came from.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::common::{DataFusionError, Result as PlanResult};
use datafusion::execution::object_store::ObjectStoreRegistry;
use datafusion::execution::{SessionState, TaskContext};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use futures::{FutureExt, StreamExt};
use portcullis_contract::TableName;
use portcullis_govern::{UTC, wire_names};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::limits::{EngineLimits, QueryLimits};
use super::memory::bounded;
use super::session::Sessions;
use super::spill::{Retains, retains};
use super::stream::{ScrubbedStream, Start};
use super::told::Operators;
use super::verify::Permitted;
use super::{constants, explain, operators, redact};
use crate::EngineError;
use crate::Guards;
use crate::Stopwatch;
use crate::barrier::{BarrierTable, GovernedScan, release};
use crate::scrub::{unsupported, wire_schema, wire_type};

/// The part of the engine that does not know where tables come from.
#[derive(Debug)]
pub(crate) struct Runner {
    sessions: Sessions,
    limits: EngineLimits,
    turns: Arc<Semaphore>,
    guards: Guards,
}

impl Runner {
    pub fn new(
        limits: EngineLimits,
        stores: Arc<dyn ObjectStoreRegistry>,
        guards: Guards,
    ) -> Result<Self, EngineError> {
        let sessions = Sessions::new(&limits, stores).map_err(|error| {
            EngineError::Internal(format!("the spill directory cannot be used: {}", error.strip_backtrace()))
        })?;
        let turns = Arc::new(Semaphore::new(limits.concurrent_queries.max(1)));
        Ok(Self { sessions, limits, turns, guards })
    }

    /// Waits for one of the places of concurrent queries.
    pub async fn turn(&self) -> Result<OwnedSemaphorePermit, EngineError> {
        let wait = tokio::time::timeout(self.limits.queue_time, Arc::clone(&self.turns).acquire_owned());
        match wait.await {
            Ok(Ok(turn)) => Ok(turn),
            _ => {
                let value = self.limits.concurrent_queries as u64;
                Err(EngineError::LimitExceeded { limit: "queries at the same time", value })
            }
        }
    }

    /// Optimises a bound plan for a time zone, and checks it. A panic on the way is an error of this query. The columns are of the types that were
    /// announced, if some were.
    pub async fn plan(
        &self,
        logical: LogicalPlan,
        announced: Option<&Schema>,
        time_zone: &str,
        shown: Shown,
        scans: &[Arc<GovernedScan>],
        turn: OwnedSemaphorePermit,
    ) -> Result<Bound, EngineError> {
        let mut state = self.sessions.start(time_zone);
        if shown != Shown::Answer {
            state.config_mut().options_mut().execution.target_partitions = 1;
        }
        let planned = AssertUnwindSafe(physical(&state, &logical, scans, &self.guards)).catch_unwind().await;
        let plan = planned.unwrap_or_else(|_| Err(redact::defect()))?;
        if let Some(field) = unsupported(&plan.schema()) {
            let text =
                format!("column `{}` has a type that cannot be sent: {}", field.name(), wire_type(field.data_type()));
            return Err(EngineError::Planning(text));
        }
        if shown != Shown::Counts {
            release(&plan);
        }
        constants::check(&plan, self.limits.batch_size)?;
        let plan = operators::replaced(&plan)
            .and_then(|plan| announced.map_or(Ok(Arc::clone(&plan)), |schema| operators::typed(plan, schema)))
            .map_err(|e| redact::planning(&e))?;
        if retains(&plan) {
            state.config_mut().set_extension(Arc::new(Retains));
        }
        let schema = if self.guards.scrubber() { wire_schema(&plan.schema()) } else { plan.schema() };
        let (limits, guards) = (self.limits.clone(), self.guards.clone());
        Ok(Bound { plan, state, schema, snapshots: Vec::new(), limits, guards, turn })
    }

    /// The rows of a table that pass its filter, counted in one partition beside the queries, in no more time than one of them has.
    pub async fn count(&self, table: &BarrierTable) -> PlanResult<usize> {
        let counted = self.count_all(table);
        match self.limits.wall_time {
            Some(time) => {
                tokio::time::timeout(time, counted).await.map_err(|late| DataFusionError::External(late.into()))?
            }
            None => counted.await,
        }
    }

    async fn count_all(&self, table: &BarrierTable) -> PlanResult<usize> {
        let mut state = self.sessions.start(UTC);
        state.config_mut().options_mut().execution.target_partitions = 1;
        let plan = table.scan(&state, Some(&vec![]), &[], None).await?;
        let context = Arc::new(TaskContext::from(&state).with_runtime(self.sessions.runtime()));
        let mut rows = 0;
        for partition in 0..plan.output_partitioning().partition_count() {
            let mut batches = plan.execute(partition, Arc::clone(&context))?;
            while let Some(batch) = batches.next().await {
                rows += batch?.num_rows();
            }
        }
        Ok(rows)
    }

    /// Bytes of memory that all queries hold.
    pub fn memory_reserved(&self) -> usize {
        self.sessions.reserved()
    }
}

/// What is shown of how a plan runs, beside its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    /// Nothing that matters.
    Answer,
    /// The order of rows, or what follows from it: it must not hang on which partition a row is in.
    Order,
    /// The rows of each operator: they must not hang on when the scan below was told of a filter either.
    Counts,
}

async fn physical(
    state: &SessionState,
    logical: &LogicalPlan,
    scans: &[Arc<GovernedScan>],
    guards: &Guards,
) -> Result<Arc<dyn ExecutionPlan>, EngineError> {
    let permitted = Permitted { scans };
    if !guards.barrier() {
        return state.create_physical_plan(logical).await.map_err(|e| redact::planning(&e));
    }
    let mut clock = Stopwatch::start();
    permitted.logical(logical)?;
    clock.stage("verify logical plan");
    let optimized = state.optimize(logical).map_err(|e| redact::planning(&e))?;
    clock.stage("optimise");
    let expected = permitted.logical(&optimized)?;
    clock.stage("verify optimised plan");
    let planner = state.query_planner();
    let plan = planner.create_physical_plan(&optimized, state).await.map_err(|e| redact::physical(&e, logical))?;
    clock.stage("physical plan");
    permitted.physical(&plan, &expected, state)?;
    clock.stage("verify physical plan");
    Ok(plan)
}

/// A plan that passed the check, bound to the snapshots that it will read.
#[derive(Debug)]
pub struct Bound {
    plan: Arc<dyn ExecutionPlan>,
    state: SessionState,
    schema: SchemaRef,
    pub(super) snapshots: Vec<(TableName, String)>,
    limits: EngineLimits,
    guards: Guards,
    turn: OwnedSemaphorePermit,
}

impl Bound {
    /// The same, within limits of its own.
    #[must_use]
    pub fn within(mut self, own: QueryLimits) -> Bound {
        let QueryLimits { memory_bytes, rows, wall_time } = own;
        self.limits = EngineLimits { query_memory_bytes: memory_bytes, rows, wall_time, ..self.limits };
        self
    }

    /// The wire schema, identical to every batch's.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// The snapshots that are read, by table: Iceberg snapshot id or Delta version; several of a table that is read at
    /// several.
    pub fn snapshots(&self) -> &[(TableName, String)] {
        &self.snapshots
    }

    /// The physical plan, nothing below a barrier: no predicates of policies, file names or counts.
    pub fn explain(&self) -> String {
        wire_names(&explain::explain(self.plan.as_ref()))
    }

    /// What may be told of its operators, now or once they have run.
    pub fn operators(&self) -> Operators {
        Operators::of(&self.plan)
    }

    /// Runs the query and shows the physical plan with the rows that each operator handed on, as far as the principal may know.
    ///
    /// # Errors
    /// When the query fails, or reaches a limit.
    pub async fn analyze(self) -> Result<String, EngineError> {
        let plan = Arc::clone(&self.plan);
        let text = self.explain();
        let mut answer = self.execute()?;
        while let Some(batch) = answer.next().await {
            batch?;
        }
        let lines = text.lines().zip(explain::rows(plan.as_ref())).map(|(line, rows)| match rows {
            Some(rows) => format!("{line}, rows={rows}\n"),
            None => format!("{line}\n"),
        });
        Ok(lines.collect())
    }

    /// Starts the query. Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// None today: failures come as the stream's first item.
    pub fn execute(self) -> Result<ScrubbedStream, EngineError> {
        let runtime = bounded(self.state.runtime_env(), self.limits.query_memory_bytes);
        Ok(ScrubbedStream::start(Start {
            context: Arc::new(TaskContext::from(&self.state).with_runtime(runtime)),
            plan: self.plan,
            schema: self.schema,
            wall_time: self.limits.wall_time,
            max_rows: self.limits.rows,
            guards: self.guards,
            turn: Some(self.turn),
        }))
    }
}
