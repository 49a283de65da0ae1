//! `cargo xtask noninterference`: the non-interference test of the test run, with as many questions as wanted.

use std::process::Command;

use anyhow::{Result, bail};

use crate::process::{cargo, say, watch};
use crate::test::test_command;
use crate::tools::Tools;

/// The test's name.
const TEST: &str = "noninterference::noninterference_holds";

/// Asks `queries` questions of a seed, or of one that is drawn. A failure names the seed, the shortened statement and the difference.
pub fn run(queries: u64, seed: Option<u64>, release: bool) -> Result<()> {
    let mut command = if release { release_command() } else { test_command(&Tools::default()) };
    command.env("PORTCULLIS_NONINTERFERENCE_QUERIES", queries.to_string());
    if let Some(seed) = seed {
        command.env("PORTCULLIS_NONINTERFERENCE_SEED", seed.to_string());
    }
    let mut ran = false;
    let passed = watch(command.args(["--test", "it", "--", TEST, "--exact", "--nocapture"]), |line| {
        ran |= line.starts_with("test result: ") && line.contains(" 1 passed");
    })?;
    if !passed {
        bail!("two worlds that differ only in what is hidden gave different answers");
    }
    if !ran {
        bail!("the test `{TEST}` did not run");
    }
    say(&format!("{queries} questions, no difference"));
    Ok(())
}

/// The tests alone: what the release binary is built of serves them, too.
fn release_command() -> Command {
    let mut command = cargo();
    command.args(["test", "--release", "--package", "portcullis-tests", "--quiet"]);
    command
}
