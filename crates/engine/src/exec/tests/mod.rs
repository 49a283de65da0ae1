mod verify;
mod visible;
mod world;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Field, Int64Type, Schema};
use datafusion::common::{DataFusionError, ScalarValue};
use datafusion::logical_expr::{ColumnarValue, LogicalPlanBuilder, Volatility, create_udf};
use futures::{StreamExt, TryStreamExt};

use super::runner::Shown;
use super::spill::SpillDir;
use crate::{EngineError, QueryLimits};
use world::{Source, World};

async fn number(world: &World, sql: &str) -> i64 {
    world.run(sql).await.unwrap()[0].column(0).as_primitive::<Int64Type>().value(0)
}

#[tokio::test]
async fn rows_come_filtered_and_in_wire_form() {
    let world = World::new(|_| {});
    let batches = world.run("SELECT id, name FROM t ORDER BY id").await.unwrap();
    assert_eq!(batches[0].schema().field(1).data_type(), &DataType::Utf8);
    let ids: Vec<i64> =
        batches.iter().flat_map(|b| b.column(0).as_primitive::<Int64Type>().values().to_vec()).collect();
    assert_eq!(ids, [0, 2, 4, 6, 8]);
    assert_eq!(number(&world, "SELECT 1").await, 1);
    assert_eq!(number(&world, "SELECT count(*) FROM t WHERE name LIKE 'NEEDLE%'").await, 0);
    let nested =
        "SELECT count(*) FROM t WHERE id = (SELECT max(id) FROM t) OR id IN (SELECT id + 2 FROM t WHERE id = 0)";
    assert_eq!(number(&world, nested).await, 2);
    let recursive =
        "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 5) SELECT sum(n) FROM r";
    assert_eq!(number(&world, recursive).await, 15);
    assert_eq!(number(&world, "SELECT count(DISTINCT id) FROM t, generate_series(1, 3)").await, 5);
    assert!(world.run("SELECT id FROM t WHERE false").await.unwrap().is_empty());
}

#[tokio::test]
async fn progress_outlives_the_stream() {
    let world = World::new(|_| {});
    let mut stream = world.start("SELECT id FROM t").await.unwrap();
    let progress = stream.progress();
    while stream.next().await.is_some() {}
    drop(stream);
    assert_eq!((progress.rows(), progress.bytes()), (5, 40));
}

#[tokio::test]
async fn explain_stops_at_the_barrier() {
    let world = World::new(|_| {});
    let plan = world.prepare("SELECT upper(name) FROM t WHERE id > 3 ORDER BY 1").await.unwrap().explain();
    assert!(plan.contains("GovernedScan: shop.t, columns=[name]"), "{plan}");
    for hidden in ["DataSource", "partition_sizes", "% 2"] {
        assert!(!plan.contains(hidden), "{hidden} in {plan}");
    }
    let plan = world.prepare("VALUES (1), (2)").await.unwrap().explain();
    assert_eq!(plan, "DataSourceExec\n");
}

#[tokio::test]
async fn analyze_counts_visible_rows_and_no_others() {
    let world = World::new(|_| {});
    let analyze = async |sql: &str| world.prepare_for(sql, Shown::Counts).await.unwrap().analyze().await.unwrap();
    // Of ten rows five are hidden.
    let plan = analyze("SELECT upper(name) FROM t WHERE length(name) > 3 ORDER BY 1 LIMIT 2").await;
    assert!(plan.contains("GovernedScan: shop.t, columns=[name], rows=5"), "{plan}");
    assert!(plan.lines().next().unwrap().ends_with("rows=2"), "{plan}");
    for hidden in ["DataSource", "rows=10", "elapsed", "% 2"] {
        assert!(!plan.contains(hidden), "{hidden} in {plan}");
    }
    // A top ten that is followed would count what was read before it knew enough.
    let plan = analyze("SELECT id FROM t ORDER BY id LIMIT 1").await;
    assert!(plan.contains("columns=[id], rows=5"), "{plan}");
    // Which branch is faster is nobody's business.
    let plan = analyze("SELECT id FROM t UNION ALL SELECT id + 1 FROM t LIMIT 3").await;
    assert!(plan.contains("UnionExec") && !plan.contains("rows="), "{plan}");
    let failed = world.prepare_for("SELECT CAST(name AS INT) FROM t", Shown::Counts).await.unwrap().analyze().await;
    assert!(matches!(failed, Err(EngineError::Execution { .. })), "{failed:?}");
}

