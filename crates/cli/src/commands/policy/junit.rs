//! Policy tests as JUnit XML, which continuous integration shows.

use std::collections::BTreeMap;
use std::fmt::Write;

use portcullis_contract::Finding;
use portcullis_gateway::{PolicyTests, TestResult};

/// One suite for each file; a file that cannot be read as tests, or policies that do not compile, are errors.
pub fn report(tests: &PolicyTests) -> String {
    let mut suites: BTreeMap<&str, Suite<'_>> = BTreeMap::new();
    for test in &tests.results {
        suites.entry(&test.position.file).or_default().tests.push(test);
    }
    for finding in tests.findings.iter().filter(|finding| finding.is_error()) {
        suites.entry(&finding.position.file).or_default().errors.push(finding);
    }
    let all = suites.values().fold((0, 0, 0), |(tests, failures, errors), suite| {
        let (t, f, e) = suite.counts();
        (tests + t, failures + f, errors + e)
    });
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    xml.push_str(&format!("<testsuites name=\"portcullis policy test\"{}>\n", counts(all)));
    for (file, suite) in &suites {
        xml.push_str(&format!("  <testsuite name=\"{}\"{}>\n", escaped(file), counts(suite.counts())));
        suite.errors.iter().for_each(|finding| error(&mut xml, finding));
        suite.tests.iter().for_each(|test| case(&mut xml, test));
        xml.push_str("  </testsuite>\n");
    }
    xml.push_str("</testsuites>\n");
    xml
}

#[derive(Default)]
struct Suite<'a> {
    tests: Vec<&'a TestResult>,
    errors: Vec<&'a Finding>,
}

impl Suite<'_> {
    fn counts(&self) -> (usize, usize, usize) {
        let failed = self.tests.iter().filter(|test| !test.passed()).count();
        (self.tests.len() + self.errors.len(), failed, self.errors.len())
    }
}

fn counts((tests, failures, errors): (usize, usize, usize)) -> String {
    format!(" tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\"")
}

fn case(xml: &mut String, test: &TestResult) {
    let (file, line) = (escaped(&test.position.file), test.position.line);
    let class = escaped(&format!("{}.{}", test.table, test.principal));
    let open =
        format!("    <testcase classname=\"{class}\" name=\"{}\" file=\"{file}\" line=\"{line}\"", escaped(&test.name));
    if test.passed() {
        xml.push_str(&format!("{open}/>\n"));
        return;
    }
    let text: Vec<String> = test.failures.iter().map(ToString::to_string).collect();
    let first = escaped(text.first().map(String::as_str).unwrap_or_default());
    xml.push_str(&format!("{open}>\n      <failure type=\"policy-test\" message=\"{first}\">"));
    xml.push_str(&format!("{}</failure>\n    </testcase>\n", escaped(&text.join("\n"))));
}

fn error(xml: &mut String, finding: &Finding) {
    let (file, line) = (escaped(&finding.position.file), finding.position.line);
    let name = escaped(&format!("{} at line {line}", finding.code));
    xml.push_str(&format!("    <testcase classname=\"{file}\" name=\"{name}\" file=\"{file}\" line=\"{line}\">\n"));
    xml.push_str(&format!("      <error type=\"{}\" message=\"{}\"/>\n", finding.code, escaped(&finding.message)));
    xml.push_str("    </testcase>\n");
}

/// Text for elements and attributes; what XML cannot hold is written out.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\n' => safe.push_str("&#10;"),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => {
                write!(safe, "\\u{{{:x}}}", u32::from(c)).ok();
            }
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use portcullis_contract::Position;
    use portcullis_gateway::Difference;

    use super::*;

    #[test]
    fn every_case_is_counted_and_nothing_breaks_out_of_its_place() {
        let test = |name: &str, failures| TestResult {
            name: name.into(),
            position: Position::at("policies/tests/a.yaml", 3, 5),
            principal: "ana".into(),
            table: "orders.order_events".into(),
            failures,
        };
        let difference = Difference {
            what: "filter".into(),
            expected: "n < 1 AND s = '\"'".into(),
            got: "no rows".into(),
            because: "held back by x & y\u{1}".into(),
        };
        let tests = PolicyTests {
            results: vec![test("fine", vec![]), test("<wrong>", vec![difference])],
            findings: vec![
                Finding::error("policy-test-value", Position::at("policies/tests/b.yaml", 7, 1), "there is no user"),
                Finding::warning("policy-test-skipped", Position::file("policies/tests/b.yaml"), "skipped"),
            ],
        };
        assert_eq!(
            report(&tests),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <testsuites name=\"portcullis policy test\" tests=\"3\" failures=\"1\" errors=\"1\">\n  \
             <testsuite name=\"policies/tests/a.yaml\" tests=\"2\" failures=\"1\" errors=\"0\">\n    \
             <testcase classname=\"orders.order_events.ana\" name=\"fine\" file=\"policies/tests/a.yaml\" line=\"3\"/>\n    \
             <testcase classname=\"orders.order_events.ana\" name=\"&lt;wrong&gt;\" file=\"policies/tests/a.yaml\" \
             line=\"3\">\n      \
             <failure type=\"policy-test\" message=\"filter: expected `n &lt; 1 AND s = '&quot;'`, got `no rows` (held \
             back by x &amp; y\\u{1})\">filter: expected `n &lt; 1 AND s = '&quot;'`, got `no rows` (held back by x \
             &amp; y\\u{1})</failure>\n    </testcase>\n  </testsuite>\n  \
             <testsuite name=\"policies/tests/b.yaml\" tests=\"1\" failures=\"0\" errors=\"1\">\n    \
             <testcase classname=\"policies/tests/b.yaml\" name=\"policy-test-value at line 7\" \
             file=\"policies/tests/b.yaml\" line=\"7\">\n      \
             <error type=\"policy-test-value\" message=\"there is no user\"/>\n    </testcase>\n  </testsuite>\n\
             </testsuites>\n"
        );
    }
}
