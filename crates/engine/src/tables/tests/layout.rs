//! What may be known of rows without reading them: Bloom filters, and how many values columns have.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::common::stats::Precision;
use datafusion::common::{Column, ColumnStatistics, DFSchema, Statistics};
use datafusion::logical_expr::{Expr, cast, lit};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::MetricValue;
use datafusion::physical_plan::statistics::{StatisticsArgs, StatisticsContext};
use datafusion::prelude::{SessionConfig, SessionContext};
use portcullis_contract::TableFormat::{self, Delta, Iceberg};

use super::support::{beside_expected, declared, executed, rows, same, session, tables};
use super::{conformance, delta, metadata, spark};
use crate::barrier::{BarrierTable, GovernedScan, ScanColumn};

/// Tables that Spark wrote; none without Java.
fn lake() -> Option<PathBuf> {
    spark::lake_of("Layout.java", "layout")
}

/// What is left of a table for somebody with a filter of rows, and one column masked.
async fn governed(
    ctx: &SessionContext,
    table: &str,
    filter: Option<&str>,
    masked: Option<&str>,
) -> Arc<dyn TableProvider> {
    let base = ctx.table_provider(table).await.unwrap();
    let schema = base.schema();
    let of_table = DFSchema::try_from(Arc::clone(&schema)).unwrap();
    let filter = filter.map(|filter| ctx.parse_sql_expr(filter, &of_table).unwrap());
    let columns = schema.fields().iter().map(|field| ScanColumn {
        name: field.name().clone(),
        expr: match Some(field.name().as_str()) == masked {
            true => cast(lit(0), field.data_type().clone()),
            false => Expr::Column(Column::new_unqualified(field.name())),
        },
    });
    let scan = GovernedScan::try_new(0, "test.t", Arc::clone(&schema), filter.as_ref(), columns).unwrap();
    Arc::new(BarrierTable::try_new(base, Arc::new(scan)).unwrap())
}

/// How many row groups Bloom filters left out.
fn left_out(plan: &Arc<dyn ExecutionPlan>) -> usize {
    let own = plan.metrics().into_iter().flat_map(|metrics| metrics.iter().cloned().collect::<Vec<_>>());
    let own = own.filter_map(|metric| match metric.value() {
        MetricValue::PruningMetrics { name, pruning_metrics } if name == "row_groups_pruned_bloom_filter" => {
            Some(pruning_metrics.pruned())
        }
        _ => None,
    });
    own.sum::<usize>() + plan.children().into_iter().map(left_out).sum::<usize>()
}

