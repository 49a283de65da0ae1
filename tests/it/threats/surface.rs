//! The surface of SQL: names that mean something else than they seem, statements that write or define, files as tables.
//!
//! DataFusion's own session takes `COPY … TO`, `CREATE EXTERNAL TABLE` and `SELECT * FROM 'file.parquet'`; CVE-2024-10977
//! and its kin in other databases came from names that a planner resolved for the wrong principal; CVE-2023-2455 from
//! names that resolved in an inner query.

use std::collections::BTreeSet;

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use portcullis_gateway::ErrorKind;

use crate::support::{self, block_on, rows, session};

/// All texts of all columns.
fn texts(batches: &[RecordBatch]) -> BTreeSet<String> {
    let of = |column: &arrow::array::ArrayRef| {
        let text = cast(column, &DataType::Utf8).unwrap();
        text.as_string::<i32>().iter().flatten().map(str::to_owned).collect::<Vec<_>>()
    };
    batches.iter().flat_map(|batch| batch.columns().iter().flat_map(of)).collect()
}

fn ask(user: &str, purpose: Option<&str>, sql: &str) -> BTreeSet<String> {
    let gateway = support::gateway();
    let session = session(&gateway, user, purpose);
    texts(&block_on(rows(&gateway, &session, sql)).unwrap_or_else(|error| panic!("{user}: {sql}: {error}")).1)
}

/// What ana may see of customers, in any form, and what she may not.
struct Known {
    seen: BTreeSet<String>,
    hidden: BTreeSet<String>,
}

fn known() -> Known {
    let sql = "SELECT DISTINCT customer_id FROM orders.order_events";
    let seen = ask("ana", None, sql);
    let clear = ask("frida", Some("fraud"), sql);
    let others = ask("frida", None, "SELECT DISTINCT customer_id FROM orders.order_events WHERE region <> 'EU'");
    let hidden = &(&clear | &others) - &seen;
    assert!(seen.len() > 10 && hidden.len() > 50);
    Known { seen, hidden }
}

/// One column of customers by every road there is.
const ROADS: [&str; 26] = [
    "SELECT customer_id FROM orders.order_events",
    "SELECT customer_id FROM mesh.orders.order_events",
    "SELECT \"customer_id\" FROM \"mesh\".\"orders\".\"order_events\"",
    "SELECT Customer_ID FROM Orders.Order_Events",
    "SELECT o.customer_id FROM orders.order_events AS o, orders.order_events AS p WHERE o.order_id = p.order_id",
    "WITH order_events AS (SELECT customer_id FROM orders.order_events) SELECT * FROM order_events",
    "WITH x AS (SELECT * FROM orders.order_events), y AS (SELECT * FROM x) SELECT y.customer_id FROM y, x LIMIT 500",
    "WITH RECURSIVE r AS (SELECT customer_id FROM orders.order_events UNION SELECT customer_id FROM r) SELECT * FROM r",
    "SELECT customer_id FROM orders.order_events UNION ALL SELECT customer_id FROM orders.order_events",
    "SELECT customer_id FROM orders.order_events INTERSECT SELECT customer_id FROM orders.order_events",
    "SELECT customer_id FROM orders.order_events EXCEPT SELECT 'x'",
    "SELECT (SELECT max(i.customer_id) FROM orders.order_events i WHERE i.order_id = o.order_id) FROM orders.order_events o",
    "SELECT customer_id FROM orders.order_events o WHERE EXISTS (SELECT 1 FROM orders.order_events i WHERE i.customer_id \
     = o.customer_id)",
    "SELECT x.c FROM orders.order_events o, LATERAL (SELECT i.customer_id AS c FROM orders.order_events i WHERE \
     i.order_id = o.order_id) x",
    "SELECT customer_id FROM orders.order_events GROUP BY GROUPING SETS ((customer_id), ())",
    "SELECT customer_id FROM orders.order_events GROUP BY ROLLUP (customer_id, region)",
    "SELECT customer_id FROM orders.order_events GROUP BY CUBE (customer_id)",
    "SELECT first_value(customer_id) OVER (PARTITION BY order_id ORDER BY event_ts) FROM orders.order_events",
    "SELECT lag(customer_id, 3) OVER (ORDER BY event_ts, order_id) FROM orders.order_events",
    "SELECT unnest(array_agg(customer_id)) FROM orders.order_events",
    "SELECT unnest([customer_id]) FROM orders.order_events",
    "SELECT (struct(customer_id))['c0'] FROM orders.order_events",
    "SELECT DISTINCT ON (order_id) customer_id FROM orders.order_events ORDER BY order_id, event_ts",
    "SELECT customer_id FROM (VALUES (1)) v(n) CROSS JOIN orders.order_events",
    "SELECT max(customer_id) FILTER (WHERE quantity > 1) FROM orders.order_events GROUP BY order_id",
    "SELECT coalesce(nullif(customer_id, ''), customer_id) FROM orders.order_events QUALIFY row_number() OVER (ORDER BY \
     order_id) > 0",
];

#[test]
fn every_road_leads_to_what_may_be_seen() {
    let known = known();
    for sql in ROADS {
        let found = ask("ana", None, sql);
        assert!(!found.is_empty(), "{sql}");
        let more: Vec<_> = found.difference(&known.seen).collect();
        assert!(more.is_empty(), "{sql}: {more:?}");
    }
}

