//! The errors of the journal.

use std::path::PathBuf;

/// What went wrong with the journal, on which file, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// Too many processes have the journal open for writing.
    #[error("the audit journal `{}` is in use by too many processes: stop one, or give this one its own `audit.dir`", dir.display())]
    Locked {
        /// The journal's directory.
        dir: PathBuf,
    },
    /// The file system refused an operation.
    #[error("cannot {attempt} `{}`: {source}", path.display())]
    Io {
        /// What was attempted, as a verb.
        attempt: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// A record could not be made durable. The query that it belongs to must fail.
    #[error(
        "the audit record could not be written, so the query is refused: {reason}; free space or mend the audit disk"
    )]
    NotWritten {
        /// Why it failed.
        reason: String,
    },
    /// The journal was closed.
    #[error("the audit journal is closed: the gateway is shutting down")]
    Closed,
    /// A line of a segment cannot be read. The search goes on after it.
    #[error("`{}`, line {line}: not a journal record ({reason}); the line is left as it is", segment.display())]
    Damaged {
        /// The segment.
        segment: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// Why it cannot be read.
        reason: String,
    },
}

impl AuditError {
    pub(crate) fn io(attempt: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> AuditError {
        let path = path.into();
        move |source| AuditError::Io { attempt, path, source }
    }
}
