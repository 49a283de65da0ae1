//! What is said beside the rows: proposals, lists of columns, sizes, literals in records.
//!
//! CVE-2019-10130's kin in error texts; "did you mean" is a catalogue for whoever can read it.

use portcullis_audit::{Order, Query, search};

use crate::support::{self, block_on, open, rows, session};

#[test]
fn proposals_and_lists_name_only_what_may_be_discovered() {
    let gateway = support::gateway();
    for (user, sql) in [
        ("ana", "SELECT * FROM system.acces_log"),
        ("ana", "SELECT * FROM system.access_logs"),
        ("ana", "SELECT * FROM sistem.access_log"),
        ("ana", "SELECT x.nothing FROM orders.order_events x"),
        ("ana", "SELECT secretfunction(1)"),
        ("ana", "SELECT acces_log.* FROM orders.order_events"),
    ] {
        let session = session(&gateway, user, None);
        let error = block_on(rows(&gateway, &session, sql)).unwrap_err().to_string();
        let own = sql.contains("access_log");
        assert!(own || !error.contains("access_log"), "{sql}: {error}");
        for hidden in ["_row_id", "statement", "principal", "findings", "mask_", "policies"] {
            assert!(!error.contains(hidden), "{sql}: {error}");
        }
    }
}

/// A column that is denied does not exist: not in errors, not in `*`, not in any catalogue, not by its name.
#[test]
fn a_denied_column_is_nowhere() {
    let mesh = support::copy_of_mesh();
    let policies = mesh.path().join("policies/stop.cedar");
    let deny = "@id(\"stop\") forbid (principal, action, resource == Column::\"orders.order_events.coupon\");";
    std::fs::write(policies, deny).unwrap();
    let gateway = block_on(open(mesh.path())).unwrap_or_else(|error| panic!("{error}: {:#?}", error.findings));
    let ana = session(&gateway, "ana", None);
    let ask = |sql: &str| match block_on(rows(&gateway, &ana, sql)) {
        Ok((schema, batches)) => Ok(format!("{schema:?} {batches:?}")),
        Err(error) => Err(error.to_string()),
    };
    for sql in [
        "SELECT * FROM orders.order_events LIMIT 3",
        "DESCRIBE orders.order_events",
        "SHOW COLUMNS FROM orders.order_events",
        "SELECT * FROM information_schema.columns WHERE table_name = 'order_events'",
        "SELECT * FROM system.columns WHERE \"table\" = 'order_events'",
        "EXPLAIN SELECT * FROM orders.order_events",
    ] {
        match ask(sql) {
            Ok(text) => assert!(!text.contains("coupon"), "{sql}: {text}"),
            Err(error) => assert!(sql.contains("system.columns") && !error.contains("coupon"), "{sql}: {error}"),
        }
    }
    for sql in [
        "SELECT coupon FROM orders.order_events",
        "SELECT count(*) FROM orders.order_events WHERE coupon IS NULL",
        "SELECT 1 FROM orders.order_events ORDER BY coupon",
        "SELECT o.region FROM orders.order_events o JOIN orders.order_events p USING (coupon)",
        "SELECT count(*) FROM orders.order_events GROUP BY coupon",
    ] {
        let error = ask(sql).unwrap_err();
        let (_, others) = error.split_once("there are").unwrap_or(("", &error));
        assert!(!others.contains("order_events.coupon"), "{sql}: {error}");
        let missing = sql.replace("coupon", "kupong");
        assert_eq!(ask(&missing).unwrap_err().replace("kupong", "coupon"), error, "as if it were not there: {sql}");
    }
    block_on(gateway.shutdown());
}

/// Literals are values too: the journal keeps statements without them, whatever became of the statement.
#[test]
fn literals_of_statements_are_in_no_record() {
    let mesh = support::copy_of_mesh();
    let gateway = block_on(open(mesh.path())).unwrap();
    let ana = session(&gateway, "ana", None);
    for sql in [
        "SELECT order_id FROM orders.order_events WHERE customer_id = 'sEcReT'",
        "SELECT 'sEcReT' AS x FROM nowhere.nothing",
        "SELECT order_id FROM orders.order_events WHERE customer_id = 'sEcReT",
        "SELECT CAST('sEcReT' AS INT)",
        "SELECT order_id FROM orders.order_events WHERE customer_id LIKE '%sEcReT%' ESCAPE '\\'",
        "SELECT X'73456352655420', E'sEcReT', N'sEcReT', $$sEcReT$$",
        "SELECT INTERVAL 'sEcReT', TIMESTAMP 'sEcReT'",
        "SELECT order_id -- sEcReT\n FROM orders.order_events LIMIT 1",
        "SELECT /* sEcReT */ 1",
        "SET purpose = 'sEcReT'",
        "SHOW TABLES LIKE 'sEcReT'",
        "INSERT INTO t VALUES ('sEcReT')",
        "SELECT ['sEcReT'], {'sEcReT': 'sEcReT'}",
    ] {
        let _ = block_on(rows(&gateway, &ana, sql));
    }
    block_on(gateway.shutdown());
    let query = Query { order: Order::OldestFirst, ..Query::default() };
    let entries: Vec<_> = search(&mesh.path().join(".portcullis/audit"), &query).unwrap().map(Result::unwrap).collect();
    assert_eq!(entries.len(), 13);
    let text = format!("{entries:?}");
    assert!(!text.contains("sEcReT") && !text.contains("73456352"), "{text}");
}
