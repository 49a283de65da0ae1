mod leakproof;
mod live;
mod queries;
mod world;

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::datasource::MemTable;
use datafusion::logical_expr::{Expr, col, lit};

use super::{BarrierTable, GovernedScan, ScanColumn};
use queries::{FILTERS, QUERIES};
use world::{Mode, SETTINGS, Settings, World, rows, write_parquet};

async fn differences(mode: Mode, filter: &str, settings: Settings, queries: &[(&str, &str)]) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    write_parquet(dir.path());
    let truth = World::new(Mode::Truth, filter, SETTINGS[0], dir.path()).await;
    let world = World::new(mode, filter, settings, dir.path()).await;
    let mut different = Vec::new();
    for (name, query) in queries {
        let expected = truth.answer(query).await.unwrap();
        match world.answer(query).await {
            Ok(answer) if answer == expected => {}
            Ok(_) => different.push(format!("{name}: another answer")),
            Err(error) => different.push(format!("{name}: {}", error.to_string().lines().next().unwrap_or_default())),
        }
    }
    different
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_query_is_an_oracle_of_hidden_rows() {
    assert!(QUERIES.len() >= 46);
    for (name, filter) in FILTERS {
        for settings in SETTINGS {
            let different = differences(Mode::Barrier, filter, settings, QUERIES).await;
            assert!(different.is_empty(), "{name} {settings:?}: {different:#?}");
        }
    }
}

/// The same queries find hidden rows where the filter is a view: they can fail.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_barrier_queries_are_oracles() {
    for (name, filter) in FILTERS {
        let different = differences(Mode::View, filter, SETTINGS[0], QUERIES).await;
        assert!(different.len() >= 8, "{name}: {different:#?}");
    }
}

async fn barrier(pushdown: bool) -> (World, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    write_parquet(dir.path());
    let settings = Settings { pushdown, reorder: false, partitions: 1 };
    (World::new(Mode::Barrier, "tenant = 'A'", settings, dir.path()).await, dir)
}

#[tokio::test]
async fn infallible_predicates_reach_the_scan_and_others_do_not() {
    for pushdown in [false, true] {
        let (world, _dir) = barrier(pushdown).await;
        let query = "SELECT id FROM t WHERE id < 10 AND CAST(amt AS INT) > 2 AND amt LIKE '1%' AND salary IN (1,2) AND big IS NOT NULL";
        let (plan, scan) = world.plan(query).await;
        for crossed in ["id@0 < 10", "LIKE 1%", "tenant@1 = A", "id_min@"] {
            assert!(scan.contains(crossed), "{crossed} in {scan}");
        }
        assert!(!scan.contains("CAST"), "{scan}");
        assert!(plan.find("CAST(amt") < plan.find("GovernedScan"), "{plan}");
        let filter = plan.lines().next().unwrap();
        assert!(!filter.contains("LIKE"), "what crosses is evaluated by the barrier, not above: {plan}");
    }
}

#[tokio::test]
async fn dynamic_filters_cross_on_clear_columns_only() {
    let (world, _dir) = barrier(true).await;
    let crosses = [
        ("SELECT a.id FROM nums n JOIN t a ON a.id = n.n", true),
        ("SELECT a.id FROM nums n JOIN t a ON CAST(a.amt AS INT) = n.n", false),
        ("SELECT id FROM t ORDER BY id LIMIT 3", true),
        ("SELECT id FROM t ORDER BY CAST(amt AS INT) LIMIT 3", false),
        // The raw column has the mask's name.
        ("SELECT ssn FROM t ORDER BY ssn LIMIT 3", false),
        ("SELECT a.id FROM (VALUES ('xxx-0001')) v(s) JOIN t a ON a.ssn = v.s", false),
    ];
    for (query, expected) in crosses {
        let (_, scan) = world.plan(query).await;
        assert_eq!(scan.contains("DynamicFilter"), expected, "{query}: {scan}");
    }
}

#[tokio::test]
async fn predicates_on_masked_columns_see_the_mask() {
    let (world, _dir) = barrier(true).await;
    let (plan, scan) = world.plan("SELECT id FROM t WHERE ssn = 'xxx-0005'").await;
    assert!(!scan.contains("ssn@") || !scan.contains("xxx-0005"), "{scan}");
    assert!(plan.lines().next().unwrap().contains("xxx-0005"), "{plan}");
    assert_eq!(world.answer("SELECT id FROM t WHERE ssn = 'xxx-0005'").await.unwrap(), "|5|\n|id|");
    assert_eq!(world.answer("SELECT count(*) AS n FROM t WHERE ssn LIKE '000%'").await.unwrap(), "|0|\n|n|");
}

