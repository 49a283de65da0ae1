//! The logical half of `EXPLAIN`: the subject's own plan, down to the scans and no further.

use std::fmt::Write;

use datafusion::common::tree_node::{TreeNodeRecursion, TreeNodeVisitor};
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::LogicalPlan;

use super::lineage::Lineage;
use super::source::{ViewSource, columns_at};
use crate::policy::Disclosure;

/// One line for each node. A scan shows the columns that the statement uses and which of them are masked: what lies
/// below it (filters, how a mask works) is not the subject's.
pub(crate) fn explain(view: &LogicalPlan, lineage: &Lineage) -> Result<String> {
    let mut lines = Lines { text: String::new(), depth: 0, lineage };
    view.visit_with_subqueries(&mut lines)?;
    Ok(lines.text)
}

struct Lines<'a> {
    text: String,
    depth: usize,
    lineage: &'a Lineage,
}

impl Lines<'_> {
    fn scan(&self, plan: &LogicalPlan) -> Option<String> {
        let LogicalPlan::TableScan(scan) = plan else { return None };
        let Some(ViewSource::Product { table, decision, version, .. }) = scan.source.downcast_ref::<ViewSource>()
        else {
            return Some(format!("TableScan: {}", scan.table_name));
        };
        let used = |name: &str| self.lineage.touched.iter().any(|c| c.table == table.name && c.column == name);
        let columns = columns_at(decision, version.as_deref()).filter(|column| used(&column.name));
        let shown: Vec<_> = columns
            .map(|column| match column.disclosure {
                Disclosure::Clear => column.name.clone(),
                Disclosure::JoinOnly => format!("{} join-only", column.name),
                _ => format!("{} masked", column.name),
            })
            .collect();
        let version = version.as_ref().map(|version| format!(" ({})", version.snapshot)).unwrap_or_default();
        Some(format!("TableScan: {}{version} columns=[{}]", scan.table_name, shown.join(", ")))
    }
}

impl<'n> TreeNodeVisitor<'n> for Lines<'_> {
    type Node = LogicalPlan;

    fn f_down(&mut self, plan: &'n LogicalPlan) -> Result<TreeNodeRecursion> {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        let line = self.scan(plan).unwrap_or_else(|| plan.display().to_string());
        let indent = self.depth * 2;
        write!(self.text, "{:indent$}{line}", "").map_err(|error| DataFusionError::Internal(error.to_string()))?;
        self.depth += 1;
        Ok(TreeNodeRecursion::Continue)
    }

    fn f_up(&mut self, _plan: &'n LogicalPlan) -> Result<TreeNodeRecursion> {
        self.depth = self.depth.saturating_sub(1);
        Ok(TreeNodeRecursion::Continue)
    }
}
