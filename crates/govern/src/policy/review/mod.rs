//! What a set of policies comes to, asked over the people, tables and columns that there are: for those who write
//! policies, with the code that enforces them.
//!
//! - [`people`]: whom to ask about: the users, and a member of each group;
//! - [`compare_rows`]: whether two row filters keep the same rows, with an example where they do not;
//! - [`changes`]: what another set of policies would change, and in which direction;
//! - [`idle`]: policies that apply to nothing, or change nothing.

mod change;
mod grid;
mod idle;
mod people;
mod rows;
mod view;

#[cfg(test)]
mod tests;

pub use change::{Change, Side, changes};
pub use idle::idle;
pub use people::{Asking, Person, people};
pub use rows::{Direction, RowsChange, compare_rows};
