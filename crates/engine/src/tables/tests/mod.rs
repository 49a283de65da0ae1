//! Tables written by others, read by us, compared with what their writers read.
//!
//! Tests whose names start with `external_` need Python or Java.

mod clouds;
mod conformance;
mod corrupt;
mod counting;
mod delta;
pub(super) mod fuzz;
mod iceberg;
mod java;
mod layout;
mod metadata;
mod object_store;
mod postgres;
mod spark;
mod support;
mod travel;

pub(super) use counting::Counting;
pub(super) use postgres::{Server as PostgresServer, programs as postgres_programs};
pub(super) use support::{declared_in, iceberg_metadata, skip};
