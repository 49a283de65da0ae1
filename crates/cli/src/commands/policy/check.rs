//! `portcullis policy check`: what is wrong or odd with policies and their tests.

use std::path::Path;

use crate::Streams;
use crate::args::CheckArgs;
use crate::commands::check::print;
use crate::mesh::Failure;

pub fn run(mesh: &Path, args: &CheckArgs, streams: &mut Streams<'_>) -> Result<u8, Failure> {
    print(&portcullis_gateway::policy_check(mesh)?, args.format, streams)
}
