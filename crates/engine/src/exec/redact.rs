//! From what went wrong to what may be said of it.
//!
//! DataFusion's and Arrow's texts quote values (`Cannot cast string 'Ada' to …`), paths and operators. Here only the *structure* of
//! an error decides, and the text is ours; an error of the engine itself inside passes as it is. Errors of planning happen above
//! the data: they quote the statement at most, and keep their text.

use std::error::Error;
use std::sync::Arc;

use datafusion::arrow::error::ArrowError;
use datafusion::common::DataFusionError;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::parquet::errors::ParquetError;
use datafusion::prelude::SessionConfig;
use portcullis_govern::wire_names;
use tokio::task::JoinError;

use crate::EngineError;
use crate::Guards;
use crate::barrier::GovernedScan;
use crate::tables::named::OfFile;

/// Whether the log may have what errors quote: values of rows that nobody may see. In the configuration of a session.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LogValues(pub bool);

/// Logs an error in full, where the configuration says so; nowhere else is one.
pub(crate) fn log(config: &SessionConfig, error: &dyn std::fmt::Display) {
    if config.get_extension::<LogValues>().is_some_and(|log| log.0) {
        tracing::error!(%error, "an error in full, since `log.values` is on");
    }
}

const CONVERSION: &str = "a value cannot be converted to the type asked for";
const FUNCTION: &str = "a function or operator failed on a value";
const CORRELATED: &str = "a subquery that depends on the rows around it cannot stand in this place, or so far within them; write it as a join";
const UNPLANNABLE: &str = "its operators cannot be put together in this way; write it in another";
/// What DataFusion says of types for which a function has no implementation.
const NOT_IMPLEMENTED: &str = "not implemented";
const UNSUPPORTED: &str = "an operation is not implemented for these types";

/// An error from an operator above the barriers.
pub(crate) fn execution(error: &DataFusionError, guards: &Guards) -> EngineError {
    match guards.redaction() {
        true => redacted(error),
        false => EngineError::Planning(error.to_string()),
    }
}

fn redacted(error: &DataFusionError) -> EngineError {
    match error {
        DataFusionError::Shared(inner) => redacted(inner),
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => redacted(inner),
        DataFusionError::Collection(errors) => {
            errors.first().map_or(EngineError::Execution { kind: FUNCTION }, redacted)
        }
        DataFusionError::External(inner) => external(inner.as_ref()),
        DataFusionError::ArrowError(inner, _) => arrow(inner),
        DataFusionError::ParquetError(inner) => parquet(inner),
        DataFusionError::ResourcesExhausted(_) => EngineError::ResourceExhausted("memory or spill space"),
        DataFusionError::ExecutionJoin(error) => join(error),
        DataFusionError::ObjectStore(_) => EngineError::Execution { kind: "a store could not be read" },
        DataFusionError::IoError(error) => temporary(error),
        DataFusionError::NotImplemented(_) => EngineError::Execution { kind: UNSUPPORTED },
        // Functions that take types which they cannot compute find out when they start.
        DataFusionError::Internal(text) if text.contains(NOT_IMPLEMENTED) => {
            EngineError::Execution { kind: UNSUPPORTED }
        }
        DataFusionError::Internal(_) => EngineError::Internal("an operator met a state that it does not know".into()),
        _ => EngineError::Execution { kind: FUNCTION },
    }
}

/// A task of the query that did not come to its end.
fn join(error: &JoinError) -> EngineError {
    match error.is_cancelled() {
        true => EngineError::Cancelled,
        false => defect(),
    }
}

/// A panic within a query.
pub(crate) fn defect() -> EngineError {
    EngineError::Internal("the query ran into a defect; other queries are not affected".into())
}

/// An error of Arrow's kernels.
pub(crate) fn arrow(error: &ArrowError) -> EngineError {
    let kind = match error {
        ArrowError::ExternalError(inner) => return external(inner.as_ref()),
        ArrowError::CastError(_) | ArrowError::ParseError(_) => CONVERSION,
        ArrowError::DivideByZero => "division by zero",
        ArrowError::ArithmeticOverflow(_) => "a number is too large for its type",
        ArrowError::MemoryError(_)
        | ArrowError::DictionaryKeyOverflowError
        | ArrowError::RunEndIndexOverflowError
        | ArrowError::OffsetOverflowError(_) => return EngineError::ResourceExhausted("room for one batch of rows"),
        ArrowError::NotYetImplemented(_) => UNSUPPORTED,
        ArrowError::IoError(_, error) => return temporary(error),
        ArrowError::IpcError(_) => return unusable(),
        _ => FUNCTION,
    };
    EngineError::Execution { kind }
}

/// A temporary file above the barriers: no other files are read or written there. That the configured space is used up comes
/// as an error of no kind.
fn temporary(error: &std::io::Error) -> EngineError {
    use std::io::ErrorKind::{FileTooLarge, Other, QuotaExceeded, StorageFull};
    let inner = error.get_ref().map(external);
    match (inner, error.kind()) {
        (Some(error @ (EngineError::ResourceExhausted(_) | EngineError::Cancelled)), _) => error,
        (_, Other | StorageFull | QuotaExceeded | FileTooLarge) => EngineError::ResourceExhausted("spill space"),
        _ => unusable(),
    }
}

