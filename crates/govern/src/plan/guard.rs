//! The node that lets groups through which are large enough, and nothing of the user's below itself.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::datatypes::FieldRef;
use datafusion::common::{DFSchema, DFSchemaRef, Result, internal_err, plan_err};
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, UserDefinedLogicalNodeCore};

/// Keeps the rows of an aggregate whose last columns, counts of distinct entities, are each at least as great as the
/// limit of the same place, and hands on the columns before those.
///
/// It is a node of its own so that no predicate, limit or projection of the statement moves below it: an expression
/// that is evaluated on a group which is to vanish tells of that group. The input is an aggregate and stays one.
#[derive(Debug, Clone)]
pub struct GroupGuard {
    input: LogicalPlan,
    limits: Vec<u64>,
    schema: DFSchemaRef,
}

impl GroupGuard {
    /// # Errors
    /// When the input is no aggregate, or has not a column for each limit.
    pub(crate) fn try_new(input: LogicalPlan, limits: Vec<u64>) -> Result<Self> {
        if !is_aggregate(&input) {
            return plan_err!("a condition without columns cannot be applied to aggregates of a table: leave it out");
        }
        // Nullable: of a table without groups there may be no row at all, which a scalar subquery reads as NULL.
        let nullable = |field: &FieldRef| Arc::new(field.as_ref().clone().with_nullable(true));
        let fields = input.schema().iter().map(|(qualifier, field)| (qualifier.cloned(), nullable(field)));
        let Some(kept) = input.schema().fields().len().checked_sub(limits.len()).filter(|_| !limits.is_empty()) else {
            return internal_err!("a group guard has {} limits for its input", limits.len());
        };
        let schema = DFSchema::new_with_metadata(fields.take(kept).collect(), input.schema().metadata().clone())?;
        Ok(GroupGuard { input, limits, schema: Arc::new(schema) })
    }

    /// What the last columns of the input must reach, in their order. Never empty.
    pub fn limits(&self) -> &[u64] {
        &self.limits
    }

    pub(crate) fn into_plan(self) -> LogicalPlan {
        LogicalPlan::Extension(Extension { node: Arc::new(self) })
    }
}

/// The guard that a node is, if it is one.
pub fn group_guard(plan: &LogicalPlan) -> Option<&GroupGuard> {
    match plan {
        LogicalPlan::Extension(extension) => extension.node.as_any().downcast_ref::<GroupGuard>(),
        _ => None,
    }
}

/// An aggregate, what the optimiser makes of an empty one, or a choice of its columns.
fn is_aggregate(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Aggregate(_) | LogicalPlan::EmptyRelation(_) => true,
        LogicalPlan::Projection(node) => {
            let is_column = |expr: &Expr| matches!(expr.clone().unalias(), Expr::Column(_));
            node.expr.iter().all(is_column) && is_aggregate(&node.input)
        }
        _ => false,
    }
}

impl UserDefinedLogicalNodeCore for GroupGuard {
    fn name(&self) -> &str {
        "GroupGuard"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn prevent_predicate_push_down_columns(&self) -> HashSet<String> {
        self.schema.fields().iter().map(|field| field.name().clone()).collect()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "GroupGuard: at_least={:?}", self.limits)
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, mut inputs: Vec<LogicalPlan>) -> Result<Self> {
        match (exprs.is_empty(), inputs.pop(), inputs.is_empty()) {
            (true, Some(input), true) => GroupGuard::try_new(input, self.limits.clone()),
            _ => internal_err!("a group guard has one input and no expressions"),
        }
    }
}

impl PartialEq for GroupGuard {
    fn eq(&self, other: &Self) -> bool {
        self.limits == other.limits && self.input == other.input
    }
}

impl Eq for GroupGuard {}

impl PartialOrd for GroupGuard {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (self == other).then_some(Ordering::Equal)
    }
}

impl Hash for GroupGuard {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.limits.hash(state);
        self.input.hash(state);
    }
}
