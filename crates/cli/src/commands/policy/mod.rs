//! `portcullis policy`: check, test, format, show, compare and try out access policies.

mod check;
mod diff;
mod fmt;
mod git;
mod junit;
mod simulate;
mod test;

use std::path::Path;

use crate::args::PolicyCommand;
use crate::mesh::{Failure, configuration};
use crate::{OK, Streams};

pub async fn run(mesh: &Path, command: &PolicyCommand, streams: &mut Streams<'_>) -> Result<u8, Failure> {
    configuration(mesh)?;
    match command {
        PolicyCommand::Check(args) => check::run(mesh, args, streams),
        PolicyCommand::Test(args) => test::run(mesh, args, streams),
        PolicyCommand::Fmt { check } => fmt::run(mesh, *check, streams),
        PolicyCommand::Matrix => {
            write!(streams.out, "{}", portcullis_gateway::policy_matrix(mesh)?)?;
            Ok(OK)
        }
        PolicyCommand::Diff(args) => diff::run(mesh, args, streams).await,
        PolicyCommand::Simulate(args) => simulate::run(mesh, args, streams),
    }
}
