//! Types of columns, and their text.

use std::fmt;
use std::str::FromStr;

/// Greatest nesting of lists, maps and structs.
const MAX_DEPTH: usize = 16;
/// Greatest number of fields of a struct.
const MAX_FIELDS: usize = 1_000;

/// Type of a column.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum FieldType {
    /// True or false.
    Boolean,
    /// Signed, 32 bits.
    Int,
    /// Signed, 64 bits.
    Long,
    /// IEEE 754, 32 bits.
    Float,
    /// IEEE 754, 64 bits.
    Double,
    /// Fixed point.
    Decimal {
        /// Digits, 1 to 38.
        precision: u8,
        /// Digits after the point, at most the precision.
        scale: u8,
    },
    /// Calendar day.
    Date,
    /// Time of day in microseconds.
    Time,
    /// Date and time without a zone, in microseconds.
    Timestamp,
    /// Instant in microseconds, UTC.
    TimestampTz,
    /// Date and time without a zone, in nanoseconds: of the years 1678 to 2261.
    TimestampNs,
    /// Instant in nanoseconds, UTC: of the years 1678 to 2261.
    TimestampTzNs,
    /// Text.
    String,
    /// UUID, 16 bytes.
    Uuid,
    /// That many bytes.
    Fixed(u32),
    /// Bytes.
    Binary,
    /// List of elements.
    List(Box<FieldType>),
    /// Map from keys to values.
    Map(Box<FieldType>, Box<FieldType>),
    /// Named fields, in order.
    Struct(Vec<(String, FieldType)>),
}

impl FieldType {
    /// Whether it is a list, a map or a struct.
    pub fn is_nested(&self) -> bool {
        matches!(self, FieldType::List(_) | FieldType::Map(..) | FieldType::Struct(_))
    }

    /// Whether it is a date with a time, of whatever precision.
    pub fn is_timestamp(&self) -> bool {
        use FieldType::{Timestamp, TimestampNs, TimestampTz, TimestampTzNs};
        matches!(self, Timestamp | TimestampTz | TimestampNs | TimestampTzNs)
    }
}

impl fmt::Display for FieldType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FieldType::Boolean => f.write_str("boolean"),
            FieldType::Int => f.write_str("int"),
            FieldType::Long => f.write_str("long"),
            FieldType::Float => f.write_str("float"),
            FieldType::Double => f.write_str("double"),
            FieldType::Decimal { precision, scale } => write!(f, "decimal({precision},{scale})"),
            FieldType::Date => f.write_str("date"),
            FieldType::Time => f.write_str("time"),
            FieldType::Timestamp => f.write_str("timestamp"),
            FieldType::TimestampTz => f.write_str("timestamptz"),
            FieldType::TimestampNs => f.write_str("timestamp_ns"),
            FieldType::TimestampTzNs => f.write_str("timestamptz_ns"),
            FieldType::String => f.write_str("string"),
            FieldType::Uuid => f.write_str("uuid"),
            FieldType::Fixed(length) => write!(f, "fixed({length})"),
            FieldType::Binary => f.write_str("binary"),
            FieldType::List(element) => write!(f, "list<{element}>"),
            FieldType::Map(key, value) => write!(f, "map<{key},{value}>"),
            FieldType::Struct(fields) => {
                f.write_str("struct<")?;
                for (index, (name, data_type)) in fields.iter().enumerate() {
                    write!(f, "{}{name}:{data_type}", if index == 0 { "" } else { "," })?;
                }
                f.write_str(">")
            }
        }
    }
}

/// Why a text is no type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TypeError {
    /// No such type.
    #[error("unknown type `{0}`")]
    Unknown(String),
    /// A type that needs parameters has none, or wrong ones.
    #[error("type `{name}` needs {needs}")]
    Parameters {
        /// Type as written.
        name: String,
        /// What it needs.
        needs: &'static str,
    },
    /// The text does not end where the type does, or ends before.
    #[error("type `{0}` cannot be read at `{1}`")]
    Syntax(String, String),
    /// A struct names a field twice.
    #[error("struct field `{0}` is declared twice")]
    DuplicateField(String),
    /// Nested too deeply, or too wide.
    #[error("type is nested deeper than {MAX_DEPTH} levels or has more than {MAX_FIELDS} fields")]
    TooLarge,
}

