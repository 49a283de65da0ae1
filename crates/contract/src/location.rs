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
    /// A bucket.
    S3(String),
}

/// Why a text is no place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LocationError {
    #[error("scheme `{0}` is not supported: use `s3://bucket/path`, `file:///path` or a path")]
    Scheme(String),
    #[error("a location must not hold user names, passwords or keys: credentials belong to the connection")]
    Credentials,
    #[error("a location must not hold `{0}`")]
    Character(String),
    #[error("a location must not leave its directory with `{0}`")]
    Parent(String),
    #[error("a location needs a bucket: `s3://bucket/path`")]
    Bucket,
    #[error("a location must not be empty")]
    Empty,
}

impl Location {
    /// Reads `s3://bucket/path` (also `s3a:`, `s3n:`), `file:///path`, `/path` or `path`.
    pub(crate) fn parse(text: &str) -> Result<Location, LocationError> {
        let text = text.trim();
        if let Some(c) = text.chars().find(|c| c.is_control() || "\\?#*%".contains(*c)) {
            return Err(LocationError::Character(c.escape_default().to_string()));
        }
        let (store, path) = match text.split_once("://") {
            Some((scheme, rest)) => match scheme.to_ascii_lowercase().as_str() {
                "s3" | "s3a" | "s3n" => {
                    let (bucket, path) = rest.split_once('/').unwrap_or((rest, ""));
                    if bucket.contains('@') || bucket.contains(':') {
                        return Err(LocationError::Credentials);
                    }
                    if bucket.is_empty() || bucket == "." || bucket == ".." {
                        return Err(LocationError::Bucket);
                    }
                    (Store::S3(bucket.to_owned()), path)
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
        match &self.store {
            Store::Relative if path.is_empty() => f.write_str("."),
            Store::Relative => f.write_str(&path),
            Store::Absolute => write!(f, "/{path}"),
            Store::S3(bucket) if path.is_empty() => write!(f, "s3://{bucket}"),
            Store::S3(bucket) => write!(f, "s3://{bucket}/{path}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_forms() {
        for (given, shown) in [
            ("s3a://b//x/./y/", "s3://b/x/y"),
            ("S3://Bucket", "s3://Bucket"),
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
            ("gs://b/x", "scheme `gs` is not supported: use `s3://bucket/path`, `file:///path` or a path"),
            ("c:/x", "scheme `c` is not supported: use `s3://bucket/path`, `file:///path` or a path"),
            (
                "file://host/x",
                "scheme `file://host/x` is not supported: use `s3://bucket/path`, `file:///path` or a path",
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
