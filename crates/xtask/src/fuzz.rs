//! `cargo xtask fuzz`: the fuzz tests of the test run, without their budget.

use anyhow::{Result, bail};

use crate::process::{say, watch};
use crate::test::test_command;
use crate::tools::Tools;

/// Runs every test with `fuzz` in its name with seed after seed. A failure names the seed that repeats it.
pub fn run(rounds: u64, cases: u64) -> Result<()> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    let first = now.as_secs();
    for round in 0..rounds {
        let seed = first.wrapping_add(round);
        say(&format!("round {}: PORTCULLIS_FUZZ_SEED={seed} PORTCULLIS_FUZZ_CASES={cases}", round + 1));
        let mut command = test_command(&Tools::default());
        command.env("PORTCULLIS_FUZZ_SEED", seed.to_string()).env("PORTCULLIS_FUZZ_CASES", cases.to_string());
        let mut ran = false;
        let passed = watch(command.args(["--lib", "--test", "it", "--", "fuzz"]), |line| {
            ran |= line.starts_with("test result: ") && !line.contains(" 0 passed; 0 failed");
        })?;
        if !passed {
            bail!("seed {seed} failed: repeat it with PORTCULLIS_FUZZ_SEED={seed} PORTCULLIS_FUZZ_CASES={cases}");
        }
        if !ran {
            bail!("no fuzz test ran");
        }
    }
    Ok(())
}