/// What runs below a barrier is in no list, and neither is a number of hidden rows.
#[tokio::test]
async fn operators_are_told_of_above_the_barrier_only() {
    let world = World::new(|_| {});
    let told = async |sql: &str| {
        let bound = world.prepare(sql).await.unwrap();
        let operators = bound.operators();
        let mut rows = bound.execute().unwrap();
        while let Some(batch) = rows.next().await {
            batch.unwrap();
        }
        operators.told()
    };
    // Of ten rows five are hidden.
    let operators =
        told("SELECT upper(name) AS name, count(*) FROM t WHERE length(name) > 3 GROUP BY 1 ORDER BY 1").await;
    let scan = operators.last().unwrap();
    assert_eq!((scan.name.as_str(), scan.rows), ("GovernedScan", Some(5)), "{operators:?}");
    assert!(operators.iter().any(|o| o.name == "AggregateExec" && o.busy.is_some()), "{operators:?}");
    assert_eq!(operators[0].parent, None);
    for (at, operator) in operators.iter().enumerate().skip(1) {
        assert!(operator.parent.is_some_and(|parent| parent < at), "{operators:?}");
        assert!(operator.began.zip(operator.ended).is_none_or(|(began, ended)| began <= ended), "{operators:?}");
    }
    assert!(operators.iter().filter_map(|o| o.began.zip(o.ended)).count() > 1, "{operators:?}");
    for hidden in ["DataSource", "rows: Some(10)", "name\u{40}", "NEEDLE"] {
        assert!(!format!("{operators:?}").contains(hidden), "{hidden} in {operators:?}");
    }
    let operators = told("SELECT id FROM t UNION ALL SELECT id + 1 FROM t LIMIT 3").await;
    assert!(operators.len() > 2 && operators.iter().all(|operator| operator.rows.is_none()), "{operators:?}");
}

/// DataFusion's last check of a plan quotes all of it when it fails.
#[tokio::test]
async fn errors_of_planning_show_nothing_below_the_barrier() {
    let world = World::new(|_| {});
    let sql = "SELECT array_agg(a.name ORDER BY c) FROM t a, LATERAL (SELECT CAST(34 AS DOUBLE) c FROM t b WHERE b.id = a.id) l";
    if let Err(error) = world.prepare(sql).await {
        assert!(!error.to_string().contains("Exec"), "{error}");
    }
    let quoted = DataFusionError::Plan("Plan: [\"DataSourceExec: predicate=id@0 % 2 = 0\"]".into());
    for error in
        [DataFusionError::Context("SanityCheckPlan".into(), Box::new(quoted)), DataFusionError::Plan("Exec".into())]
    {
        let nothing = LogicalPlanBuilder::empty(true).build().unwrap();
        let error = super::redact::physical(&error, &nothing);
        assert!(matches!(&error, EngineError::Planning(text) if !text.contains("Exec")), "{error}");
    }
}

#[tokio::test]
async fn errors_carry_no_value() {
    let world = World::new(|_| {});
    let cases = [
        ("SELECT CAST(name AS INT) FROM t", "a value cannot be converted to the type asked for"),
        ("SELECT 1 / (id - 4) FROM t", "division by zero"),
        ("SELECT CAST(id * 10000000000 AS INT) FROM t", "a value cannot be converted to the type asked for"),
        ("SELECT arrow_cast(name, 'Date32') FROM t", "a value cannot be converted to the type asked for"),
        ("SELECT regexp_like('x', '(' || name) FROM t", "a function or operator failed on a value"),
        (
            "SELECT a.id FROM t a JOIN t b ON CAST(a.name AS INT) = b.id",
            "a value cannot be converted to the type asked for",
        ),
    ];
    for (sql, kind) in cases {
        let error = world.run(sql).await.unwrap_err();
        assert_eq!(error, EngineError::Execution { kind }, "{sql}");
        assert!(!error.to_string().contains("row"), "{error}");
    }
}

