//! Portcullis' engine: it runs governed plans over real tables and hands on nothing but what the plan's decision shows.
//!
//! In: a [`portcullis_govern::GovernedPlan`]. Out: record batches in their wire form ([`ScrubbedStream`]).
//!
//! It pins the snapshot of every table, puts each scan behind a barrier (row filter, then column masks, then nothing else),
//! optimises, verifies the physical plan, executes it within limits, and rebuilds every batch so that no byte of a hidden value
//! leaves. It must never know Cedar, principals, tonic or HTTP.

pub mod barrier;
mod error;
pub mod exec;
pub mod guard;
mod guards;
pub mod scrub;
mod stopwatch;
pub mod tables;

pub use error::{EngineError, ErrorKind};
pub use exec::{Bound, Engine, EngineLimits, Progress, ScrubbedStream};
#[doc(hidden)]
pub use guards::Guard;
pub use guards::Guards;
pub use scrub::wire_schema;
pub use stopwatch::{Stage, Stopwatch, collecting, stages};
pub use tables::{DataCache, PinnedTable, Tables, TablesOptions};