/// Of a table whose 20 row groups have Bloom filters, a point query reads one; no row is lost by that.
async fn is_read_by_its_filters(lake: &Path, format: TableFormat, name: &str) {
    let columns = conformance::columns_of(lake, name);
    let columns: Vec<(&str, &str)> = columns.iter().map(|(name, of)| (name.as_str(), of.as_str())).collect();
    let ctx = beside_expected(lake, &declared(&lake.display().to_string(), name, format, &columns)).await;
    for (view, filter, masked) in [("whole", None, None), ("some", Some("id <> 3"), Some("id"))] {
        let table = governed(&ctx, "t", filter, masked).await;
        ctx.register_table(view, table).unwrap();
    }
    for id in (0..2000).step_by(97) {
        for condition in [
            format!("name = md5('{id}')"),
            format!("code = {id} * 7919 % 1000003"),
            format!("code in ({id}, {id} + 7919)"),
        ] {
            same(&ctx, &format!("select * from {{}} where {condition}")).await;
        }
    }
    let code = 1234 * 7919 % 1_000_003;
    let found = "81dc9bdb52d04dc20036dbd8313ed055";
    for (condition, expected) in [
        (format!("name = '{found}'"), 1),
        (format!("code = {code}"), 1),
        (format!("name in ('{found}', 'none')"), 1),
        (format!("code = {code} and name = '{found}'"), 1),
        ("name = '81dc9bdb52d04dc20036dbd8313ed05'".to_owned(), 0),
    ] {
        for from in ["t", "whole", "some"] {
            let (plan, answer) = executed(&ctx, &format!("select name, code from {from} where {condition}")).await;
            assert_eq!(rows(&answer).len(), expected, "{name}: {condition} of {from}");
            // One of a hundred filters says yes by chance.
            assert!(left_out(&plan) >= 16, "{name}: {condition} of {from}: {} row groups", left_out(&plan));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn external_bloom_filters_leave_out_row_groups() {
    if let Some(lake) = delta::lake() {
        is_read_by_its_filters(lake.path(), Delta, "bloomed").await;
    }
    if let Some(lake) = lake() {
        is_read_by_its_filters(&lake, Iceberg, "l_bloomed").await;
    }
}

/// How many rows the scans of a plan handed on.
fn scanned(plan: &Arc<dyn ExecutionPlan>) -> usize {
    match plan.children().as_slice() {
        [] => plan.metrics().and_then(|metrics| metrics.output_rows()).unwrap_or(0),
        children => children.iter().map(|child| scanned(child)).sum(),
    }
}

/// The best rows of a sort are looked for where they are, by those from whom no row is hidden.
#[tokio::test(flavor = "multi_thread")]
async fn external_sorts_read_the_best_rows_first() {
    let Some(lake) = delta::lake() else { return };
    let columns = [("id", "long"), ("name", "string"), ("code", "long")];
    let table = declared(&lake.path().display().to_string(), "bloomed", Delta, &columns);
    let tables = tables();
    let ctx = SessionContext::new_with_config_rt(
        SessionConfig::new().with_target_partitions(1).with_batch_size(50),
        session(&tables).runtime_env(),
    );
    ctx.register_table("t", tables.pin(&table).await.unwrap().provider()).unwrap();
    for (view, filter, masked, order, reads_all) in [
        ("whole", None, None, "id desc", false),
        ("whole", None, None, "id desc, code", false),
        ("masked", None, Some("code"), "id desc", false),
        // Which of the rows is read first would tell of hidden ones beside it, or of what is behind a mask.
        ("hidden", None, Some("id"), "id desc, code", true),
        ("some", Some("code <> 3"), None, "id desc", true),
        ("whole", None, None, "id % 5000 desc", true),
    ] {
        let provider = governed(&ctx, "t", filter, masked).await;
        ctx.deregister_table(view).unwrap();
        ctx.register_table(view, provider).unwrap();
        let (plan, answer) = executed(&ctx, &format!("select id, code from {view} order by {order} limit 5")).await;
        if masked != Some("id") {
            let ids: Vec<String> = rows(&answer).iter().map(|row| row[..4].to_owned()).collect();
            assert_eq!(ids, ["1995", "1996", "1997", "1998", "1999"], "{order} of {view}");
        }
        assert_eq!(scanned(&plan) >= 2000, reads_all, "{order} of {view}: {} rows", scanned(&plan));
    }
}

/// Rows that are deleted stay so, and rows keep their numbers, in whatever order they are read.
#[tokio::test(flavor = "multi_thread")]
async fn external_sorts_find_the_rows_that_are_there() {
    let Some(lake) = metadata::lake() else { return };
    for name in ["m_version_2", "m_changed", "m_compacted"] {
        let columns = conformance::columns_of(&lake, name);
        let columns: Vec<(&str, &str)> = columns.iter().map(|(name, of)| (name.as_str(), of.as_str())).collect();
        let ctx = beside_expected(&lake, &declared(&lake.display().to_string(), name, Iceberg, &columns)).await;
        let whole = governed(&ctx, "t", None, None).await;
        ctx.deregister_table("t").unwrap();
        ctx.register_table("t", whole).unwrap();
        for order in ["id", "id desc", "n desc nulls last, id", "region, id desc", "_pos desc, id", "_file, _pos desc"]
        {
            for limit in [1, 30, 1100] {
                same(&ctx, &format!("select id, n, _pos from {{}} order by {order} limit {limit}")).await;
            }
        }
        same(&ctx, "select id, region from {} where n > 0 and id % 5 <> 1 order by id desc limit 40").await;
    }
}

async fn statistics_of(ctx: &SessionContext, query: &str) -> Arc<Statistics> {
    let plan = ctx.sql(query).await.unwrap().create_physical_plan().await.unwrap();
    StatisticsContext::default().compute(plan.as_ref(), &StatisticsArgs::default()).unwrap()
}

fn distinct(statistics: &Statistics) -> Vec<Option<usize>> {
    let count = |column: &ColumnStatistics| match column.distinct_count {
        Precision::Exact(count) => panic!("an answer could be made of {count}"),
        Precision::Inexact(count) => Some(count),
        Precision::Absent => None,
    };
    statistics.column_statistics.iter().map(count).collect()
}

async fn reading(lake: &Path, name: &str, columns: &[(&str, &str)]) -> SessionContext {
    let tables = tables();
    let ctx = session(&tables);
    let table = declared(&lake.display().to_string(), name, Iceberg, columns);
    ctx.register_table("t", tables.pin(&table).await.unwrap().provider()).unwrap();
    ctx
}

#[tokio::test(flavor = "multi_thread")]
async fn external_statistics_files_tell_how_many_values_columns_have() {
    let Some(lake) = lake() else { return };
    let ctx = reading(&lake, "l_counted", &[("street", "long"), ("id", "long"), ("city", "string")]).await;
    // Sketches are exact up to some thousand values.
    assert_eq!(distinct(&*statistics_of(&ctx, "select * from t").await), [Some(225), Some(1200), Some(10)]);
    assert_eq!(distinct(&*statistics_of(&ctx, "select city, street from t").await), [Some(10), Some(225)]);
    // A join of cities is as large as it is, and not as small as by the number of rows.
    let joined = statistics_of(&ctx, "select 1 from t one join t two on one.city = two.city").await;
    assert_eq!(joined.num_rows, Precision::Inexact(1200 * 1200 / 10));
}

#[tokio::test(flavor = "multi_thread")]
async fn external_counts_of_an_earlier_snapshot_are_found_by_identity() {
    let Some(lake) = lake() else { return };
    let ctx = reading(&lake, "l_counted_once", &[("town", "string"), ("id", "long"), ("street", "long")]).await;
    let now = statistics_of(&ctx, "select * from t").await;
    assert_eq!(distinct(&now), [Some(10), Some(1200), Some(225)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn external_counts_are_told_where_nothing_is_hidden() {
    let Some(lake) = lake() else { return };
    let ctx = reading(&lake, "l_counted", &[("id", "long"), ("city", "string"), ("street", "long")]).await;
    for (view, filter, masked, expected) in [
        ("whole", None, None, [Some(1200), Some(10), Some(225)]),
        ("masked", None, Some("street"), [Some(1200), Some(10), None]),
        ("some", Some("id <> 3"), None, [None; 3]),
        ("few", Some("city = 'city 1'"), Some("id"), [None; 3]),
    ] {
        let table = governed(&ctx, "t", filter, masked).await;
        ctx.register_table(view, table).unwrap();
        assert_eq!(distinct(&*statistics_of(&ctx, &format!("select * from {view}")).await), expected, "{view}");
    }
}