#[tokio::test]
async fn what_fails_below_the_barrier_names_the_table_alone() {
    type Failure = fn() -> DataFusionError;
    let cases: [(Failure, &str); 4] = [
        (
            || {
                let source = "no such key".into();
                let error = object_store::Error::NotFound { path: "secret/key".into(), source };
                DataFusionError::ObjectStore(Box::new(error)).context("reading secret")
            },
            "table `shop.t` is not available: a file that its metadata names is not there; try again later",
        ),
        (
            || DataFusionError::IoError(std::io::Error::other("/secret/disk")),
            "table `shop.t` is not available: its store could not be read; try again later",
        ),
        (
            || DataFusionError::Execution("cannot decode 'secret'".into()),
            "table `shop.t` cannot be read: its data does not have the form that its metadata says",
        ),
        (
            || {
                DataFusionError::External(Box::new(EngineError::Withheld {
                    table: "shop.t".into(),
                    message: "why".into(),
                }))
            },
            "table `shop.t` is withheld: why",
        ),
    ];
    for (failure, text) in cases {
        let (table, _) = Source::table(Some(failure));
        let world = World::over(table, |_| {});
        for sql in
            ["SELECT id FROM t", "SELECT count(*) FROM t a JOIN t b ON a.id = b.id", "SELECT id FROM t ORDER BY name"]
        {
            assert_eq!(world.run(sql).await.unwrap_err().to_string(), text, "{sql}");
        }
    }
}

#[tokio::test]
async fn a_panic_is_an_error_of_its_query_only() {
    let world = World::new(|_| {});
    let panics = create_udf(
        "panics",
        vec![DataType::Int64],
        DataType::Int64,
        Volatility::Volatile,
        Arc::new(|_: &[ColumnarValue]| panic!("with a value")),
    );
    world.context.register_udf(panics);
    for sql in ["SELECT panics(id) FROM t", "SELECT max(panics(id)) FROM t GROUP BY name"] {
        let error = world.run(sql).await.unwrap_err();
        assert_eq!(error, super::redact::defect(), "{sql}");
    }
    assert_eq!(number(&world, "SELECT 2").await, 2);
}

