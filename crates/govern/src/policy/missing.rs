//! What policies name and nothing served has, because its contract is withheld.
//!
//! A broken contract must take out only itself, so a policy that names its table is no mistake. Such a policy stays in
//! force word for word: about tables that are served it decides what it always did, and nothing else is there for it to
//! decide about. `Row` types and tags that only the withheld contract would give are declared without any content.

use std::collections::BTreeSet;

use cedar_policy::pst::{Clause, Expr as Cedar};
use cedar_policy::{EntityUid, Policy, ResourceConstraint};
use portcullis_contract::{Catalogue, Withheld};

use super::cedar_schema::PolicyTables;
use super::walk::subexpressions;

const ROW: &str = "Row::";

/// Declared where every contract is withheld: `readRow` needs a type to be about. No table's type has this name, for
/// theirs have a `_`.
const NO_ROW: &str = "Row::none";

/// Which withheld contract explains a name that nothing served has.
#[derive(Clone, Copy)]
pub(crate) struct Missing<'a> {
    catalogue: &'a Catalogue,
}

impl<'a> Missing<'a> {
    pub(crate) fn new(catalogue: &'a Catalogue) -> Missing<'a> {
        Missing { catalogue }
    }

    pub(crate) fn domain(self, domain: &str) -> Option<&'a Withheld> {
        self.catalogue.withheld().iter().find(|withheld| withheld.in_domain(domain))
    }

    /// `domain.table`. A table that is served under another name is not missing: it would escape its policies.
    pub(crate) fn table(self, id: &str) -> Option<&'a Withheld> {
        let (domain, table) = id.split_once('.')?;
        let mut withheld = self.catalogue.withheld().iter();
        withheld.find(|w| w.explains(domain, table)).filter(|_| self.catalogue.resolve(domain, table).is_none())
    }

    /// `Row::domain_table`.
    pub(crate) fn row_type(self, name: &str) -> Option<&'a Withheld> {
        let name = name.strip_prefix(ROW)?;
        let plain = name.strip_prefix('_').filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        let name = plain.unwrap_or(name);
        let mut withheld = self.catalogue.withheld().iter();
        withheld.find(|w| {
            w.domains().any(|domain| {
                let table = name.strip_prefix(domain).and_then(|rest| rest.strip_prefix('_'));
                table.is_some_and(|t| w.explains(domain, t) && self.catalogue.resolve(domain, t).is_none())
            })
        })
    }

    /// A column or a tag.
    pub(crate) fn word(self, word: &str) -> Option<&'a Withheld> {
        self.catalogue.withheld().iter().find(|withheld| withheld.mentions(word))
    }

    /// Where a policy's scope is limited to what is missing, it can only be about that.
    pub(crate) fn scope(self, policy: &Policy, tables: &PolicyTables) -> Option<&'a Withheld> {
        let entity = |uid: &EntityUid| {
            let id: &str = uid.id().unescaped();
            match uid.type_name().to_string().as_str() {
                "Domain" if !tables.values().any(|t| t.table.name.domain == id) => self.domain(id),
                "Table" if !tables.contains_key(id) => self.table(id),
                "Column" => {
                    let (table, _) = super::check::split_column(id)?;
                    self.table(table).filter(|_| !tables.contains_key(table))
                }
                _ => None,
            }
        };
        let kind = |name: String| if is_served(&name, tables) { None } else { self.row_type(&name) };
        match policy.resource_constraint() {
            ResourceConstraint::Any => None,
            ResourceConstraint::Is(name) => kind(name.to_string()),
            ResourceConstraint::In(uid) | ResourceConstraint::Eq(uid) => entity(&uid),
            ResourceConstraint::IsIn(name, uid) => entity(&uid).or_else(|| kind(name.to_string())),
        }
    }
}

fn is_served(row_type: &str, tables: &PolicyTables) -> bool {
    tables.values().any(|table| table.row_type == row_type)
}

/// The `Row` types that a policy names, in its scope and in its conditions.
pub(crate) fn row_types(policy: &Policy, clauses: &[Clause]) -> BTreeSet<String> {
    let scope = match policy.resource_constraint() {
        ResourceConstraint::Is(name) | ResourceConstraint::IsIn(name, _) => Some(name.to_string()),
        _ => None,
    };
    let conditions = clauses.iter().flat_map(|(Clause::When(e) | Clause::Unless(e))| subexpressions(e));
    let tested = conditions.filter_map(|e| match e {
        Cedar::Is { entity_type, .. } => Some(entity_type.to_string()),
        _ => None,
    });
    scope.into_iter().chain(tested).filter(|name| name.starts_with(ROW)).collect()
}

/// What the schema declares without content, so that policies about it are still understood.
#[derive(Debug, Default)]
pub(crate) struct Ghosts {
    pub(crate) row_types: BTreeSet<String>,
    pub(crate) tags: BTreeSet<String>,
}

impl Ghosts {
    /// Those that a set of policies needs.
    pub(crate) fn of<'p>(
        missing: Missing<'_>,
        tables: &PolicyTables,
        policies: impl Iterator<Item = (&'p Policy, &'p [Clause])>,
    ) -> Ghosts {
        let mut ghosts = Ghosts::default();
        if missing.catalogue.withheld().is_empty() {
            return ghosts;
        }
        for (policy, clauses) in policies {
            let rows = row_types(policy, clauses).into_iter();
            ghosts.row_types.extend(rows.filter(|r| !is_served(r, tables) && missing.row_type(r).is_some()));
            let literals = policy.entity_literals().into_iter();
            let tags = literals.filter(|uid| uid.type_name().to_string() == "Tag");
            let tags = tags.map(|uid| uid.id().unescaped().to_owned());
            ghosts.tags.extend(tags.filter(|tag| missing.word(tag).is_some()));
        }
        if tables.is_empty() && ghosts.row_types.is_empty() {
            ghosts.row_types.insert(NO_ROW.to_owned());
        }
        ghosts
    }
}
