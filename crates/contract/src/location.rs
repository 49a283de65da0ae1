//! Places of data: normalised, compared part by part, never with `..`.

use std::fmt;

/// A store and a path within it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Location {
    store: Store,
    parts: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Store {
    /// Files below the mesh directory.
    Relative,
    /// Files by absolute path.
    Absolute,
    /// A bucket of S3.
    S3(String),
    /// A bucket of Google Cloud Storage.
    Gcs(String),
    /// A container of Azure, with its account where it is named.
    Azure { container: String, account: Option<String> },
}

/// Why a text is no place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LocationError {
    #[error("scheme `{0}` is not supported: use `s3://`, `gs://`, `az://`, `abfss://`, `file:///path` or a path")]
    Scheme(String),
    #[error("a location must not hold user names, passwords or keys: credentials belong to the connection")]
    Credentials,
    #[error("a location must not hold `{0}`")]
    Character(String),
    #[error("a location must not leave its directory with `{0}`")]
    Parent(String),
    #[error("a location needs a bucket: `s3://bucket/path`")]
    Bucket,
    #[error("a location in Azure is `az://container/path` or `abfss://container@account.dfs.core.windows.net/path`")]
    Azure,
    #[error("a location must not be empty")]
    Empty,
}

impl Location {
    /// Reads `s3://bucket/path` (also `s3a:`, `s3n:`), `gs://bucket/path`, `az://container/path`,
    /// `abfss://container@account.dfs.core.windows.net/path`, `file:///path`, `/path` or `path`.
    pub(crate) fn parse(text: &str) -> Result<Location, LocationError> {
        let text = text.trim();
        if let Some(c) = text.chars().find(|c| c.is_control() || "\\?#*%".contains(*c)) {
            return Err(LocationError::Character(c.escape_default().to_string()));
        }
        let (store, path) = match text.split_once("://") {
            Some((scheme, rest)) => match scheme.to_ascii_lowercase().as_str() {
                scheme @ ("s3" | "s3a" | "s3n" | "gs" | "az" | "abfs" | "abfss") => {
                    let (bucket, path) = rest.split_once('/').unwrap_or((rest, ""));
                    (bucket_of(scheme, bucket)?, path)
                }
                "file" => match rest.strip_prefix("localhost").unwrap_or(rest) {
                    path if path.starts_with('/') => (Store::Absolute, path),
                    _ => return Err(LocationError::Scheme(format!("file://{rest}"))),
                },
                _ => return Err(LocationError::Scheme(scheme.to_owned())),
            },
            None if text.starts_with('/') => (Store::Absolute, text),
            None => match text.split_once(':') {
                Some((scheme, _)) => return Err(LocationError::Scheme(scheme.to_owned())),
                None => (Store::Relative, text),
            },
        };
        let mut parts = Vec::new();
        for part in path.split('/') {
            match part {
                "" | "." => {}
                ".." => return Err(LocationError::Parent(part.to_owned())),
                part => parts.push(part.to_owned()),
            }
        }
        if parts.is_empty() && store == Store::Relative && !text.starts_with('.') {
            return Err(LocationError::Empty);
        }
        Ok(Location { store, parts })
    }

    /// Whether this place is below `directory`, and not the directory itself.
    pub(crate) fn is_below(&self, directory: &Location) -> bool {
        self.store == directory.store
            && self.parts.len() > directory.parts.len()
            && self.parts.iter().zip(&directory.parts).all(|(a, b)| a == b)
    }

    /// Whether it is in Azure, and does not name its account.
    pub(crate) fn lacks_account(&self) -> bool {
        matches!(self.store, Store::Azure { account: None, .. })
    }

    /// How many directories deep it is.
    pub(crate) fn depth(&self) -> usize {
        self.parts.len()
    }

    /// The place of a dotted table name below this directory: `orders.order_events` is `orders/order_events`.
    pub(crate) fn table(&self, name: &str) -> Result<Location, LocationError> {
        let mut below = self.clone();
        for part in name.split('.') {
            if let Some(c) = part.chars().find(|c| c.is_control() || "\\?#*%/:".contains(*c)) {
                return Err(LocationError::Character(c.escape_default().to_string()));
            }
            if part.trim().is_empty() {
                return Err(LocationError::Empty);
            }
            below.parts.push(part.to_owned());
        }
        Ok(below)
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.parts.join("/");
        let slash = if path.is_empty() { "" } else { "/" };
        match &self.store {
            Store::Relative if path.is_empty() => f.write_str("."),
            Store::Relative => f.write_str(&path),
            Store::Absolute => write!(f, "/{path}"),
            Store::S3(bucket) => write!(f, "s3://{bucket}{slash}{path}"),
            Store::Gcs(bucket) => write!(f, "gs://{bucket}{slash}{path}"),
            Store::Azure { container, account: None } => write!(f, "az://{container}{slash}{path}"),
            Store::Azure { container, account: Some(account) } => {
                write!(f, "abfss://{container}@{account}{AZURE}{slash}{path}")
            }
        }
    }
}

