//! Queries from the statement to the journal.

use std::fs;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int64Array, StringArray};
use datafusion::arrow::record_batch::RecordBatch;
use futures::{StreamExt, TryStreamExt};
use portcullis_audit::{Decision, EntryStatus};

use super::fixture::{config, fixture, fixture_with};
use crate::config::{Size, Span};
use crate::error::ErrorKind;

#[tokio::test]
async fn rows_are_filtered_masked_and_recorded() {
    let f = fixture().await;
    let ana = f.session("ana").with_purpose(Some("analytics".to_owned()));
    let text = f.text(&ana, "SELECT * FROM orders.order_events WHERE region <> 'secret' ORDER BY order_id").await;
    assert!(text.contains("EU") && !text.contains("US"), "{text}");
    assert!(!text.contains("carl"), "{text}");
    let clear = f.session("ana").with_purpose(Some("fraud".to_owned()));
    let text = f.text(&clear, "SELECT customer_id FROM orders.order_events ORDER BY 1").await;
    assert!(text.contains("carl") && text.contains("emil") && !text.contains("dora"), "{text}");

    let journal = f.journal().await;
    assert_eq!(journal.len(), 2);
    let (entry, begin) = (&journal[0], &journal[0].begin);
    assert_eq!((entry.status, begin.decision, entry.rows), (EntryStatus::Success, Decision::Permitted, Some(2)));
    assert!(entry.bytes.unwrap() > 0);
    assert_eq!((begin.principal.as_str(), begin.purpose.as_deref()), ("ana", Some("analytics")));
    assert_eq!((begin.groups.as_slice(), begin.authentication.as_str()), (["readers".to_owned()].as_slice(), "local"));
    assert!(
        !begin.statement.contains("secret") && begin.statement.contains("orders.order_events"),
        "{}",
        begin.statement
    );
    let table = &begin.tables[0];
    assert_eq!(table.name, "orders.order_events");
    assert_eq!((table.contract_version.as_deref(), table.snapshot.as_deref()), (Some("1.2.0"), Some("0")));
    assert!(table.filtered);
    let mask = |entry: usize| {
        let columns = &journal[entry].begin.tables[0].columns;
        columns.iter().find(|column| column.name == "customer_id").unwrap().mask.clone()
    };
    assert_eq!((mask(0).as_str(), mask(1).as_str()), ("hash", "clear"));
    for id in ["readers-query", "readers-eu", "readers-hash"] {
        assert!(table.policies.iter().any(|policy| policy == id), "{id}: {:?}", table.policies);
    }
}

