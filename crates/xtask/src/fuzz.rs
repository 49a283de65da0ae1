//! `cargo xtask fuzz`: random policies against Cedar's own authorizer, and random changes to what is parsed, seed after seed.

use std::process::Command;

use anyhow::{Result, bail};
use clap::ValueEnum;

use crate::process::{cargo, say, watch};
use crate::test::test_command;
use crate::tools::{self, Tools};

/// The test of policies.
const TEST: &str = "policy::unit::fuzz::filters_keep_what_cedar_allows";
/// Memory in MiB that no change of a file may cost.
const MEMORY: u64 = 2048;

/// What is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Target {
    /// The translation of policies.
    Policies,
    /// Files of whole tables: metadata, manifests, logs, checkpoints, deletes, footers.
    Tables,
    /// Deletion vectors and position deletes, without their checksums.
    Deletes,
    /// Partition values, statistics and places of deletion vectors in Delta's logs.
    DeltaValues,
    /// What a REST catalogue says of a table.
    CatalogueAnswers,
    /// Contracts, connections, types of columns.
    Contracts,
}

impl Target {
    /// Its test.
    fn test(self) -> &'static str {
        match self {
            Target::Policies => TEST,
            Target::Tables => "tables::tests::fuzz::lakes::external_fuzz_tables",
            Target::Deletes => "tables::deletes::tests::fuzz_deletes",
            Target::DeltaValues => "tables::delta_log::tests::fuzz_delta_values",
            Target::CatalogueAnswers => "tables::iceberg_log::rest::tests::fuzz_catalogue_answers",
            Target::Contracts => "tables::tests::fuzz::contracts::fuzz_contracts",
        }
    }
}

/// Tries changes to what is parsed, of a seed or of one that is drawn. A failure names the seed that repeats it.
pub fn parsers(target: Target, cases: u64, seed: Option<u64>, release: bool) -> Result<()> {
    // Tables are written by other programs.
    let tools = if target == Target::Tables { tools::set_up()? } else { Tools::default() };
    let mut command = if release { release_command() } else { test_command(&tools) };
    command.envs(tools.variables.iter().map(|(name, value)| (name, value)));
    command.env("PORTCULLIS_FUZZ_CASES", cases.to_string()).env("PORTCULLIS_FUZZ_MEMORY", MEMORY.to_string());
    if let Some(seed) = seed {
        command.env("PORTCULLIS_FUZZ_SEED", seed.to_string());
    }
    let mut done = false;
    let passed = watch(command.args(["--lib", "--", target.test(), "--exact", "--nocapture"]), |line| {
        done |= line.starts_with("fuzz ") && line.ends_with(&format!(": {cases} cases"));
    })?;
    if !passed {
        bail!("a change was not taken as it should: the seed that repeats it is above");
    }
    if !done {
        bail!("the test `{}` did not run to its end", target.test());
    }
    say(&format!("{cases} changes, each with an answer or an error"));
    Ok(())
}

/// Tries `policies` random policy sets of each seed until `rows` rows were checked. A failure names the seed that repeats it.
pub fn policies(rows: u64, policies: u64, release: bool) -> Result<()> {
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
    command.args(["test", "--release", "--quiet"]);
    command.args(["--package", "portcullis-govern", "--package", "portcullis-engine", "--package", "portcullis-tests"]);
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
