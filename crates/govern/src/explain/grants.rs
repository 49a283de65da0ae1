//! What would grant more than somebody has: the action that is missing, and the purposes and groups with which it
//! would be there. Found by deciding again, as if.

use std::cell::Cell;
use std::collections::BTreeSet;

use portcullis_contract::{Masking, MetadataColumn};

use crate::policy::{
    ColumnDecision, Disclosure, PolicySnapshot, RowFilter, Subject, TableDecision, ceiling, shows_whole,
};

/// Purposes and groups that are tried out.
const MOST_TRIED: usize = 64;
/// Decisions that a report may cost beyond those about the subject itself.
const MOST_DECISIONS: usize = 512;

/// What would grant more of one table; `None` where there is no more.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WouldGrant {
    /// What would let rows be read.
    pub query: Option<String>,
    /// What would show more rows.
    pub rows: Option<String>,
    /// What would show more of each column, in the contract's order.
    pub columns: Vec<Option<String>>,
}

/// Something that a subject might ask with, and does not.
struct Tried {
    what: String,
    /// The group, if it is one, and all that it belongs to.
    group: Option<(String, BTreeSet<String>)>,
    subject: Subject,
}

/// Everything that a subject might ask with.
pub(super) struct Grants<'a> {
    snapshot: &'a PolicySnapshot,
    tried: Vec<Tried>,
    /// Decisions left.
    left: Cell<usize>,
}

/// What would be decided with something else.
type Other<'t> = (&'t Tried, TableDecision);

impl<'a> Grants<'a> {
    /// Purposes are everybody's to declare. Groups are named only `with_groups`.
    pub(super) fn new(snapshot: &'a PolicySnapshot, subject: &Subject, with_groups: bool) -> Grants<'a> {
        let vocabulary = snapshot.vocabulary();
        let purposes = vocabulary.purposes().filter(|purpose| subject.context.purpose.as_deref() != Some(*purpose));
        let with_purpose = purposes.map(|purpose| {
            let mut subject = subject.clone();
            subject.context.purpose = Some(purpose.to_owned());
            Tried { what: format!("purpose `{purpose}`"), group: None, subject }
        });
        let has = vocabulary.memberships(&subject.principal.groups);
        let groups = vocabulary.groups().filter(|group| with_groups && !has.contains(group));
        let with_group = groups.map(|group| {
            let mut subject = subject.clone();
            subject.principal.groups.insert(group.to_owned());
            let name = group.to_owned();
            let above = vocabulary.memberships([&name]).into_iter().filter(|one| *one != group);
            let above = above.map(str::to_owned).collect();
            Tried { what: format!("group `{group}`"), group: Some((name, above)), subject }
        });
        let tried = with_purpose.chain(with_group).take(MOST_TRIED).collect();
        Grants { snapshot, tried, left: Cell::new(MOST_DECISIONS) }
    }

    /// What would grant more than a decision does.
    pub(super) fn of(&self, decision: &TableDecision) -> WouldGrant {
        let name = decision.table.to_string();
        let affordable = self.left.get().min(self.tried.len());
        self.left.set(self.left.get() - affordable);
        let tried = self.tried.iter().take(affordable);
        let others: Vec<Other<'_>> = tried
            .filter_map(|tried| Some((tried, self.snapshot.decide_as_if(&tried.subject, &name)?)))
            .filter(|(_, other)| other.discover.allowed && other.undecided.is_none())
            .collect();
        let query = (!decision.query.allowed).then(|| {
            let action = match &decision.query.unmet {
                None => "action `query`".to_owned(),
                Some(unmet) => unmet.to_string(),
            };
            offered(action, &others, |other| other.query.allowed.then_some(Disclosure::Clear), false)
        });
        let rows = (decision.query.allowed && decision.filter.expr.is_some()).then(|| {
            let more = |other: &TableDecision| {
                (other.query.allowed && shows_more(&other.filter, &decision.filter)).then_some(Disclosure::Clear)
            };
            offered("action `readRow`".to_owned(), &others, more, false)
        });
        let table = self.snapshot.table(&name);
        let columns = decision.columns.iter().enumerate().map(|(at, column)| {
            let field = table.and_then(|table| table.field(&column.name));
            let hides = |table| MetadataColumn::of(table, &column.name).is_some() && !shows_whole(table, decision);
            let action = match (field.map_or(Masking::None, ceiling), table.is_some_and(|table| hides(table))) {
                (_, true) => "all rows and all other columns clear".to_owned(),
                (Masking::None, _) => "action `viewClear`".to_owned(),
                (mask, _) => format!("action `viewClear` by its name, as the contract's masking is {mask}"),
            };
            more_of(column, action, at, &others)
        });
        WouldGrant { query, rows, columns: columns.collect() }
    }
}

/// Whether a filter certainly keeps more than another that does not keep all: a coarse answer, for a hint.
fn shows_more(filter: &RowFilter, than: &RowFilter) -> bool {
    filter.expr.is_none() || (than.text() == "no rows" && filter.text() != "no rows")
}

fn more_of(column: &ColumnDecision, action: String, at: usize, others: &[Other<'_>]) -> Option<String> {
    if column.disclosure == Disclosure::Clear {
        return None;
    }
    let level = |other: &TableDecision| {
        let level = other.columns.get(at)?.disclosure;
        (level < column.disclosure).then_some(level)
    };
    Some(offered(action, others, level, true))
}

/// The action, and with what it would be there. Of a group and one that it belongs to, the latter is enough, unless the
/// former shows more.
fn offered(
    action: String,
    others: &[Other<'_>],
    level: impl Fn(&TableDecision) -> Option<Disclosure>,
    says_level: bool,
) -> String {
    let offers: Vec<(&Tried, Disclosure)> =
        others.iter().filter_map(|(tried, other)| Some((*tried, level(other)?))).collect();
    let is_covered = |(tried, level): &&(&Tried, Disclosure)| {
        tried.group.as_ref().is_some_and(|(_, above)| {
            let enough = |(other, shown): &(&Tried, Disclosure)| {
                shown <= level && other.group.as_ref().is_some_and(|(group, _)| above.contains(group))
            };
            offers.iter().any(enough)
        })
    };
    let with = offers.iter().filter(|offer| !is_covered(offer)).map(|(tried, level)| match says_level {
        true => format!("{} shows it {level}", tried.what),
        false => tried.what.clone(),
    });
    let with: Vec<String> = with.collect();
    if with.is_empty() { action } else { format!("{action}: {}", with.join(", ")) }
}
