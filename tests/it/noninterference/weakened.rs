//! The harness notices what it is there for: with one guard taken away, it finds a difference.

use portcullis_engine::{Guard, Guards};

use super::run::Runner;
use crate::support::block_on;

/// Questions within which a missing guard must be noticed.
const WITHIN: u64 = 1_000;
/// How often that many are asked, at most: what a guard keeps back is asked for by chance.
const ROUNDS: u64 = 3;

fn is_noticed(guard: Guard) {
    let runner = Runner::new(Guards::without(guard.clone()));
    let report = (0..ROUNDS)
        .map(|round| block_on(runner.run(round * WITHIN..(round + 1) * WITHIN)))
        .find(|report| report.failure.is_some());
    let Some((report, failure)) = report.and_then(|mut report| report.failure.take().map(|failure| (report, failure)))
    else {
        panic!("{guard:?} is off, and {ROUNDS} times {WITHIN} questions told nothing")
    };
    eprintln!(
        "{guard:?} off: noticed after {} questions:\n{}\n{}",
        report.asked,
        failure.ask.text(),
        failure.difference
    );
}

#[test]
fn a_missing_barrier_is_noticed() {
    is_noticed(Guard::Barrier);
}

#[test]
fn a_missing_scrubber_is_noticed() {
    is_noticed(Guard::Scrubber);
}

#[test]
fn missing_redaction_is_noticed() {
    is_noticed(Guard::Redaction);
}

#[test]
fn a_missing_mask_is_noticed() {
    // A column of three tables: a column of one is asked for too seldom.
    is_noticed(Guard::Mask("born".to_owned()));
}

#[test]
fn statistics_let_through_are_noticed() {
    is_noticed(Guard::Statistics);
}
