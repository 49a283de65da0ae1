//! The gateway's one error, and how the errors of the stages below become it.

use std::fmt;
use std::time::Duration;

use portcullis_audit::AuditError;
use portcullis_contract::Finding;
use portcullis_engine::{EngineError, ErrorKind as EngineKind};
use portcullis_govern::{Decision, GovernError, ReasonKind};

/// What kind of error it is. The wires' codes are made from it, one to one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The request is wrong: bad SQL, wrong parameters, a broken file.
    InvalidArgument,
    /// What it names is not there, or not for this principal.
    NotFound,
    /// Policy refuses it.
    PermissionDenied,
    /// The credentials are wrong, or no longer valid.
    Unauthenticated,
    /// A store, a catalogue or the audit journal is away; trying again later may help.
    Unavailable,
    /// A limit was met: concurrency, memory, size, time.
    ResourceExhausted,
    /// Asked for something that this gateway does not do.
    Unimplemented,
    /// A fault of the gateway's.
    Internal,
    /// The query was cancelled.
    Cancelled,
}

impl ErrorKind {
    /// The word for it in the audit journal.
    pub fn as_str(self) -> &'static str {
        match self {
            ErrorKind::InvalidArgument => "invalid_argument",
            ErrorKind::NotFound => "not_found",
            ErrorKind::PermissionDenied => "permission_denied",
            ErrorKind::Unauthenticated => "unauthenticated",
            ErrorKind::Unavailable => "unavailable",
            ErrorKind::ResourceExhausted => "resource_exhausted",
            ErrorKind::Unimplemented => "unimplemented",
            ErrorKind::Internal => "internal",
            ErrorKind::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What failed, in words that the principal may read: no value of a row, nothing that the principal may not discover.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct GatewayError {
    /// What kind of error it is.
    pub kind: ErrorKind,
    /// What happened and what to do about it.
    pub message: String,
    /// Findings behind it, where the mesh itself is at fault (at start-up).
    pub findings: Box<[Finding]>,
    /// The limit that was met, by the name that metrics have for it.
    pub limit: Option<&'static str>,
    /// When it may be worth to try again.
    pub retry_after: Option<Duration>,
    /// The query that was refused, as the audit journal names it, where it came to one.
    pub query_id: Option<Box<str>>,
}

impl GatewayError {
    /// An error of this kind.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> GatewayError {
        let message = message.into();
        GatewayError { kind, message, findings: Box::default(), limit: None, retry_after: None, query_id: None }
    }

    /// A limit was met.
    pub(crate) fn limit(name: &'static str, message: impl Into<String>) -> GatewayError {
        GatewayError { limit: Some(name), ..GatewayError::new(ErrorKind::ResourceExhausted, message) }
    }

    pub(crate) fn retry_after(mut self, time: Duration) -> GatewayError {
        self.retry_after = Some(time);
        self
    }

    pub(crate) fn invalid(message: impl Into<String>) -> GatewayError {
        GatewayError::new(ErrorKind::InvalidArgument, message)
    }

    pub(crate) fn unauthenticated(message: impl Into<String>) -> GatewayError {
        GatewayError::new(ErrorKind::Unauthenticated, message)
    }

    pub(crate) fn internal(message: impl Into<String>) -> GatewayError {
        GatewayError::new(ErrorKind::Internal, message)
    }

    pub(crate) fn with_findings(mut self, findings: Vec<Finding>) -> GatewayError {
        self.findings = findings.into();
        self
    }
}

impl From<GovernError> for GatewayError {
    fn from(error: GovernError) -> GatewayError {
        let kind = match &error {
            GovernError::TooLarge { .. } | GovernError::TooDeep { .. } => ErrorKind::ResourceExhausted,
            GovernError::Refused { .. } => ErrorKind::Unimplemented,
            _ => ErrorKind::InvalidArgument,
        };
        let limit = match &error {
            GovernError::TooLarge { .. } => Some("statement"),
            GovernError::TooDeep { .. } => Some("statement_depth"),
            _ => None,
        };
        GatewayError { limit, ..GatewayError::new(kind, error.to_string()) }
    }
}

/// Why a statement was not permitted.
impl From<&Decision> for GatewayError {
    fn from(decision: &Decision) -> GatewayError {
        let Some(reason) = &decision.reason else {
            return GatewayError::new(ErrorKind::PermissionDenied, "the statement is not permitted");
        };
        let kind = match reason.kind {
            ReasonKind::NotFound => ErrorKind::NotFound,
            ReasonKind::PermissionDenied | ReasonKind::Undecided => ErrorKind::PermissionDenied,
            ReasonKind::Invalid => ErrorKind::InvalidArgument,
            ReasonKind::Unsupported => ErrorKind::Unimplemented,
        };
        GatewayError::new(kind, reason.message.clone())
    }
}

impl From<EngineError> for GatewayError {
    fn from(error: EngineError) -> GatewayError {
        let kind = match error.kind() {
            EngineKind::Unavailable | EngineKind::Withheld | EngineKind::Corrupt => ErrorKind::Unavailable,
            EngineKind::NoVersion | EngineKind::Planning | EngineKind::Execution => ErrorKind::InvalidArgument,
            EngineKind::ResourceExhausted => ErrorKind::ResourceExhausted,
            EngineKind::Cancelled => ErrorKind::Cancelled,
            EngineKind::Internal => ErrorKind::Internal,
        };
        let limit = match &error {
            EngineError::LimitExceeded { limit: "rows", .. } => Some("rows"),
            EngineError::LimitExceeded { limit: "seconds", .. } => Some("query_time"),
            EngineError::LimitExceeded { .. } => Some("queue_wait"),
            EngineError::ResourceExhausted(_) => Some("memory"),
            _ => None,
        };
        GatewayError { limit, ..GatewayError::new(kind, error.to_string()) }
    }
}

/// The journal's path is nothing for a principal to know; the log has it.
impl From<AuditError> for GatewayError {
    fn from(error: AuditError) -> GatewayError {
        tracing::error!(%error, "audit");
        let message = match error {
            AuditError::Closed => "the gateway is shutting down",
            _ => "the query was refused, because it could not be recorded in the audit journal; try again later",
        };
        GatewayError::new(ErrorKind::Unavailable, message)
    }
}
