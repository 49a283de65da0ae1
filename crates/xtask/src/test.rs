//! `cargo xtask test`.

use std::process::Command;

use anyhow::{Result, bail};

use crate::process::{self, cargo, say, watch};
use crate::tools::{self, Tools};

/// Runs everything; `fast` leaves out what needs an external program.
pub fn run_all(fast: bool, filter: Option<&str>, tools: &Tools) -> Result<Totals> {
    if filter.is_none() {
        process::run(cargo().args(["fmt", "--all", "--check"]))?;
        process::run(cargo().args(["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"]))?;
    }
    let mut totals = Totals::default();
    let mut command = test_command(tools);
    command.args(["--no-fail-fast", "--"]).args(filter);
    if fast {
        command.args(["--skip", "external_"]);
    }
    totals.succeeded = watch(&mut command, |line| totals.count(line))?;
    Ok(totals)
}

/// `cargo test` of the whole workspace, with what is set up in its environment.
pub fn test_command(tools: &Tools) -> Command {
    let mut command = cargo();
    command.args(["test", "--workspace", "--quiet"]);
    for (name, value) in &tools.variables {
        command.env(name, value);
    }
    command
}

/// The command: sets up, runs, sums up.
pub fn run(fast: bool, filter: Option<&str>) -> Result<()> {
    let strict = std::env::var("CI").is_ok_and(|ci| ci == "true");
    let tools = if fast { Tools::default() } else { tools::set_up()? };
    for missing in &tools.missing {
        say(&format!("skipped: tests that need {missing}"));
    }
    let totals = run_all(fast, filter, &tools)?;
    let skipped = match (fast, tools.missing.len()) {
        (true, _) => "external tests left out".to_string(),
        (false, 0) => "nothing skipped".to_string(),
        (false, count) => format!("{count} tools missing, their tests skipped"),
    };
    say(&format!("total: {} passed, {} failed, {} ignored; {skipped}", totals.passed, totals.failed, totals.ignored));
    if !totals.succeeded || totals.failed > 0 {
        bail!("tests failed");
    }
    if strict && !tools.missing.is_empty() {
        bail!("CI=true, and tools are missing: {}", tools.missing.join("; "));
    }
    Ok(())
}

/// The sums over all test programs.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Totals {
    succeeded: bool,
    passed: u64,
    failed: u64,
    ignored: u64,
}

impl Totals {
    /// Adds a line such as `test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; …`.
    fn count(&mut self, line: &str) {
        let Some(result) = line.strip_prefix("test result: ") else { return };
        let counts = result.split_once(". ").map_or(result, |(_, counts)| counts);
        for part in counts.split("; ") {
            if let Some((number, what)) = part.split_once(' ') {
                let number: u64 = number.parse().unwrap_or(0);
                match what {
                    "passed" => self.passed += number,
                    "failed" => self.failed += number,
                    "ignored" => self.ignored += number,
                    _ => {}
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Totals;

    #[test]
    fn results_of_all_programs_are_summed() {
        let mut totals = Totals::default();
        for line in [
            "running 3 tests",
            "test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 2 filtered out; finished in 0.01s",
            "test result: FAILED. 10 passed; 2 failed; 1 ignored; 0 measured; 0 filtered out; finished in 1.00s",
        ] {
            totals.count(line);
        }
        assert_eq!(totals, Totals { succeeded: false, passed: 13, failed: 2, ignored: 1 });
    }
}
