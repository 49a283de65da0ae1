//! Tables of which a subject may see aggregates only, over groups that are large enough.
//!
//! Each scan of such a table must lie below an aggregate, with nothing in between but conditions that cannot fail,
//! inner joins with other data products, and choices of columns: the aggregate's *region*. The aggregate's arguments are
//! columns as they are, its functions those of [`FUNCTIONS`]. It gets a count of the distinct entities of each such
//! scan, and one more for each column that it aggregates, over the rows that have a value there; a [`GroupGuard`] above
//! it drops the groups where one of them is too small. Everything else of the statement stands above the guard and is
//! free. What is not recognised is refused. See docs/adr/0008-aggregates-only.md.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, DFSchemaRef, DataFusionError, JoinType, Result, TableReference};
use datafusion::functions_aggregate::count::count_udaf;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::logical_plan::{Aggregate, Filter, Join, Projection, TableScan};
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, SubqueryAlias};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use portcullis_contract::Aggregation;

use super::context::refusal;
use super::guard::{GroupGuard, group_guard};
use super::source::{ScanSource, ViewSource};
use super::total::{is_condition, is_value, widens};
use super::verdict::ReasonKind;

/// Aggregates that blend the values of a group. Those that hand on a value of it (`min`, `median`, `array_agg`,
/// `first_value`, `bool_and`, `bit_or`, …) are not among them.
const FUNCTIONS: &[&str] = &["avg", "count", "stddev", "stddev_pop", "sum", "var", "var_pop"];