impl FromStr for FieldType {
    type Err = TypeError;

    fn from_str(text: &str) -> Result<Self, TypeError> {
        let mut parser = Parser { text, rest: text };
        let data_type = parser.data_type(0)?;
        parser.rest = parser.rest.trim_start();
        if parser.rest.is_empty() { Ok(data_type) } else { Err(parser.syntax()) }
    }
}

/// The names of all simple types and their synonyms, for hints.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    SIMPLE.iter().map(|(name, _)| *name).chain(["decimal", "fixed", "list", "map", "struct"])
}

const SIMPLE: &[(&str, FieldType)] = &[
    ("boolean", FieldType::Boolean),
    ("bool", FieldType::Boolean),
    ("int", FieldType::Int),
    ("integer", FieldType::Int),
    ("int32", FieldType::Int),
    ("smallint", FieldType::Int),
    ("short", FieldType::Int),
    ("int16", FieldType::Int),
    ("tinyint", FieldType::Int),
    ("byte", FieldType::Int),
    ("int8", FieldType::Int),
    ("long", FieldType::Long),
    ("bigint", FieldType::Long),
    ("int64", FieldType::Long),
    ("float", FieldType::Float),
    ("real", FieldType::Float),
    ("float32", FieldType::Float),
    ("double", FieldType::Double),
    ("double precision", FieldType::Double),
    ("float64", FieldType::Double),
    ("date", FieldType::Date),
    ("time", FieldType::Time),
    ("timestamp", FieldType::Timestamp),
    ("timestamp_ntz", FieldType::Timestamp),
    ("timestamp without time zone", FieldType::Timestamp),
    ("datetime", FieldType::Timestamp),
    ("timestamptz", FieldType::TimestampTz),
    ("timestamp_tz", FieldType::TimestampTz),
    ("timestamp_ltz", FieldType::TimestampTz),
    ("timestamp with time zone", FieldType::TimestampTz),
    ("timestamp_ns", FieldType::TimestampNs),
    ("timestamptz_ns", FieldType::TimestampTzNs),
    ("string", FieldType::String),
    ("varchar", FieldType::String),
    ("text", FieldType::String),
    ("char", FieldType::String),
    ("uuid", FieldType::Uuid),
    ("binary", FieldType::Binary),
    ("varbinary", FieldType::Binary),
    ("bytes", FieldType::Binary),
];

struct Parser<'a> {
    text: &'a str,
    rest: &'a str,
}

impl<'a> Parser<'a> {
    fn data_type(&mut self, depth: usize) -> Result<FieldType, TypeError> {
        if depth > MAX_DEPTH {
            return Err(TypeError::TooLarge);
        }
        let word = self.take_while(|c| !"<>()[],:".contains(c));
        let name = word.split_whitespace().collect::<Vec<_>>().join(" ").to_ascii_lowercase();
        match name.as_str() {
            "" => Err(self.syntax()),
            "decimal" | "numeric" | "dec" => self.decimal(&name),
            "fixed" => self.fixed(&name),
            "varchar" | "char" | "string" | "varbinary" => {
                self.length_or_nothing(&name)?;
                Ok(if name == "varbinary" { FieldType::Binary } else { FieldType::String })
            }
            "list" | "array" => {
                self.open(&name, "an element type: `list<string>`")?;
                let element = self.data_type(depth + 1)?;
                self.expect('>')?;
                Ok(FieldType::List(Box::new(element)))
            }
            "map" => {
                self.open(&name, "a key and a value type: `map<string,long>`")?;
                let key = self.data_type(depth + 1)?;
                self.expect(',')?;
                let value = self.data_type(depth + 1)?;
                self.expect('>')?;
                Ok(FieldType::Map(Box::new(key), Box::new(value)))
            }
            "struct" | "row" | "record" => {
                self.open(&name, "fields: `struct<street: string, city: string>`")?;
                self.fields(depth + 1)
            }
            other => match SIMPLE.iter().find(|(simple, _)| *simple == other) {
                Some((_, data_type)) => Ok(data_type.clone()),
                None => Err(TypeError::Unknown(word.trim().to_owned())),
            },
        }
    }

