//! What a policy snapshot answers: values without behaviour.

use std::fmt;
use std::sync::Arc;

use datafusion::logical_expr::Expr;
use portcullis_contract::{Aggregation, FieldType, Masking, TableName};

/// What a principal may want to do with a table as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TableAction {
    /// Know that the table exists. Without it the answer is "not found".
    Discover,
    /// Read rows of it.
    Query,
    /// Read aggregates over groups of its rows, where rows may not be read.
    AggregateOnly,
    /// See more of it for a short time, for a reason that is recorded: `context.breakGlass` is true for it then.
    BreakGlass,
    /// Be told that rows were held back and columns masked.
    ViewNotice,
}

impl TableAction {
    /// All of them.
    pub const ALL: [TableAction; 5] = [
        TableAction::Discover,
        TableAction::Query,
        TableAction::AggregateOnly,
        TableAction::BreakGlass,
        TableAction::ViewNotice,
    ];

    /// The action's name in policies.
    pub fn as_str(self) -> &'static str {
        match self {
            TableAction::Discover => "discover",
            TableAction::Query => "query",
            TableAction::AggregateOnly => "aggregateOnly",
            TableAction::BreakGlass => "breakGlass",
            TableAction::ViewNotice => "viewNotice",
        }
    }
}

/// Whether an action on a table is allowed, and why.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// True when a permit holds, no forbid does, nothing erred, and the contract's roles and purposes agree.
    pub allowed: bool,
    /// Ids of the policies that decided: the permits, or the forbids that knocked them out. Sorted.
    pub policies: Vec<String>,
    /// What the contract asks for and does not get, when policies would allow; or that the credential is not good for it.
    pub unmet: Option<Unmet>,
}

/// What a contract, or the credential's scope, asks for and a request does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unmet {
    /// One of `access.roles`.
    Roles(Vec<String>),
    /// One of `access.purposes`.
    Purposes(Vec<String>),
    /// `access.aggregation`, which the contract lacks, though policies allow nothing but aggregates.
    Aggregation,
    /// The entity key of `access.aggregation`, clear, hashed or join-only: without it, nothing can be counted.
    Entity(String),
    /// A credential that is good for its domain.
    Scope,
}

impl fmt::Display for Unmet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unmet::Roles(roles) => write!(f, "its contract asks for one of the roles {}", roles.join(", ")),
            Unmet::Purposes(purposes) => {
                write!(f, "its contract asks for one of the purposes {}", purposes.join(", "))
            }
            Unmet::Scope => f.write_str("the credential is not good for its domain"),
            Unmet::Aggregation => {
                f.write_str("it may only be aggregated, and its contract has no `access.aggregation` to count")
            }
            Unmet::Entity(column) => {
                write!(
                    f,
                    "it may only be aggregated, and `{column}`, which is to be counted, is not clear, hash or join-only"
                )
            }
        }
    }
}

/// How much of a column a principal sees. Later is less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Disclosure {
    /// The value itself.
    Clear,
    /// A part of the value.
    Partial,
    /// The value's bucket.
    Bucket,
    /// A keyed hash: equal values stay equal.
    Hash,
    /// A constant in the column's type.
    Redact,
    /// NULL.
    Null,
    /// Nothing, but the value may be compared for equality with other columns.
    JoinOnly,
    /// Nothing: the column does not exist for this principal.
    Denied,
}

impl Disclosure {
    /// The rungs that a policy can grant, most open first.
    pub const LADDER: [Disclosure; 7] = [
        Disclosure::Clear,
        Disclosure::Partial,
        Disclosure::Bucket,
        Disclosure::Hash,
        Disclosure::Redact,
        Disclosure::Null,
        Disclosure::JoinOnly,
    ];

    /// Name in reports and policy tests.
    pub fn as_str(self) -> &'static str {
        match self {
            Disclosure::Clear => "clear",
            Disclosure::Partial => "partial",
            Disclosure::Bucket => "bucket",
            Disclosure::Hash => "hash",
            Disclosure::Redact => "redact",
            Disclosure::Null => "null",
            Disclosure::JoinOnly => "join-only",
            Disclosure::Denied => "denied",
        }
    }

    /// The action that grants this rung; none grants `Denied`.
    pub fn action(self) -> Option<&'static str> {
        Some(match self {
            Disclosure::Clear => "viewClear",
            Disclosure::Partial => "viewPartial",
            Disclosure::Bucket => "viewBucket",
            Disclosure::Hash => "viewHash",
            Disclosure::Redact => "viewRedact",
            Disclosure::Null => "viewNull",
            Disclosure::JoinOnly => "viewJoinOnly",
            Disclosure::Denied => return None,
        })
    }

    /// The reverse of [`Disclosure::as_str`].
    pub fn parse(text: &str) -> Option<Disclosure> {
        Disclosure::LADDER.into_iter().chain([Disclosure::Denied]).find(|d| d.as_str() == text)
    }

    /// The mask behind this rung; `None` where nothing is masked or nothing is shown.
    pub fn masking(self) -> Option<Masking> {
        Some(match self {
            Disclosure::Partial => Masking::Partial,
            Disclosure::Bucket => Masking::Bucket,
            Disclosure::Hash => Masking::Hash,
            Disclosure::Redact => Masking::Redact,
            Disclosure::Null => Masking::Null,
            Disclosure::Clear | Disclosure::JoinOnly | Disclosure::Denied => return None,
        })
    }

    /// Whether a column of this type keeps its type at this level. What has no equality cannot be joined on.
    pub fn applies_to(self, data_type: &FieldType) -> bool {
        match self {
            Disclosure::JoinOnly => !matches!(
                data_type,
                FieldType::Float | FieldType::Double | FieldType::List(_) | FieldType::Map(..) | FieldType::Struct(_)
            ),
            _ => self.masking().is_none_or(|m| m.applies_to(data_type)),
        }
    }
}

