//! Statements and plans that are used again: only for who asked for them, and only while all that they were made of is what it was.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::array::{ArrayRef, Int64Array, StringArray};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::parquet::arrow::ArrowWriter;
use portcullis_govern::CacheUse;
use serde_json::json;

use super::fixture::{CONTRACT, Fixture, POLICIES, config, fixture, fixture_with, users};
use crate::config::Span;
use crate::error::ErrorKind;

const ROWS: &str = "SELECT order_id, customer_id FROM orders.order_events ORDER BY order_id";

/// How often a plan was known, and how often not; and how many are known.
fn plans(f: &Fixture) -> (u64, u64, u64) {
    let CacheUse { hits, misses, entries, .. } = f.gateway.state().planner.plans();
    (hits, misses, entries)
}

async fn count(f: &Fixture, user: &str) -> String {
    f.text(&f.session(user), "SELECT count(*) AS n FROM orders.order_events").await
}

#[tokio::test]
async fn what_was_described_is_known_when_it_runs_and_when_it_is_asked_again() {
    let f = fixture().await;
    let ana = f.session("ana");
    let described = f.gateway.describe(&ana, ROWS, None).await.unwrap();
    assert_eq!(plans(&f), (0, 1, 1));
    let first = f.rows(&ana, ROWS).await.unwrap();
    let again = f.rows(&ana, ROWS).await.unwrap();
    assert_eq!(plans(&f), (2, 1, 1));
    assert_eq!(first, again);
    assert_eq!(first[0].schema(), described.schema);
    let entries = f.journal().await;
    let of_plan: Vec<_> = entries
        .iter()
        .map(|entry| (&entry.begin.tables, &entry.begin.statement, &entry.begin.policy_version))
        .collect();
    assert_eq!((of_plan.len(), &of_plan[0]), (2, &of_plan[1]), "the records of a known plan are those of a new one");
    assert!(!of_plan[0].0[0].columns.is_empty() && !of_plan[0].0[0].policies.is_empty(), "{of_plan:?}");
}

/// Planning adds the columns of a sort's expression in an order of chance: the check of known plans is not to mind.
#[tokio::test]
async fn a_plan_is_known_though_planning_again_would_write_it_otherwise() {
    let f = fixture().await;
    let ana = f.session("ana");
    let sorted = "SELECT 1 AS one FROM orders.order_events ORDER BY concat(order_id, customer_id)";
    for _ in 0..20 {
        f.rows(&ana, sorted).await.unwrap();
    }
    assert_eq!(plans(&f), (19, 1, 1));
}

#[tokio::test]
async fn no_plan_serves_another_principal_purpose_address_or_credential() {
    let f = fixture().await;
    let ana = f.session("ana");
    let hashed = f.text(&ana, ROWS).await;
    let others = [
        f.session("nina"),
        f.session("ana").with_purpose(Some("analytics".into())),
        f.session("ana").with_client(Some("192.0.2.1:5".parse().unwrap())),
        f.session("ana").acting_for("nina".into()).with_client(Some("192.0.2.2:5".parse().unwrap())),
    ];
    for (n, session) in others[..3].iter().enumerate() {
        assert_eq!(f.text(session, ROWS).await, hashed, "it is the same to look at");
        assert_eq!(plans(&f), (0, n as u64 + 2, n as u64 + 2), "and is planned for each: {session:?}");
    }
    let clear = f.text(&f.session("ana").with_purpose(Some("fraud".into())), ROWS).await;
    assert!(clear.contains("carl") && !hashed.contains("carl"), "{clear}");
    assert_eq!(f.text(&ana, ROWS).await, hashed);
    assert_eq!(plans(&f).0, 1);
    assert_eq!(f.error(&f.session("bob"), ROWS).await.kind, ErrorKind::NotFound);
    assert_eq!(f.error(&others[3], ROWS).await.kind, ErrorKind::PermissionDenied, "who may not act for another");
    // Without a table there is no decision that could differ; and yet.
    for user in ["ana", "bob"] {
        f.rows(&f.session(user), "SELECT 1").await.unwrap();
    }
    assert_eq!(plans(&f).0, 1);
}

#[tokio::test]
async fn a_changed_policy_group_or_contract_is_felt_at_once() {
    let f = fixture().await;
    assert!(count(&f, "ana").await.contains("| 2 |") && count(&f, "ana").await.contains("| 2 |"));
    let known = plans(&f);
    assert_eq!(known.0, 1);
    f.write("policies/all.cedar", &POLICIES.replace("resource.region == \"EU\"", "resource.region == \"US\""));
    assert!(f.gateway.reload().await);
    assert_eq!(plans(&f), (known.0, known.1, 0), "nothing is known of the plans under new policies");
    let us = f.text(&f.session("ana"), ROWS).await;
    assert!(us.contains("| 2 ") && us.contains("| 4 ") && !us.contains("| 1 "), "{us}");

    f.text(&f.session("ana"), ROWS).await;
    let open = CONTRACT.replace(", constraints: {pii: true, masking: hash}", "");
    f.write("catalogs/orders/order_events.yaml", &open);
    assert!(f.gateway.reload().await);
    assert!(
        f.text(&f.session("ana"), ROWS).await.contains("dora") && !us.contains("dora"),
        "it is not masked any more"
    );

    f.text(&f.session("ana"), ROWS).await;
    let moved = users().lines().map(|line| match line.trim_start().starts_with("ana:") {
        true => line.replace("groups: [readers]", "groups: []"),
        false => line.to_owned(),
    });
    f.write("users.yaml", &moved.collect::<Vec<_>>().join("\n"));
    assert!(f.gateway.reload().await);
    assert_eq!(f.error(&f.session("ana"), ROWS).await.kind, ErrorKind::NotFound, "she is in no group any more");
    f.text(&f.session("nina"), ROWS).await;
}

