//! The operator that stands between a table and everything of the user's.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::datatypes::{FieldRef, Schema, SchemaRef};
use datafusion::catalog::Session;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DFSchema, Result, Statistics, internal_err, plan_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_expr::{
    EquivalenceProperties, Partitioning, PhysicalExpr, PhysicalSortExpr, create_physical_expr, split_conjunction,
};
use datafusion::physical_plan::execution_plan::{CardinalityEffect, ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::filter_pushdown::{
    ChildFilterPushdownResult, ChildPushdownResult, FilterDescription, FilterPushdownPhase, FilterPushdownPropagation,
    PushedDown,
};
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricBuilder, MetricsSet};
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};
use datafusion::physical_plan::statistics::{ChildStats, StatisticsArgs};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, SortOrderPushdownResult as Pushed,
};
use futures::TryStreamExt;

use super::admit::{Admission, admit};
use super::estimates::{estimates, expected, exposed};
use super::frozen::FrozenFilters;
use super::pushdown::Crossing;
use super::scan::GovernedScan;
use super::{leakproof, partitions, pushdown};
use crate::exec::redact;

/// Rows kept by the row filter, and of those the columns shown.
///
/// It owns the filter and the masks, and evaluates the filter on every row even where the scan below took it over: what an
/// optimiser rule or a file reader does below can cost time, never a row. It keeps no closure and no state, so that it can be
/// sent to a worker: expressions, a column list and an optional row count.
#[derive(Debug, Clone)]
pub struct BarrierExec {
    input: Arc<dyn ExecutionPlan>,
    scan: Arc<GovernedScan>,
    /// Over the input's schema.
    filter: Option<Arc<dyn PhysicalExpr>>,
    /// What crossed of the user's predicates and is left to be evaluated here, over the input's schema.
    crossed: Vec<Arc<dyn PhysicalExpr>>,
    frozen: FrozenFilters,
    /// Over the input's schema, in the order of `schema`.
    outputs: Vec<Output>,
    schema: SchemaRef,
    fetch: Option<usize>,
    /// How many partitions the session wants.
    wanted: usize,
    /// The rows that it handed on.
    metrics: ExecutionPlanMetricsSet,
    properties: Arc<PlanProperties>,
}

/// One column that is handed on.
#[derive(Debug, Clone)]
pub(super) struct Output {
    /// Its position in the view.
    pub view: usize,
    pub field: FieldRef,
    pub expr: Arc<dyn PhysicalExpr>,
}

impl Output {
    /// The input's column, where it is handed on as it is.
    pub fn clear(&self) -> Option<&Column> {
        self.expr.downcast_ref::<Column>()
    }
}

impl BarrierExec {
    /// `shown`: positions in the scan's view. `crossed`: predicates of the user's that may be evaluated here. `input` offers columns of the
    /// base table under their names.
    pub(super) fn try_new(
        scan: Arc<GovernedScan>,
        shown: &[usize],
        crossed: &[Expr],
        input: Arc<dyn ExecutionPlan>,
        state: &dyn Session,
    ) -> Result<Self> {
        let offered = input.schema();
        for field in offered.fields() {
            if scan.base().field_with_name(field.name())?.data_type() != field.data_type() {
                return plan_err!("the scan of `{}` changed the type of column `{}`", scan.table(), field.name());
            }
        }
        let schema = DFSchema::try_from(Arc::clone(&offered))?;
        let filter = scan.filter().map(|filter| physical(filter, &schema, state)).transpose()?;
        let mut outputs = Vec::with_capacity(shown.len());
        for view in shown {
            let (Some(column), Some(field)) = (scan.columns().get(*view), scan.view().fields().get(*view)) else {
                return internal_err!("the view of `{}` has no column {view}", scan.table());
            };
            let expr = physical(&column.expr, &schema, state)?;
            outputs.push(Output { view: *view, field: Arc::clone(field), expr });
        }
        let crossed = crossed.iter().map(|expr| physical(expr, &schema, state)).collect::<Result<Vec<_>>>()?;
        let wanted = state.config().target_partitions().max(1);
        let (frozen, metrics) = (FrozenFilters::default(), ExecutionPlanMetricsSet::new());
        let own = Own { scan, filter, crossed, frozen, fetch: None, wanted, metrics };
        Ok(Self::assemble(input, outputs, own))
    }

