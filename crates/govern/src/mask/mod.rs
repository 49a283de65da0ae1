//! Column masks: total functions from a column to a column of the same Arrow type.
//!
//! | level | what is shown |
//! |---|---|
//! | partial | text: `****` and the last 4 characters if there are more than 8, else `****`; date, timestamp: first day of the year |
//! | bucket | numbers: the leading decimal digit of the whole part (1234 → 1000, -987 → -900, 0.7 → 0); date, timestamp: first day of the month; time: start of the hour |
//! | hash | keyed: text → 32 hexadecimal digits, int and long → a number of the same width, binary → 16 bytes, fixed and uuid → as many bytes |
//! | redact | a constant for all rows, NULLs included: `[redacted]`, 0, false, 1970-01-01, nothing in binary, list and map, a struct of constants |
//! | null | NULL |
//!
//! NULL stays NULL under partial, bucket and hash. No input errs. Where a level cannot keep a type
//! ([`applies`] says so, and policies are checked against it), the column becomes NULL. Results share no buffer with
//! what they were made from.

mod bucket;
mod calendar;
mod digests;
mod hash;
mod key;
mod partial;
mod redact;
mod udf;

#[cfg(test)]
mod tests;

use datafusion::arrow::array::{ArrayRef, new_null_array};
use portcullis_contract::FieldType;

pub use key::MaskKey;
pub(crate) use udf::{Masks, is_mask_call};

use crate::policy::Disclosure;

/// Whether a column of this type keeps its type at this level. The same table as the contracts' `masking`.
pub fn applies(disclosure: Disclosure, data_type: &FieldType) -> bool {
    disclosure.applies_to(data_type)
}

/// A column as it is shown at `disclosure`.
pub fn mask(disclosure: Disclosure, key: &MaskKey, column: &ArrayRef) -> ArrayRef {
    let masked = match disclosure {
        Disclosure::Clear => return ArrayRef::clone(column),
        Disclosure::Partial => partial::partial(column),
        Disclosure::Bucket => bucket::bucket(column),
        Disclosure::Hash => hash::hash(key, column),
        Disclosure::Redact => redact::redact(column.data_type(), column.len()),
        Disclosure::Null | Disclosure::JoinOnly | Disclosure::Denied => None,
    };
    masked.unwrap_or_else(|| new_null_array(column.data_type(), column.len()))
}