/// Whether a plan scans a table of which only aggregates may be seen.
pub(crate) fn concerns(view: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    view.apply_with_subqueries(|node| {
        found |= matches!(node, LogicalPlan::TableScan(scan) if limit(scan).is_some());
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}

/// Puts a guard above each aggregate of such tables; refuses every other use of them. `analysed`: types are coerced.
pub(crate) fn guard(analysed: LogicalPlan) -> Result<LogicalPlan> {
    let guarded = analysed.transform_down_with_subqueries(|node| match node {
        LogicalPlan::Aggregate(aggregate) if region_has_limit(&aggregate.input) => {
            Ok(Transformed::new(guarded(aggregate)?, true, TreeNodeRecursion::Jump))
        }
        LogicalPlan::TableScan(scan) => match limit(&scan) {
            Some((table, limit)) => Err(refused(&table, limit, "select aggregates of it")),
            None => Ok(Transformed::no(LogicalPlan::TableScan(scan))),
        },
        other => Ok(Transformed::no(other)),
    })?;
    // What stands above has to learn that a guarded count may be missing.
    let known = guarded.data.transform_up_with_subqueries(|node| Ok(Transformed::yes(node.recompute_schema()?)))?;
    Ok(known.data)
}

/// Whether every scan of such a table is below an aggregate below a guard of the table's limit.
pub(crate) fn holds(plan: &LogicalPlan) -> Result<bool> {
    held(plan, None, false)
}

fn held(plan: &LogicalPlan, above: Option<&GroupGuard>, aggregated: bool) -> Result<bool> {
    let mut all = true;
    plan.apply_subqueries(|subquery| {
        all &= held(subquery, None, false)?;
        Ok(TreeNodeRecursion::Continue)
    })?;
    if let LogicalPlan::TableScan(scan) = plan {
        let at_least = limit(scan).map(|(_, limit)| limit.at_least);
        return Ok(at_least.is_none_or(|k| aggregated && above.is_some_and(|guard| guard.limits().contains(&k))));
    }
    let (above, aggregated) = match (group_guard(plan), plan) {
        (Some(guard), _) => (Some(guard), false),
        (None, LogicalPlan::Aggregate(_)) => (above, true),
        _ => (above, aggregated),
    };
    for input in plan.inputs() {
        all &= held(input, above, aggregated)?;
    }
    Ok(all)
}

/// The limit of a scan's table, with the table's name.
fn limit(scan: &TableScan) -> Option<(String, &Aggregation)> {
    let (table, decision) = match scan.source.downcast_ref::<ViewSource>() {
        Some(ViewSource::Product { table, decision, .. }) => (table, decision),
        Some(_) => return None,
        None => {
            let source = scan.source.downcast_ref::<ScanSource>()?;
            (source.table(), source.decision())
        }
    };
    decision.aggregation.as_ref().map(|limit| (table.name.to_string(), limit))
}

/// Whether such a table is scanned below, with no other aggregate in between.
fn region_has_limit(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::TableScan(scan) => limit(scan).is_some(),
        LogicalPlan::Aggregate(_) => false,
        other => other.inputs().into_iter().any(region_has_limit),
    }
}

fn refused(table: &str, limit: &Aggregation, what: &str) -> DataFusionError {
    let message = format!(
        "table `{table}` may only be aggregated, over groups of {} or more values of `{}`: {what}",
        limit.at_least, limit.entity
    );
    refusal(ReasonKind::PermissionDenied, message)
}

/// An entity column where the region's plan has it, and how many of its values a group must have.
struct Entity {
    column: Column,
    table: String,
    limit: Aggregation,
}

/// Rebuilds what is between the scans and the aggregate so that the entities come through.
struct Region {
    entities: Vec<Entity>,
    carried: usize,
}

/// A region's aggregate below its guard.
fn guarded(aggregate: Aggregate) -> Result<LogicalPlan> {
    let mut region = Region { entities: Vec::new(), carried: 0 };
    let input = region.plan(Arc::unwrap_or_clone(aggregate.input))?;
    let schema = input.schema();
    let refuse = |what: &str| region.refused(what);
    if !aggregate.group_expr.iter().all(|group| is_value(group, schema)) {
        return Err(refuse("group by columns, `date_part`, `lower` or `upper` of them, without GROUPING SETS"));
    }
    let mut arguments: Vec<Expr> = Vec::new();
    for expr in &aggregate.aggr_expr {
        for argument in blended(expr, schema).ok_or_else(|| {
            refuse("use count, sum, avg, var and stddev of columns as they are, without FILTER and ORDER BY")
        })? {
            if !arguments.contains(&argument) {
                arguments.push(argument);
            }
        }
    }
    let mut counts = Vec::new();
    let mut limits = Vec::new();
    for entity in &region.entities {
        let filters = arguments.iter().map(|argument| Some(Box::new(argument.clone().is_not_null())));
        for filter in std::iter::once(None).chain(filters) {
            counts.push(distinct(&entity.column, filter).alias(format!("__portcullis_entities_{}", counts.len())));
            limits.push(entity.limit.at_least);
        }
    }
    let aggr_expr = aggregate.aggr_expr.into_iter().chain(counts).collect();
    let counted = Aggregate::try_new(Arc::new(input), aggregate.group_expr, aggr_expr)?;
    Ok(GroupGuard::try_new(LogicalPlan::Aggregate(counted), limits)?.into_plan())
}

fn distinct(column: &Column, filter: Option<Box<Expr>>) -> Expr {
    let arguments = vec![Expr::Column(column.clone())];
    Expr::AggregateFunction(AggregateFunction::new_udf(count_udaf(), arguments, true, filter, Vec::new(), None))
}

/// The columns that an aggregate blends; `None` where it could show a single one of their values, or of a chosen row.
fn blended(expr: &Expr, schema: &DFSchema) -> Option<Vec<Expr>> {
    use datafusion::logical_expr::ExprSchemable;
    let call = match expr {
        Expr::Alias(alias) => return blended(&alias.expr, schema),
        Expr::AggregateFunction(call) => call,
        _ => return None,
    };
    let plain = call.params.filter.is_none() && call.params.order_by.is_empty() && call.params.null_treatment.is_none();
    if !plain || !FUNCTIONS.contains(&call.func.name()) {
        return None;
    }
    let mut columns = Vec::new();
    for argument in &call.params.args {
        match argument {
            Expr::Column(_) => columns.push(argument.clone()),
            Expr::Cast(cast) if matches!(cast.expr.as_ref(), Expr::Column(_)) => {
                let from = cast.expr.get_type(schema).ok()?;
                if !widens(&from, cast.field.data_type()) {
                    return None;
                }
                columns.push(cast.expr.as_ref().clone());
            }
            Expr::Literal(..) if call.func.name() == "count" => {}
            _ => return None,
        }
    }
    Some(columns)
}

impl Region {
    /// The plan with the entities of its tables among its columns.
    fn plan(&mut self, plan: LogicalPlan) -> Result<LogicalPlan> {
        match plan {
            LogicalPlan::TableScan(scan) => self.scan(scan),
            LogicalPlan::SubqueryAlias(node) => {
                let before = self.entities.len();
                let input = self.plan(Arc::unwrap_or_clone(node.input))?;
                let alias = TableReference::clone(&node.alias);
                for entity in self.entities.iter_mut().skip(before) {
                    entity.column = Column::new(Some(alias.clone()), entity.column.name.clone());
                }
                Ok(LogicalPlan::SubqueryAlias(SubqueryAlias::try_new(Arc::new(input), alias)?))
            }
            LogicalPlan::Projection(node) => self.projection(node),
            LogicalPlan::Filter(node) => {
                let input = self.plan(Arc::unwrap_or_clone(node.input))?;
                let predicate = self.total(node.predicate, input.schema())?;
                Ok(LogicalPlan::Filter(Filter::try_new(predicate, Arc::new(input))?))
            }
            LogicalPlan::Join(node) if node.join_type == JoinType::Inner => self.join(node),
            other => {
                // The error names a table: look for one below first.
                for input in other.inputs() {
                    self.plan(input.clone())?;
                }
                Err(self.refused("before it is aggregated, only filter it and join it with other data products"))
            }
        }
    }

    fn scan(&mut self, scan: TableScan) -> Result<LogicalPlan> {
        if let Some((table, limit)) = limit(&scan) {
            let column = Column::new(Some(scan.table_name.clone()), limit.entity.clone());
            let counts = scan.projected_schema.maybe_index_of_column(&column).is_some();
            self.entities.push(Entity { column, table, limit: limit.clone() });
            if !counts {
                return Err(self.refused("that column did not exist in the version that is asked for"));
            }
        } else if !matches!(scan.source.downcast_ref::<ViewSource>(), Some(ViewSource::Product { .. })) {
            return Err(self.refused("join it with other data products only"));
        }
        Ok(LogicalPlan::TableScan(scan))
    }

    fn projection(&mut self, node: Projection) -> Result<LogicalPlan> {
        let before = self.entities.len();
        let input = self.plan(Arc::unwrap_or_clone(node.input))?;
        if !node.expr.iter().all(|expr| matches!(expr.clone().unalias_nested().data, Expr::Column(_))) {
            return Err(self.refused("before it is aggregated, choose its columns as they are"));
        }
        let mut exprs = node.expr;
        for entity in self.entities.iter_mut().skip(before) {
            let name = format!("__portcullis_entity_{}", self.carried);
            self.carried += 1;
            exprs.push(Expr::Column(entity.column.clone()).alias(&name));
            entity.column = Column::new_unqualified(name);
        }
        LogicalPlanBuilder::from(input).project(exprs)?.build()
    }

    fn join(&mut self, node: Join) -> Result<LogicalPlan> {
        let left = self.plan(Arc::unwrap_or_clone(node.left))?;
        let right = self.plan(Arc::unwrap_or_clone(node.right))?;
        let schema = Arc::new(left.schema().join(right.schema())?);
        for (left, right) in &node.on {
            self.total(left.clone().eq(right.clone()), &schema)?;
        }
        let filter = node.filter.map(|filter| self.total(filter, &schema)).transpose()?;
        Ok(LogicalPlan::Join(Join::try_new(
            Arc::new(left),
            Arc::new(right),
            node.on,
            filter,
            node.join_type,
            node.join_constraint,
            node.null_equality,
            node.null_aware,
        )?))
    }

    /// The condition, simplified, if it is total. Simplifying turns `CAST(at AS …) > CAST('2026-01-01' AS …)`, as types
    /// are coerced, into a comparison of the column with a literal of its own type, which cannot fail.
    fn total(&self, condition: Expr, schema: &DFSchemaRef) -> Result<Expr> {
        let simplifier = ExprSimplifier::new(SimplifyContext::builder().with_schema(Arc::clone(schema)).build());
        let condition = simplifier.simplify(condition)?;
        match is_condition(&condition, schema) {
            true => Ok(condition),
            false => {
                Err(self.refused("before it is aggregated, compare its columns with values and with each other only"))
            }
        }
    }

    fn refused(&self, what: &str) -> DataFusionError {
        match self.entities.first() {
            Some(entity) => refused(&entity.table, &entity.limit, what),
            None => refusal(
                ReasonKind::PermissionDenied,
                format!("a table of the statement may only be aggregated: {what}"),
            ),
        }
    }
}
