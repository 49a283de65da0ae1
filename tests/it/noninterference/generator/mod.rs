//! Statements over the whole surface, made at random from a seed.
//!
//! Expressions are typed, so that most statements run; one choice in a few is a *fallible* one (a cast, a division, an overflow, a
//! pattern that comes from data), because an error that depends on a hidden value is the oldest oracle there is. Functions come from
//! the registry of the session (`functions.rs`): a new one is called as soon as it exists.

mod aggregates;
mod clauses;
mod exprs;
mod functions;
mod parameters;
mod statements;
mod versions;

use arrow::array::RecordBatch;

use super::mesh::{Principal, Purpose, Shown};
use super::rng::Rng;
use super::tables::{Role, TABLES};
use super::values::Kind;

/// What is asked.
#[derive(Debug, Clone)]
pub enum Ask {
    /// A statement.
    Sql(String),
    /// The schema of a statement's answer, without the answer.
    Schema(String),
    /// A prepared statement, and what is bound to it.
    Prepared(String, RecordBatch),
    /// A command of Flight SQL, encoded, and its name.
    Command(String, Vec<u8>),
}

impl Ask {
    /// In a word or a statement.
    pub fn text(&self) -> String {
        match self {
            Ask::Sql(sql) => sql.clone(),
            Ask::Schema(sql) => format!("GetSchema {sql}"),
            Ask::Prepared(sql, batch) => format!("{sql} -- bound: {:?}", batch.columns()),
            Ask::Command(name, _) => name.clone(),
        }
    }
}

/// What is asked for the number `index` of a seed.
pub fn ask(seed: u64, index: u64, principal: &Principal) -> Ask {
    let rng = Rng::new(seed, &[4, index]);
    let mut generator = Generator { rng, principal, names: 0, depth: 0, common: false };
    generator.statement()
}

/// A query of the surface that every SQL engine has, whose answer does not hang on the order of rows.
pub fn common(seed: u64, index: u64, principal: &Principal) -> String {
    let rng = Rng::new(seed, &[5, index]);
    let mut generator = Generator { rng, principal, names: 0, depth: 0, common: true };
    generator.common_query()
}

/// Types of expressions: those of columns, less widths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ty {
    Bool,
    Int,
    Dbl,
    Dec,
    Date,
    Time,
    Ts,
    Tz,
    Text,
    Bin,
    Uuid,
    Longs,
    Texts,
    Place,
    Tags,
    Interval,
}

impl From<Kind> for Ty {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Boolean => Ty::Bool,
            Kind::Int | Kind::Long => Ty::Int,
            Kind::Float | Kind::Double => Ty::Dbl,
            Kind::Decimal => Ty::Dec,
            Kind::Date => Ty::Date,
            Kind::Time => Ty::Time,
            Kind::Timestamp => Ty::Ts,
            Kind::TimestampTz => Ty::Tz,
            Kind::Text => Ty::Text,
            Kind::Binary => Ty::Bin,
            Kind::Uuid => Ty::Uuid,
            Kind::Longs => Ty::Longs,
            Kind::Texts => Ty::Texts,
            Kind::Place => Ty::Place,
            Kind::Tags => Ty::Tags,
        }
    }
}

const SCALARS: &[Ty] = &[Ty::Bool, Ty::Int, Ty::Int, Ty::Dbl, Ty::Dec, Ty::Date, Ty::Ts, Ty::Tz, Ty::Text, Ty::Text];

/// A column that an expression may name.
#[derive(Debug, Clone)]
struct Col {
    sql: String,
    ty: Ty,
}

/// What an expression may name.
#[derive(Debug, Clone, Default)]
struct Scope {
    columns: Vec<Col>,
    /// Columns that may be matched and not be named elsewhere.
    matched: Vec<Col>,
}

impl Scope {
    fn of(columns: Vec<Col>) -> Self {
        Self { columns, matched: Vec::new() }
    }

    fn and(&mut self, other: Scope) {
        self.columns.extend(other.columns);
        self.matched.extend(other.matched);
    }
}

struct Generator<'a> {
    rng: Rng,
    principal: &'a Principal,
    /// For aliases that are used once.
    names: usize,
    /// Of nested queries.
    depth: usize,
    /// Only what every engine says in the same words.
    common: bool,
}

impl Generator<'_> {
    fn alias(&mut self, letter: &str) -> String {
        self.names += 1;
        format!("{letter}{}", self.names)
    }

    /// A table that can be read: what most queries are about.
    fn table(&mut self) -> usize {
        let weights: &[(usize, Role)] = match self.common {
            true => &[(8, Role::Governed), (3, Role::Unfiltered), (2, Role::Open)],
            false => &[
                (40, Role::Governed),
                (12, Role::Unfiltered),
                (9, Role::Open),
                (2, Role::Empty),
                (if self.principal.purpose == Purpose::Held { 5 } else { 1 }, Role::Purposed),
                (if self.principal.glass { 5 } else { 1 }, Role::Sealed),
            ],
        };
        let total: usize = weights.iter().map(|(weight, _)| weight).sum();
        let mut at = self.rng.below(total);
        let mut role = Role::Governed;
        for (weight, candidate) in weights {
            if at < *weight {
                role = *candidate;
                break;
            }
            at -= weight;
        }
        let of_role: Vec<usize> = (0..TABLES.len()).filter(|table| TABLES[*table].role == role).collect();
        *self.rng.pick(&of_role)
    }

    /// What can be said of a table under an alias.
    fn scope(&self, table: usize, alias: &str) -> Scope {
        let shown = TABLES[table].columns.iter().zip(&self.principal.shown[table]);
        let matched = shown.filter(|(_, shown)| **shown == Shown::JoinOnly && !self.common);
        let matched = matched.map(|((name, kind), _)| Col { sql: format!("{alias}.{name}"), ty: Ty::from(*kind) });
        Scope { columns: self.columns(table, alias), matched: matched.collect() }
    }

    /// The columns of a table that the principal may use as it likes, under an alias.
    fn columns(&self, table: usize, alias: &str) -> Vec<Col> {
        let shown = TABLES[table].columns.iter().zip(&self.principal.shown[table]);
        let seen = shown.filter(|(_, shown)| !matches!(shown, Shown::Denied | Shown::JoinOnly));
        let seen = seen.filter(|((_, kind), _)| !self.common || plain(*kind));
        seen.map(|((name, kind), _)| Col { sql: format!("{alias}.{name}"), ty: Ty::from(*kind) }).collect()
    }
}

/// Types that DuckDB and DataFusion show alike.
fn plain(kind: Kind) -> bool {
    matches!(kind, Kind::Boolean | Kind::Int | Kind::Long | Kind::Decimal | Kind::Date | Kind::Timestamp | Kind::Text)
}
