//! The gateway over small meshes of its own.

mod claims;
pub(crate) mod fixture;
mod identity;
mod impersonation;
mod query;
mod refusals;
mod reload;
mod reuse;
mod travel;
mod turns;
mod units;
