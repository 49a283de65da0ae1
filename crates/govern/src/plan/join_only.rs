//! Join-only columns: their values may be matched with other columns, and go nowhere else.
//!
//! Every column of every node is followed from its scan. A join-only column passes unchanged through aliases, filters,
//! joins and projections, and may stand in one place only: as a side of `=` that is a whole condition of JOIN or WHERE,
//! or before IN a subquery, where the other side is a column of a data product, unchanged, of the same type, and shown
//! as it is or join-only too. What is not recognised is refused. See docs/adr/0007-join-only-columns.md.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchemaRef, Result};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{BinaryExpr, Distinct, Expr, Join, LogicalPlan, Operator, TableScan};

use super::context::refusal;
use super::source::ViewSource;
use super::verdict::ReasonKind;
use crate::policy::Disclosure;

/// Refuses a plan that does more with a join-only column than match it.
pub(crate) fn check(view: &LogicalPlan) -> Result<()> {
    let mut concerned = false;
    view.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            concerned |= scan_flows(scan).iter().any(|flow| matches!(flow, Flow::JoinOnly(_)));
        }
        Ok(if concerned { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    if !concerned {
        return Ok(());
    }
    let answer = Walk { outer: Vec::new() }.plan(view)?;
    none_join_only(&answer)
}

/// What a column of a node holds.
#[derive(Debug, Clone, PartialEq)]
enum Flow {
    /// A join-only column of this name, unchanged.
    JoinOnly(String),
    /// A column of a data product that the subject sees as it is, unchanged.
    Clear,
    /// Anything else: masked, computed, from constants or from the gateway's own tables.
    Other,
}

/// The columns that an expression can name: each side's schema with its flows.
#[derive(Clone, Default)]
struct Scope {
    sides: Vec<(DFSchemaRef, Vec<Flow>)>,
}

impl Scope {
    fn find(&self, column: &Column) -> Option<(&Flow, &DataType)> {
        self.sides.iter().find_map(|(schema, flows)| {
            let at = schema.maybe_index_of_column(column)?;
            Some((flows.get(at)?, schema.field(at).data_type()))
        })
    }

    fn flows(self) -> Vec<Flow> {
        self.sides.into_iter().flat_map(|(_, flows)| flows).collect()
    }
}

struct Walk {
    /// Columns of the queries around the one looked at, innermost last.
    outer: Vec<Scope>,
}

impl Walk {
    /// What each output column holds.
    fn plan(&mut self, plan: &LogicalPlan) -> Result<Vec<Flow>> {
        let width = plan.schema().fields().len();
        match plan {
            LogicalPlan::TableScan(scan) => Ok(scan_flows(scan)),
            LogicalPlan::SubqueryAlias(node) => self.plan(&node.input),
            LogicalPlan::Subquery(node) => self.plan(&node.subquery),
            LogicalPlan::Projection(node) => {
                let scope = self.scope(plan)?;
                node.expr.iter().map(|expr| self.projected(expr, &scope)).collect()
            }
            LogicalPlan::Filter(node) => {
                let scope = self.scope(plan)?;
                self.predicate(&node.predicate, &scope)?;
                Ok(scope.flows())
            }
            LogicalPlan::Join(node) => self.join(node),
            LogicalPlan::Sort(_) | LogicalPlan::Limit(_) => {
                let scope = self.scope(plan)?;
                self.unused(plan, &scope)?;
                Ok(scope.flows())
            }
            LogicalPlan::Window(_) => {
                let scope = self.scope(plan)?;
                self.unused(plan, &scope)?;
                Ok(padded(scope.flows(), width))
            }
            LogicalPlan::Aggregate(node) => {
                let scope = self.scope(plan)?;
                self.unused(plan, &scope)?;
                let groups: Result<Vec<_>> =
                    node.group_expr.iter().map(|group| self.projected(group, &scope)).collect();
                Ok(padded(groups?, width))
            }
            LogicalPlan::Union(node) => {
                let mut merged = vec![Flow::Clear; width];
                for input in &node.inputs {
                    let flows = self.plan(input)?;
                    none_join_only(&flows)?;
                    for (to, from) in merged.iter_mut().zip(flows) {
                        if from != Flow::Clear {
                            *to = Flow::Other;
                        }
                    }
                }
                Ok(merged)
            }
            LogicalPlan::Distinct(Distinct::All(_)) => {
                let flows = self.scope(plan)?.flows();
                none_join_only(&flows)?;
                Ok(flows)
            }
            // Whatever else there is or will be: nothing join-only goes in, and nothing that comes out can be matched.
            _ => {
                let scope = self.scope(plan)?;
                self.unused(plan, &scope)?;
                none_join_only(&scope.flows())?;
                Ok(vec![Flow::Other; width])
            }
        }
    }

    /// The inputs of a node.
    fn scope(&mut self, plan: &LogicalPlan) -> Result<Scope> {
        let mut scope = Scope::default();
        for input in plan.inputs() {
            scope.sides.push((Arc::clone(input.schema()), self.plan(input)?));
        }
        Ok(scope)
    }

    fn join(&mut self, node: &Join) -> Result<Vec<Flow>> {
        let left = self.plan(&node.left)?;
        // A lateral right side refers to the left one.
        self.outer.push(Scope { sides: vec![(Arc::clone(node.left.schema()), left.clone())] });
        let right = self.plan(&node.right);
        self.outer.pop();
        let scope =
            Scope { sides: vec![(Arc::clone(node.left.schema()), left), (Arc::clone(node.right.schema()), right?)] };
        for (left, right) in &node.on {
            self.equality(left, right, &scope)?;
        }
        if let Some(filter) = &node.filter {
            self.predicate(filter, &scope)?;
        }
        let kept = node.schema.iter().map(|(qualifier, field)| {
            let column = Column::new(qualifier.cloned(), field.name());
            scope.find(&column).map_or(Flow::Other, |(flow, _)| flow.clone())
        });
        let all = scope.sides.iter().map(|(_, flows)| flows.len()).sum::<usize>();
        Ok(if node.schema.fields().len() == all { scope.flows() } else { kept.collect() })
    }

    /// What a projected expression holds.
    fn projected(&mut self, expr: &Expr, scope: &Scope) -> Result<Flow> {
        match expr {
            Expr::Alias(alias) => self.projected(&alias.expr, scope),
            Expr::Column(column) => scope.find(column).map(|(flow, _)| flow.clone()).ok_or_else(unknown),
            _ => self.free_of(expr, scope).map(|()| Flow::Other),
        }
    }

    /// A condition that decides about rows: its conjuncts may match join-only columns.
    fn predicate(&mut self, predicate: &Expr, scope: &Scope) -> Result<()> {
        split_conjunction(predicate).into_iter().try_for_each(|conjunct| match conjunct {
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => self.equality(left, right, scope),
            Expr::InSubquery(within) => {
                let inner = self.subquery(&within.subquery.subquery, scope)?;
                let schema = within.subquery.subquery.schema();
                match (self.side(&within.expr, scope)?, inner.first(), schema.fields().first()) {
                    (Some((flow, data_type)), Some(partner), Some(field)) => {
                        comparable((&flow, &data_type), (partner, field.data_type()))
                    }
                    (None, _, _) => {
                        self.free_of(&within.expr, scope)?;
                        none_join_only(&inner)
                    }
                    _ => Err(unknown()),
                }
            }
            other => self.free_of(other, scope),
        })
    }

    fn equality(&mut self, left: &Expr, right: &Expr, scope: &Scope) -> Result<()> {
        match (self.side(left, scope)?, self.side(right, scope)?) {
            (Some((left, left_type)), Some((right, right_type))) => {
                comparable((&left, &left_type), (&right, &right_type))
            }
            (Some((Flow::JoinOnly(name), _)), None) | (None, Some((Flow::JoinOnly(name), _))) => {
                Err(bad_partner(&name))
            }
            _ => self.free_of(left, scope).and_then(|()| self.free_of(right, scope)),
        }
    }

    /// What a side of a comparison holds, if it is a column and nothing else.
    fn side(&self, expr: &Expr, scope: &Scope) -> Result<Option<(Flow, DataType)>> {
        let found = match expr {
            Expr::Column(column) => scope.find(column),
            Expr::OuterReferenceColumn(_, column) => self.outer.iter().rev().find_map(|outer| outer.find(column)),
            _ => return Ok(None),
        };
        found.map(|(flow, data_type)| Some((flow.clone(), data_type.clone()))).ok_or_else(unknown)
    }

    /// What the columns of a subquery hold, seen from the expression that has it.
    fn subquery(&mut self, plan: &LogicalPlan, scope: &Scope) -> Result<Vec<Flow>> {
        self.outer.push(scope.clone());
        let flows = self.plan(plan);
        self.outer.pop();
        flows
    }

    /// None of a node's own expressions may use a join-only column.
    fn unused(&mut self, plan: &LogicalPlan, scope: &Scope) -> Result<()> {
        let looked_at = plan.apply_expressions(|expr| {
            self.free_of(expr, scope)?;
            Ok(TreeNodeRecursion::Continue)
        });
        looked_at.map(drop)
    }

    /// Refuses an expression that uses a join-only column in any way.
    fn free_of(&mut self, expr: &Expr, scope: &Scope) -> Result<()> {
        let mut subqueries = Vec::new();
        expr.apply(|part| {
            if let Some((Flow::JoinOnly(name), _)) = self.side(part, scope)? {
                return Err(misused(&name));
            }
            match part {
                // What EXISTS selects is not looked at by anybody.
                Expr::Exists(exists) => subqueries.push((&exists.subquery.subquery, false)),
                Expr::ScalarSubquery(subquery) => subqueries.push((&subquery.subquery, true)),
                Expr::InSubquery(within) => subqueries.push((&within.subquery.subquery, true)),
                Expr::SetComparison(comparison) => subqueries.push((&comparison.subquery.subquery, true)),
                _ => {}
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        for (plan, is_used) in subqueries {
            let flows = self.subquery(plan, scope)?;
            if is_used {
                none_join_only(&flows)?;
            }
        }
        Ok(())
    }
}

fn scan_flows(scan: &TableScan) -> Vec<Flow> {
    let product = match scan.source.downcast_ref::<ViewSource>() {
        Some(ViewSource::Product { table, decision, .. }) => Some((table, decision)),
        _ => None,
    };
    let flow = |name: &String| {
        let (table, decision) = product?;
        let column = decision.columns.iter().find(|column| column.name == *name)?;
        Some(match column.disclosure {
            Disclosure::Clear => Flow::Clear,
            Disclosure::JoinOnly => Flow::JoinOnly(format!("{}.{name}", table.name)),
            _ => Flow::Other,
        })
    };
    scan.projected_schema.fields().iter().map(|field| flow(field.name()).unwrap_or(Flow::Other)).collect()
}

/// The flows of a node that adds computed columns behind these.
fn padded(mut flows: Vec<Flow>, width: usize) -> Vec<Flow> {
    flows.resize(width, Flow::Other);
    flows
}

fn none_join_only(flows: &[Flow]) -> Result<()> {
    match flows.iter().find_map(|flow| if let Flow::JoinOnly(name) = flow { Some(name) } else { None }) {
        Some(name) => Err(misused(name)),
        None => Ok(()),
    }
}

/// Whether two columns may be compared, as far as join-only ones go.
fn comparable(left: (&Flow, &DataType), right: (&Flow, &DataType)) -> Result<()> {
    let name = match (left.0, right.0) {
        (Flow::JoinOnly(name), Flow::JoinOnly(_) | Flow::Clear) | (Flow::Clear, Flow::JoinOnly(name)) => name,
        (Flow::JoinOnly(name), Flow::Other) | (Flow::Other, Flow::JoinOnly(name)) => return Err(bad_partner(name)),
        _ => return Ok(()),
    };
    // A conversion between them could fail, and tell of the value that it failed on.
    if left.1 == right.1 {
        return Ok(());
    }
    let message = format!("column `{name}` is join-only: it can only be compared with a column of its own type");
    Err(refusal(ReasonKind::PermissionDenied, message))
}

fn misused(name: &str) -> datafusion::common::DataFusionError {
    let message = format!(
        "column `{name}` is join-only: it can be compared for equality with other columns in JOIN, IN and EXISTS, and \
         not be selected, filtered, sorted, grouped or computed with"
    );
    refusal(ReasonKind::PermissionDenied, message)
}

fn bad_partner(name: &str) -> datafusion::common::DataFusionError {
    let message = format!(
        "column `{name}` is join-only: it can only be compared with a column of a data product that you see as it is, \
         or that is join-only too, and not with values"
    );
    refusal(ReasonKind::PermissionDenied, message)
}

fn unknown() -> datafusion::common::DataFusionError {
    refusal(ReasonKind::Undecided, "a statement over join-only columns cannot be followed: write it more simply")
}
