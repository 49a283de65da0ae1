//! Whom reviews ask about.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::policy::subject::{Principal, RequestContext, Subject};
use crate::policy::vocabulary::Vocabulary;

/// Somebody whom a review asks about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// `ana`, or `group analysts`.
    pub label: String,
    /// Who that is to policies.
    pub principal: Principal,
}

/// What somebody asks with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Asking<'a> {
    /// Whether the session asks to break the glass.
    pub breaks_glass: bool,
    /// The declared purpose.
    pub purpose: Option<&'a str>,
}

impl<'a> Asking<'a> {
    /// With broken glass, where that is let, and without a purpose.
    pub const BREAKING_GLASS: Asking<'static> = Asking { breaks_glass: true, purpose: None };

    /// With a purpose.
    pub fn with(purpose: &'a str) -> Asking<'a> {
        Asking { breaks_glass: false, purpose: Some(purpose) }
    }

    /// Without anything, with each purpose, and breaking the glass.
    pub fn each(purposes: impl IntoIterator<Item = &'a str>) -> Vec<Asking<'a>> {
        let with = purposes.into_iter().map(Asking::with);
        [Asking::default()].into_iter().chain(with).chain([Asking::BREAKING_GLASS]).collect()
    }
}

impl fmt::Display for Asking<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.breaks_glass, self.purpose) {
            (true, _) => f.write_str("with broken glass"),
            (false, Some(purpose)) => write!(f, "for {purpose}"),
            (false, None) => f.write_str("without a purpose"),
        }
    }
}

impl Person {
    /// The person, asking with something.
    pub fn asking(&self, asking: Asking<'_>, now_ms: i64) -> Subject {
        let context = RequestContext {
            purpose: asking.purpose.map(str::to_owned),
            client_address: None,
            authentication: "password".to_owned(),
            actor: None,
            domains: None,
            break_glass: asking.breaks_glass.then(|| "a review".to_owned()),
            now_ms,
        };
        Subject { principal: self.principal.clone(), context }
    }
}

/// The users in order of their ids, then for each group somebody who is in it alone and has no attributes: so that a
/// group's rights show though nobody, or only somebody with more rights, is in it today.
pub fn people(vocabulary: &Vocabulary, users: &[Principal]) -> Vec<Person> {
    let users: BTreeMap<&str, &Principal> = users.iter().map(|user| (user.id.as_str(), user)).collect();
    let users = users.into_iter().map(|(id, user)| Person { label: id.to_owned(), principal: user.clone() });
    users.chain(vocabulary.groups().map(member)).collect()
}

/// Somebody who is in one group alone.
pub(super) fn member(group: &str) -> Person {
    let label = format!("group {group}");
    let groups = BTreeSet::from([group.to_owned()]);
    Person { principal: Principal { id: label.clone(), groups, attributes: BTreeMap::new() }, label }
}