#[tokio::test]
async fn every_refusal_has_its_record_and_never_a_literal() {
    let mut config = config();
    config.limits.statement = Size::kib(4);
    let f = fixture_with(config).await;
    let (ana, petra, bob) = (f.session("ana"), f.session("petra"), f.session("bob"));
    let long = format!("SELECT '{}'", "s3cret".repeat(1_000));
    let cases = [
        (&ana, "SELEC 's3cret'", ErrorKind::InvalidArgument, Decision::Error),
        (&ana, "INSERT INTO orders.order_events VALUES (1, 's3cret', 'x')", ErrorKind::Unimplemented, Decision::Error),
        (&ana, long.as_str(), ErrorKind::ResourceExhausted, Decision::Error),
        (&ana, "SELECT s3cret FROM orders.order_events", ErrorKind::InvalidArgument, Decision::Error),
        (&ana, "SELECT 's3cret' FROM orders.nothing", ErrorKind::NotFound, Decision::Denied),
        (&bob, "SELECT 's3cret' FROM orders.order_events", ErrorKind::NotFound, Decision::Denied),
        (&ana, "SELECT 's3cret' FROM system.access_log", ErrorKind::NotFound, Decision::Denied),
        (&petra, "SELECT 's3cret' FROM orders.order_events", ErrorKind::NotFound, Decision::Denied),
        (&ana, "SELECT * FROM orders.order_events WHERE region = $1", ErrorKind::InvalidArgument, Decision::Error),
        (&ana, "SET purpose = 's3cret'", ErrorKind::InvalidArgument, Decision::Error),
    ];
    for (session, sql, kind, _) in &cases {
        let error = f.error(session, sql).await;
        assert_eq!(error.kind, *kind, "{sql}: {error}");
    }
    let unknown = f.session("ana").with_purpose(Some("s3cret".to_owned()));
    assert_eq!(f.error(&unknown, "SELECT 1").await.kind, ErrorKind::InvalidArgument);
    let journal = f.journal().await;
    assert_eq!(journal.len(), cases.len() + 1);
    for ((_, sql, kind, decision), entry) in cases.iter().zip(&journal) {
        assert_eq!(entry.begin.decision, *decision, "{sql}");
        let denied = matches!(decision, Decision::Denied);
        assert_eq!(entry.status, if denied { EntryStatus::Denied } else { EntryStatus::Error }, "{sql}");
        assert_eq!(entry.error_kind.as_deref(), Some(kind.as_str()), "{sql}");
    }
    let raw = raw_journal(f.dir.path());
    // The one place where a client's own word stays is what it names as a column or a purpose.
    let leaks: Vec<_> = raw.lines().filter(|line| line.contains("'s3cret") || line.contains("s3crets3cret")).collect();
    assert!(leaks.is_empty(), "{leaks:?}");
}

fn raw_journal(mesh: &std::path::Path) -> String {
    let mut text = String::new();
    for strand in fs::read_dir(mesh.join(".portcullis/audit")).unwrap() {
        for file in fs::read_dir(strand.unwrap().path()).unwrap() {
            text += &fs::read_to_string(file.unwrap().path()).unwrap();
        }
    }
    text
}

#[tokio::test]
async fn without_a_record_there_is_no_answer() {
    let mut config = config();
    // Every record begins a segment.
    config.audit.segment_size = "1 B".parse().unwrap();
    let f = fixture_with(config).await;
    let ana = f.session("ana");
    let audit = f.dir.path().join(".portcullis/audit");
    f.text(&ana, "SELECT order_id FROM orders.order_events").await;
    // Without the directory, the next segment cannot be made.
    fs::rename(&audit, f.dir.path().join("away")).unwrap();
    for sql in ["SELECT order_id FROM orders.order_events", "SELECT 1", "SET purpose = 'fraud'", "SELEC"] {
        let error = f.error(&ana, sql).await;
        assert_eq!(error.kind, ErrorKind::Unavailable, "{sql}: {error}");
        assert!(!error.message.contains("audit/"), "{error}");
    }
    fs::rename(f.dir.path().join("away"), &audit).unwrap();
    f.text(&ana, "SELECT order_id FROM orders.order_events").await;
    let hashed = f.text(&ana, "SELECT customer_id FROM orders.order_events").await;
    assert!(!hashed.contains("carl"), "the refused SET did not apply: {hashed}");
}

#[tokio::test]
async fn an_abandoned_stream_is_cancelled_and_gives_its_turn_back() {
    let mut config = config();
    config.limits.concurrent_queries = 1;
    config.limits.queue_wait = Span::millis(50);
    let f = fixture_with(config).await;
    let ana = f.session("ana");
    let mut stream = f.gateway.query(&ana, "SELECT order_id FROM orders.order_events", None).await.unwrap();
    assert!(stream.next().await.unwrap().is_ok());
    let error = f.gateway.query(&ana, "SELECT 1", None).await.err().unwrap();
    assert_eq!(error.kind, ErrorKind::ResourceExhausted);
    drop(stream);
    f.text(&ana, "SELECT 1").await;
    let journal = f.journal().await;
    let ends: Vec<_> = journal.iter().map(|entry| (entry.status, entry.rows)).collect();
    let refused = (EntryStatus::Error, Some(0));
    assert_eq!(ends, [(EntryStatus::Cancelled, Some(2)), refused, (EntryStatus::Success, Some(1))]);
}

