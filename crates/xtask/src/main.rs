//! The project's chores: `cargo xtask test`, `fuzz`, `tidy`, `bench`.
//!
//! Needs nothing but a Rust toolchain by itself; what tests need besides is set up in a cache outside of the clone.

mod bench;
mod docs;
mod fuzz;
mod noninterference;
mod process;
mod test;
mod tidy;
mod tools;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The project's chores.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Format check, clippy with warnings as errors, and all tests.
    Test {
        /// Leave out what needs an external program: the tests whose names begin with `external_`.
        #[arg(long)]
        fast: bool,
        /// Only tests with this in their names (format check and clippy are left out).
        filter: Option<String>,
    },
    /// Row filters of random policies must keep the rows that Cedar's own authorizer allows; or, with another target, what is
    /// parsed is changed at random, and must give an answer or an error.
    Fuzz {
        /// What is tried.
        #[arg(long, value_enum, default_value_t = fuzz::Target::Policies)]
        target: fuzz::Target,
        /// Of policies: stop when so many rows were checked; without it, when one differs.
        #[arg(long, default_value_t = u64::MAX)]
        rows: u64,
        /// Of policies: random policy sets of a seed.
        #[arg(long, default_value_t = 2_000)]
        policies: u64,
        /// Of what is parsed: how many changes are tried.
        #[arg(long, default_value_t = 10_000)]
        cases: u64,
        /// Of what is parsed: the seed of the first change; drawn without it.
        #[arg(long)]
        seed: Option<u64>,
        /// Builds in release: worth it from some hundred thousand rows on.
        #[arg(long)]
        release: bool,
    },
    /// Two meshes that differ only in what is hidden must give the same bytes, whatever is asked.
    Noninterference {
        /// How many questions.
        #[arg(long, default_value_t = 10_000)]
        queries: u64,
        /// The seed of worlds and questions; drawn without it.
        #[arg(long)]
        seed: Option<u64>,
        /// Builds in release: worth it from some ten thousand questions on.
        #[arg(long)]
        release: bool,
    },
    /// What a compiler doesn't see: crate graph, crates without I/O, paths of one machine. Part of the tests, too.
    Tidy,
    /// Write docs/cli.md again from the command's own help.
    Docs,
    /// The gateway against plain DataFusion, and against its peers, on the same tables; builds in release.
    Bench {
        /// Options for benches/bench.py: `--peers` (DuckDB and Sail, too), `--store s3` (tables on SeaweedFS), `--trino` (with it),
        /// `--only tpch wide star latency …`, `--scale 10`, `--memory "8 GiB"`, `--engines …`, `--repeat 3`; `bench -- --help` says all.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        options: Vec<String>,
    },
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Test { fast, filter } => test::run(fast, filter.as_deref()),
        Command::Fuzz { target: fuzz::Target::Policies, rows, policies, release, .. } => {
            fuzz::policies(rows, policies, release)
        }
        Command::Fuzz { target, cases, seed, release, .. } => fuzz::parsers(target, cases, seed, release),
        Command::Noninterference { queries, seed, release } => noninterference::run(queries, seed, release),
        Command::Tidy => tidy::run(),
        Command::Docs => docs::run(),
        Command::Bench { options } => bench::run(&options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            process::say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
