//! Small groups vanish: the operator behind [`portcullis_govern::GroupGuard`], and how it is planned.

mod node;
mod planner;

pub use node::GroupGuardExec;
pub(crate) use planner::Planner;

#[cfg(test)]
mod tests;