fn unusable() -> EngineError {
    EngineError::Internal("a temporary file could not be read or written".into())
}

fn parquet(error: &ParquetError) -> EngineError {
    match error {
        ParquetError::External(inner) => external(inner.as_ref()),
        _ => EngineError::Execution { kind: "a data file could not be read" },
    }
}

fn external(error: &(dyn Error + Send + Sync + 'static)) -> EngineError {
    if let Some(error) = error.downcast_ref::<EngineError>() {
        return error.clone();
    }
    if let Some(error) = error.downcast_ref::<DataFusionError>() {
        return redacted(error);
    }
    // Tasks of repartitioning hand the same error to all who wait for them.
    if let Some(error) = error.downcast_ref::<Arc<DataFusionError>>() {
        return redacted(error);
    }
    if let Some(error) = error.downcast_ref::<Arc<JoinError>>() {
        return join(error);
    }
    if let Some(error) = error.downcast_ref::<JoinError>() {
        return join(error);
    }
    if let Some(error) = error.downcast_ref::<ArrowError>() {
        return arrow(error);
    }
    if let Some(error) = error.downcast_ref::<ParquetError>() {
        return parquet(error);
    }
    EngineError::Execution { kind: FUNCTION }
}

/// An error of analysing, optimising or physical planning.
pub(crate) fn planning(error: &DataFusionError) -> EngineError {
    match error {
        DataFusionError::Shared(inner) => planning(inner),
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => planning(inner),
        DataFusionError::Collection(errors) => errors.first().map_or_else(defect, planning),
        DataFusionError::Plan(text) | DataFusionError::NotImplemented(text) => EngineError::Planning(wire_names(text)),
        DataFusionError::SchemaError(inner, _) => EngineError::Planning(wire_names(&inner.to_string())),
        other => redacted(other),
    }
}

/// An error of making operators. Its text may show the whole plan, what is below the barriers included: policies' filters, names of
/// files and of columns that do not exist for the principal.
pub(crate) fn physical(error: &DataFusionError, logical: &LogicalPlan) -> EngineError {
    match planning(error) {
        EngineError::Planning(_) if has_correlation(logical) => EngineError::Planning(CORRELATED.into()),
        EngineError::Planning(_) => EngineError::Planning(UNPLANNABLE.into()),
        other => other,
    }
}

/// Whether a subquery of the plan names columns from around it.
fn has_correlation(plan: &LogicalPlan) -> bool {
    let mut found = false;
    let walked = plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                found |= matches!(expr, Expr::OuterReferenceColumn(..));
                Ok(TreeNodeRecursion::Continue)
            })
        })
    });
    walked.is_ok() && found
}

/// An error from below a barrier, where rows and values are hidden: what it was is said in terms of the table alone.
pub(crate) fn below(table: &str, error: &DataFusionError) -> EngineError {
    let (root, file) = root(error);
    let of_file = |message: &str| match file {
        Some(file) => format!("{message}: `{file}`"),
        None => message.to_owned(),
    };
    match root {
        Root::Engine(error) => error,
        Root::Store(message) => EngineError::Unavailable { table: table.into(), message: of_file(message) },
        Root::Exhausted => EngineError::ResourceExhausted("memory or spill space"),
        Root::Cancelled => EngineError::Cancelled,
        Root::Other => EngineError::Corrupt {
            table: table.into(),
            message: of_file("its data does not have the form that its metadata says"),
        },
    }
}

/// The same, on its way up through operators.
pub(crate) fn seal_below(scan: &GovernedScan, error: &DataFusionError) -> DataFusionError {
    DataFusionError::External(Box::new(match scan.guards().redaction() {
        true => below(scan.table(), error),
        false => EngineError::Planning(error.to_string()),
    }))
}

enum Root {
    Engine(EngineError),
    Store(&'static str),
    Exhausted,
    Cancelled,
    Other,
}

/// What was the cause, and in which file.
fn root(error: &DataFusionError) -> (Root, Option<String>) {
    if matches!(error.find_root(), DataFusionError::ResourcesExhausted(_)) {
        return (Root::Exhausted, None);
    }
    let mut file = None;
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<EngineError>() {
            return (Root::Engine(error.clone()), None);
        }
        if let Some(of) = error.downcast_ref::<OfFile>() {
            file.clone_from(&of.name);
        }
        if let Some(error) = error.downcast_ref::<object_store::Error>() {
            return (Root::Store(store(error)), file);
        }
        if error.is::<std::io::Error>() {
            return (Root::Store("its store could not be read"), file);
        }
        if let Some(join) = error.downcast_ref::<JoinError>()
            && join.is_cancelled()
        {
            return (Root::Cancelled, None);
        }
        next = error.source();
    }
    (Root::Other, file)
}

fn store(error: &object_store::Error) -> &'static str {
    match error {
        object_store::Error::NotFound { .. } => "a file that its metadata names is not there",
        object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
            "its store refused the gateway's credentials"
        }
        _ => "its store did not answer",
    }
}
