//! Which source columns an answer depends on.

use std::collections::BTreeSet;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, Result};
use datafusion::logical_expr::{Expr, LogicalPlan};
use portcullis_contract::TableName;

use super::source::{ScanSource, ViewSource};

/// A column of a data product.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SourceColumn {
    /// Table of the column.
    pub table: TableName,
    /// Name of the column.
    pub column: String,
}

/// Where the columns of an answer come from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lineage {
    /// Name of each column of the answer, and the source columns that its values are made from.
    pub outputs: Vec<(String, BTreeSet<SourceColumn>)>,
    /// All of those, and the columns that decide which rows there are and in which order: filters, join keys, groups.
    pub touched: BTreeSet<SourceColumn>,
}

/// The lineage of a plan, governed or not, subqueries included.
pub fn lineage(plan: &LogicalPlan) -> Result<Lineage> {
    let mut walk = Walk { touched: BTreeSet::new(), outer: Vec::new() };
    let sources = walk.plan(plan)?;
    let Walk { mut touched, .. } = walk;
    touched.extend(sources.iter().flatten().cloned());
    let names = plan.schema().fields().iter().map(|field| field.name().clone());
    Ok(Lineage { outputs: names.zip(sources).collect(), touched })
}

type Sources = BTreeSet<SourceColumn>;

/// Columns by position, with the schema that names them.
struct Scope<'a> {
    schemas: Vec<&'a DFSchema>,
    sources: Vec<Vec<Sources>>,
}

impl Scope<'_> {
    fn find(&self, column: &Column) -> Option<&Sources> {
        self.schemas
            .iter()
            .zip(&self.sources)
            .find_map(|(schema, sources)| sources.get(schema.maybe_index_of_column(column)?))
    }
}

struct Walk<'a> {
    touched: Sources,
    /// Columns of the queries around the one looked at, innermost last.
    outer: Vec<Scope<'a>>,
}

impl<'a> Walk<'a> {
    /// Sources of each output column.
    fn plan(&mut self, plan: &'a LogicalPlan) -> Result<Vec<Sources>> {
        match plan {
            LogicalPlan::TableScan(scan) => {
                let table = scan_table(plan);
                let fields = scan.projected_schema.fields().iter();
                Ok(fields.map(|field| table.iter().map(|table| source(table, field.name())).collect()).collect())
            }
            LogicalPlan::Projection(node) => {
                let scope = self.scope(plan)?;
                node.expr.iter().map(|expr| self.expr(expr, &scope)).collect()
            }
            LogicalPlan::SubqueryAlias(node) => self.plan(&node.input),
            LogicalPlan::Subquery(node) => self.plan(&node.subquery),
            LogicalPlan::Union(node) => {
                let mut merged = vec![Sources::new(); node.schema.fields().len()];
                for input in &node.inputs {
                    merged.iter_mut().zip(self.plan(input)?).for_each(|(to, from)| to.extend(from));
                }
                Ok(merged)
            }
            LogicalPlan::RecursiveQuery(node) => {
                let mut merged = self.plan(&node.static_term)?;
                merged.iter_mut().zip(self.plan(&node.recursive_term)?).for_each(|(to, from)| to.extend(from));
                Ok(merged)
            }
            LogicalPlan::Join(node) => {
                let left = self.plan(&node.left)?;
                // A lateral right side refers to the left one.
                self.outer.push(Scope { schemas: vec![node.left.schema()], sources: vec![left.clone()] });
                let right = self.plan(&node.right);
                self.outer.pop();
                let scope =
                    Scope { schemas: vec![node.left.schema(), node.right.schema()], sources: vec![left, right?] };
                self.touch_all(plan, &scope)?;
                let all = scope.sources.concat();
                let kept = node.schema.iter().map(|(qualifier, field)| {
                    let column = Column::new(qualifier.cloned(), field.name());
                    scope.find(&column).cloned().unwrap_or_default()
                });
                Ok(if node.schema.fields().len() == all.len() { all } else { kept.collect() })
            }
            LogicalPlan::Aggregate(node) => {
                let scope = self.scope(plan)?;
                for group in &node.group_expr {
                    let used = self.expr(group, &scope)?;
                    self.touched.extend(used);
                }
                let mut sources = Vec::new();
                for expr in node.schema.fields().len().checked_sub(node.aggr_expr.len()).into_iter().flat_map(|n| 0..n)
                {
                    let groups = node.group_expr.get(expr).filter(|group| !matches!(group, Expr::GroupingSet(_)));
                    match groups {
                        Some(group) => sources.push(self.expr(group, &scope)?),
                        None => {
                            let mut all = Sources::new();
                            for group in &node.group_expr {
                                all.extend(self.expr(group, &scope)?);
                            }
                            sources.push(all);
                        }
                    }
                }
                for expr in &node.aggr_expr {
                    sources.push(self.expr(expr, &scope)?);
                }
                Ok(sources)
            }
            LogicalPlan::Window(node) => {
                let scope = self.scope(plan)?;
                let added = node.window_expr.iter().map(|expr| self.expr(expr, &scope)).collect::<Result<Vec<_>>>()?;
                Ok(scope.sources.concat().into_iter().chain(added).collect())
            }
            LogicalPlan::Distinct(_) => {
                let scope = self.scope(plan)?;
                let sources = scope.sources.concat();
                self.touch_all(plan, &scope)?;
                self.touched.extend(sources.iter().flatten().cloned());
                match plan.schema().fields().len() == sources.len() {
                    true => Ok(sources),
                    false => self.by_name(plan, &scope),
                }
            }
            LogicalPlan::Filter(_) | LogicalPlan::Sort(_) | LogicalPlan::Limit(_) | LogicalPlan::Repartition(_) => {
                let scope = self.scope(plan)?;
                self.touch_all(plan, &scope)?;
                Ok(scope.sources.concat())
            }
            LogicalPlan::Values(node) => {
                let scope = Scope { schemas: Vec::new(), sources: Vec::new() };
                let mut all = Sources::new();
                for expr in node.values.iter().flatten() {
                    all.extend(self.expr(expr, &scope)?);
                }
                Ok(vec![all; node.schema.fields().len()])
            }
            // UNNEST, and nodes that are never governed: whatever is below counts for every column.
            _ => {
                let all: Sources = self.scope(plan)?.sources.into_iter().flatten().flatten().collect();
                Ok(vec![all; plan.schema().fields().len()])
            }
        }
    }

