//! `portcullis policy test`: the tests in policies/tests.

use std::path::Path;

use portcullis_contract::Finding;
use portcullis_gateway::{PolicyTests, TestResult};

use super::junit;
use crate::args::PolicyTestArgs;
use crate::mesh::Failure;
use crate::{FAILED, OK, Streams};

pub fn run(mesh: &Path, args: &PolicyTestArgs, streams: &mut Streams<'_>) -> Result<u8, Failure> {
    let mut tests = portcullis_gateway::policy_tests(mesh);
    let all = tests.results.len();
    if let Some(filter) = &args.filter {
        tests.results.retain(|test| mentions(test, &filter.to_lowercase()));
        if tests.results.is_empty() && !tests.findings.iter().any(Finding::is_error) {
            return Err(Failure::failed(format!(
                "none of {all} policy tests has `{filter}` in its name, user or table"
            )));
        }
    }
    for finding in &tests.findings {
        writeln!(streams.out, "{finding}")?;
    }
    for test in tests.results.iter().filter(|test| !test.passed()) {
        write!(streams.out, "{}", crate::output::printable(&failure(test)))?;
    }
    if let Some(path) = &args.junit {
        std::fs::write(path, junit::report(&tests))
            .map_err(|error| Failure::failed(format!("cannot write `{}`: {error}", path.display())))?;
    }
    let left_out = match all - tests.results.len() {
        0 => String::new(),
        some => format!(", {some} left out"),
    };
    writeln!(streams.out, "{} passed, {} failed{left_out}", tests.passed(), tests.failed())?;
    Ok(if sound(&tests) { OK } else { FAILED })
}

fn sound(tests: &PolicyTests) -> bool {
    tests.failed() == 0 && !tests.findings.iter().any(Finding::is_error)
}

fn mentions(test: &TestResult, text: &str) -> bool {
    let file: &str = &test.position.file;
    [test.name.as_str(), &test.principal, &test.table, file].iter().any(|part| part.to_lowercase().contains(text))
}

/// What a failed test expected, and what it got: one below the other.
fn failure(test: &TestResult) -> String {
    let mut text = format!("{}: failed: {} ({} on {})\n", test.position, test.name, test.principal, test.table);
    for difference in &test.failures {
        let because = match difference.because.as_str() {
            "" => String::new(),
            because => format!("  ({because})"),
        };
        text.push_str(&format!("  {}\n", difference.what));
        text.push_str(&format!("    expected  {}\n    got       {}{because}\n", difference.expected, difference.got));
    }
    text
}
