//! A physical plan as its principal may see it: nothing below a barrier.

use std::fmt::Write;

use datafusion::physical_plan::{ExecutionPlan, displayable};

use crate::barrier::BarrierExec;

/// One line for each operator, children indented. A barrier is a `GovernedScan` with its table and the columns it hands on.
pub(super) fn explain(plan: &dyn ExecutionPlan) -> String {
    let mut text = String::new();
    write(plan, 0, &mut text);
    text
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