#[tokio::test]
async fn limits_stop_a_query() {
    let world = World::new(|limits| limits.rows = Some(4));
    assert_eq!(world.run("SELECT id FROM t LIMIT 4").await.unwrap().len(), 1);
    let error = world.run("SELECT id FROM t").await.unwrap_err();
    assert_eq!(error, EngineError::LimitExceeded { limit: "rows", value: 4 });

    let (endless, _) = Source::table(None);
    let world = World::over(endless, |limits| limits.wall_time = Some(Duration::from_millis(100)));
    let error = world.run("SELECT count(*) FROM t").await.unwrap_err();
    assert!(matches!(error, EngineError::LimitExceeded { limit: "seconds", .. }), "{error}");

    let world = World::new(|limits| limits.memory_bytes = 1 << 20);
    let error = world.run("SELECT array_agg(value) FROM generate_series(1, 1000000)").await.unwrap_err();
    assert_eq!(error, EngineError::ResourceExhausted("memory or spill space"));

    // One query may have limits of its own, in both directions.
    let world = World::new(|limits| limits.rows = Some(4));
    let within = async |sql: &str, own: QueryLimits| {
        let stream = world.prepare(sql).await.unwrap().within(own).execute().unwrap();
        stream
            .try_collect::<Vec<RecordBatch>>()
            .await
            .map(|batches| batches.iter().map(RecordBatch::num_rows).sum::<usize>())
    };
    let own = QueryLimits { memory_bytes: 1 << 30, rows: None, wall_time: None };
    assert_eq!(within("SELECT id FROM t", own).await, Ok(5));
    let few = QueryLimits { rows: Some(3), ..own };
    assert_eq!(within("SELECT id FROM t", few).await, Err(EngineError::LimitExceeded { limit: "rows", value: 3 }));
    let little = QueryLimits { memory_bytes: 1 << 20, ..own };
    let error = within("SELECT array_agg(value) FROM generate_series(1, 1000000)", little).await.unwrap_err();
    assert_eq!(error, EngineError::ResourceExhausted("memory or spill space"));

    let world = World::new(|limits| (limits.concurrent_queries, limits.queue_time) = (1, Duration::from_millis(20)));
    let running = world.prepare("SELECT id FROM t").await.unwrap();
    let error = world.prepare("SELECT id FROM t").await.unwrap_err();
    assert!(matches!(error, EngineError::LimitExceeded { limit: "queries at the same time", .. }), "{error}");
    drop(running);
    assert!(world.prepare("SELECT id FROM t").await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_client_holds_back_the_scan_and_a_gone_one_stops_it() {
    let (endless, asked) = Source::table(None);
    let world = World::over(endless, |limits| limits.batch_size = 5);
    let mut stream = world.start("SELECT id, name FROM t").await.unwrap();
    assert_eq!(stream.next().await.unwrap().unwrap().num_rows(), 5);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let ahead = asked.load(Ordering::SeqCst);
    assert!(ahead < 100, "{ahead} batches were read for a client that took one");
    let held = Arc::strong_count(&asked);
    drop(stream);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(Arc::strong_count(&asked) < held, "the scan goes on");
}

#[tokio::test]
async fn spill_files_are_private_and_go_away() {
    let root = tempfile::tempdir().unwrap();
    let abandoned = root.path().join("1-0");
    std::fs::create_dir(&abandoned).unwrap();
    std::fs::write(abandoned.join("lock"), "").unwrap();
    std::fs::write(abandoned.join("rows.arrow"), "NEEDLE").unwrap();
    let (first, second) = (SpillDir::create(root.path()).unwrap(), SpillDir::create(root.path()).unwrap());
    assert!(!abandoned.exists() && first.path().exists() && second.path().exists());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(root.path()), mode(first.path())), (0o700, 0o700));
    }
    let path = first.path().to_owned();
    drop(first);
    assert!(!path.exists() && second.path().exists());
}

/// However little of it there is, and however much was written before it ran out.
#[tokio::test]
async fn spill_space_that_runs_out_is_a_limit() {
    let sql = "SELECT value, repeat('x', 40) || value AS padded FROM generate_series(1, 400000) ORDER BY value % 1000, padded";
    for spill in [1, 100_000, 1 << 20] {
        let world = World::new(|limits| {
            (limits.memory_bytes, limits.target_partitions, limits.spill_bytes) = (24 << 20, 1, spill);
        });
        let error = world.run(sql).await.unwrap_err();
        assert!(matches!(error, EngineError::ResourceExhausted(_)), "{spill} bytes: {error:?}");
    }
}

/// A sort that does not fit spills, answers, and leaves nothing.
#[tokio::test]
async fn large_sorts_spill() {
    let world = World::new(|limits| (limits.memory_bytes, limits.target_partitions) = (24 << 20, 1));
    let sql = "SELECT value, repeat('x', 40) || value AS padded FROM generate_series(1, 400000) ORDER BY value % 1000, padded";
    let rows: usize = world.run(sql).await.unwrap().iter().map(|batch| batch.num_rows()).sum();
    assert_eq!(rows, 400_000);
    let World { runner, spill, .. } = world;
    drop(runner);
    assert_eq!(std::fs::read_dir(spill.path().join("spill")).unwrap().count(), 0);
}