    fn assemble(input: Arc<dyn ExecutionPlan>, outputs: Vec<Output>, own: Own) -> Self {
        let Own { scan, filter, crossed, frozen, fetch, wanted, metrics } = own;
        let schema = Arc::new(Schema::new(outputs.iter().map(|o| Arc::clone(&o.field)).collect::<Vec<_>>()));
        // Nothing is known of the output but its schema: orderings let sorts with fallible keys slip below, constants and
        // equalities come from statistics of rows that may be hidden.
        let from = input.properties();
        // What nothing is hidden of may show how it is laid out, and is not cut finer than its files.
        let hides = filter.is_some() || outputs.iter().any(|output| output.clear().is_none());
        let count = if hides { wanted } else { from.output_partitioning().partition_count() };
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&schema)),
            Partitioning::UnknownPartitioning(count),
            from.emission_type,
            from.boundedness,
        )
        .with_scheduling_type(from.scheduling_type)
        .with_evaluation_type(from.evaluation_type);
        let properties = Arc::new(properties);
        Self { input, scan, filter, crossed, frozen, outputs, schema, fetch, wanted, metrics, properties }
    }

    /// What the scan may show.
    pub fn governed(&self) -> &Arc<GovernedScan> {
        &self.scan
    }

    /// The names of the columns that it hands on, as the view has them.
    pub fn shown(&self) -> impl Iterator<Item = &str> {
        self.outputs.iter().filter_map(|o| self.scan.columns().get(o.view)).map(|column| column.name.as_str())
    }

    /// Compares what the operator would evaluate with what was decided, from scratch.
    ///
    /// # Errors
    /// When a filter is missing or another, or a column is shown in another way than decided.
    pub(crate) fn verify(&self, state: &dyn Session) -> Result<(), String> {
        let table = self.scan.table();
        let schema = DFSchema::try_from(self.input.schema()).map_err(|e| e.to_string())?;
        let again = |expr: &Expr| {
            physical(expr, &schema, state).map_err(|_| format!("an expression over `{table}` cannot be planned again"))
        };
        let filter = self.scan.filter().map(&again).transpose()?;
        if filter != self.filter {
            return Err(format!("the row filter of `{table}` is not the decided one"));
        }
        let offered = self.input.schema();
        let is_clear = |i: usize| {
            offered.fields().get(i).is_some_and(|field| self.scan.clear().field_with_name(field.name()).is_ok())
        };
        if !self.crossed.iter().all(|crossed| leakproof::crosses_physical(crossed, &offered, &is_clear)) {
            return Err(format!("a predicate that must not cross is evaluated on rows of `{table}`"));
        }
        for output in &self.outputs {
            let column =
                self.scan.columns().get(output.view).ok_or_else(|| format!("`{table}` shows an unknown column"))?;
            if *again(&column.expr)? != *output.expr {
                return Err(format!("column `{}` of `{table}` is not shown as decided", column.name));
            }
        }
        Ok(())
    }

    /// Hands on, while they change, the filters that these expressions make up.
    pub(super) fn release(&self, producers: &[u64]) {
        self.frozen.release(producers);
    }

    fn with_input(&self, input: Arc<dyn ExecutionPlan>) -> Result<Self> {
        let (old, new) = (self.input.schema(), input.schema());
        let same = old.fields().len() == new.fields().len()
            && old
                .fields()
                .iter()
                .zip(new.fields())
                .all(|(a, b)| a.name() == b.name() && a.data_type() == b.data_type());
        if !same {
            return internal_err!("the scan of `{}` was exchanged for another", self.scan.table());
        }
        Ok(Self::assemble(input, self.outputs.clone(), self.own()))
    }

    fn own(&self) -> Own {
        Own {
            scan: Arc::clone(&self.scan),
            filter: self.filter.clone(),
            crossed: self.crossed.clone(),
            frozen: self.frozen.clone(),
            fetch: self.fetch,
            wanted: self.wanted,
            metrics: self.metrics.clone(),
        }
    }

    /// Hands on only `outputs`; columns of the input that nothing reads any more are cut off below.
    fn narrowed(&self, outputs: Vec<Output>) -> Result<Self> {
        let own = self.own();
        let read = outputs.iter().map(|o| &o.expr).chain(&self.filter).chain(&self.crossed).flat_map(collect_columns);
        let mut kept: Vec<usize> = read.map(|column| column.index()).collect();
        kept.sort_unstable();
        kept.dedup();
        let schema = self.input.schema();
        if kept.len() == schema.fields().len() {
            return Ok(Self::assemble(Arc::clone(&self.input), outputs, own));
        }
        let columns = kept.iter().filter_map(|i| {
            schema.fields().get(*i).map(|field| ProjectionExpr {
                expr: Arc::new(Column::new(field.name(), *i)),
                alias: field.name().clone(),
            })
        });
        let input: Arc<dyn ExecutionPlan> = Arc::new(ProjectionExec::try_new(columns, Arc::clone(&self.input))?);
        let moved = |expr: &Arc<dyn PhysicalExpr>| pushdown::renumbered(expr, &|old| kept.binary_search(&old).ok());
        let filter = self.filter.as_ref().map(&moved).transpose()?;
        let crossed = self.crossed.iter().map(&moved).collect::<Result<_>>()?;
        let outputs =
            outputs.into_iter().map(|o| Ok(Output { expr: moved(&o.expr)?, ..o })).collect::<Result<Vec<_>>>()?;
        Ok(Self::assemble(input, outputs, Own { filter, crossed, ..own }))
    }
}

