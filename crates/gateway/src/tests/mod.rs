//! The gateway over small meshes of its own.

pub(crate) mod fixture;
mod identity;
mod query;
mod reload;
mod units;
