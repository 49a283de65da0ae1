//! What the kinds of policy in tests/meshes/kinds do beyond SQL: policy tests, notices, the journal.

use futures::TryStreamExt;
use portcullis_gateway::Session;

use crate::support::{self, block_on, gateway_of, rows, session};

#[test]
fn the_policy_tests_pass() {
    gateway_of("kinds");
    let outcome = portcullis_gateway::policy_tests(&support::mesh().join("meshes/kinds"));
    assert_eq!(outcome.findings, []);
    assert_eq!((outcome.passed(), outcome.failed()), (10, 0));
}

fn notices(session: &Session, sql: &str) -> Vec<String> {
    let gateway = gateway_of("kinds");
    let stream = block_on(gateway.query(session, sql, None)).unwrap();
    let notices = stream.notices().to_vec();
    let described = block_on(gateway.describe(session, sql, None)).unwrap();
    assert_eq!(described.notices, notices, "{sql}");
    block_on(stream.try_collect::<Vec<_>>()).unwrap();
    notices
}

#[test]
fn notices_say_what_is_held_back_where_a_policy_lets_them() {
    let gateway = gateway_of("kinds");
    let bea = session(&gateway, "bea", None);
    let rows_left_out = "claims.accounts: rows that you may not see are left out";
    assert_eq!(
        notices(&bea, "SELECT customer_id, email FROM claims.accounts"),
        [rows_left_out, "claims.accounts: columns are masked: customer_id (hash), email (redact)"]
    );
    assert_eq!(notices(&bea, "SELECT region FROM claims.accounts"), [rows_left_out]);
    assert!(notices(&bea, "SELECT count(*) FROM research.customers").is_empty(), "filtered, and no policy tells so");
    assert!(notices(&session(&gateway, "rita", None), "SELECT email FROM claims.accounts").is_empty());
    block_on(gateway.set_option(&bea, "break_glass", Some("it's an emergency"))).unwrap();
    assert_eq!(
        notices(&bea, "SELECT email FROM claims.accounts"),
        ["claims.accounts: the glass is broken, and what you do is recorded with your reason"]
    );
}

#[test]
fn a_broken_glass_mends_itself_and_is_in_the_journal() {
    gateway_of("kinds");
    let directory = tempfile::tempdir().unwrap();
    support::copy(&support::mesh().join("meshes/kinds"), directory.path());
    let config = directory.path().join("portcullis.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text + "\n[identity]\nbreak_glass = \"1500ms\"\n").unwrap();
    let gateway = block_on(support::open(directory.path())).unwrap();
    let bea = session(&gateway, "bea", None);
    let regions = || {
        let sql = "SELECT count(DISTINCT region) AS n FROM claims.accounts";
        let (_, batches) = block_on(rows(&gateway, &bea, sql)).unwrap();
        arrow::util::pretty::pretty_format_batches(&batches).unwrap().to_string()
    };
    let before = regions();
    let began = std::time::Instant::now();
    block_on(gateway.set_option(&bea, "break_glass", Some("the payment system is down"))).unwrap();
    let broken = regions();
    if began.elapsed() < std::time::Duration::from_millis(1500) {
        assert_ne!(broken, before);
    }
    std::thread::sleep(std::time::Duration::from_millis(1600));
    assert_eq!(regions(), before);
    block_on(gateway.shutdown());
    let query = portcullis_audit::Query { order: portcullis_audit::Order::OldestFirst, ..Default::default() };
    let entries: Vec<_> = portcullis_audit::search(&directory.path().join(".portcullis/audit"), &query)
        .unwrap()
        .map(Result::unwrap)
        .filter(|entry| entry.begin.principal == "bea")
        .collect();
    let reason = Some("the payment system is down".to_owned());
    let told: Vec<_> = entries.iter().rev().take(4).rev().map(|entry| entry.begin.break_glass.clone()).collect();
    assert_eq!(told[0], None);
    assert_eq!(told[1], reason, "the setting itself");
    assert_eq!(told[3], None);
    for entry in &entries {
        assert!(entry.begin.tables.iter().all(|table| table.break_glass == entry.begin.break_glass.is_some()));
        assert!(!entry.begin.statement.contains("payment system"), "{}", entry.begin.statement);
    }
}
