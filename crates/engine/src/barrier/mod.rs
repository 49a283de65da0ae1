//! The barrier: between a table and everything of the user's.
//!
//! A governed table enters a plan as a [`BarrierTable`], whose schema is the *view* that one principal has of it. Its scan is a
//! single operator, [`BarrierExec`], which owns the row filter and the masks: it evaluates the filter on every row of its
//! input, and only of the rows kept it computes the columns shown. Optimisers cannot remove, reorder or look into what is not
//! a node of the plan; the raw value of a masked column does not exist above it.
//!
//! Below the barrier is the base table's scan. The filter is *also* offered to it (pruning, late materialisation), together
//! with what may cross of the user's predicates: [`leakproof`] is the whole list.

mod admit;
mod coalesce;
mod estimates;
mod frozen;
pub mod leakproof;
mod live;
mod node;
mod partitions;
mod pushdown;
mod scan;
mod table;

pub(crate) use coalesce::Kept;
pub(crate) use live::release;
pub use node::BarrierExec;
pub use scan::{GovernedScan, ScanColumn};
pub use table::BarrierTable;

#[cfg(test)]
mod tests;
