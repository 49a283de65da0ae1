//! The gateway: every way in leads through here, in the same order, whatever protocol or tool a query came by.
//!
//! - **In:** a mesh directory (contracts, connections, policies, users, `portcullis.toml`), credentials, SQL.
//! - **Out:** a [`Session`] for a credential, a [`QueryStream`] of governed rows for a statement, and what a principal
//!   may know of the mesh ([`VisibleTable`], [`Described`], [`AccessReport`]). Signed tokens, tickets and handles.
//! - **Must never know:** gRPC, HTTP, Flight SQL. The crates above translate [`ErrorKind`] to their wires' codes.
//!
//! `pipeline.rs` is the path of a query, to be read from top to bottom. `state.rs` holds what a query is planned
//! against: catalogue, policies and users, compiled aside and swapped as one, so that no query ever sees half a change.

mod access;
mod certificates;
mod check;
mod clock;
pub mod config;
mod credentials;
mod describe;
mod error;
mod explain;
mod gateway;
mod identity;
mod keys;
mod limits;
mod login;
mod memory;
mod mesh;
mod metrics;
mod options;
pub mod page;
mod parameters;
mod personal;
mod pipeline;
mod record;
mod refusals;
mod review;
mod session;
mod settings;
mod signer;
mod standing;
mod state;
mod stream;
mod system;
mod tables;
mod throttle;
mod trace;
mod turns;
mod users;
mod watch;

#[cfg(test)]
mod tests;

pub use access::{AccessReport, ColumnReport, TableReport};
pub use certificates::{ClientCertificate, Vouched};
pub use check::{PolicyTests, check, policy_tests};
pub use config::Config;
pub use describe::Described;
pub use error::{ErrorKind, GatewayError};
pub use gateway::{Gateway, Ready};
pub use metrics::{Counter, Gauge, Metrics};
pub use options::{BrokenGlass, SessionOptions};
pub use personal::{NewToken, PersonalToken, create_personal_token, personal_tokens, revoke_personal_tokens};
pub use portcullis_engine::Stopwatch;
pub use portcullis_govern::Defaults;
pub use portcullis_govern::policy::review::{Change, Direction};
pub use portcullis_govern::policy::tests::{Difference, TestResult};
pub use review::{
    Basis, Considered, Effect, PolicySet, Proved, Simulation, policy_check, policy_diff, policy_matrix, policy_proof,
    simulate,
};
pub use session::Session;
pub use stream::{Canceller, QueryStream};
pub use tables::VisibleTable;
pub use trace::{Trace, TraceParent, TracedOperator, TracedStage};
pub use users::{hash_password, users_json_schema};
pub use watch::Marks;
