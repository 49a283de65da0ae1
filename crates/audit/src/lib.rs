//! The audit journal: who asked for what, when, from where, what was decided, and how it ended.
//!
//! - **In:** one [`Begin`] for each query, written and synced before the first byte of its answer leaves, and one
//!   [`Outcome`] when it ends, however it ends: [`OpenEntry`] writes `cancelled` when it is dropped.
//! - **Out:** append-only segments of JSON lines in one directory (mode 0700, files 0600), and [`search`] over them.
//! - **Must never know:** the engine, Cedar, the network. It takes values that others have decided, and a statement
//!   that others have redacted; it never sees a row.
//!
//! # Guarantees
//!
//! [`Journal::begin`] returns only when its record is on the disk. Many callers share one `fdatasync`. If the record
//! cannot be written, `begin` fails, and the caller must not answer the query. Every process that writes has a
//! directory of its own below the journal's, held by a lock file, so that lines of two never mix; a search reads all of
//! them as one, also while they are written. A line torn by a crash is removed at the next start,
//! with a note in the journal that says so, and entries whose end nobody recorded are reported as `interrupted`.

mod error;
mod journal;
mod record;
mod search;
mod segment;
mod writer;

#[cfg(test)]
mod tests;

pub use error::AuditError;
pub use journal::{Journal, JournalOptions, OpenEntry};
pub use record::{Begin, ColumnAccess, Decision, Entry, EntryStatus, Outcome, Status, TableAccess};
pub use search::{Order, Query, Search, search};
