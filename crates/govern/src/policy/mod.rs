//! Who may see what: Cedar policies over the contracts' tables, columns and rows.
//!
//! In: contracts, `policies/**/*.cedar`, `policies/vocabulary.yaml`. Out: a [`PolicySnapshot`], which answers for a
//! [`Subject`] and a table with a [`TableDecision`]: may it be discovered and queried, which rows (a predicate over raw
//! values), and how much of each column. A set with a mistake is refused as a whole; a request that cannot be decided
//! is denied, with the reason.

mod cache;
mod cedar_schema;
mod check;
mod closed;
mod columns;
mod compiled;
mod decide;
mod decision;
mod entities;
mod load;
pub mod matrix;
mod metadata;
mod missing;
mod partial;
mod render;
pub mod review;
mod schemas;
mod slice;
mod snapshot;
mod subject;
pub mod tests;
mod translate;
mod vocabulary;
mod vocabulary_file;
mod walk;

#[cfg(test)]
pub(crate) mod unit;

pub(crate) use cache::Key;
pub(crate) use compiled::ceiling;
pub use decision::{Access, ColumnDecision, Disclosure, RowFilter, TableAction, TableDecision, Unmet};
pub(crate) use metadata::shows_whole;
pub use schemas::schemas;
pub use snapshot::{Compiled, PolicyInfo, PolicySnapshot, PolicySources};
pub use subject::{AttributeValue, Principal, RequestContext, Subject};
pub use vocabulary::{AttributeType, PII_TAG, SYSTEM_DOMAIN, SYSTEM_TABLES, Vocabulary};
