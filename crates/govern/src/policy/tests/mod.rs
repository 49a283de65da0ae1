//! Policy tests: who may see what, as YAML beside the policies, for people who write no Rust.
//!
//! ```yaml
//! tests:
//!   - name: ana sees European rows, customers hashed
//!     as: ana                      # a user of users.yaml, or {id: …, groups: […], attributes: {…}}
//!     purpose: analytics           # optional, like break_glass (a reason), authentication, client, now
//!     table: orders.order_events
//!     expect:
//!       discover: true             # default true
//!       query: true                # default true
//!       aggregates: 0              # the smallest group that is shown, 0 for rows
//!       break_glass: false
//!       notice: false
//!       filter: region = 'EU'      # as `portcullis explain` prints it; `all rows`, `no rows`
//!       columns: {customer_id: hash, "*": clear}   # `*`: all that are not named
//! ```

mod file;

use std::collections::BTreeMap;

use portcullis_contract::{Finding, Position, SourceFile};

use super::decision::{ColumnDecision, Disclosure, TableDecision};
use super::snapshot::PolicySnapshot;
use super::subject::{Principal, Subject};

/// One test as written.
#[derive(Debug, Clone, PartialEq)]
pub struct PolicyTest {
    /// What it shows.
    pub name: String,
    /// Where it stands.
    pub position: Position,
    /// Who asks.
    pub subject: Subject,
    /// `domain.table`.
    pub table: String,
    /// What must come out.
    pub expected: Expected,
}

/// What a test wants to see.
#[derive(Debug, Clone, PartialEq)]
pub struct Expected {
    /// Whether the table exists for the subject.
    pub discover: bool,
    /// Whether the subject may read rows.
    pub query: bool,
    /// The least number of entities of a group, 0 where rows may be read.
    pub aggregates: Option<u64>,
    /// Whether the glass is broken for the table.
    pub break_glass: Option<bool>,
    /// Whether the subject is told of what is held back.
    pub notice: Option<bool>,
    /// The row filter's text.
    pub filter: Option<String>,
    /// Levels by column; `*` is every column that is not named.
    pub columns: BTreeMap<String, Disclosure>,
}

/// How a test ended.
#[derive(Debug, Clone, PartialEq)]
pub struct TestResult {
    /// The test's name.
    pub name: String,
    /// Where it stands.
    pub position: Position,
    /// What was otherwise than expected; empty when it passed.
    pub failures: Vec<String>,
}

impl TestResult {
    /// Whether everything was as expected.
    pub fn passed(&self) -> bool {
        self.failures.is_empty()
    }

    /// A finding for each failure.
    pub fn findings(&self) -> Vec<Finding> {
        let finding =
            |f: &String| Finding::error("policy-test", self.position.clone(), format!("`{}`: {f}", self.name));
        self.failures.iter().map(finding).collect()
    }
}

/// What came of a set of test files.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outcome {
    /// One for each test, in order.
    pub results: Vec<TestResult>,
    /// What is wrong with the files themselves.
    pub findings: Vec<Finding>,
}

impl Outcome {
    /// Everything to tell the authors.
    pub fn all_findings(&self) -> Vec<Finding> {
        self.findings.iter().cloned().chain(self.results.iter().flat_map(TestResult::findings)).collect()
    }
}

/// Runs the tests of all files. `principals` are the users of `users.yaml`.
pub fn run(snapshot: &PolicySnapshot, principals: &BTreeMap<String, Principal>, files: &[SourceFile]) -> Outcome {
    let mut outcome = Outcome::default();
    for source in files {
        let (tests, findings) = file::read(snapshot, principals, source);
        outcome.findings.extend(findings);
        outcome.results.extend(tests.iter().map(|test| run_one(snapshot, test)));
    }
    outcome
}

fn run_one(snapshot: &PolicySnapshot, test: &PolicyTest) -> TestResult {
    let mut failures = Vec::new();
    let (domain, name) = test.table.split_once('.').unwrap_or_default();
    match snapshot.catalogue().resolve(domain, name) {
        Some(table) => compare(&test.expected, &snapshot.decide(&test.subject, table), &mut failures),
        None => {
            use super::decision::TableAction::{Discover, Query};
            let may = |action| snapshot.may(&test.subject, action, &test.table).allowed;
            differ("discover", test.expected.discover, may(Discover), &mut failures);
            differ("query", test.expected.query, may(Query), &mut failures);
        }
    }
    TestResult { name: test.name.clone(), position: test.position.clone(), failures }
}

fn compare(expected: &Expected, decision: &TableDecision, failures: &mut Vec<String>) {
    if let Some(reason) = &decision.undecided {
        failures.push(format!("undecided: {reason}"));
        return;
    }
    differ("discover", expected.discover, decision.discover.allowed, failures);
    differ("query", expected.query, decision.query.allowed, failures);
    let broken = decision.break_glass.as_ref().is_some_and(|access| access.allowed);
    for (what, expected, got) in
        [("break_glass", expected.break_glass, broken), ("notice", expected.notice, decision.notice.allowed)]
    {
        differ(what, expected.unwrap_or(got), got, failures);
    }
    let at_least = decision.aggregation.as_ref().map_or(0, |limit| limit.at_least);
    if let Some(expected) = expected.aggregates.filter(|expected| *expected != at_least) {
        failures.push(format!("expected aggregates of {expected} or more, got {at_least}"));
    }
    if let Some(filter) = &expected.filter {
        let got = decision.filter.text();
        if normal(filter) != normal(&got) {
            failures.push(format!("expected filter `{filter}`, got `{got}`"));
        }
    }
    for column in &decision.columns {
        let wanted = expected.columns.get(&column.name).or_else(|| expected.columns.get("*"));
        if let Some(wanted) = wanted.filter(|wanted| **wanted != column.disclosure) {
            failures.push(format!("column `{}`: expected {wanted}, got {}", column.name, because(column)));
        }
    }
}

fn differ(what: &str, expected: bool, got: bool, failures: &mut Vec<String>) {
    if expected != got {
        failures.push(format!("expected {what} to be {expected}, got {got}"));
    }
}

/// Line breaks and repeated blanks of folded YAML mean nothing.
fn normal(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn because(column: &ColumnDecision) -> String {
    let mut reasons = Vec::new();
    if !column.policies.is_empty() {
        reasons.push(format!("granted by {}", column.policies.join(", ")));
    }
    if !column.forbidden_by.is_empty() {
        reasons.push(format!("more forbidden by {}", column.forbidden_by.join(", ")));
    }
    if let Some(masking) = column.contract_masking {
        reasons.push(format!("the contract shows at most {masking}"));
    }
    if reasons.is_empty() {
        return column.disclosure.to_string();
    }
    format!("{} ({})", column.disclosure, reasons.join("; "))
}
