//! Why a statement cannot become a governed plan, before any policy is asked.

use thiserror::Error;

/// A statement that is refused for what it is, whoever sends it.
///
/// Messages may quote names and literals of the statement: show them to who sent it, keep them out of logs and audit
/// ([`GovernError::code`] is for those).
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum GovernError {
    /// More text than the limit.
    #[error("statement of {bytes} bytes exceeds the limit of {limit} bytes; shorten it or bind parameters")]
    TooLarge {
        /// Size of the statement.
        bytes: usize,
        /// Greatest size taken.
        limit: usize,
    },
    /// Nested or chained deeper than the limit.
    #[error("statement nests or chains more than {limit} levels; flatten it, or use IN, VALUES or a join")]
    TooDeep {
        /// Greatest depth taken.
        limit: usize,
    },
    /// Nothing but blanks, comments and semicolons.
    #[error("statement is empty")]
    Empty,
    /// More than one statement in one text.
    #[error("{count} statements in one text; send them one at a time")]
    Multiple {
        /// How many.
        count: usize,
    },
    /// Not SQL.
    #[error("cannot parse the statement: {message}")]
    Syntax {
        /// What the parser says.
        message: String,
    },
    /// A setting cannot have this value.
    #[error("{message}")]
    Value {
        /// Which setting, and what it can be.
        message: String,
    },
    /// A kind of statement or clause that is not served.
    #[error("{what} is not supported: {hint}")]
    Refused {
        /// The kind, such as `INSERT`.
        what: String,
        /// Why, or what to do instead.
        hint: String,
    },
}

impl GovernError {
    /// A word without any text of the statement, for logs and audit.
    pub fn code(&self) -> &'static str {
        match self {
            GovernError::TooLarge { .. } => "statement-too-large",
            GovernError::TooDeep { .. } => "statement-too-deep",
            GovernError::Empty => "statement-empty",
            GovernError::Multiple { .. } => "statement-multiple",
            GovernError::Syntax { .. } => "statement-syntax",
            GovernError::Value { .. } => "statement-value",
            GovernError::Refused { .. } => "statement-refused",
        }
    }

    pub(crate) fn refused(what: impl Into<String>, hint: impl Into<String>) -> Self {
        GovernError::Refused { what: what.into(), hint: hint.into() }
    }
}
