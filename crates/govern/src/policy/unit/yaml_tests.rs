use super::*;
use crate::policy::tests::{Outcome, run};

fn run_text(text: &str) -> Outcome {
    let snapshot = compile(&(QUERY.to_owned() + &row_policy("p", "permit", "true")));
    let users = BTreeMap::from([("ana".to_owned(), ana().principal)]);
    run(&snapshot, &users, &[SourceFile::new("policies/tests/t.yaml", text)])
}

fn check(test: &str, expected: &str) {
    let outcome = run_text(&format!("tests:\n  - {}", test.replace('\n', "\n    ")));
    assert_eq!(lines(&outcome.all_findings()), expected);
}

#[test]
fn a_system_table() {
    check("name: t\nas: ana\ntable: system.products\nexpect: {query: true}", "");
    check(
        "name: t\nas: {groups: [fraud]}\ntable: system.products\nexpect: {query: false}",
        "policies/tests/t.yaml:2:5: error[policy-test]: `t`: query: expected `false`, got `true` (decided by q)",
    );
}

#[test]
fn mistakes_in_tests_are_findings() {
    for (test, expected) in [
        ("name: t\nas: anna\ntable: system.products\nexpect: {}", "there is no user `anna`"),
        (
            "name: t\nas: {groups: [x]}\ntable: system.products\nexpect: {}",
            "group `x` is not in policies/vocabulary.yaml",
        ),
        ("name: t\nas: ana\ntable: shop.order\nexpect: {}", "there is no table `shop.order`"),
        ("name: t\nas: ana\npurpose: fun\ntable: system.products\nexpect: {}", "unknown `purpose`: `fun`"),
        ("name: t\nas: ana\nnow: soon\ntable: system.products\nexpect: {}", "`now` must be an instant"),
        ("name: t\nas: ana\nclient: here\ntable: system.products\nexpect: {}", "`client` must be an IP address"),
        ("name: t\nas: ana\ntable: system.products\nexpect: {columns: {a: hidden}}", "unknown `a`: `hidden`"),
        ("name: t\nas: ana\ntable: system.products\nexcept: {}", "unknown key `except` in test"),
        ("as: ana\ntable: system.products\nexpect: {}", "no `name`"),
    ] {
        let outcome = run_text(&format!("tests:\n  - {}", test.replace('\n', "\n    ")));
        let text = lines(&outcome.findings);
        assert!(text.contains(expected), "for {test}\nexpected {expected}\ngot {text}");
        assert_eq!(outcome.results, [], "a test with a mistake does not run");
    }
}