/// The end of the host names of Azure's accounts.
const AZURE: &str = ".dfs.core.windows.net";

/// The bucket of a URL, from what is between its scheme and its path.
fn bucket_of(scheme: &str, text: &str) -> Result<Store, LocationError> {
    let is_azure = scheme.starts_with('a');
    let (bucket, host) = match text.split_once('@') {
        Some((container, host)) if is_azure && !container.contains(':') => (container, Some(host)),
        Some(_) => return Err(LocationError::Credentials),
        None => (text, None),
    };
    if bucket.contains(':') {
        return Err(LocationError::Credentials);
    }
    if bucket.is_empty() || bucket == "." || bucket == ".." {
        return Err(if is_azure { LocationError::Azure } else { LocationError::Bucket });
    }
    let bucket = bucket.to_owned();
    Ok(match scheme {
        "gs" => Store::Gcs(bucket),
        _ if is_azure => {
            // It becomes a part of the name of a host.
            let is_account = |account: &&str| {
                !account.is_empty() && account.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
            };
            let account = host.map(|host| host.strip_suffix(AZURE).filter(is_account).ok_or(LocationError::Azure));
            Store::Azure { container: bucket, account: account.transpose()?.map(ToOwned::to_owned) }
        }
        _ => Store::S3(bucket),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_forms() {
        for (given, shown) in [
            ("s3a://b//x/./y/", "s3://b/x/y"),
            ("S3://Bucket", "s3://Bucket"),
            ("gs://b//x/", "gs://b/x"),
            ("az://c", "az://c"),
            ("abfs://c/x", "az://c/x"),
            ("abfs://c@acc0.dfs.core.windows.net/x/", "abfss://c@acc0.dfs.core.windows.net/x"),
            ("file:///data/lake/", "/data/lake"),
            ("/data//lake", "/data/lake"),
            ("./.portcullis/lake", ".portcullis/lake"),
            (".", "."),
        ] {
            assert_eq!(Location::parse(given).map(|l| l.to_string()), Ok(shown.to_owned()));
        }
    }

    #[test]
    fn refused_forms() {
        for (given, message) in [
            (
                "ftp://b/x",
                "scheme `ftp` is not supported: use `s3://`, `gs://`, `az://`, `abfss://`, `file:///path` or a path",
            ),
            (
                "gs://key@b/x",
                "a location must not hold user names, passwords or keys: credentials belong to the connection",
            ),
            (
                "az://c:key@acc.dfs.core.windows.net/x",
                "a location must not hold user names, passwords or keys: credentials belong to the connection",
            ),
            (
                "abfss://c@acc.example.com/x",
                "a location in Azure is `az://container/path` or `abfss://container@account.dfs.core.windows.net/path`",
            ),
            (
                "abfss://c@a/b.dfs.core.windows.net/x",
                "a location in Azure is `az://container/path` or `abfss://container@account.dfs.core.windows.net/path`",
            ),
            ("gs://", "a location needs a bucket: `s3://bucket/path`"),
            (
                "c:/x",
                "scheme `c` is not supported: use `s3://`, `gs://`, `az://`, `abfss://`, `file:///path` or a path",
            ),
            (
                "file://host/x",
                "scheme `file://host/x` is not supported: use `s3://`, `gs://`, `az://`, `abfss://`, `file:///path` or a path",
            ),
            (
                "s3://k:s@b/x",
                "a location must not hold user names, passwords or keys: credentials belong to the connection",
            ),
            ("s3:///x", "a location needs a bucket: `s3://bucket/path`"),
            ("lake/../etc", "a location must not leave its directory with `..`"),
            ("lake/%2e%2e/etc", "a location must not hold `%`"),
            ("lake\\x", "a location must not hold `\\\\`"),
            ("lake\0", "a location must not hold `\\u{0}`"),
            ("", "a location must not be empty"),
        ] {
            assert_eq!(Location::parse(given).map_err(|e| e.to_string()), Err(message.to_owned()), "{given}");
        }
    }

    #[test]
    fn below_means_part_by_part() {
        let at = |text: &str| Location::parse(text).unwrap();
        assert!(at("s3://b/lake/x").is_below(&at("s3://b/lake/")));
        assert!(!at("s3://b/lake2/x").is_below(&at("s3://b/lake")));
        assert!(!at("s3://b/lake").is_below(&at("s3://b/lake")));
        assert!(!at("s3://other/lake/x").is_below(&at("s3://b/lake")));
        assert!(!at("/lake/x").is_below(&at("lake")));
        assert_eq!(
            at("lake").table("orders.order_events").map(|l| l.to_string()),
            Ok("lake/orders/order_events".into())
        );
        assert!(at("lake").table("orders..x").is_err());
        assert!(at("lake").table("../x").is_err());
    }
}