#[tokio::test]
async fn the_scan_reads_what_is_needed_and_nothing_is_answered_from_statistics() {
    let (world, _dir) = barrier(true).await;
    let (_, scan) = world.plan("SELECT id FROM t").await;
    assert!(scan.contains("projection=[id, tenant],"), "{scan}");
    let (_, scan) = world.plan("SELECT ssn FROM t").await;
    assert!(scan.contains("projection=[tenant, ssn],"), "{scan}");
    let (plan, scan) = world.plan("SELECT id FROM t LIMIT 3").await;
    assert!(!scan.contains("limit=") && plan.contains("fetch=3"), "{plan}");
    for query in ["SELECT count(*) FROM t", "SELECT min(id), max(big) FROM t"] {
        let (plan, _) = world.plan(query).await;
        assert!(plan.contains("AggregateExec"), "{plan}");
    }
    let (plan, _) = world.plan("SELECT id FROM t WHERE random() >= 0").await;
    assert!(plan.find("random()") < plan.find("GovernedScan"), "{plan}");
}

/// A projection that is pushed into the barrier narrows what is read; the columns of the filter stay.
#[tokio::test]
async fn projections_narrow_the_scan() {
    let (world, _dir) = barrier(true).await;
    let (plan, scan) = world.plan("SELECT id FROM t WHERE salary > 5 AND region = 'eu'").await;
    assert!(scan.contains("projection=[id, tenant],"), "{plan}");
    assert_eq!(
        world.answer("SELECT count(*) AS n FROM t WHERE salary > 5 AND region = 'eu'").await.unwrap(),
        "|200|\n|n|"
    );
}

#[tokio::test]
async fn a_table_without_a_row_filter_is_scanned_like_any_other() {
    let (world, _dir) = barrier(true).await;
    let base = world.context.table_provider("base").await.unwrap();
    let all = world.governed(base, None);
    world.context.register_table("all_rows", all).unwrap();
    let (_, scan) = world.plan("SELECT id FROM all_rows LIMIT 3").await;
    assert!(scan.contains("limit=3") && scan.contains("projection=[id],"), "{scan}");
    assert_eq!(world.answer("SELECT count(*) AS n FROM all_rows").await.unwrap(), "|400|\n|n|");
    assert_eq!(
        world.answer("SELECT count(*) AS n FROM all_rows WHERE ssn NOT LIKE 'xxx-%'").await.unwrap(),
        "|0|\n|n|"
    );
}

#[tokio::test]
async fn a_limit_counts_visible_rows() {
    let (world, _dir) = barrier(true).await;
    for (limit, expected) in [(0, 0), (3, 3), (150, 150), (1000, 200)] {
        let answer =
            world.answer(&format!("SELECT count(*) AS n FROM (SELECT id FROM t LIMIT {limit})")).await.unwrap();
        assert_eq!(answer, format!("|{expected}|\n|n|"));
    }
}

#[test]
fn what_does_not_fit_the_table_is_refused() {
    let schema =
        Arc::new(Schema::new(vec![Field::new("a", DataType::Int64, true), Field::new("b", DataType::Utf8, true)]));
    let scan = |filter: Option<Expr>, name: &str, expr: Expr| {
        let columns = [ScanColumn { name: name.into(), expr }];
        GovernedScan::try_new(0, "d.t", Arc::clone(&schema) as _, filter.as_ref(), columns)
    };
    assert!(scan(Some(col("a").gt(lit(1))), "a", col("a")).is_ok());
    for (refused, text) in [
        (scan(None, "a", col("b")), "shows another column"),
        (scan(None, "a", lit("x")), "does not keep its type"),
        (scan(None, "c", col("a")), "c"),
        (scan(Some(col("a") + lit(1)), "a", col("a")), "not a predicate"),
        (scan(Some(col("nowhere").gt(lit(1))), "a", col("a")), "nowhere"),
    ] {
        let error = refused.unwrap_err().to_string();
        assert!(error.contains(text), "{error}");
    }
    let other = MemTable::try_new(rows().schema(), vec![vec![]]).unwrap();
    let governed = Arc::new(scan(None, "a", col("a")).unwrap());
    let error = BarrierTable::try_new(Arc::new(other), governed).unwrap_err().to_string();
    assert!(error.contains("does not offer the columns"), "{error}");
}
