//! The integration tests: one program, a module for each subject.
//!
//! `support` has the demo mesh (written once for each run) and the gateway over it. Tests whose names begin with
//! `external_` need a program besides Rust; `cargo xtask test` sets those up, `--fast` leaves them out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod bad_input;
mod browser;
mod cli;
mod clients;
mod data_cache;
mod differential;
mod doors;
mod every_type;
mod flight;
mod keycloak;
mod kinds;
mod nessie;
mod noninterference;
mod packaging;
mod raw_bytes;
mod seaweed;
mod shutdown;
mod slt;
mod sql_catalogue;
mod support;
mod telemetry;
mod threats;
mod token_exchange;
mod token_page;
