//! What the kinds of policy in tests/meshes/kinds do beyond SQL: policy tests, notices, the journal.

use futures::TryStreamExt;
use portcullis_gateway::{Effect, PolicySet, Session};

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

/// Where a row is put by the hash of its key, the order of rows tells of the key.
#[test]
fn what_can_only_be_matched_is_not_put_where_its_hash_says() {
    const SQL: &str = "EXPLAIN SELECT c.country, count(*) FROM research.customers c JOIN research.events e \
                       ON c.customer_id = e.customer_id GROUP BY c.country";
    gateway_of("kinds");
    let directory = tempfile::tempdir().unwrap();
    support::copy(&support::mesh().join("meshes/kinds"), directory.path());
    let config = directory.path().join("portcullis.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text + "\n[limits]\npartitions = 4\n").unwrap();
    let gateway = block_on(support::open(directory.path())).unwrap();
    let plan = |user: &str| {
        let (_, batches) = block_on(rows(&gateway, &session(&gateway, user, None), SQL)).unwrap();
        arrow::util::pretty::pretty_format_batches(&batches).unwrap().to_string()
    };
    assert!(plan("sam").contains("RepartitionExec"), "{}", plan("sam"));
    assert!(!plan("rita").contains("RepartitionExec"), "{}", plan("rita"));
    block_on(gateway.shutdown());
}

/// What policies about aggregates and broken glass would change, said of the people and of the statements that there were.
#[test]
fn reviews_know_aggregates_and_broken_glass() {
    gateway_of("kinds");
    let directory = tempfile::tempdir().unwrap();
    let mesh = directory.path();
    support::copy(&support::mesh().join("meshes/kinds"), mesh);
    let gateway = block_on(support::open(mesh)).unwrap();
    let (bea, stan) = (session(&gateway, "bea", None), session(&gateway, "stan", None));
    block_on(gateway.set_option(&bea, "break_glass", Some("the payment system is down"))).unwrap();
    block_on(rows(&gateway, &bea, "SELECT customer_id FROM claims.accounts")).unwrap();
    block_on(rows(&gateway, &stan, "SELECT region, count(*) FROM sales.orders GROUP BY region")).unwrap();
    block_on(gateway.shutdown());

    let proposal = |name: &str, file: &str, from: &str, to: &str| {
        support::copy(&mesh.join("policies"), &mesh.join(name));
        let path = mesh.join(name).join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from));
        std::fs::write(path, text.replace(from, to)).unwrap();
        PolicySet::in_mesh(mesh, &mesh.join(name))
    };
    let (glass, aggregate) = ("Action::\"breakGlass\"", "Action::\"aggregateOnly\"");
    let unbroken = proposal("unbroken", "emergency.cedar", glass, "Action::\"viewNotice\"");
    let read = proposal("read", "sales.cedar", aggregate, "Action::\"query\"");
    let none = proposal("none", "sales.cedar", &format!(", {aggregate}"), "");
    let today = PolicySet::of_mesh(mesh);

    let said = |set: &PolicySet, of: &str| -> Vec<String> {
        let changes = portcullis_gateway::policy_diff(&today, set).unwrap();
        let of_table = changes.into_iter().filter(|change| change.table == of);
        of_table.map(|c| format!("{} {}: {} → {}, {}", c.direction, c.what, c.old, c.new, c.who.join(", "))).collect()
    };
    let accounts = said(&unbroken, "claims.accounts");
    let broken = "tightened break the glass: yes → no, bea with broken glass, group oncall with broken glass";
    assert!(accounts.contains(&broken.to_owned()), "{accounts:#?}");
    assert!(accounts.iter().any(|line| line.starts_with("tightened rows: all rows → region = 'EU'")), "{accounts:#?}");
    let orders = said(&read, "sales.orders");
    let loosened =
        |line: &String| line.starts_with("loosened query: ") && line.contains("25") && line.contains("→ yes, group");
    assert!(orders.iter().any(loosened), "{orders:#?}");
    let orders = said(&none, "sales.orders");
    assert!(orders.iter().any(|line| line.starts_with("tightened query: ") && line.contains("→ no")), "{orders:#?}");

    let tried = |set: &PolicySet, who: &str| {
        let simulated = portcullis_gateway::simulate(set, &portcullis_audit::Query::default()).unwrap();
        let newest = simulated.statements.into_iter().find(|considered| considered.principal == who).unwrap();
        (newest.effect, newest.details.join("; "))
    };
    let (effect, details) = tried(&unbroken, "bea");
    assert_eq!(effect, Effect::Different, "{details}");
    assert!(details.contains("customer_id") && details.contains("region = 'EU'"), "{details}");
    assert_eq!(tried(&unbroken, "stan").0, Effect::Same);
    assert_eq!(tried(&none, "stan").0, Effect::Refused);
    // A policy that opens what no policy lets anybody break.
    let findings = portcullis_gateway::policy_check(mesh).unwrap();
    assert_eq!(
        findings.iter().map(ToString::to_string).filter(|f| f.contains("emergency")).collect::<Vec<_>>(),
        [""; 0]
    );
    support::copy(&mesh.join("unbroken"), &mesh.join("policies"));
    let findings: Vec<String> =
        portcullis_gateway::policy_check(mesh).unwrap().iter().map(ToString::to_string).collect();
    for idle in ["emergency-rows", "emergency-clear"] {
        assert!(findings.iter().any(|f| f.contains("policy-idle") && f.contains(idle)), "{idle}: {findings:#?}");
    }
}
