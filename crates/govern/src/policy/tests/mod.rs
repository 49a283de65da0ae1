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
use std::fmt;

use portcullis_contract::{Finding, Position, SourceFile};

use super::decision::{Access, ColumnDecision, Disclosure, TableDecision};
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
    /// Who asks: the principal's id.
    pub principal: String,
    /// `domain.table`.
    pub table: String,
    /// What was otherwise than expected; empty when it passed.
    pub failures: Vec<Difference>,
}

/// Something that was otherwise than a test expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// `discover`, `query`, `filter`, a column, or the decision as a whole.
    pub what: String,
    /// What the test says.
    pub expected: String,
    /// What was decided.
    pub got: String,
    /// Which policies and contracts decided so; empty where there is nothing to add.
    pub because: String,
}

impl Difference {
    fn new(what: impl Into<String>, expected: impl ToString, got: impl ToString) -> Difference {
        let (expected, got) = (expected.to_string(), got.to_string());
        Difference { what: what.into(), expected, got, because: String::new() }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: expected `{}`, got `{}`", self.what, self.expected, self.got)?;
        if self.because.is_empty() { Ok(()) } else { write!(f, " ({})", self.because) }
    }
}

impl TestResult {
    /// Whether everything was as expected.
    pub fn passed(&self) -> bool {
        self.failures.is_empty()
    }

    /// A finding for each failure.
    pub fn findings(&self) -> Vec<Finding> {
        let finding =
            |f: &Difference| Finding::error("policy-test", self.position.clone(), format!("`{}`: {f}", self.name));
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
    use super::decision::TableAction::{Discover, Query};
    let (domain, name) = test.table.split_once('.').unwrap_or_default();
    let failures = match snapshot.catalogue().resolve(domain, name) {
        Some(table) => compare(&test.expected, &snapshot.decide(&test.subject, table)),
        None => {
            let may = |action| snapshot.may(&test.subject, action, &test.table);
            access(&test.expected, &may(Discover), &may(Query))
        }
    };
    TestResult {
        name: test.name.clone(),
        position: test.position.clone(),
        principal: test.subject.principal.id.clone(),
        table: test.table.clone(),
        failures,
    }
}

fn compare(expected: &Expected, decision: &TableDecision) -> Vec<Difference> {
    if let Some(reason) = &decision.undecided {
        return vec![Difference::new("decision", "one", format!("none: {reason}"))];
    }
    let mut failures = access(expected, &decision.discover, &decision.query);
    let broken = decision.break_glass.as_ref().is_some_and(|access| access.allowed);
    for (what, expected, got) in
        [("break_glass", expected.break_glass, broken), ("notice", expected.notice, decision.notice.allowed)]
    {
        let wanted = expected.filter(|expected| *expected != got);
        failures.extend(wanted.map(|wanted| Difference::new(what, wanted, got)));
    }
    let at_least = decision.aggregation.as_ref().map_or(0, |limit| limit.at_least);
    let wanted = expected.aggregates.filter(|wanted| *wanted != at_least);
    failures.extend(wanted.map(|wanted| Difference::new("aggregates", wanted, at_least)));
    if let Some(filter) = &expected.filter {
        let got = decision.filter.text();
        if normal(filter) != normal(&got) {
            let permits = by("permitted by", &decision.filter.permits);
            let because = [permits, by("held back by", &decision.filter.forbids)];
            failures.push(Difference { because: joined(because), ..Difference::new("filter", normal(filter), got) });
        }
    }
    for column in &decision.columns {
        let wanted = expected.columns.get(&column.name).or_else(|| expected.columns.get("*"));
        if let Some(wanted) = wanted.filter(|wanted| **wanted != column.disclosure) {
            let difference = Difference::new(format!("column `{}`", column.name), wanted, column.disclosure);
            failures.push(Difference { because: because(column), ..difference });
        }
    }
    failures
}

fn access(expected: &Expected, discover: &Access, query: &Access) -> Vec<Difference> {
    let both = [("discover", expected.discover, discover), ("query", expected.query, query)];
    let wrong = both.into_iter().filter(|(_, expected, got)| *expected != got.allowed);
    let difference = |(what, expected, got): (&str, bool, &Access)| Difference {
        because: by("decided by", &got.policies).unwrap_or_default(),
        ..Difference::new(what, expected, got.allowed)
    };
    wrong.map(difference).collect()
}

/// Line breaks and repeated blanks of folded YAML mean nothing.
fn normal(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn by(words: &str, policies: &[String]) -> Option<String> {
    (!policies.is_empty()).then(|| format!("{words} {}", policies.join(", ")))
}

fn joined(reasons: impl IntoIterator<Item = Option<String>>) -> String {
    reasons.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

fn because(column: &ColumnDecision) -> String {
    let ceiling = column.contract_masking.map(|masking| format!("the contract shows at most {masking}"));
    joined([by("granted by", &column.policies), by("more forbidden by", &column.forbidden_by), ceiling])
}
