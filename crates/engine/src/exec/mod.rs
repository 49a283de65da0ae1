//! From a governed plan to its batches: pin, bind, optimise, verify, execute, scrub.

mod bind;
mod constants;
mod engine;
mod explain;
mod limits;
mod memory;
mod operators;
pub(crate) mod redact;
mod runner;
mod session;
mod spill;
mod stream;
mod told;
mod verify;
mod visible;
mod windows;

pub(crate) use spill::Retains;

pub use engine::Engine;
pub use limits::{EngineLimits, QueryLimits};
pub use runner::Bound;
pub use stream::{Progress, ScrubbedStream};
pub use told::{Operator, Operators};

#[cfg(test)]
mod tests;