    fn fields(&mut self, depth: usize) -> Result<FieldType, TypeError> {
        let mut fields: Vec<(String, FieldType)> = Vec::new();
        loop {
            let name = self.take_while(|c| !"<>(),:".contains(c)).trim();
            if name.is_empty() {
                return Err(self.syntax());
            }
            self.expect(':')?;
            let data_type = self.data_type(depth)?;
            if fields.iter().any(|(other, _)| other == name) {
                return Err(TypeError::DuplicateField(name.to_owned()));
            }
            if fields.len() >= MAX_FIELDS {
                return Err(TypeError::TooLarge);
            }
            fields.push((name.to_owned(), data_type));
            if !self.accept(',') {
                self.expect('>')?;
                return Ok(FieldType::Struct(fields));
            }
        }
    }

    fn decimal(&mut self, name: &str) -> Result<FieldType, TypeError> {
        let needs = "a precision of 1 to 38 and a scale of at most that: `decimal(12,2)`";
        let wrong = || TypeError::Parameters { name: name.to_owned(), needs };
        if !self.accept('(') {
            return Err(wrong());
        }
        let precision = self.number().and_then(|n| u8::try_from(n).ok()).ok_or_else(wrong)?;
        let scale = if self.accept(',') { self.number().ok_or_else(wrong)? } else { 0 };
        let scale = u8::try_from(scale).map_err(|_| wrong())?;
        self.expect(')')?;
        if !(1..=38).contains(&precision) || scale > precision {
            return Err(wrong());
        }
        Ok(FieldType::Decimal { precision, scale })
    }

    fn fixed(&mut self, name: &str) -> Result<FieldType, TypeError> {
        let wrong = || TypeError::Parameters { name: name.to_owned(), needs: "a length of 1 to 65536: `fixed(16)`" };
        // Iceberg writes `fixed[16]`, SQL `fixed(16)`.
        let close = if self.accept('(') { ')' } else { ']' };
        if close == ']' && !self.accept('[') {
            return Err(wrong());
        }
        let length = self.number().filter(|n| (1..=65_536).contains(n)).ok_or_else(wrong)?;
        self.expect(close)?;
        Ok(FieldType::Fixed(length))
    }

    fn length_or_nothing(&mut self, name: &str) -> Result<(), TypeError> {
        if self.accept('(') {
            let needs = "a length, or none";
            self.number().ok_or_else(|| TypeError::Parameters { name: name.to_owned(), needs })?;
            self.expect(')')?;
        }
        Ok(())
    }

    fn open(&mut self, name: &str, needs: &'static str) -> Result<(), TypeError> {
        if self.accept('<') { Ok(()) } else { Err(TypeError::Parameters { name: name.to_owned(), needs }) }
    }

    fn number(&mut self) -> Option<u32> {
        self.rest = self.rest.trim_start();
        let digits = self.take_while(|c| c.is_ascii_digit());
        digits.parse().ok()
    }

    fn take_while(&mut self, keep: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !keep(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    fn accept(&mut self, wanted: char) -> bool {
        let rest = self.rest.trim_start();
        match rest.strip_prefix(wanted) {
            Some(after) => {
                self.rest = after;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, wanted: char) -> Result<(), TypeError> {
        if self.accept(wanted) { Ok(()) } else { Err(self.syntax()) }
    }

    fn syntax(&self) -> TypeError {
        let rest = if self.rest.trim().is_empty() { "the end" } else { self.rest.trim() };
        TypeError::Syntax(self.text.to_owned(), rest.to_owned())
    }
}

#[cfg(test)]
mod tests;
