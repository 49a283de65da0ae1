//! Sizes written as text: `512 KiB`, `1 MiB`, `20 GiB`; or as a number of bytes.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

const UNITS: [(&str, u64); 5] = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "String")]
pub struct Size(u64);

#[derive(Deserialize)]
#[serde(untagged, expecting = "a size: a number of bytes, or a text like \"512 KiB\", \"1 MiB\", \"20 GiB\"")]
enum Written {
    Bytes(u64),
    Text(String),
}

impl Size {
    /// So many kibibytes.
    pub const fn kib(count: u64) -> Size {
        Size(count << 10)
    }

    /// So many mebibytes.
    pub const fn mib(count: u64) -> Size {
        Size(count << 20)
    }

    /// In bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// In bytes, as far as this machine can address.
    pub fn in_memory(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Size, String> {
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit = text.get(digits.len()..).unwrap_or_default();
        let scale = UNITS.into_iter().find(|(name, _)| *name == unit).map(|(_, scale)| scale);
        let count = digits.trim_end().parse::<u64>().ok();
        match (count, scale) {
            (Some(count), Some(scale)) => count.checked_mul(scale).map(Size),
            _ => None,
        }
        .ok_or_else(|| format!("`{text}` is not a size: write a number and a unit, like 512 KiB, 1 MiB, 20 GiB"))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, scale) =
            UNITS.into_iter().find(|(_, scale)| self.0 > 0 && self.0.is_multiple_of(*scale)).unwrap_or(("B", 1));
        write!(f, "{} {unit}", self.0 / scale)
    }
}

impl TryFrom<Written> for Size {
    type Error = String;

    fn try_from(written: Written) -> Result<Size, String> {
        match written {
            Written::Bytes(bytes) => Ok(Size(bytes)),
            Written::Text(text) => text.parse(),
        }
    }
}

impl From<Size> for String {
    fn from(size: Size) -> String {
        size.to_string()
    }
}

impl JsonSchema for Size {
    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "integer"], "pattern": "^[0-9]+ ?(B|KiB|MiB|GiB|TiB)$", "minimum": 0 })
    }
}