#[tokio::test]
async fn a_query_that_takes_too_long_is_stopped() {
    let mut config = config();
    config.limits.query_time = Span::millis(50);
    let f = fixture_with(config).await;
    let stream = f.gateway.query(&f.session("ana"), "SELECT order_id FROM orders.order_events", None).await.unwrap();
    tokio::time::sleep(Span::millis(80).duration()).await;
    let error = stream.try_collect::<Vec<_>>().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::ResourceExhausted);
    assert_eq!(f.journal().await[0].status, EntryStatus::Error);
}

/// A client that stops reading keeps its turn no longer than a query may run.
#[tokio::test]
async fn a_stream_that_nobody_reads_ends_at_the_time_limit() {
    let mut config = config();
    config.limits.concurrent_queries = 1;
    config.limits.query_time = Span::millis(200);
    let f = fixture_with(config).await;
    let ana = f.session("ana");
    let mut stalled = f.gateway.query(&ana, "SELECT order_id FROM orders.order_events", None).await.unwrap();
    assert!(stalled.next().await.unwrap().is_ok());
    // Waits for the turn, which comes back although the stream is not dropped.
    f.text(&ana, "SELECT 1").await;
    assert_eq!(stalled.next().await.unwrap().unwrap_err().kind, ErrorKind::ResourceExhausted);
    assert!(stalled.next().await.is_none());
    let ends: Vec<_> = f.journal().await.iter().map(|entry| (entry.status, entry.rows)).collect();
    assert_eq!(ends, [(EntryStatus::Error, Some(2)), (EntryStatus::Success, Some(1))]);
}

#[tokio::test]
async fn described_and_streamed_schemas_are_the_same() {
    let f = fixture().await;
    let ana = f.session("ana");
    for sql in [
        "SELECT 1",
        "SELECT * FROM orders.order_events",
        "SELECT region, count(*) AS n, min(order_id) FROM orders.order_events GROUP BY region",
        "SELECT customer_id FROM orders.order_events WHERE region = 'XX'",
        "EXPLAIN SELECT * FROM orders.order_events",
        "SHOW TABLES",
        "SET purpose = 'analytics'",
        "SELECT * FROM information_schema.tables",
    ] {
        let described = f.gateway.describe(&ana, sql, None).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        let stream = f.gateway.query(&ana, sql, None).await.unwrap();
        assert_eq!(described.schema, stream.schema(), "{sql}");
        for batch in stream.try_collect::<Vec<_>>().await.unwrap() {
            assert_eq!(batch.schema(), described.schema, "{sql}");
        }
        assert!(described.parameters.fields().is_empty());
        assert_eq!(described.sets_option, sql.starts_with("SET"));
    }
}

#[tokio::test]
async fn parameters_are_described_and_bound() {
    let f = fixture().await;
    let ana = f.session("ana");
    let sql = "SELECT order_id FROM orders.order_events WHERE region = ? AND order_id > ? ORDER BY 1";
    let described = f.gateway.describe(&ana, sql, None).await.unwrap();
    let names: Vec<_> = described.parameters.fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(names, ["$1", "$2"]);
    let row = |regions: Vec<&str>, ids: Vec<i64>| {
        let columns: Vec<(&str, ArrayRef)> =
            vec![("a", Arc::new(StringArray::from(regions))), ("b", Arc::new(Int64Array::from(ids)))];
        Some(RecordBatch::try_from_iter(columns).unwrap())
    };
    let stream = f.gateway.query(&ana, sql, row(vec!["EU"], vec![1])).await.unwrap();
    assert_eq!(stream.schema(), described.schema);
    let rows: usize = stream.try_collect::<Vec<_>>().await.unwrap().iter().map(RecordBatch::num_rows).sum();
    assert_eq!(rows, 1);
    for wrong in [row(vec!["EU", "US"], vec![1, 2]), row(vec![], vec![]), None] {
        let error = f.gateway.query(&ana, sql, wrong).await.err().unwrap();
        assert_eq!(error.kind, ErrorKind::InvalidArgument, "{error}");
    }
}