/// What a barrier is beside its input and outputs.
struct Own {
    scan: Arc<GovernedScan>,
    filter: Option<Arc<dyn PhysicalExpr>>,
    crossed: Vec<Arc<dyn PhysicalExpr>>,
    frozen: FrozenFilters,
    fetch: Option<usize>,
    wanted: usize,
    metrics: ExecutionPlanMetricsSet,
}

impl DisplayAs for BarrierExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        let columns: Vec<&str> = self.shown().collect();
        write!(f, "GovernedScan: {}, columns=[{}]", self.scan.table(), columns.join(", "))?;
        self.fetch.map_or(Ok(()), |fetch| write!(f, ", fetch={fetch}"))
    }
}

impl ExecutionPlan for BarrierExec {
    fn name(&self) -> &str {
        "BarrierExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        // `true` lets sort pushdown move a sort with a fallible key below.
        vec![false]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        // The scan is split into ranges all the same; shuffling rows below gains nothing.
        vec![false]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        // Filter and masks are nobody else's.
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.is_empty()) {
            (Some(input), true) => Ok(Arc::new(self.with_input(input)?)),
            _ => internal_err!("a barrier has one input"),
        }
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let batch_size = context.session_config().batch_size();
        let count = self.properties.output_partitioning().partition_count();
        let input = partitions::input(&self.input, partition, count, &context);
        let input = input.map_err(|error| {
            redact::log(context.session_config(), &error);
            redact::seal_below(&self.scan, &error)
        })?;
        let admission = Admission {
            filter: self.filter.clone(),
            crossed: self.crossed.clone(),
            frozen: self.frozen.clone(),
            outputs: self.outputs.iter().map(|o| Arc::clone(&o.expr)).collect(),
            compact: vec![],
            schema: Arc::clone(&self.schema),
            fetch: self.fetch,
            batch_size,
            scan: Arc::clone(&self.scan),
            context,
        };
        let rows = MetricBuilder::new(&self.metrics).output_rows(partition);
        let admitted = admit(admission, input)?.inspect_ok(move |batch| rows.add(batch.num_rows()));
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), admitted)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn child_stats_requests(&self, partition: Option<usize>) -> Vec<ChildStats> {
        vec![ChildStats::At(partition)]
    }

    fn statistics_from_inputs(&self, inputs: &[Arc<Statistics>], _: &StatisticsArgs) -> Result<Arc<Statistics>> {
        let unknown = Statistics::new_unknown(&self.schema);
        let clear = self.outputs.iter().map(Output::clear);
        Ok(Arc::new(match inputs.first() {
            Some(input) if !self.scan.guards().statistics() => exposed(input, clear),
            Some(_) if self.filter.is_some() => expected(unknown, self.scan.visible(), !self.crossed.is_empty()),
            Some(input) => estimates(unknown, input, clear),
            None => unknown,
        }))
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        match self.filter {
            Some(_) => CardinalityEffect::LowerEqual,
            None => CardinalityEffect::Equal,
        }
    }

    fn supports_limit_pushdown(&self) -> bool {
        self.filter.is_none()
    }

    fn with_fetch(&self, fetch: Option<usize>) -> Option<Arc<dyn ExecutionPlan>> {
        self.filter.as_ref()?;
        Some(Arc::new(Self { fetch, ..self.clone() }))
    }

    fn fetch(&self) -> Option<usize> {
        self.fetch
    }

    /// Only a choice of columns, under whatever names, crosses: an expression would be evaluated on hidden rows.
    fn try_swapping_with_projection(&self, projection: &ProjectionExec) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let mut outputs = Vec::with_capacity(projection.expr().len());
        for shown in projection.expr() {
            let Some(output) = shown.expr.downcast_ref::<Column>().and_then(|c| self.outputs.get(c.index())) else {
                return Ok(None);
            };
            let field = Arc::new(output.field.as_ref().clone().with_name(&shown.alias));
            outputs.push(Output { field, ..output.clone() });
        }
        if outputs.len() >= self.outputs.len() || !self.frozen.is_empty() {
            return Ok(None);
        }
        Ok(Some(Arc::new(self.narrowed(outputs)?)))
    }

    /// Where every row is seen, files and row groups may be read in the order of their bounds: the best rows of a sort come first, and
    /// leave out the others. The sort stays, and so do keys that are masked.
    fn try_pushdown_sort(&self, order: &[PhysicalSortExpr]) -> Result<Pushed<Arc<dyn ExecutionPlan>>> {
        let below = |key: &PhysicalSortExpr| {
            let column = key.expr.downcast_ref::<Column>()?;
            let clear = self.outputs.get(column.index())?.clear()?.clone();
            Some(PhysicalSortExpr::new(Arc::new(clear), key.options))
        };
        let keys: Vec<PhysicalSortExpr> = order.iter().map_while(below).collect();
        if self.filter.is_some() || keys.is_empty() {
            return Ok(Pushed::Unsupported);
        }
        Ok(match self.input.try_pushdown_sort(&keys)? {
            Pushed::Exact { inner } | Pushed::Inexact { inner } => {
                Pushed::Inexact { inner: Arc::new(self.with_input(inner)?) }
            }
            Pushed::Unsupported => Pushed::Unsupported,
        })
    }

    fn gather_filters_for_pushdown(
        &self,
        phase: FilterPushdownPhase,
        parents: Vec<Arc<dyn PhysicalExpr>>,
        _: &ConfigOptions,
    ) -> Result<FilterDescription> {
        self.frozen.clear()?;
        let own = match phase {
            FilterPushdownPhase::Pre => {
                let filter = self.filter.iter().flat_map(split_conjunction).chain(&self.crossed);
                filter.cloned().collect()
            }
            FilterPushdownPhase::Post => Vec::new(),
        };
        let frozen = self.filter.as_ref().map(|_| &self.frozen);
        pushdown::describe(&parents, &self.outputs, &self.schema, own, frozen, &self.input)
    }

    fn handle_child_pushdown_result(
        &self,
        phase: FilterPushdownPhase,
        result: ChildPushdownResult,
        _: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn ExecutionPlan>>> {
        // Its own filter the barrier always repeats. What the scan took over of the user's predicates need not be.
        if self.filter.is_none() {
            return Ok(FilterPushdownPropagation::if_all(result));
        }
        // Where rows are hidden, exactly those rows leave that pass what crossed, whatever was pruned below: else the rows that are
        // pruned because of hidden ones beside them would be seen to be missing.
        let decided = self.filter.iter().flat_map(split_conjunction).count();
        let own = result.self_filters.first().map(Vec::as_slice).unwrap_or_default();
        let is_taken = |at: usize| {
            let taken = own.get(decided + at).map(|filter| filter.discriminant);
            phase == FilterPushdownPhase::Pre && matches!(taken, Some(PushedDown::Yes))
        };
        let left = self.crossed.iter().enumerate().filter(|(at, _)| !is_taken(*at));
        let mut crossed: Vec<_> = left.map(|(_, filter)| Arc::clone(filter)).collect();
        let (mut answers, mut changing) = (Vec::new(), 0);
        for ChildFilterPushdownResult { filter, child_results } in &result.parent_filters {
            let below = child_results.iter().all(|answer| matches!(answer, PushedDown::Yes));
            answers.push(match pushdown::crossing(filter, &self.outputs, &self.schema) {
                Crossing::Refused => PushedDown::No,
                Crossing::Dynamic => {
                    self.frozen.set_exact(changing, below);
                    changing += 1;
                    if below { PushedDown::Yes } else { PushedDown::No }
                }
                Crossing::Static => {
                    if !below {
                        crossed.push(pushdown::to_input(filter, &self.outputs)?);
                    }
                    PushedDown::Yes
                }
            });
        }
        let mut node = Self { crossed, ..self.clone() };
        if phase == FilterPushdownPhase::Pre {
            // What only the scan looks at now need not leave it.
            node = node.narrowed(self.outputs.clone())?;
        }
        Ok(FilterPushdownPropagation::with_parent_pushdown_result(answers).with_updated_node(Arc::new(node)))
    }

    fn reset_state(self: Arc<Self>) -> Result<Arc<dyn ExecutionPlan>> {
        // The operators that made the filters up make up new ones.
        self.frozen.clear()?;
        Ok(self)
    }
}

/// The expressions of a [`GovernedScan`] are coerced already.
fn physical(expr: &Expr, schema: &DFSchema, state: &dyn Session) -> Result<Arc<dyn PhysicalExpr>> {
    create_physical_expr(expr, schema, state.execution_props(), &PhysicalPlanningContext::default())
}
