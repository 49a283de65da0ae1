//! Buckets of clouds, as URLs name them.

/// A bucket or container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Bucket {
    /// Of S3, or what speaks its protocol.
    S3(String),
    /// Of Google Cloud Storage.
    Gcs(String),
    /// Of Azure, in an account where that is named.
    Azure {
        /// Its name.
        container: String,
        /// Its account.
        account: Option<String>,
    },
}

impl Bucket {
    /// The bucket that a URL names, and the key in it.
    pub(super) fn of(url: &str) -> Option<(Bucket, &str)> {
        let (scheme, rest) = url.split_once("://")?;
        let (name, key) = rest.split_once('/').unwrap_or((rest, ""));
        let bucket = match scheme {
            "s3" | "s3a" | "s3n" => Bucket::S3(name.to_owned()),
            "gs" => Bucket::Gcs(name.to_owned()),
            "az" | "abfs" | "abfss" | "wasb" | "wasbs" => {
                let (container, host) = name.split_once('@').map_or((name, None), |(name, host)| (name, Some(host)));
                let account = host.and_then(|host| host.split('.').next()).map(ToOwned::to_owned);
                Bucket::Azure { container: container.to_owned(), account }
            }
            _ => return None,
        };
        Some((bucket, key))
    }

    /// The same; a container whose account is not named is in this one.
    pub(super) fn in_account(self, account: Option<&String>) -> Bucket {
        match self {
            Bucket::Azure { container, account: None } => Bucket::Azure { container, account: account.cloned() },
            other => other,
        }
    }

    /// Whether `other` is this bucket: a container whose account is not named may be.
    pub(super) fn is(&self, other: &Bucket) -> bool {
        match (self, other) {
            (Bucket::Azure { container, .. }, Bucket::Azure { container: other, account: None }) => container == other,
            _ => self == other,
        }
    }

    /// Whether it can become a part of a host name or path: nothing in it may end either.
    pub(super) fn is_possible(&self) -> bool {
        let fits =
            |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
        match self {
            Bucket::S3(name) | Bucket::Gcs(name) => fits(name),
            Bucket::Azure { container, account } => fits(container) && account.as_deref().is_none_or(fits),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_the_same_in_the_same_account_only() {
        let of = |url| Bucket::of(url).unwrap();
        let (own, key) = of("abfss://c@acc.dfs.core.windows.net/lake/x y");
        assert_eq!(key, "lake/x y");
        for (url, same) in [
            ("az://c/k", true),
            ("abfs://c/k", true),
            ("wasbs://c@acc.blob.core.windows.net/k", true),
            ("abfss://c@other.dfs.core.windows.net/k", false),
            ("abfss://d@acc.dfs.core.windows.net/k", false),
            ("s3://c/k", false),
            ("gs://c/k", false),
        ] {
            assert_eq!(own.is(&of(url).0), same, "{url}");
        }
        assert_eq!(of("az://c/k").0.in_account(Some(&"acc".to_owned())), own);
        assert!(of("s3a://b").0.is(&of("s3://b/k").0) && !of("s3://b").0.is(&of("gs://b").0));
        assert_eq!((Bucket::of("/b/k"), Bucket::of("http://b/k")), (None, None));
    }

    #[test]
    fn no_part_of_a_name_leads_elsewhere() {
        for url in ["s3:///k", "gs://a:b/k", "az://c%2f/k", "abfss://c@x/k@y", "az://@acc/k", "az://c@/k", "s3://a?b/k"]
        {
            let possible = Bucket::of(url).unwrap().0.is_possible();
            assert_eq!(possible, url == "abfss://c@x/k@y", "{url}");
        }
    }
}
