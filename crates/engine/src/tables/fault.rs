//! Failures below [`super::Tables`], before they know which table they are about.

use std::error::Error as _;

use datafusion::error::DataFusionError;

use super::named::shown;
use crate::EngineError;

/// Why a table cannot be opened, planned or read. Texts never hold a credential, an object's path or a value.
#[derive(Debug, Clone)]
pub(super) enum Fault {
    /// A store or catalogue did not answer.
    Unavailable(String),
    /// A store or catalogue refused our credentials, or they are missing.
    Refused(String),
    /// The store or catalogue answered that it does not have it.
    Absent(String),
    /// The table is not what its contract says, or uses what we cannot read.
    Withheld(String),
    /// The table's own files contradict themselves.
    Corrupt(String),
    /// The table has no such version, or not any more.
    NoVersion(String),
    /// A defect of ours.
    Internal(String),
}

impl Fault {
    /// The public error, about `table`.
    pub(super) fn at(self, table: &str) -> EngineError {
        let table = table.to_owned();
        match self {
            Fault::Unavailable(message) | Fault::Refused(message) | Fault::Absent(message) => {
                EngineError::Unavailable { table, message }
            }
            Fault::Withheld(message) => EngineError::Withheld { table, message },
            Fault::Corrupt(message) => EngineError::Corrupt { table, message },
            Fault::NoVersion(message) => EngineError::NoVersion { table, message },
            Fault::Internal(message) => EngineError::Internal(format!("table `{table}`: {message}")),
        }
    }

    /// The same, of this file, as far as its name may be told.
    pub(super) fn in_file(self, path: &str) -> Fault {
        tracing::warn!(file = path, fault = ?self, "a file of a table cannot be read");
        match (self, shown(path)) {
            (Fault::Corrupt(message), Some(name)) => Fault::Corrupt(format!("{message}: `{name}`")),
            (fault, _) => fault,
        }
    }

    /// The same, in DataFusion's wrapping.
    pub(super) fn external(self, table: &str) -> DataFusionError {
        DataFusionError::External(Box::new(self.at(table)))
    }

    /// A failure of the store behind `connection`; the details go to the log only.
    pub(super) fn store(connection: &str, error: &object_store::Error) -> Fault {
        tracing::warn!(connection, %error, "the store failed");
        use object_store::Error as E;
        match error {
            E::NotFound { path, .. } => {
                let name = shown(path).map(|name| format!(": `{name}`")).unwrap_or_default();
                Fault::Absent(format!("a file of it is not in the store of connection `{connection}`{name}"))
            }
            E::PermissionDenied { .. } | E::Unauthenticated { .. } => {
                Fault::Refused(format!("the store of connection `{connection}` refused the gateway's credentials"))
            }
            E::Generic { store: super::confined::NAME, .. } => Fault::outside(connection),
            E::InvalidPath { .. } => Fault::Corrupt("a file of it has an invalid path".into()),
            _ => Fault::Unavailable(format!("the store of connection `{connection}` did not answer")),
        }
    }

    /// A name in the table's metadata that leads out of what is the table's.
    pub(super) fn outside(connection: &str) -> Fault {
        Fault::Withheld(format!(
            "its metadata names files outside of its own directory, and connection `{connection}` does not give them to \
             its domain"
        ))
    }

    /// A failure inside the Iceberg library, which may hold one of the store.
    pub(super) fn iceberg(connection: &str, error: &iceberg::Error) -> Fault {
        if let Some(store) = source_of::<object_store::Error>(error) {
            return Fault::store(connection, store);
        }
        tracing::warn!(connection, %error, "Iceberg metadata cannot be read");
        match error.kind() {
            iceberg::ErrorKind::DataInvalid => Fault::Corrupt("its Iceberg metadata is invalid".into()),
            iceberg::ErrorKind::FeatureUnsupported => {
                Fault::Withheld("it uses a feature of Iceberg that the gateway does not know".into())
            }
            iceberg::ErrorKind::TableNotFound | iceberg::ErrorKind::NamespaceNotFound => {
                Fault::Absent(format!("the catalogue of connection `{connection}` does not have it"))
            }
            _ => Fault::Unavailable(format!("connection `{connection}` did not answer as it should")),
        }
    }

    /// A failure inside the Delta library.
    pub(super) fn delta(connection: &str, error: &deltalake::DeltaTableError) -> Fault {
        if let Some(store) = source_of::<object_store::Error>(error) {
            return Fault::store(connection, store);
        }
        tracing::warn!(connection, %error, "the Delta log cannot be read");
        let text = error.to_string();
        match error {
            deltalake::DeltaTableError::NotATable(_) => {
                Fault::Absent(format!("there is no Delta table at its place in connection `{connection}`"))
            }
            _ if text.contains("nsupported") || text.contains("not supported") => {
                Fault::delta_feature(text.split_once("eature '").and_then(|(_, rest)| rest.split('\'').next()))
            }
            _ if text.contains("Object") || text.contains("store") || text.contains("request") => {
                Fault::Unavailable(format!("the store of connection `{connection}` did not answer"))
            }
            _ => Fault::Corrupt("its Delta log cannot be read".into()),
        }
    }
}

impl Fault {
    /// A table that asks its readers for what we do not know.
    pub(super) fn delta_feature(name: Option<&str>) -> Fault {
        let is_name = |name: &&str| {
            name.len() < 64 && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
        };
        Fault::Withheld(match name.filter(is_name) {
            Some(name) => format!("it needs readers to know Delta's feature `{name}`, which the gateway does not"),
            None => "it uses a feature of Delta that the gateway does not know".into(),
        })
    }
}

fn source_of<'a, T: std::error::Error + 'static>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a T> {
    let mut current = Some(error);
    while let Some(error) = current {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        current = error.source();
    }
    None
}

/// Whether `error` comes from one of ours, for callers that only have DataFusion's.
pub(super) fn find_engine_error(error: &DataFusionError) -> Option<EngineError> {
    if let Some(found) = source_of::<EngineError>(error) {
        return Some(found.clone());
    }
    match error {
        DataFusionError::External(inner) => source_of::<EngineError>(inner.as_ref()).cloned(),
        other => other.source().and_then(source_of::<EngineError>).cloned(),
    }
}