#[tokio::test]
async fn explain_shows_the_plan_and_nothing_below_the_barrier() {
    let f = fixture().await;
    let text =
        f.text(&f.session("ana"), "EXPLAIN SELECT customer_id FROM orders.order_events WHERE order_id > 1").await;
    assert!(text.contains("plan_type") && text.contains("physical_plan") && text.contains("logical_plan"), "{text}");
    for hidden in ["EU", "region", "part-0", "parquet", "hash"] {
        assert!(!text.contains(hidden), "{hidden}: {text}");
    }
    assert_eq!(f.journal().await[0].status, EntryStatus::Success);
}

#[tokio::test]
async fn a_session_keeps_the_purpose_it_set() {
    let f = fixture().await;
    let (ana, other) = (f.session("ana"), f.session("ana"));
    let sql = "SELECT customer_id FROM orders.order_events";
    f.text(&ana, "SET purpose = 'fraud'").await;
    assert!(f.text(&ana, sql).await.contains("carl"));
    assert!(!f.text(&other, sql).await.contains("carl"), "another session is not concerned");
    let error = f.error(&ana, "SET purpose = 'frod'").await;
    assert_eq!(error.message, "unknown purpose `frod`: use one of analytics, fraud");
    f.text(&ana, "SET purpose = DEFAULT").await;
    assert!(!f.text(&ana, sql).await.contains("carl"));
    f.text(&ana, "SET TIME ZONE 'Europe/Vienna'").await;
    f.text(&ana, "SET purpose = 'fraud'").await;
    ana.reset();
    assert!(!f.text(&ana, sql).await.contains("carl"));
}

#[tokio::test]
async fn metadata_shows_what_may_be_discovered() {
    let f = fixture().await;
    let names = |user: &str| -> Vec<String> {
        let tables = f.gateway.visible_tables(&f.session(user)).unwrap();
        tables.into_iter().map(|table| format!("{}.{}", table.domain, table.table)).collect()
    };
    assert_eq!(names("ana"), ["orders.order_events"]);
    assert_eq!(names("bob"), Vec::<String>::new());
    let system = ["access_log", "columns", "findings", "policies", "products"].map(|name| format!("system.{name}"));
    assert_eq!(names("petra"), system);
    let table = f.gateway.visible_tables(&f.session("ana")).unwrap().remove(0);
    assert_eq!((table.primary_key, table.remarks.as_deref()), (vec!["order_id".to_owned()], Some("Orders")));
    assert_eq!(table.column_remarks["order_id"], "The order");
    let described = f.gateway.describe(&f.session("ana"), "SELECT * FROM orders.order_events", None).await.unwrap();
    let fields = |schema: &datafusion::arrow::datatypes::SchemaRef| -> Vec<_> {
        schema.fields().iter().map(|field| (field.name().clone(), field.data_type().clone())).collect()
    };
    assert_eq!(fields(&table.schema), fields(&described.schema));
}

#[tokio::test]
async fn access_reports_say_what_and_why() {
    let f = fixture().await;
    let report = f.gateway.explain_access(&f.session("ana"), "SELECT region FROM orders.order_events").await.unwrap();
    assert_eq!((report.decision.as_str(), report.tables.len()), ("permitted", 1));
    let table = &report.tables[0];
    assert_eq!((table.discover, table.query, table.version.as_str()), (true, true, "1.2.0"));
    assert_eq!(table.filter_permits, ["readers-eu"]);
    assert!(table.filter.as_deref().unwrap().contains("region"), "{table:?}");
    let disclosures: Vec<_> = table.columns.iter().map(|column| column.disclosure.as_str()).collect();
    assert_eq!(disclosures, ["clear", "clear", "hash"]);
    assert!(table.columns[2].position.starts_with("catalogs/orders/order_events.yaml:"), "{table:?}");
    let hidden = f.gateway.explain_access(&f.session("bob"), "SELECT 1 FROM orders.order_events").await.unwrap();
    assert_eq!((hidden.tables[0].discover, hidden.tables[0].query), (false, false), "an operator's report");
    assert_eq!(hidden.decision, "denied");
}

