//! A physical plan as its principal may see it: nothing below a barrier.

use std::fmt::Write;

use datafusion::physical_plan::{ExecutionPlan, displayable};

use crate::barrier::BarrierExec;
use crate::guard::GroupGuardExec;

/// One line for each operator, children indented. A barrier is a `GovernedScan` with its table and the columns it hands on.
pub(super) fn explain(plan: &dyn ExecutionPlan) -> String {
    let mut text = String::new();
    write(plan, 0, &mut text);
    text
}

/// The rows that each operator of a plan that ran handed on, in the order of the lines of [`explain`]; `None` where that is not the
/// principal's to know: below a guard, whose groups may be too small, and wherever it hangs on which branch of a union was faster.
pub(super) fn rows(plan: &dyn ExecutionPlan) -> Vec<Option<usize>> {
    let mut rows = Vec::new();
    count(plan, true, &mut rows);
    rows
}

fn count(plan: &dyn ExecutionPlan, counts: bool, rows: &mut Vec<Option<usize>>) {
    let counts = counts && !has_union(plan);
    rows.push(plan.metrics().filter(|_| counts).and_then(|metrics| metrics.output_rows()));
    if plan.is::<BarrierExec>() {
        return;
    }
    let counts = counts && !plan.is::<GroupGuardExec>();
    plan.children().into_iter().for_each(|child| count(child.as_ref(), counts, rows));
}

fn has_union(plan: &dyn ExecutionPlan) -> bool {
    let is_barrier = plan.is::<BarrierExec>();
    let is_union = matches!(plan.name(), "UnionExec" | "InterleaveExec");
    is_union || (!is_barrier && plan.children().into_iter().any(|child| has_union(child.as_ref())))
}

fn write(plan: &dyn ExecutionPlan, depth: usize, text: &mut String) {
    let children = plan.children();
    let is_barrier = plan.downcast_ref::<BarrierExec>().is_some();
    let line = match children.is_empty() {
        // Sizes and partitions of in-memory tables are nobody's business.
        true => plan.name().to_owned(),
        false => displayable(plan).one_line().to_string().trim_end().to_owned(),
    };
    let _ = writeln!(text, "{:indent$}{line}", "", indent = depth * 2);
    if !is_barrier {
        for child in children {
            write(child.as_ref(), depth + 1, text);
        }
    }
}
