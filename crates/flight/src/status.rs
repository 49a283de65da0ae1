//! Errors on the wire: the only place where a gateway's error becomes a gRPC status.

use portcullis_gateway::{ErrorKind, GatewayError};
use tonic::metadata::MetadataValue;
use tonic::{Code, Status};

/// The header and trailer that name the query in the audit journal.
pub(crate) const QUERY_ID: &str = "x-portcullis-query-id";

/// The headers that say what an answer does not show, one for each notice.
pub(crate) const NOTICE: &str = "x-portcullis-notice";

/// Longest message sent, in bytes. A gRPC message travels in a header, percent-encoded, and clients refuse headers
/// above 8 KiB (Java's default) with an error that says nothing about the query.
const MAX_MESSAGE: usize = 2048;

/// The gRPC code of a kind of error.
pub(crate) fn code(kind: ErrorKind) -> Code {
    match kind {
        ErrorKind::InvalidArgument => Code::InvalidArgument,
        ErrorKind::NotFound => Code::NotFound,
        ErrorKind::PermissionDenied => Code::PermissionDenied,
        ErrorKind::Unauthenticated => Code::Unauthenticated,
        ErrorKind::Unavailable => Code::Unavailable,
        ErrorKind::ResourceExhausted => Code::ResourceExhausted,
        ErrorKind::Unimplemented => Code::Unimplemented,
        ErrorKind::Internal => Code::Internal,
        ErrorKind::Cancelled => Code::Cancelled,
    }
}

/// The trailer by which gRPC clients are told when to try again, in milliseconds.
const PUSHBACK: &str = "grpc-retry-pushback-ms";

/// The status of a gateway's error. If there is a query, it names that as the audit journal does.
pub(crate) fn from_gateway(error: GatewayError) -> Status {
    let mut message = truncated(error.message);
    if let Some(id) = &error.query_id {
        message = format!("{message} (query {id})");
    }
    let mut status = Status::new(code(error.kind), message);
    if let Some(id) = error.query_id.and_then(|id| MetadataValue::try_from(&*id).ok()) {
        status.metadata_mut().insert(QUERY_ID, id);
    }
    if let Some(time) = error.retry_after {
        status
            .metadata_mut()
            .insert(PUSHBACK, MetadataValue::from(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)));
    }
    status
}

/// The status of an error of a running query.
pub(crate) fn from_query(error: GatewayError, query_id: &str) -> Status {
    from_gateway(GatewayError { query_id: Some(query_id.into()), ..error })
}

/// The request is malformed or out of bounds.
pub(crate) fn invalid(message: impl Into<String>) -> Status {
    Status::invalid_argument(truncated(message.into()))
}

/// The protocol has it, this gateway does not.
pub(crate) fn unsupported(what: &str) -> Status {
    Status::unimplemented(format!("{what} are not supported: the gateway only reads"))
}

/// Plans come as SQL only.
pub(crate) fn no_substrait() -> Status {
    Status::unimplemented("Substrait plans are not supported: send the statement as SQL")
}

/// A fault of this server's. What went wrong goes to the log, not to the client.
pub(crate) fn internal(doing: &str, error: impl std::fmt::Display) -> Status {
    tracing::error!(doing, %error, "internal error in the Flight SQL server");
    Status::internal(format!("internal error while {doing}"))
}

fn truncated(mut message: String) -> String {
    if message.len() > MAX_MESSAGE {
        let mut end = MAX_MESSAGE;
        while !message.is_char_boundary(end) {
            end -= 1;
        }
        message.truncate(end);
        message.push('…');
    }
    message
}
