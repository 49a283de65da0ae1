//! How sensitive data is, and what is shown of it.

use std::fmt;

use crate::types::FieldType;

/// The most that a contract shows of a column; later is stricter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Masking {
    /// The value itself.
    None,
    /// Part of the value: the ends of a text, the year of a date.
    Partial,
    /// A coarse value: a rounded number, the start of a period.
    Bucket,
    /// A keyed hash: equal values stay equal.
    Hash,
    /// A constant.
    Redact,
    /// Null.
    Null,
}

impl Masking {
    /// All levels, from the mildest to the strictest.
    pub const ALL: [Masking; 6] =
        [Masking::None, Masking::Partial, Masking::Bucket, Masking::Hash, Masking::Redact, Masking::Null];

    /// The word in contracts: `none`, `partial`, `bucket`, `hash`, `redact` or `null`.
    pub fn as_str(self) -> &'static str {
        match self {
            Masking::None => "none",
            Masking::Partial => "partial",
            Masking::Bucket => "bucket",
            Masking::Hash => "hash",
            Masking::Redact => "redact",
            Masking::Null => "null",
        }
    }

    /// Whether the masked value can have the column's own type.
    ///
    /// | level | types |
    /// |---|---|
    /// | none, null | all |
    /// | partial | string, date, timestamps |
    /// | bucket | numbers, date, time, timestamps |
    /// | hash | string, int, long, uuid, fixed (16 bytes or more), binary |
    /// | redact | all but boolean; a struct when each of its fields can |
    pub fn applies_to(self, data_type: &FieldType) -> bool {
        use FieldType as T;
        match self {
            Masking::None | Masking::Null => true,
            Masking::Partial => *data_type == T::String || *data_type == T::Date || data_type.is_timestamp(),
            Masking::Bucket => {
                data_type.is_timestamp()
                    || matches!(
                        data_type,
                        T::Int | T::Long | T::Float | T::Double | T::Decimal { .. } | T::Date | T::Time
                    )
            }
            // A keyed hash of a few bytes would collide, or could be enumerated.
            Masking::Hash => match data_type {
                T::String | T::Int | T::Long | T::Uuid | T::Binary => true,
                T::Fixed(length) => *length >= 16,
                _ => false,
            },
            // A boolean has no third value: a constant would read as an answer.
            Masking::Redact => match data_type {
                T::Boolean => false,
                T::Struct(fields) => fields.iter().all(|(_, inner)| self.applies_to(inner)),
                _ => true,
            },
        }
    }
}

impl fmt::Display for Masking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How sensitive a product or a column is; later is more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Classification {
    /// For everybody.
    Public,
    /// For the organisation.
    #[default]
    Internal,
    /// For those who need it.
    Confidential,
    /// For those who are named.
    Restricted,
}

impl Classification {
    /// All, from the least to the most sensitive.
    pub const ALL: [Classification; 4] =
        [Classification::Public, Classification::Internal, Classification::Confidential, Classification::Restricted];

    /// `public`, `internal`, `confidential` or `restricted`.
    pub fn as_str(self) -> &'static str {
        match self {
            Classification::Public => "public",
            Classification::Internal => "internal",
            Classification::Confidential => "confidential",
            Classification::Restricted => "restricted",
        }
    }
}

impl fmt::Display for Classification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_masks_and_types() {
        let types = "boolean int long float double decimal(9,2) date time timestamp timestamptz timestamp_ns \
                     timestamptz_ns string uuid fixed(4) fixed(16) binary list<string> map<string,int> struct<a:int> struct<a:boolean>";
        let applies = |masking: Masking| {
            let kept = types.split(' ').filter(|text| masking.applies_to(&text.parse().unwrap()));
            kept.collect::<Vec<_>>().join(" ")
        };
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(applies(Masking::None), words(types));
        assert_eq!(applies(Masking::Null), words(types));
        assert_eq!(applies(Masking::Partial), "date timestamp timestamptz timestamp_ns timestamptz_ns string");
        assert_eq!(
            applies(Masking::Bucket),
            "int long float double decimal(9,2) date time timestamp timestamptz timestamp_ns timestamptz_ns"
        );
        assert_eq!(applies(Masking::Hash), "int long string uuid fixed(16) binary");
        assert_eq!(
            applies(Masking::Redact),
            "int long float double decimal(9,2) date time timestamp timestamptz timestamp_ns timestamptz_ns string uuid \
             fixed(4) fixed(16) binary list<string> map<string,int> struct<a:int>"
        );
    }

    #[test]
    fn later_is_stricter() {
        assert!(Masking::ALL.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(Classification::ALL.windows(2).all(|pair| pair[0] < pair[1]));
    }
}
