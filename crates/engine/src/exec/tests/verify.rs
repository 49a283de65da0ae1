//! Plans that must not run.

use std::sync::Arc;

use datafusion::common::Column;
use datafusion::datasource::MemTable;
use datafusion::logical_expr::Expr;
use datafusion::physical_expr::expressions::lit;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::prelude::ParquetReadOptions;

use super::world::{World, govern, rows};
use crate::EngineError;
use crate::barrier::{BarrierTable, GovernedScan, ScanColumn};
use crate::exec::verify::{Occurrences, Permitted};
use crate::guard::GroupGuardExec;

async fn refusal(world: &World, sql: &str) -> String {
    match world.prepare(sql).await {
        Err(EngineError::Unverified(reason)) => reason,
        other => panic!("{sql}: {other:?}"),
    }
}

async fn with_file(world: &World) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let file = std::fs::File::create(dir.path().join("a.parquet")).unwrap();
    let mut writer = datafusion::parquet::arrow::ArrowWriter::try_new(file, rows().schema(), None).unwrap();
    writer.write(&rows()).unwrap();
    writer.close().unwrap();
    let options = ParquetReadOptions::default();
    world.context.register_parquet("raw", dir.path().to_str().unwrap(), options).await.unwrap();
    dir
}

#[tokio::test]
async fn tables_without_a_barrier() {
    let world = World::new(|_| {});
    let _dir = with_file(&world).await;
    for sql in [
        "SELECT * FROM raw",
        "SELECT id FROM t WHERE id IN (SELECT id FROM raw)",
        "SELECT (SELECT max(id) FROM raw)",
        "SELECT id FROM t WHERE EXISTS (SELECT 1 FROM raw WHERE raw.id = t.id)",
        "WITH x AS (SELECT * FROM raw) SELECT t.id FROM t JOIN x ON t.id = x.id",
    ] {
        assert_eq!(refusal(&world, sql).await, "`raw` is neither a governed table nor made of constants");
    }
}

#[tokio::test]
async fn barriers_of_another_decision() {
    let world = World::new(|_| {});
    let base = MemTable::try_new(rows().schema(), vec![vec![rows()]]).unwrap();
    let (other, _) = govern(&world.context, Arc::new(base), "id > 0");
    world.context.register_table("other", other).unwrap();
    assert_eq!(refusal(&world, "SELECT * FROM other").await, "`other` was not decided on for this plan");
}

#[tokio::test]
async fn what_is_no_query() {
    let world = World::new(|_| {});
    for (sql, kind) in [
        ("EXPLAIN SELECT 1", "EXPLAIN"),
        ("EXPLAIN ANALYZE SELECT 1", "EXPLAIN"),
        ("CREATE TABLE x AS SELECT * FROM t", "a definition"),
        ("COPY t TO 'x.csv'", "COPY"),
        ("SET datafusion.execution.batch_size = 1", "a statement"),
    ] {
        let reason = refusal(&world, sql).await;
        assert_eq!(reason, format!("a plan holds an operation that is no query: {kind}"), "{sql}");
    }
}

#[tokio::test]
async fn physical_plans_that_lost_their_barrier() {
    let world = World::new(|_| {});
    let _dir = with_file(&world).await;
    let state = world.context.state();
    let scans = [Arc::clone(&world.scan)];
    let permitted = Permitted { scans: &scans };
    let good = world.context.sql("SELECT id FROM t").await.unwrap().create_physical_plan().await.unwrap();
    let once = Occurrences::from([(7, 1)]);
    assert_eq!(permitted.physical(&good, &once, &state), Ok(()));

    let raw = world.context.sql("SELECT id FROM raw").await.unwrap().create_physical_plan().await.unwrap();
    let error = permitted.physical(&raw, &Occurrences::new(), &state).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the plan was refused before it ran: an operator reads data past the barriers: DataSourceExec"
    );

    // Below an operator, and with the barrier's own input in the barrier's place.
    let naked = Arc::clone(good.children()[0].children().first().copied().unwrap_or(good.children()[0]));
    let naked: Arc<dyn ExecutionPlan> = Arc::new(FilterExec::try_new(lit(true), naked).unwrap());
    let empty: Arc<dyn ExecutionPlan> = Arc::new(EmptyExec::new(good.schema()));
    for (plan, expected) in [(naked, once.clone()), (empty, once.clone()), (Arc::clone(&good), Occurrences::new())] {
        let error = permitted.physical(&plan, &expected, &state).unwrap_err();
        assert_eq!(error, EngineError::Unverified("a governed scan was lost or added".into()));
    }
    let error = Permitted { scans: &[] }.physical(&good, &once, &state).unwrap_err();
    assert_eq!(error, EngineError::Unverified("`shop.t` was not decided on for this plan".into()));
}

#[tokio::test]
async fn aggregates_that_lost_their_guard() {
    let world = World::new(|_| {});
    let schema = rows().schema();
    let columns = schema.fields().iter().map(|field| ScanColumn {
        name: field.name().clone(),
        expr: Expr::Column(Column::new_unqualified(field.name())),
    });
    let scan = GovernedScan::try_new(9, "shop.groups", Arc::clone(&schema), None, columns).unwrap();
    let scan = Arc::new(scan.aggregates_of(Some(2)));
    let base = Arc::new(MemTable::try_new(schema, vec![vec![rows()]]).unwrap());
    world.context.register_table("g", Arc::new(BarrierTable::try_new(base, Arc::clone(&scan)).unwrap())).unwrap();
    let state = world.context.state();
    let plan = async |sql: &str| world.context.sql(sql).await.unwrap().create_physical_plan().await.unwrap();
    let guarded = |plan: &Arc<dyn ExecutionPlan>, limit| -> Arc<dyn ExecutionPlan> {
        Arc::new(GroupGuardExec::try_new(Arc::clone(plan), vec![limit]).unwrap())
    };
    let (scans, once) = ([scan], Occurrences::from([(9, 1)]));
    let physical = |plan: &Arc<dyn ExecutionPlan>| Permitted { scans: &scans }.physical(plan, &once, &state);
    let refused = "`shop.groups` may only be aggregated, and its groups are not guarded";
    let refused = Err(EngineError::Unverified(refused.into()));

    let aggregate =
        plan("SELECT id % 3 AS k, count(*) AS n, count(DISTINCT id) AS entities FROM g GROUP BY id % 3").await;
    assert_eq!(physical(&guarded(&aggregate, 2)), Ok(()));
    assert_eq!(physical(&aggregate), refused);
    assert_eq!(physical(&guarded(&aggregate, 1)), refused, "another limit");
    assert_eq!(physical(&guarded(&plan("SELECT name, id FROM g").await, 2)), refused, "no aggregate");
}
