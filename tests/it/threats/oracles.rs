//! Errors and statistics that answer questions about hidden rows.
//!
//! Errors: cockroach#146952, materialize#38562, ClickHouse#112847, trino#29465 (a predicate of the user's that fails runs
//! before the policy). Statistics: CVE-2017-7484 and CVE-2019-10130 (PostgreSQL's planner statistics past row security),
//! CVE-2025-8713, trino#24102.

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Decimal128Type, Int64Type};

use crate::support::{self, block_on, rows, session};

fn ask(user: &str, sql: &str) -> Result<Vec<RecordBatch>, String> {
    let gateway = support::gateway();
    let session = session(&gateway, user, None);
    block_on(rows(&gateway, &session, sql)).map(|(_, batches)| batches).map_err(|error| error.to_string())
}

fn number(user: &str, sql: &str) -> i64 {
    ask(user, sql).unwrap()[0].column(0).as_primitive::<Int64Type>().value(0)
}

/// Amounts by what ana may see of them, as text: one that only hidden rows have, one that visible rows have, one that
/// no row has.
fn amounts() -> [String; 3] {
    let amount = |user: &str, sql: &str| {
        let rows = ask(user, sql).unwrap();
        rows[0].column(0).as_primitive::<Decimal128Type>().value_as_string(0)
    };
    let hidden = amount(
        "frida",
        "SELECT amount FROM orders.order_events WHERE region = 'US' AND amount NOT IN (SELECT amount FROM \
         orders.order_events WHERE region = 'EU') ORDER BY order_id LIMIT 1",
    );
    let visible = amount("ana", "SELECT max(amount) FROM orders.order_events");
    [hidden, visible, "987654.32".to_owned()]
}

/// Where a failing expression may stand; `{}` fails for rows of the wanted amount only.
const POSITIONS: [&str; 14] = [
    "SELECT count({}) FROM orders.order_events",
    "SELECT count(*) FROM orders.order_events WHERE {} IS NOT NULL",
    "SELECT count(*) FROM orders.order_events WHERE quantity > 0 AND {} > -1",
    "SELECT count(*) FROM orders.order_events o JOIN orders.order_events p ON o.order_id = p.order_id AND {o} > -1",
    "SELECT count(*) FROM orders.order_events o LEFT JOIN orders.customer_orders_v1 p ON {o} = 7",
    "SELECT sum(CASE WHEN {} > 0 THEN 1 ELSE 0 END) FROM orders.order_events",
    "SELECT count(*) FILTER (WHERE {} > 0) FROM orders.order_events",
    "SELECT region FROM orders.order_events GROUP BY region HAVING max({}) > -1",
    "SELECT count(*) FROM (SELECT order_id FROM orders.order_events ORDER BY {} LIMIT 5)",
    "SELECT count(*) FROM (SELECT DISTINCT {} AS x FROM orders.order_events)",
    "SELECT max(x) FROM (SELECT sum({}) OVER (PARTITION BY region) AS x FROM orders.order_events)",
    "SELECT max(x) FROM (SELECT {} AS x FROM orders.order_events UNION ALL SELECT 1)",
    "SELECT count(*) FROM orders.order_events o WHERE EXISTS (SELECT 1 FROM orders.order_events p WHERE p.order_id = \
     o.order_id AND {p} > -1)",
    "SELECT count(*) FROM orders.order_events WHERE region = 'US' OR {} > 0",
];

#[test]
fn an_error_tells_of_visible_rows_only() {
    let [hidden, visible, nowhere] = amounts();
    for position in POSITIONS {
        let probe = |amount: &str| {
            let of = |table: &str| format!("1 / CAST({table}amount - {amount} AS DECIMAL(12,2))");
            let sql = position.replace("{}", &of("")).replace("{o}", &of("o.")).replace("{p}", &of("p."));
            ask("ana", &sql).map(|_| ())
        };
        assert_eq!(
            probe(&hidden),
            probe(&nowhere),
            "an amount of hidden rows is like one that is not there: {position}"
        );
        assert!(probe(&nowhere).is_ok(), "{position}");
        // It does fail where it may: otherwise this proves nothing.
        let error = probe(&visible).expect_err(position);
        assert_eq!(error, "the query failed while it ran: division by zero", "{position}");
    }
}

#[test]
fn counts_and_bounds_are_those_of_visible_rows() {
    for (short, long) in [
        ("count(*)", "sum(1)"),
        ("count(amount)", "sum(CASE WHEN amount IS NOT NULL THEN 1 END)"),
        ("CAST(min(amount) * 100 AS BIGINT)", "CAST(min(amount + 0) * 100 AS BIGINT)"),
        ("CAST(max(amount) * 100 AS BIGINT)", "CAST(max(amount + 0) * 100 AS BIGINT)"),
        ("count(DISTINCT region)", "count(DISTINCT upper(region))"),
        ("approx_distinct(region)::bigint", "approx_distinct(upper(region))::bigint"),
        (
            "CAST(to_unixtime(max(event_ts)) AS BIGINT)",
            "CAST(to_unixtime(max(event_ts + INTERVAL '0 days')) AS BIGINT)",
        ),
    ] {
        for user in ["ana", "dev"] {
            let of = |expr: &str| number(user, &format!("SELECT {expr} FROM orders.order_events"));
            assert_eq!(of(short), of(long), "{user}: {short}");
        }
    }
    assert!(number("ana", "SELECT count(*) FROM orders.order_events") < i64::try_from(support::EVENTS).unwrap());
    assert_eq!(number("ana", "SELECT count(*) FROM orders.order_events WHERE region = 'US'"), 0);
    assert_eq!(number("ana", "SELECT count(*) FROM orders.order_events WHERE region <> 'EU' OR region IS NULL"), 0);
}

#[test]
fn metadata_tables_of_files_and_snapshots_are_not_there() {
    for name in ["order_events$files", "order_events$snapshots", "order_events$partitions", "order_events$manifests"] {
        for sql in [format!("SELECT * FROM orders.\"{name}\""), format!("DESCRIBE orders.\"{name}\"")] {
            let error = ask("frida", &sql).unwrap_err();
            assert!(error.contains("not found"), "{sql}: {error}");
        }
    }
    for column in ["_file", "_pos", "_row_id", "_partition", "_metadata", "file_path", "ctid", "rowid"] {
        let error = ask("frida", &format!("SELECT {column} FROM orders.order_events")).unwrap_err();
        assert!(error.starts_with(&format!("column `{column}` not found")), "{error}");
    }
}
