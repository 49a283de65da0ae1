//! What another set of policies would change: people × purposes × tables × columns.

use std::collections::{BTreeMap, BTreeSet};

use portcullis_contract::Table;
use serde::Serialize;

use super::people::{Asking, Person, people};
use super::rows::{Direction, compare_rows};
use super::view::View;
use crate::policy::decision::RowFilter;
use crate::policy::snapshot::PolicySnapshot;
use crate::policy::subject::Principal;

/// Policies, contracts and users of one side of a comparison.
#[derive(Debug, Clone, Copy)]
pub struct Side<'a> {
    /// Policies and contracts.
    pub snapshot: &'a PolicySnapshot,
    /// The users.
    pub users: &'a [Principal],
}

/// One difference, and whom it concerns.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Change {
    /// `domain.table`.
    pub table: String,
    /// `discover`, `query`, `break the glass`, `notices`, `rows`, or `columns` with their names.
    pub what: String,
    /// Which way it goes.
    pub direction: Direction,
    /// How it was.
    pub old: String,
    /// How it will be.
    pub new: String,
    /// A synthetic row that only the new filter keeps.
    pub gained: Option<String>,
    /// A synthetic row that only the old filter keeps.
    pub lost: Option<String>,
    /// Whether every kind of row that the filters can tell apart was tried.
    pub complete: bool,
    /// Users and groups, each with what they ask with, where not all of that changes something.
    pub who: Vec<String>,
}

/// Everything that changes for the users and groups of either side, in order of table. A table, column, user or group
/// that one side does not have is hidden, or a stranger, there.
pub fn changes(old: Side<'_>, new: Side<'_>, now_ms: i64) -> Vec<Change> {
    let purposes: BTreeSet<&str> =
        [old, new].into_iter().flat_map(|side| side.snapshot.vocabulary().purposes()).collect();
    let everything = Asking::each(purposes);
    let tables: BTreeSet<String> = [old, new].into_iter().flat_map(|side| side.snapshot.resources()).collect();
    let everybody = [old, new].map(|side| by_label(people(side.snapshot.vocabulary(), side.users)));
    let labels: BTreeSet<&String> = everybody.iter().flat_map(BTreeMap::keys).collect();
    let mut found: BTreeMap<Difference, BTreeMap<String, Vec<Asking<'_>>>> = BTreeMap::new();
    for table in &tables {
        for label in &labels {
            let [before, after] = everybody.each_ref().map(|people| people.get(*label));
            for asking in &everything {
                let views = [(old, before), (new, after)].map(|(side, who)| side.view(who, *asking, table, now_ms));
                for difference in differences(table, &views, old, new) {
                    found.entry(difference).or_default().entry((*label).clone()).or_default().push(*asking);
                }
            }
        }
    }
    let all = everything.len();
    let mut changes: Vec<Change> =
        found.into_iter().map(|(difference, who)| difference.concerning(&who, all)).collect();
    changes.sort();
    changes
}

fn by_label(people: Vec<Person>) -> BTreeMap<String, Person> {
    people.into_iter().map(|person| (person.label.clone(), person)).collect()
}

impl Side<'_> {
    fn view(self, person: Option<&Person>, asking: Asking<'_>, table: &str, now_ms: i64) -> View {
        let Some(person) = person else { return View::nothing() };
        // Who cannot declare a purpose asks without one.
        let known = |purpose: &&str| self.snapshot.vocabulary().purposes().any(|known| known == *purpose);
        let asking = Asking { purpose: asking.purpose.filter(known), ..asking };
        match self.snapshot.decide_named(&person.asking(asking, now_ms), table) {
            Some(decision) => View::of(&decision),
            None => View::nothing(),
        }
    }
}

/// A change without those whom it concerns.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Difference {
    table: String,
    what: String,
    direction: Direction,
    old: String,
    new: String,
    gained: Option<String>,
    lost: Option<String>,
    complete: bool,
}

impl Difference {
    fn new(table: &str, what: &str, loosened: bool, old: impl ToString, new: impl ToString) -> Difference {
        Difference {
            table: table.to_owned(),
            what: what.to_owned(),
            direction: if loosened { Direction::Loosened } else { Direction::Tightened },
            old: old.to_string(),
            new: new.to_string(),
            gained: None,
            lost: None,
            complete: true,
        }
    }

    fn concerning(self, who: &BTreeMap<String, Vec<Asking<'_>>>, all: usize) -> Change {
        let who = who.iter().flat_map(|(label, with)| match with.len() == all {
            true => vec![label.clone()],
            false => with.iter().map(|asking| format!("{label} {asking}")).collect(),
        });
        Change {
            who: who.collect(),
            table: self.table,
            what: self.what,
            direction: self.direction,
            old: self.old,
            new: self.new,
            gained: self.gained,
            lost: self.lost,
            complete: self.complete,
        }
    }
}

fn differences(table: &str, [before, after]: &[View; 2], old: Side<'_>, new: Side<'_>) -> Vec<Difference> {
    let mut found = Vec::new();
    let yes_no = |yes: bool| if yes { "yes" } else { "no" };
    for (what, was, is) in [
        ("discover", before.discover, after.discover),
        ("break the glass", before.broken_glass, after.broken_glass),
        ("notices", before.notices, after.notices),
    ] {
        if was != is {
            found.push(Difference::new(table, what, is, yes_no(was), yes_no(is)));
        }
    }
    let ((was, wide), (is, wider)) = (before.reach(), after.reach());
    if was != is {
        let difference = Difference::new(table, "query", wider < wide, was, is);
        let same_entity = match (&before.aggregates, &after.aggregates) {
            (Some(one), Some(other)) => one.entity == other.entity,
            _ => true,
        };
        let direction = if same_entity { difference.direction } else { Direction::Changed };
        found.push(Difference { direction, ..difference });
    }
    found.extend(rows(table, &before.filter, &after.filter, old, new));
    let names: BTreeSet<&String> = before.columns.keys().chain(after.columns.keys()).collect();
    let mut levels: BTreeMap<_, Vec<&str>> = BTreeMap::new();
    for name in names {
        let (was, is) = (before.level(name), after.level(name));
        if was != is {
            levels.entry((was, is)).or_default().push(name);
        }
    }
    for ((was, is), names) in levels {
        found.push(Difference::new(table, &format!("columns {}", names.join(", ")), is < was, was, is));
    }
    found
}

fn rows(table: &str, was: &RowFilter, is: &RowFilter, old: Side<'_>, new: Side<'_>) -> Option<Difference> {
    if was.expr == is.expr {
        return None;
    }
    let (before, after) = (contract(old, table), contract(new, table));
    let (before, after) = (before.or(after)?, after.or(before)?);
    let change = compare_rows((was, before), (is, after))?;
    let difference = Difference::new(table, "rows", false, was.text(), is.text());
    Some(Difference {
        direction: change.direction,
        gained: change.gained,
        lost: change.lost,
        complete: change.complete,
        ..difference
    })
}

fn contract<'a>(side: Side<'a>, name: &str) -> Option<&'a Table> {
    side.snapshot.table(name).map(AsRef::as_ref)
}
