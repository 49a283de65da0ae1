//! What comes out of governing a statement.

use std::fmt;
use std::sync::Arc;

use portcullis_contract::TableName;

use super::governed::GovernedPlan;
use crate::policy::{Disclosure, TableDecision};

/// The answer to "may this subject run this statement, and how?".
#[derive(Debug)]
pub enum Verdict {
    /// Yes, as this plan and no other.
    Permit(Box<GovernedPlan>, Decision),
    /// No, for the reason in the decision.
    Deny(Decision),
    /// Nobody knows: a policy or the plan could not be judged. Treat as a denial.
    Undecided(Decision),
}

impl Verdict {
    /// What was decided, whatever it was.
    pub fn decision(&self) -> &Decision {
        match self {
            Verdict::Permit(_, decision) | Verdict::Deny(decision) | Verdict::Undecided(decision) => decision,
        }
    }
}

/// Everything that was decided about one statement: what the audit keeps.
#[derive(Debug, Clone, Default)]
pub struct Decision {
    /// Data products of the plan; of a denied statement, those that were asked about until it was denied.
    pub tables: Vec<Arc<TableDecision>>,
    /// Tables of `system` in the plan.
    pub system_tables: Vec<String>,
    /// Columns of data products that the answer depends on, with what is shown of each.
    pub columns: Vec<ColumnUse>,
    /// Why there is no plan; `None` when there is one.
    pub reason: Option<Reason>,
    /// The policy snapshot that decided.
    pub policy_version: String,
}

/// A column that an answer depends on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ColumnUse {
    /// Table of the column.
    pub table: TableName,
    /// Name of the column.
    pub column: String,
    /// What is shown of it.
    pub disclosure: Disclosure,
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// What kind of reason.
    pub kind: ReasonKind,
    /// One sentence for the principal. It may quote the statement: not for logs or audit.
    pub message: String,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Kinds of reasons, as a client sees them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReasonKind {
    /// A table that does not exist, or not for this principal.
    NotFound,
    /// A table that exists for the principal but whose rows it may not read.
    PermissionDenied,
    /// A statement that means nothing: unknown columns, wrong types, unbound parameters.
    Invalid,
    /// A statement that is not served.
    Unsupported,
    /// A policy or a plan that cannot be judged.
    Undecided,
}

impl ReasonKind {
    /// A word for logs and audit.
    pub fn as_str(self) -> &'static str {
        match self {
            ReasonKind::NotFound => "not-found",
            ReasonKind::PermissionDenied => "permission-denied",
            ReasonKind::Invalid => "invalid",
            ReasonKind::Unsupported => "unsupported",
            ReasonKind::Undecided => "undecided",
        }
    }
}
