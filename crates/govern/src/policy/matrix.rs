//! Who can see what, as one text to review and to compare.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use portcullis_contract::Aggregation;

use super::decision::{Disclosure, TableDecision};
use super::snapshot::PolicySnapshot;
use super::subject::Subject;

/// Every table × subject: the row filter and the columns by level of disclosure. The same input gives the same text.
pub fn matrix(snapshot: &PolicySnapshot, subjects: &[Subject]) -> String {
    let mut out = String::new();
    for table in snapshot.catalogue().tables() {
        let _ = writeln!(out, "{}", table.name);
        for subject in subjects {
            let decision = snapshot.decide(subject, table);
            let who = match &subject.context.purpose {
                Some(purpose) => format!("{} for {purpose}", subject.principal.id),
                None => subject.principal.id.clone(),
            };
            let broken = decision.break_glass.as_ref().is_some_and(|access| access.allowed);
            let who = if broken { format!("{who}, breaking the glass") } else { who };
            let _ = writeln!(out, "  {who}: {}", rows(&decision));
            if decision.discover.allowed && decision.undecided.is_none() {
                for (level, columns) in columns(&decision) {
                    let _ = writeln!(out, "    {level}: {}", columns.join(", "));
                }
            }
        }
        out.push('\n');
    }
    out
}

fn rows(decision: &TableDecision) -> String {
    match &decision.undecided {
        Some(reason) => format!("undecided: {reason}"),
        None if !decision.discover.allowed => "hidden".to_owned(),
        None if !decision.query.allowed => match &decision.query.unmet {
            Some(unmet) => format!("no query: {unmet}"),
            None => "no query".to_owned(),
        },
        None => match &decision.aggregation {
            Some(limit) => format!("{} ({})", decision.filter.text(), aggregates(limit)),
            None => decision.filter.text(),
        },
    }
}

/// What may be seen of a table's rows, in words.
pub fn aggregates(limit: &Aggregation) -> String {
    format!("aggregates of {} or more {}", limit.at_least, limit.entity)
}

fn columns(decision: &TableDecision) -> BTreeMap<Disclosure, Vec<&str>> {
    let mut levels: BTreeMap<Disclosure, Vec<&str>> = BTreeMap::new();
    for column in &decision.columns {
        levels.entry(column.disclosure).or_default().push(&column.name);
    }
    levels
}
