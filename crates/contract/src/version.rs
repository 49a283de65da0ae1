//! Versions of contracts.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// A contract's version: `1`, `v1`, `1.2`, `1.2.3` or `1.2.3-rc.1`. Missing parts are 0.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Version {
    /// Major: another one is another table.
    pub major: u32,
    /// Minor.
    pub minor: u32,
    /// Patch.
    pub patch: u32,
    /// As written.
    pub text: String,
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        let key = |v: &Version| (v.major, v.minor, v.patch);
        key(self).cmp(&key(other)).then_with(|| self.text.cmp(&other.text))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Why a text is no version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a version: write `1.2.3`")]
pub struct VersionError(String);

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        let error = || VersionError(text.to_owned());
        let bare = text.strip_prefix(['v', 'V']).unwrap_or(text);
        let (core, suffix) = match bare.find(['-', '+']) {
            Some(at) => bare.split_at(at),
            None => (bare, ""),
        };
        if suffix.len() == 1 || !suffix.chars().all(|c| c.is_ascii_alphanumeric() || ".-+".contains(c)) {
            return Err(error());
        }
        let mut parts = [0u32; 3];
        let mut given = core.split('.');
        for (index, part) in parts.iter_mut().enumerate() {
            match given.next() {
                Some(digits) if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => {
                    *part = digits.parse().map_err(|_| error())?;
                }
                None if index > 0 => break,
                _ => return Err(error()),
            }
        }
        if given.next().is_some() {
            return Err(error());
        }
        let [major, minor, patch] = parts;
        Ok(Version { major, minor, patch, text: text.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_usual_forms() {
        let parts = |text: &str| text.parse::<Version>().map(|v| (v.major, v.minor, v.patch)).ok();
        assert_eq!(parts("1"), Some((1, 0, 0)));
        assert_eq!(parts("v2"), Some((2, 0, 0)));
        assert_eq!(parts("1.10"), Some((1, 10, 0)));
        assert_eq!(parts("3.2.1-rc.1"), Some((3, 2, 1)));
        for bad in ["", "v", "1.", ".1", "1.2.3.4", "one", "1.x", "-1", "99999999999", "1-", "1.2.3-a b", "+1"] {
            assert_eq!(parts(bad), None, "{bad}");
        }
    }

    #[test]
    fn orders_by_number_and_keeps_the_text() {
        let version = |text: &str| text.parse::<Version>().unwrap();
        assert!(version("1.10.0") > version("1.9.9"));
        assert_eq!(version("1.10").to_string(), "1.10");
        assert_eq!("x".parse::<Version>().unwrap_err().to_string(), "`x` is not a version: write `1.2.3`");
    }
}