    /// The inputs of a node.
    fn scope(&mut self, plan: &'a LogicalPlan) -> Result<Scope<'a>> {
        let mut scope = Scope { schemas: Vec::new(), sources: Vec::new() };
        for input in plan.inputs() {
            scope.sources.push(self.plan(input)?);
            scope.schemas.push(input.schema());
        }
        Ok(scope)
    }

    fn by_name(&self, plan: &LogicalPlan, scope: &Scope<'a>) -> Result<Vec<Sources>> {
        let all: Sources = scope.sources.iter().flatten().flatten().cloned().collect();
        Ok(plan
            .schema()
            .iter()
            .map(|(qualifier, field)| {
                let column = Column::new(qualifier.cloned(), field.name());
                scope.find(&column).unwrap_or(&all).clone()
            })
            .collect())
    }

    /// Everything that a node's own expressions use.
    fn touch_all(&mut self, plan: &'a LogicalPlan, scope: &Scope<'a>) -> Result<()> {
        let mut used = Sources::new();
        for expr in expressions(plan) {
            used.extend(self.expr(expr, scope)?);
        }
        self.touched.extend(used);
        Ok(())
    }

    /// Sources of one expression over its node's inputs.
    fn expr(&mut self, expr: &'a Expr, scope: &Scope<'a>) -> Result<Sources> {
        let mut used = Sources::new();
        let mut subqueries = Vec::new();
        expr.apply(|part| {
            match part {
                Expr::Column(column) => used.extend(scope.find(column).into_iter().flatten().cloned()),
                Expr::OuterReferenceColumn(_, column) => {
                    let found = self.outer.iter().rev().find_map(|outer| outer.find(column));
                    used.extend(found.into_iter().flatten().cloned());
                }
                Expr::ScalarSubquery(subquery) => subqueries.push(&subquery.subquery),
                Expr::Exists(exists) => subqueries.push(&exists.subquery.subquery),
                Expr::InSubquery(within) => subqueries.push(&within.subquery.subquery),
                Expr::SetComparison(comparison) => subqueries.push(&comparison.subquery.subquery),
                _ => {}
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        for subquery in subqueries {
            self.outer.push(Scope { schemas: scope.schemas.clone(), sources: scope.sources.clone() });
            let sources = self.plan(subquery);
            self.outer.pop();
            used.extend(sources?.into_iter().flatten());
        }
        Ok(used)
    }
}

/// The expressions of a node that decides about rows, in no order.
fn expressions(plan: &LogicalPlan) -> Vec<&Expr> {
    match plan {
        LogicalPlan::Filter(node) => vec![&node.predicate],
        LogicalPlan::Sort(node) => node.expr.iter().map(|sort| &sort.expr).collect(),
        LogicalPlan::Join(node) => node.on.iter().flat_map(|(l, r)| [l, r]).chain(node.filter.as_ref()).collect(),
        LogicalPlan::Distinct(datafusion::logical_expr::Distinct::On(on)) => {
            on.on_expr.iter().chain(&on.select_expr).chain(on.sort_expr.iter().flatten().map(|s| &s.expr)).collect()
        }
        _ => Vec::new(),
    }
}

fn scan_table(plan: &LogicalPlan) -> Option<TableName> {
    let LogicalPlan::TableScan(scan) = plan else { return None };
    if let Some(source) = scan.source.downcast_ref::<ScanSource>() {
        return Some(source.table().name.clone());
    }
    match scan.source.downcast_ref::<ViewSource>() {
        Some(ViewSource::Product { table, .. }) => Some(table.name.clone()),
        _ => None,
    }
}

fn source(table: &TableName, column: &str) -> SourceColumn {
    SourceColumn { table: table.clone(), column: column.to_string() }
}