impl From<Masking> for Disclosure {
    fn from(masking: Masking) -> Self {
        match masking {
            Masking::None => Disclosure::Clear,
            Masking::Partial => Disclosure::Partial,
            Masking::Bucket => Disclosure::Bucket,
            Masking::Hash => Disclosure::Hash,
            Masking::Redact => Disclosure::Redact,
            Masking::Null => Disclosure::Null,
        }
    }
}

impl fmt::Display for Disclosure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which rows a principal sees.
#[derive(Debug, Clone, PartialEq)]
pub struct RowFilter {
    /// TRUE for the rows to keep; `None` keeps all, `Some(lit(false))` none. Unqualified columns over
    /// [`crate::schema::arrow_schema`], raw values. Infallible.
    pub expr: Option<Expr>,
    /// Permits that may let a row through. Sorted.
    pub permits: Vec<String>,
    /// Forbids that may hold a row back. Sorted.
    pub forbids: Vec<String>,
}

impl RowFilter {
    /// The filter that keeps nothing.
    pub fn nothing() -> Self {
        RowFilter { expr: Some(datafusion::logical_expr::lit(false)), permits: Vec::new(), forbids: Vec::new() }
    }

    /// A stable text for reports and policy tests: `all rows`, `no rows`, or the predicate.
    pub fn text(&self) -> String {
        super::render::filter(self.expr.as_ref())
    }
}

/// What a principal sees of one column, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnDecision {
    /// The column's name in the contract.
    pub name: String,
    /// How much is shown.
    pub disclosure: Disclosure,
    /// Permits that granted this level. Sorted. Columns that are alike share them.
    pub policies: Arc<[String]>,
    /// Forbids that knocked out a more open level. Sorted.
    pub forbidden_by: Arc<[String]>,
    /// The contract's ceiling, when policies alone would have shown more.
    pub contract_masking: Option<Masking>,
}

impl TableDecision {
    /// Whether both let the same rows, columns and masks through, whichever policies say so.
    pub fn shows_the_same(&self, other: &TableDecision) -> bool {
        // Without `..`: whatever else will be decided belongs here, or says why it does not.
        let TableDecision { table, discover, query, filter, aggregation, break_glass, notice: _, columns, undecided } =
            self;
        let broken = |access: &Option<Access>| access.as_ref().is_some_and(|access| access.allowed);
        let same_column = |(one, other): (&ColumnDecision, &ColumnDecision)| {
            let ColumnDecision { name, disclosure, policies: _, forbidden_by: _, contract_masking: _ } = one;
            *name == other.name && *disclosure == other.disclosure
        };
        *table == other.table
            && discover.allowed == other.discover.allowed
            && query.allowed == other.query.allowed
            && filter.expr == other.filter.expr
            && *aggregation == other.aggregation
            && broken(break_glass) == broken(&other.break_glass)
            && columns.len() == other.columns.len()
            && columns.iter().zip(&other.columns).all(same_column)
            && undecided.is_some() == other.undecided.is_some()
    }
}

/// Everything decided about one table for one subject.
#[derive(Debug, Clone, PartialEq)]
pub struct TableDecision {
    /// Which table.
    pub table: TableName,
    /// Whether it exists for the subject.
    pub discover: Access,
    /// Whether rows may be read; if not, the filter keeps nothing.
    pub query: Access,
    /// Which rows.
    pub filter: RowFilter,
    /// Set where only aggregates may be seen: what a group is counted by, and how many of it there must be.
    pub aggregation: Option<Aggregation>,
    /// Whether the glass is broken for the table; `None` where the session does not ask for it.
    pub break_glass: Option<Access>,
    /// Whether the subject may be told that rows were held back and columns masked.
    pub notice: Access,
    /// Every declared column, in the contract's order.
    pub columns: Vec<ColumnDecision>,
    /// Why no decision could be reached; then everything above denies.
    pub undecided: Option<String>,
}
