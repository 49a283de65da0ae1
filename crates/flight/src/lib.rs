//! The Arrow Flight SQL server: the one crate that knows Flight SQL.
//!
//! - **In:** a [`Gateway`](portcullis_gateway::Gateway), a listening socket, and gRPC calls of clients (pyarrow, ADBC,
//!   JDBC, ODBC and what is built on them).
//! - **Out:** sessions for credentials, sealed tickets and prepared-statement handles, metadata, Arrow batches.
//! - **Must never know:** policy, contracts, plans. It translates; whatever decides, decides in the gateway, and
//!   metadata comes from nothing but what the gateway says that this session's principal may discover.
//!
//! `service.rs` is the list of calls, each of which authenticates first (`auth.rs`). `command.rs` says what a descriptor
//! or ticket asks for; `statement.rs`, `prepared.rs` and `metadata/` answer it; `wire.rs` has the one form of a result's
//! schema, `encode.rs` is the only way for rows to leave, and `status.rs` the only place where an error becomes a gRPC
//! status. Nothing is kept between calls: tickets and handles carry all they stand for, signed and bound to their
//! principal, and what a session has set travels with the client (`carried.rs`), so that any replica serves any call.

mod action;
mod auth;
mod carried;
mod command;
mod encode;
pub mod health;
mod info;
mod listener;
mod metadata;
mod poll;
mod prepared;
mod put;
mod rate;
mod running;
mod server;
mod service;
mod session_options;
mod statement;
mod status;
#[cfg(test)]
mod tests;
mod ticket;
mod tls;
mod wire;

pub use server::{FlightError, serve};
pub use tls::TlsConfig;
