//! What may be told to a person about what an answer does not show. Never how much of it, and never a value.

use super::verdict::Decision;
use crate::policy::Disclosure;
use crate::policy::matrix::aggregates;

/// A sentence for each thing that is held back from an answer, of tables where policies allow saying so; and one for each
/// table for which the glass is broken, always.
pub fn notices(decision: &Decision) -> Vec<String> {
    let mut all = Vec::new();
    for table in &decision.tables {
        let name = &table.table;
        if table.break_glass.as_ref().is_some_and(|access| access.allowed) {
            all.push(format!("{name}: the glass is broken, and what you do is recorded with your reason"));
        }
        if !table.notice.allowed {
            continue;
        }
        if let Some(limit) = &table.aggregation {
            all.push(format!("{name}: smaller groups than {} are left out", aggregates(limit)));
        }
        if table.filter.expr.is_some() {
            all.push(format!("{name}: rows that you may not see are left out"));
        }
        let masked = decision.columns.iter().filter(|used| used.table == *name && used.disclosure.masking().is_some());
        let masked: Vec<String> =
            masked.map(|used| format!("{} ({})", used.column, Disclosure::as_str(used.disclosure))).collect();
        if !masked.is_empty() {
            all.push(format!("{name}: columns are masked: {}", masked.join(", ")));
        }
    }
    all
}
