//! `cargo xtask docs`: what docs/ takes from the code.

use anyhow::Result;

use crate::process::{self, cargo};

/// Writes docs/cli.md: the test that compares it with the command's help writes it when it is told to.
pub fn run() -> Result<()> {
    let mut command = cargo();
    command.args(["test", "--workspace", "--quiet", "--lib", "--", "the_reference_is_up_to_date"]);
    process::run(command.env("PORTCULLIS_WRITE_DOCS", "1"))
}