#[tokio::test]
async fn a_known_plan_reads_the_newest_snapshot_and_the_clock_of_its_run() {
    let mut config = config();
    config.catalogue.refresh_age = Span::millis(1);
    let f = fixture_with(config).await;
    assert!(count(&f, "ana").await.contains("| 2 |"));
    append(&f);
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert!(count(&f, "ana").await.contains("| 3 |"), "what was written since is there");
    assert_eq!(plans(&f).0, 1);
    let ana = f.session("ana");
    for sql in ["SELECT now() AS t", "SELECT random() AS t", "SELECT uuid() AS t FROM orders.order_events LIMIT 1"] {
        let (hits, ..) = plans(&f);
        let first = f.text(&ana, sql).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
        assert_ne!(f.text(&ana, sql).await, first, "{sql}");
        assert_eq!(plans(&f).0, hits + 1, "{sql}");
    }
}

/// One more order of the EU, as version 1 of the table.
fn append(f: &Fixture) {
    let dir = f.dir.path().join("lake/orders/order_events");
    let text = |value: &str| Arc::new(StringArray::from(vec![value])) as ArrayRef;
    let id = Arc::new(Int64Array::from(vec![5])) as ArrayRef;
    let columns = [("order_id", id), ("region", text("EU")), ("customer_id", text("gert"))];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let file = fs::File::create(dir.join("part-1.parquet")).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let size = fs::metadata(dir.join("part-1.parquet")).unwrap().len();
    let add = json!({"add": {
        "path": "part-1.parquet", "partitionValues": {}, "size": size, "modificationTime": 0, "dataChange": true
    }});
    fs::write(dir.join("_delta_log/00000000000000000001.json"), format!("{add}\n")).unwrap();
}

#[tokio::test]
async fn what_a_session_has_set_is_part_of_its_statements() {
    let f = fixture().await;
    let ana = f.session("ana");
    let noon = "SELECT '2026-01-01 12:00:00'::timestamptz AS t";
    let utc = f.text(&ana, noon).await;
    f.rows(&ana, "SET TIME ZONE 'Asia/Tokyo'").await.unwrap();
    let tokyo = f.text(&ana, noon).await;
    assert_ne!(utc, tokyo);
    f.rows(&ana, "SET TIME ZONE DEFAULT").await.unwrap();
    assert_eq!(f.text(&ana, noon).await, utc);
    let bare = "SELECT count(*) FROM order_events";
    f.error(&ana, bare).await;
    f.rows(&ana, "SET schema = 'orders'").await.unwrap();
    f.text(&ana, bare).await;
    f.rows(&ana, "SET schema = DEFAULT").await.unwrap();
    assert_eq!(f.error(&ana, bare).await.kind, ErrorKind::NotFound);
    let before = plans(&f).2;
    f.rows(&ana, "SET as_of = '2100-01-01 00:00:00'").await.unwrap();
    f.rows(&ana, ROWS).await.unwrap();
    assert_eq!(plans(&f).2, before, "what is read as of another time is not remembered");
}

#[tokio::test]
async fn a_plan_is_not_taken_where_a_policy_reads_the_time() {
    let f = fixture().await;
    let now = f.gateway.clock.now_ms();
    let end = jiff::Timestamp::from_millisecond(now + 3_600_000).unwrap();
    let end = end.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let open = format!("&& context.now < datetime(\"{end}\")");
    let timed = POLICIES.replace("resource.region == \"EU\"", &format!("resource.region == \"EU\" {open}"));
    f.write("policies/all.cedar", &timed);
    assert!(f.gateway.reload().await, "{:?}", f.gateway.findings());
    assert!(count(&f, "ana").await.contains("| 2 |") && count(&f, "ana").await.contains("| 2 |"));
    assert_eq!(plans(&f).0, 0);
    f.gateway.clock.shift(2 * 3_600_000);
    assert!(count(&f, "ana").await.contains("| 0 |"));
}

#[tokio::test]
async fn what_has_more_within_than_decisions_is_not_remembered() {
    let f = fixture().await;
    let (ana, petra) = (f.session("ana"), f.session("petra"));
    for sql in [
        "SHOW TABLES",
        "DESCRIBE orders.order_events",
        "EXPLAIN SELECT 1",
        "EXPLAIN ACCESS SELECT 1 FROM orders.order_events",
        "SELECT count(*) FROM information_schema.tables",
        "WITH unused AS (SELECT * FROM information_schema.tables) SELECT 1",
        "SELECT * FROM generate_series(1, 2)",
        "SELECT count(*) FROM orders.order_events VERSION AS OF 0",
    ] {
        f.rows(&ana, sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        assert_eq!(plans(&f).2, 0, "{sql}");
    }
    f.rows(&petra, "SELECT count(*) FROM system.findings").await.unwrap();
    f.rows(&petra, "WITH unused AS (SELECT * FROM system.findings) SELECT 1").await.unwrap();
    assert_eq!(plans(&f).2, 0);
    let parameter = RecordBatch::try_from_iter([("a", Arc::new(Int64Array::from(vec![1])) as ArrayRef)]).unwrap();
    let sql = "SELECT count(*) FROM orders.order_events WHERE order_id = ?";
    let (_, misses, _) = plans(&f);
    f.gateway.query(&ana, sql, Some(parameter)).await.unwrap();
    assert_eq!((plans(&f).1, plans(&f).2), (misses, 0), "values of parameters are in a plan, and not in its statement");
    f.rows(&ana, "SELECT 1").await.unwrap();
    assert_eq!(plans(&f).2, 1);
}
