//! Who can see what, as one text to review and to compare.

use std::collections::BTreeMap;

use portcullis_contract::Aggregation;

use super::decision::{Disclosure, TableDecision};
use super::review::{Asking, people};
use super::snapshot::PolicySnapshot;
use super::subject::Principal;

/// For each user, and for somebody in each group alone: every table without a purpose, then with each purpose that
/// changes something, then with broken glass where that is let. The same input gives the same text.
pub fn matrix(snapshot: &PolicySnapshot, users: &[Principal], now_ms: i64) -> String {
    let mut lines = Vec::new();
    for person in people(snapshot.vocabulary(), users) {
        lines.push(person.label.clone());
        let decide = |asking: Asking<'_>, table: &str| snapshot.decide_named(&person.asking(asking, now_ms), table);
        let mut tables: Vec<String> = snapshot.resources().collect();
        tables.sort();
        for table in tables {
            let Some(plain) = decide(Asking::default(), &table).map(|decision| cell(&decision)) else { continue };
            lines.push(format!("  {table}: {plain}"));
            for purpose in snapshot.vocabulary().purposes() {
                let with = decide(Asking::with(purpose), &table).map(|decision| cell(&decision));
                let with = with.filter(|with| *with != plain);
                lines.extend(with.map(|with| format!("  {table} for {purpose}: {with}")));
            }
            let broken = decide(Asking::BREAKING_GLASS, &table).filter(|decision| breaks_glass(decision));
            lines.extend(broken.map(|decision| format!("  {table} with broken glass: {}", cell(&decision))));
        }
        lines.push(String::new());
    }
    lines.join("\n")
}

fn breaks_glass(decision: &TableDecision) -> bool {
    decision.break_glass.as_ref().is_some_and(|access| access.allowed)
}

/// What may be seen of a table's rows, in words.
pub fn aggregates(limit: &Aggregation) -> String {
    format!("aggregates of {} or more {}", limit.at_least, limit.entity)
}

fn cell(decision: &TableDecision) -> String {
    match &decision.undecided {
        Some(reason) => return format!("undecided, so no rows: {reason}"),
        None if !decision.discover.allowed => return "hidden".to_owned(),
        None if !decision.query.allowed => {
            let unmet = decision.query.unmet.as_ref().map(|unmet| format!(": {unmet}")).unwrap_or_default();
            return format!("may be discovered, no rows{unmet}");
        }
        None if decision.columns.is_empty() => return "may be queried".to_owned(),
        None => {}
    }
    let mut levels: BTreeMap<Disclosure, Vec<&str>> = BTreeMap::new();
    for column in &decision.columns {
        levels.entry(column.disclosure).or_default().push(&column.name);
    }
    let rows = match decision.filter.text() {
        whole if matches!(whole.as_str(), "all rows" | "no rows") => whole,
        filter => format!("rows where {filter}"),
    };
    let shown = decision.aggregation.as_ref().map(|limit| format!("{} over ", aggregates(limit))).unwrap_or_default();
    let levels = levels.iter().map(|(level, names)| format!(" | {level} {}", names.join(" ")));
    let told = if decision.notice.allowed { " | with notices" } else { "" };
    format!("{shown}{rows}{}{told}", levels.collect::<String>())
}
