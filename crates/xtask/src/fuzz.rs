//! `cargo xtask fuzz`: random policies against Cedar's own authorizer, seed after seed.

use std::process::Command;

use anyhow::{Result, bail};

use crate::process::{cargo, say, watch};
use crate::test::test_command;
use crate::tools::Tools;

/// The test's name.
const TEST: &str = "policy::unit::fuzz::filters_keep_what_cedar_allows";

/// Tries `policies` random policy sets of each seed until `rows` rows were checked. A failure names the seed that repeats it.
pub fn run(rows: u64, policies: u64, release: bool) -> Result<()> {
    let mut seed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs();
    let mut checked = 0_u64;
    while checked < rows {
        let mut command = if release { release_command() } else { test_command(&Tools::default()) };
        command.env("PORTCULLIS_FUZZ_SEED", seed.to_string()).env("PORTCULLIS_FUZZ_POLICIES", policies.to_string());
        let mut found = 0;
        let passed = watch(command.args(["--lib", "--", TEST, "--exact", "--nocapture"]), |line| {
            found += rows_of(line).unwrap_or(0);
        })?;
        if !passed {
            bail!("seed {seed} failed: repeat it with PORTCULLIS_FUZZ_SEED={seed} PORTCULLIS_FUZZ_POLICIES={policies}");
        }
        if found == 0 {
            bail!("the test `{TEST}` checked no row");
        }
        checked += found;
        say(&format!("{checked} rows checked, no difference"));
        seed = seed.wrapping_add(1);
    }
    Ok(())
}

/// The rows that a round says it checked.
fn rows_of(line: &str) -> Option<u64> {
    let (_, rest) = line.strip_prefix("Tally {")?.split_once(" rows: ")?;
    rest.split(',').next()?.parse().ok()
}

/// With the tests' package, so that what both are built of is the same.
fn release_command() -> Command {
    let mut command = cargo();
    command.args(["test", "--release", "--package", "portcullis-govern", "--package", "portcullis-tests", "--quiet"]);
    command
}

#[cfg(test)]
mod tests {
    use super::rows_of;

    #[test]
    fn rows_are_read_from_the_tests_own_words() {
        let line = "Tally { sets: 200, refused: 3, rows: 12800, shown: 40, erring: 2 }";
        assert_eq!(rows_of(line), Some(12_800));
        assert_eq!(rows_of("test result: ok. rows: 5,"), None);
    }
}