/// DataFusion's operators of window functions hold rows and reserve nothing for them.
#[tokio::test]
async fn window_functions_hold_no_more_than_a_query_may() {
    let world = || World::new(|limits| (limits.query_memory_bytes, limits.target_partitions) = (4 << 20, 1));
    let over = |window: &str| format!("SELECT count(w) FROM (SELECT {window} AS w FROM generate_series(1, 1000000))");
    // The one is known at the end of all rows; the other far behind the row that it is about.
    for window in ["ntile(4) OVER ()", "lead(value, 900000) OVER ()"] {
        let error = world().run(&over(window)).await.unwrap_err();
        assert_eq!(error, EngineError::ResourceExhausted("memory or spill space"), "{window}");
    }
    // These let go what they handed on.
    for window in ["row_number() OVER ()", "sum(value) OVER (ROWS BETWEEN 10 PRECEDING AND CURRENT ROW)"] {
        let world = world();
        assert_eq!(number(&world, &over(window)).await, 1_000_000, "{window}");
        assert_eq!(world.runner.memory_reserved(), 0);
    }
    let plan = world().prepare_for(&over("ntile(4) OVER ()"), Shown::Counts).await.unwrap();
    assert!(plan.explain().contains("WindowAggExec: wdw=[ntile"), "{}", plan.explain());
    let small = over("ntile(4) OVER ()").replace("1000000", "10");
    let ran = world().prepare_for(&small, Shown::Counts).await.unwrap().analyze().await.unwrap();
    let counted = |line: &str| line.contains("WindowAggExec") && line.ends_with("rows=10");
    assert!(ran.lines().any(counted), "{ran}");
}

#[tokio::test]
async fn columns_are_of_the_types_that_were_announced() {
    let world = World::new(|_| {});
    let sql =
        "SELECT id, round(CAST(id AS DECIMAL(9, 2)) / CAST(4 AS DECIMAL(9, 2)), 1) AS r FROM t ORDER BY id LIMIT 1";
    let announced =
        Schema::new(vec![Field::new("id", DataType::Int64, true), Field::new("r", DataType::Decimal128(20, 4), true)]);
    let own = world.prepare(sql).await.unwrap().schema();
    assert_ne!(own.field(1).data_type(), announced.field(1).data_type());
    let bound = world.prepare_as(sql, Some(&announced), Shown::Answer).await.unwrap();
    assert_eq!(bound.schema().field(1).data_type(), announced.field(1).data_type());
    let batches: Vec<RecordBatch> = bound.execute().unwrap().try_collect().await.unwrap();
    assert_eq!(batches[0].column(1).data_type(), announced.field(1).data_type());
    let text = ScalarValue::try_from_array(batches[0].column(1), 0).unwrap().to_string();
    assert!(text.ends_with("000"), "{text}");
}

#[tokio::test]
async fn distinct_rows_with_a_limit_may_come_sorted() {
    let distinct =
        "SELECT DISTINCT value % 3 AS v, max(value) OVER (PARTITION BY value % 3) AS m FROM generate_series(1, 9)";
    for (limit, rows) in [("LIMIT 2", 2), ("LIMIT 5", 3), ("ORDER BY 1 LIMIT 2", 2), ("", 3)] {
        for partitions in [1, 3] {
            let world = World::new(|limits| limits.target_partitions = partitions);
            let sql = format!("SELECT count(*) FROM ({distinct} {limit}) AS q");
            assert_eq!(number(&world, &sql).await, rows, "{limit}, {partitions} partitions");
        }
    }
}

#[tokio::test]
async fn a_large_constant_stands_beside_one_row_only() {
    let world = World::new(|_| {});
    let large = format!("'{}'", "x".repeat(70_000));
    for sql in [
        format!("SELECT id, {large} FROM t"),
        format!("SELECT id FROM t WHERE upper(name) = {large}"),
        format!("SELECT count(*) FROM t GROUP BY concat(name, {large})"),
        "SELECT array_length(array_append(range(0, 10000), id)) FROM t".to_owned(),
    ] {
        let error = world.run(&sql).await.unwrap_err();
        assert!(matches!(error, EngineError::LimitExceeded { value: 65_536, .. }), "{error}");
    }
    assert_eq!(number(&world, &format!("SELECT CAST(length({large}) AS BIGINT)")).await, 70_000);
    assert_eq!(number(&world, "SELECT sum(n) FROM (SELECT unnest(range(0, 10001)) AS n)").await, 50_005_000);
    let small = "x".repeat(60_000);
    assert_eq!(number(&world, &format!("SELECT count(*) FROM t WHERE name <> '{small}'")).await, 5);
}
