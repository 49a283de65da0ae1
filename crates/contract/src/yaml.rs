//! YAML with positions: typed getters that report what is wrong, where.
//!
//! A [`Reader`] reads one file and collects its [`Finding`](crate::Finding)s. [`Reader::parse`] gives the tree of
//! [`Node`]s; [`Mapping`]'s getters take values out of it, by key, and report values of the wrong kind;
//! [`Mapping::finish`] reports the keys that nobody asked for.
//!
//! ```
//! use portcullis_contract::Level;
//! use portcullis_contract::yaml::{Codes, Reader};
//!
//! let reader = Reader::new("users.yaml", Codes::new("u-syntax", "u-unknown-key", "u-missing-key", "u-bad-value"));
//! let root = reader.parse("name: ana\nagge: 7").unwrap();
//! let user = reader.mapping(&root, "user").unwrap();
//! assert_eq!(user.string("name").as_deref(), Some("ana"));
//! assert_eq!(user.integer("age"), None);
//! user.finish(Level::Error);
//! let findings = reader.into_findings();
//! let text = "users.yaml:2:1: error[u-unknown-key]: unknown key `agge` in user (hint: did you mean `age`?)";
//! assert_eq!(findings[0].to_string(), text);
//! ```
//!
//! Scalars keep their text: `version: 1.10` is `1.10`, never `1.1`. No input panics, overflows the stack or grows
//! beyond a bound: depth, nodes (those that aliases repeat included) and bytes are limited.

mod load;
mod read;
mod suggest;

pub use load::{Entry, Node, Scalar, Value};
pub use read::{Codes, Mapping, Reader};
pub use suggest::{did_you_mean, nearest};

#[cfg(test)]
mod tests;
