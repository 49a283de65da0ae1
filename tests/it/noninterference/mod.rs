//! Non-interference: whoever asks whatever, two meshes that differ only in what is hidden from the asker give the same bytes.
//!
//! `tables` has the tables, `mesh` the principals and policies, `worlds` the rows of two worlds, `lakes` writes them, `generator` the questions, `wire` asks them over
//! Flight SQL and keeps everything that comes back, `compare` looks for the first difference, `shrink` makes the question short, and
//! `run` does it over and over. `PORTCULLIS_NONINTERFERENCE_SEED` and `_QUERIES` say which and how many (`cargo xtask
//! noninterference` sets them); otherwise the seed is drawn, and the failure names it.

mod compare;
mod generator;
mod lakes;
mod mesh;
mod oracle;
mod rng;
mod run;
mod shrink;
mod tables;
mod values;
#[cfg(debug_assertions)]
mod weakened;
mod wire;
mod worlds;

use portcullis_engine::Guards;

use crate::support::block_on;
use run::{Runner, Worlds, regressions};

/// Questions of the normal test run.
const QUERIES: u64 = 1_000;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap())
}

#[test]
fn noninterference_holds() {
    let queries = number("PORTCULLIS_NONINTERFERENCE_QUERIES").unwrap_or(QUERIES);
    let first = number("PORTCULLIS_NONINTERFERENCE_FIRST").unwrap_or(0);
    let failure = block_on(async {
        let runner = Runner::new(Guards::default());
        eprintln!("non-interference: seed {}", Worlds::get().seed);
        for sql in regressions() {
            if let Some(failure) = runner.replay(&sql).await {
                return Some(failure);
            }
        }
        let report = runner.run(first..first + queries).await;
        eprintln!("{}", report.summary());
        eprintln!("{:#?}", report.errors);
        for waver in report.indeterminate.iter().take(20) {
            eprintln!("indeterminate: {waver}");
        }
        for defect in &report.defects {
            eprintln!("a defect: {defect}");
        }
        match report.failure {
            Some(failure) => Some(runner.shrunk(failure).await),
            None => {
                if queries >= 500 {
                    assert!(report.with_rows * 5 > report.asked * 2, "questions are answered with rows");
                    assert!(report.indeterminate.len() as u64 * 100 < report.asked, "most answers are always the same");
                }
                None
            }
        }
    });
    if let Some(failure) = failure {
        panic!("{}", failure.report());
    }
}