#[tokio::test]
async fn a_store_that_is_away_is_unavailable_and_recorded_as_permitted() {
    let f = fixture().await;
    fs::remove_dir_all(f.dir.path().join("lake")).unwrap();
    let error = f.error(&f.session("ana"), "SELECT * FROM orders.order_events").await;
    assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
    let journal = f.journal().await;
    assert_eq!((journal[0].begin.decision, journal[0].status), (Decision::Permitted, EntryStatus::Error));
    assert_eq!(journal[0].begin.tables[0].snapshot, None);
}

#[tokio::test]
async fn shutdown_waits_for_running_queries_and_lets_no_new_ones_in() {
    let f = Arc::new(fixture().await);
    let ana = f.session("ana");
    let stream = f.gateway.query(&ana, "SELECT order_id FROM orders.order_events", None).await.unwrap();
    let shutdown = tokio::spawn({
        let f = Arc::clone(&f);
        async move { f.gateway.shutdown().await }
    });
    tokio::time::sleep(Span::millis(30).duration()).await;
    assert!(!shutdown.is_finished());
    let error = f.error(&ana, "SELECT 1").await;
    assert_eq!((error.kind, error.message.as_str()), (ErrorKind::Unavailable, "the gateway is shutting down"));
    assert!(stream.try_collect::<Vec<_>>().await.is_ok());
    shutdown.await.unwrap();
    let journal = f.journal().await;
    let ends: Vec<_> = journal.iter().map(|entry| (entry.begin.statement.as_str(), entry.status)).collect();
    let served = ("SELECT order_id FROM orders.order_events", EntryStatus::Success);
    assert_eq!(ends, [served, ("(not parsed)", EntryStatus::Error)]);
}

#[tokio::test]
async fn explaining_access_is_recorded_with_all_tables_asked_about_and_reads_none() {
    let f = fixture().await;
    fs::remove_dir_all(f.dir.path().join("lake")).unwrap();
    let sql = "EXPLAIN ACCESS SELECT 'x' FROM orders.order_events WHERE region = 'EU'";
    let announced = f.gateway.describe(&f.session("bob"), sql, None).await.unwrap().schema;
    let rows = f.rows(&f.session("bob"), sql).await.unwrap();
    assert_eq!(rows[0].schema(), announced);
    let text = f.text(&f.session("bob"), sql).await;
    assert!(text.contains("| orders.order_events | discover  |             | not found "), "{text}");
    let missing = f.text(&f.session("bob"), &sql.replace("order_events", "nothing_here")).await;
    assert_eq!(missing.replace("nothing_here", "order_events"), text, "hidden is as if it were not there");
    let text = f.text(&f.session("ana"), sql).await;
    assert!(text.contains("purpose `fraud` shows it clear"), "{text}");
    assert!(!text.contains("readers-eu") && !text.contains("'EU'"), "policies are not hers to know: {text}");
    let journal = f.journal().await;
    let begin = &journal[0].begin;
    assert_eq!((begin.decision, journal[0].status), (Decision::Permitted, EntryStatus::Success));
    assert_eq!(begin.statement, "EXPLAIN ACCESS SELECT ? FROM orders.order_events WHERE region = ?");
    assert_eq!(begin.tables[0].name, "orders.order_events");
    assert!(begin.tables[0].columns.is_empty() && begin.tables[0].snapshot.is_none());
}
