//! The demo: its data.

mod columns;
mod delta;
mod files;
mod iceberg;
pub mod lake;
mod rng;
mod tables;
mod world;

#[cfg(test)]
mod tests;
