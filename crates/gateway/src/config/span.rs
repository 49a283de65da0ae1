//! Durations written as text: `250ms`, `30s`, `5m`, `12h`, `7d`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// A duration, written as a whole number and a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Span(u64);

impl Span {
    /// So many milliseconds.
    pub const fn millis(count: u64) -> Span {
        Span(count)
    }

    /// So many seconds.
    pub const fn seconds(count: u64) -> Span {
        Span(count * 1_000)
    }

    /// So many minutes.
    pub const fn minutes(count: u64) -> Span {
        Span(count * 60_000)
    }

    /// So many hours.
    pub const fn hours(count: u64) -> Span {
        Span(count * 3_600_000)
    }

    /// As the standard library has it.
    pub const fn duration(self) -> Duration {
        Duration::from_millis(self.0)
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Span, String> {
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit = text.get(digits.len()..).unwrap_or_default();
        let scale = UNITS.into_iter().find(|(name, _)| *name == unit).map(|(_, scale)| scale);
        let count = digits.trim_end().parse::<u64>().ok();
        match (count, scale) {
            (Some(count), Some(scale)) => count.checked_mul(scale).map(Span),
            _ => None,
        }
        .ok_or_else(|| format!("`{text}` is not a duration: write a number and a unit, like 250ms, 30s, 5m, 12h, 7d"))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, scale) =
            UNITS.into_iter().find(|(_, scale)| self.0 > 0 && self.0.is_multiple_of(*scale)).unwrap_or(("s", 1_000));
        write!(f, "{}{unit}", self.0 / scale)
    }
}

impl TryFrom<String> for Span {
    type Error = String;

    fn try_from(text: String) -> Result<Span, String> {
        text.parse()
    }
}

impl From<Span> for String {
    fn from(span: Span) -> String {
        span.to_string()
    }
}

impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9]+ ?(ms|s|m|h|d)$" })
    }
}
