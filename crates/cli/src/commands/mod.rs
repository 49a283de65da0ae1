//! One file for each command.

pub mod audit;
pub mod check;
pub mod demo;
pub mod explain;
pub mod login;
pub mod policy;
pub mod query;
pub mod ready;
pub mod serve;
pub mod token;
pub mod user;
