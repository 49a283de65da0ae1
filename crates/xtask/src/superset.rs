//! `cargo xtask superset`: the test with Apache Superset, which takes a gigabyte and some minutes, and so is no part of the test run.

use anyhow::{Result, bail};

use crate::process::{root, watch};
use crate::test::test_command;
use crate::tools::{self, Tools};

/// The test's name.
const TEST: &str = "clients::superset::external_superset_shows_a_chart";

/// Sets Superset up in the cache, and runs its test.
pub fn run() -> Result<()> {
    let python =
        tools::venv(&tools::cache()?.join("venv-superset"), &root().join("tests/requirements-superset.txt"), &[])?;
    let tools = Tools { variables: vec![("PORTCULLIS_SUPERSET_PYTHON", python)], ..Tools::default() };
    let mut ran = false;
    let passed = watch(test_command(&tools).args(["--test", "it", "--", TEST, "--exact"]), |line| {
        ran |= line.starts_with("test result: ") && line.contains(" 1 passed");
    })?;
    if !passed || !ran {
        bail!("the test `{TEST}` did not pass");
    }
    Ok(())
}
