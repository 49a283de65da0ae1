//! Which kinds of plan nodes a governed query may have. One list, used where plans are governed and where the engine
//! looks at them for the last time; both walk the plan by themselves.

use datafusion::logical_expr::LogicalPlan;

use super::guard::group_guard;

/// What a node of a logical plan is to governance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Node {
    /// Reads a table: judged by what it reads.
    Scan,
    /// Makes rows of rows, and touches nothing else.
    Query,
    /// Anything else: never governed, never executed.
    Other(&'static str),
}

impl Node {
    /// The kind of a node. A kind that DataFusion adds does not compile until it has its place here.
    pub fn of(plan: &LogicalPlan) -> Node {
        match plan {
            LogicalPlan::TableScan(_) => Node::Scan,
            LogicalPlan::Projection(_)
            | LogicalPlan::Filter(_)
            | LogicalPlan::Window(_)
            | LogicalPlan::Aggregate(_)
            | LogicalPlan::Sort(_)
            | LogicalPlan::Join(_)
            | LogicalPlan::Repartition(_)
            | LogicalPlan::Union(_)
            | LogicalPlan::EmptyRelation(_)
            | LogicalPlan::Subquery(_)
            | LogicalPlan::SubqueryAlias(_)
            | LogicalPlan::Limit(_)
            | LogicalPlan::Values(_)
            | LogicalPlan::Distinct(_)
            | LogicalPlan::Unnest(_)
            | LogicalPlan::RecursiveQuery(_) => Node::Query,
            LogicalPlan::Extension(_) if group_guard(plan).is_some() => Node::Query,
            LogicalPlan::Explain(_) | LogicalPlan::Analyze(_) => Node::Other("EXPLAIN"),
            LogicalPlan::Dml(_) => Node::Other("a change of rows"),
            LogicalPlan::Ddl(_) => Node::Other("a definition"),
            LogicalPlan::Copy(_) => Node::Other("COPY"),
            LogicalPlan::Statement(_) => Node::Other("a statement"),
            LogicalPlan::Extension(_) => Node::Other("an extension"),
            LogicalPlan::DescribeTable(_) => Node::Other("DESCRIBE"),
        }
    }
}