/// Every entry path gives the same rows (StarRocks#78175): described and run, prepared, by ticket, over the wire or not.
#[test]
fn every_entry_gives_the_same_rows() {
    let known = known();
    let sql = "SELECT DISTINCT customer_id FROM orders.order_events";
    block_on(async {
        let served = support::served();
        let mut ana = crate::flight::login(served, "ana").await;
        let by_query = texts(&crate::flight::query(&mut ana, sql).await);
        let mut prepared = ana.prepare(sql.to_owned(), None).await.unwrap();
        let info = prepared.execute().await.unwrap();
        let by_prepared = texts(&crate::flight::fetch(&mut ana, info).await.1);
        assert_eq!(by_query, known.seen);
        assert_eq!(by_prepared, known.seen);
    });
}

#[test]
fn a_name_in_a_subquery_finds_nothing_more() {
    let known = known();
    // `phone` is no column of the inner table: it is looked for outside, and must be the masked one there.
    let outer = "SELECT phone FROM customers.customer_profiles c WHERE EXISTS (SELECT 1 FROM inventory.product_catalog \
                 WHERE phone LIKE '****%')";
    let shown = ask("ana", None, "SELECT phone FROM customers.customer_profiles WHERE phone LIKE '****%'");
    assert_eq!(ask("ana", None, outer), shown);
    let correlated = "SELECT (SELECT max(o.customer_id) FROM orders.order_events o WHERE o.customer_id = c.customer_id) FROM \
                      customers.customer_profiles c";
    assert!(ask("ana", None, correlated).is_disjoint(&known.hidden));
    let gateway = support::gateway();
    let ana = session(&gateway, "ana", None);
    for sql in [
        "SELECT 1 FROM orders.order_events WHERE order_id IN (SELECT phone FROM orders.customer_orders_v1)",
        "SELECT order_id FROM orders.order_events WHERE EXISTS (SELECT 1 FROM system.access_log)",
        "WITH access_log AS (SELECT * FROM system.access_log) SELECT 1",
        "WITH x AS (SELECT * FROM y), y AS (SELECT * FROM orders.order_events) SELECT * FROM x",
        "SELECT * FROM \"ORDERS\".\"ORDER_EVENTS\"",
        "SELECT * FROM orders.\"order_events \"",
        "SELECT * FROM \"orders.order_events\"",
        "SELECT * FROM lake.orders.order_events",
    ] {
        let error = block_on(rows(&gateway, &ana, sql)).unwrap_err();
        assert!(matches!(error.kind, ErrorKind::NotFound | ErrorKind::InvalidArgument), "{sql}: {error}");
    }
}

/// A name that a query gives itself hides the table for that query, and never opens one.
#[test]
fn a_cte_that_is_named_like_a_table_is_no_table() {
    let own =
        ask("ana", None, "WITH order_events AS (SELECT 'mine' AS customer_id) SELECT customer_id FROM order_events");
    assert_eq!(own, BTreeSet::from(["mine".to_owned()]));
    let both = "WITH order_events AS (SELECT 'mine' AS customer_id) SELECT customer_id FROM orders.order_events";
    assert_eq!(ask("ana", None, both), known().seen, "a qualified name is the table");
}

#[test]
fn files_are_no_tables_and_nothing_is_written() {
    let gateway = support::gateway();
    let lake = support::mesh().join(portcullis::demo::lake::LAKE);
    let mut files = Vec::new();
    parquet_files(&lake, &mut files);
    let file = files.first().unwrap().display().to_string();
    let before = files.len();
    let target = support::mesh().join("stolen.parquet");
    for user in ["ana", "dev", "frida", "petra"] {
        let session = session(&gateway, user, None);
        for sql in [
            format!("SELECT * FROM '{file}'"),
            format!("SELECT * FROM \"{file}\""),
            format!("SELECT * FROM 'file://{file}'"),
            "SELECT * FROM 's3://bucket/key.parquet'".to_owned(),
            "SELECT * FROM 'https://example.com/data.csv'".to_owned(),
            format!("SELECT * FROM read_parquet('{file}')"),
            format!("SELECT * FROM parquet_metadata('{file}')"),
            format!("SELECT * FROM orders.order_events JOIN '{file}' f ON true"),
            format!("WITH x AS (SELECT * FROM '{file}') SELECT * FROM x"),
            format!("SELECT (SELECT count(*) FROM '{file}')"),
            format!("COPY orders.order_events TO '{}'", target.display()),
            format!("COPY (SELECT * FROM orders.order_events) TO '{}' STORED AS PARQUET", target.display()),
            format!("CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION '{file}'"),
            "CREATE TABLE t AS SELECT * FROM orders.order_events".to_owned(),
            "CREATE VIEW v AS SELECT * FROM orders.order_events".to_owned(),
            "INSERT INTO orders.order_events SELECT * FROM orders.order_events".to_owned(),
            "SELECT * INTO t FROM orders.order_events".to_owned(),
            "SET datafusion.catalog.information_schema = true".to_owned(),
            "SHOW datafusion.execution.batch_size".to_owned(),
            "EXPLAIN ANALYZE COPY orders.order_events TO 'x'".to_owned(),
        ] {
            let error = block_on(rows(&gateway, &session, &sql)).unwrap_err();
            let refused = [ErrorKind::Unimplemented, ErrorKind::InvalidArgument, ErrorKind::NotFound];
            assert!(refused.contains(&error.kind), "{user}: {sql}: {} {error}", error.kind);
        }
    }
    assert!(!target.exists());
    files.clear();
    parquet_files(&lake, &mut files);
    assert_eq!(files.len(), before);
}

fn parquet_files(directory: &std::path::Path, files: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            parquet_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "parquet") {
            files.push(path);
        }
    }
}
