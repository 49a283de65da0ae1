//! Metadata columns of Iceberg: what Spark tells of its tables, what is at the places in pyiceberg's files, and who has them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::physical_plan::displayable;
use portcullis_contract::TableFormat::{Delta, Iceberg};

use super::support::{beside_expected, declared, executed, parquet_rows, rows, same, session, tables};
use super::{conformance, delta, iceberg, java, spark};

/// Tables of which Spark told the metadata columns; none without Java.
pub(super) fn lake() -> Option<PathBuf> {
    spark::lake_of("Lineage.java", "lineage")
}

/// The table's metadata columns are what its writer reads, whatever is asked of them.
pub(super) async fn are_equal(lake: &Path, name: &str) {
    let columns = conformance::columns_of(lake, name);
    let columns: Vec<(&str, &str)> = columns.iter().map(|(name, of)| (name.as_str(), of.as_str())).collect();
    let ctx = beside_expected(lake, &declared(&lake.display().to_string(), name, Iceberg, &columns)).await;
    let positions = [
        "select * from {}",
        "select _pos from {}",
        "select _pos, n, _file from {} where id between 130 and 1140 and region is not null",
        "select id from {} where _pos between 90 and 110",
        "select id, _pos from {} where _pos = 17 or n = 300",
        "select count(*), count(distinct _file), max(_pos) from {}",
        "select _file, count(*), min(_pos), max(_pos), sum(_pos) from {} group by _file",
        "select id from {} where _file like 'data/region=e%20u/%' or _file like 'data/region=e+u/%'",
        "select id from {} where _file = (select max(_file) from {}) and _pos < 20",
        "select one.id from {} one join {} two on one._file = two._file and one._pos = two._pos + 1",
    ];
    let lineage = [
        "select _row_id, _last_updated_sequence_number from {}",
        "select id, _row_id from {} where _row_id between 400 and 700",
        "select id from {} where _row_id in (1, 512, 1999, 2000, 2999)",
        "select id from {} where _row_id is null or _last_updated_sequence_number is null",
        "select _last_updated_sequence_number, count(*), min(_row_id), max(_row_id) from {} group by 1",
        "select id, n from {} where _last_updated_sequence_number > 2 and n < 0",
        "select count(*), count(distinct _row_id) from {}",
        "select _row_id from {} order by _row_id desc limit 5",
    ];
    let has_lineage = columns.iter().any(|(name, _)| *name == "_row_id");
    for query in positions.into_iter().chain(lineage.into_iter().filter(|_| has_lineage)) {
        same(&ctx, query).await;
    }
    let limited = ctx.sql("select id, _pos from t limit 7").await.unwrap().collect().await.unwrap();
    assert_eq!(rows(&limited).len(), 7);
    let schema = ctx.sql("select * from t").await.unwrap().collect().await.unwrap().remove(0).schema();
    assert!(schema.fields().iter().all(|field| field.metadata().is_empty()), "{schema:?}");
}

/// The ids in a column of a batch or a file.
fn ids(batch: &RecordBatch, at: usize) -> Vec<i64> {
    let column = cast(batch.column(at), &DataType::Int64).unwrap();
    column.as_primitive::<Int64Type>().values().to_vec()
}

/// Each row of a table is in the file and at the place that it tells.
async fn are_places(lake: &Path, name: &str, conditions: &[&str]) {
    let table =
        declared(&lake.display().to_string(), name, Iceberg, &[("id", "long"), ("_pos", "long"), ("_file", "string")]);
    let tables = tables();
    let ctx = session(&tables);
    ctx.register_table("t", tables.pin(&table).await.unwrap().provider()).unwrap();
    let mut files: HashMap<String, Vec<i64>> = HashMap::new();
    for condition in conditions {
        let (_, found) = executed(&ctx, &format!("select id, _pos, _file from t where {condition}")).await;
        assert!(found.iter().any(|batch| batch.num_rows() > 0), "{name} where {condition}");
        for batch in &found {
            let names = cast(batch.column(2), &DataType::Utf8).unwrap();
            let names = names.as_string::<i32>().iter().map(|name| name.unwrap().to_owned());
            for ((id, at), file) in ids(batch, 0).into_iter().zip(ids(batch, 1)).zip(names) {
                let all = files.entry(file.clone()).or_insert_with(|| {
                    let rows = parquet_rows(&lake.join(name).join(&file));
                    rows.iter().flat_map(|batch| ids(batch, batch.schema().index_of("id").unwrap())).collect()
                });
                assert_eq!(all[usize::try_from(at).unwrap()], id, "{name}, row {at} of {file}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn external_rows_are_where_their_metadata_columns_say() {
    if let Some(lake) = iceberg::lake() {
        for name in ["events", "respecced"] {
            are_places(lake.path(), name, &["true", "id % 5 = 0", "id > 30", "_pos >= 3"]).await;
        }
    }
    // With equality deletes, position deletes and deletion vectors.
    if let Some(lake) = java::lake() {
        for name in ["equality", "positions", "vectors"] {
            are_places(lake.path(), name, &["true", "id % 1000 < 30", "_pos between 30 and 50"]).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn external_metadata_columns_are_there_under_their_names_and_in_their_types_only() {
    let (Some(ice), Some(other)) = (iceberg::lake(), delta::lake()) else { return };
    let absent = |name: &str| format!("the contract declares a column `{name}` that the table does not have");
    let typed = |name: &str, of: &str, is: &str| {
        format!("the contract declares the column `{name}` as `{of}`, and the table has it as `{is}`")
    };
    for (lake, format, name, of, expected) in [
        (&ice, Iceberg, "_FILE", "string", absent("_FILE")),
        (&ice, Iceberg, "_Pos", "long", absent("_Pos")),
        (&ice, Iceberg, "_pos", "string", typed("_pos", "string", "long")),
        (&ice, Iceberg, "_file", "long", typed("_file", "long", "string")),
        // Of version 2.
        (&ice, Iceberg, "_row_id", "long", absent("_row_id")),
        (&ice, Iceberg, "_last_updated_sequence_number", "long", absent("_last_updated_sequence_number")),
        (&other, Delta, "_file", "string", absent("_file")),
        (&other, Delta, "_pos", "long", absent("_pos")),
    ] {
        let table = declared(&lake.path().display().to_string(), "events", format, &[(name, of)]);
        let error = tables().pin(&table).await.unwrap_err().to_string();
        assert_eq!(error, format!("table `test.events` is withheld: {expected}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn external_a_scan_without_metadata_columns_is_what_it_was() {
    let Some(lake) = iceberg::lake() else { return };
    let url = lake.path().display().to_string();
    let tables = tables();
    let ctx = session(&tables);
    let table = declared(&url, "events", Iceberg, &[("id", "long"), ("_pos", "long"), ("_file", "string")]);
    ctx.register_table("t", tables.pin(&table).await.unwrap().provider()).unwrap();
    for (query, has_number) in [("select id from t", false), ("select id, _pos from t", true)] {
        let (plan, _) = executed(&ctx, query).await;
        let shown = displayable(plan.as_ref()).indent(true).to_string();
        assert_eq!(shown.contains("__portcullis_position"), has_number, "{shown}");
    }
    // Names of files prune.
    let (_, first) = executed(&ctx, "select min(_file) from t").await;
    let file = rows(&first).remove(0);
    let (plan, _) = executed(&ctx, &format!("select id from t where _file = '{file}'")).await;
    assert_eq!(super::support::files_in(&plan), 1);
}
