//! What can go wrong in the engine. Texts never carry a value of a row, a credential or a storage path.

use thiserror::Error;

/// Every failure of the engine, by what the caller can do about it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The table's storage or catalogue did not answer; other tables are not affected.
    #[error("table `{table}` is not available: {message}; try again later")]
    Unavailable {
        /// `domain.table`.
        table: String,
        /// Why, without paths or credentials.
        message: String,
    },
    /// The physical table does not offer what its contract declares, or uses what the engine cannot read.
    #[error("table `{table}` is withheld: {message}")]
    Withheld {
        /// `domain.table`.
        table: String,
        /// Why, and what to change.
        message: String,
    },
    /// The table's metadata or files contradict themselves or their format.
    #[error("table `{table}` cannot be read: {message}")]
    Corrupt {
        /// `domain.table`.
        table: String,
        /// What is wrong.
        message: String,
    },
    /// The table has no such version, or not any more.
    #[error("table `{table}` cannot be read as of then: {message}")]
    NoVersion {
        /// `domain.table`.
        table: String,
        /// Which version, and why.
        message: String,
    },
    /// The plan cannot be optimised or turned into operators. Planning is above the data, so its text may be shown.
    #[error("the query cannot be planned: {0}")]
    Planning(String),
    /// An operation failed on a row. The row's values are not named.
    #[error("the query failed while it ran: {kind}")]
    Execution {
        /// What kind of operation failed.
        kind: &'static str,
    },
    /// Memory or spill space ran out.
    #[error("the query needs more {0} than this gateway gives to one query; make it smaller or select fewer columns")]
    ResourceExhausted(&'static str),
    /// One of the limits of the gateway was reached.
    #[error("the query was stopped: it exceeded the limit of {value} {limit}")]
    LimitExceeded {
        /// The unit of the limit.
        limit: &'static str,
        /// The limit.
        value: u64,
    },
    /// The query was cancelled.
    #[error("the query was cancelled")]
    Cancelled,
    /// The plan did not pass the engine's own check; it was not executed.
    #[error("the plan was refused before it ran: {0}")]
    Unverified(String),
    /// A defect of the gateway.
    #[error("internal error: {0}")]
    Internal(String),
}

/// The kinds of [`EngineError`], for those who map them to codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// A store or a catalogue did not answer.
    Unavailable,
    /// A contract does not match its table.
    Withheld,
    /// A table contradicts itself or its format.
    Corrupt,
    /// A table has no such version.
    NoVersion,
    /// The query cannot be planned.
    Planning,
    /// The query failed on a row.
    Execution,
    /// Memory, spill space or a limit was exceeded.
    ResourceExhausted,
    /// The query was cancelled.
    Cancelled,
    /// A defect of the gateway.
    Internal,
}

impl EngineError {
    /// What kind of failure it is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            EngineError::Unavailable { .. } => ErrorKind::Unavailable,
            EngineError::Withheld { .. } => ErrorKind::Withheld,
            EngineError::Corrupt { .. } => ErrorKind::Corrupt,
            EngineError::NoVersion { .. } => ErrorKind::NoVersion,
            EngineError::Planning(_) => ErrorKind::Planning,
            EngineError::Execution { .. } => ErrorKind::Execution,
            EngineError::ResourceExhausted(_) | EngineError::LimitExceeded { .. } => ErrorKind::ResourceExhausted,
            EngineError::Cancelled => ErrorKind::Cancelled,
            EngineError::Unverified(_) | EngineError::Internal(_) => ErrorKind::Internal,
        }
    }
}
