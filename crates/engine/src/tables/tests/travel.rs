//! Earlier versions of tables, beside what their writers read of each.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use portcullis_contract::{Table, TableFormat};
use portcullis_govern::{AsOf, ResolvedVersion};
use serde_json::Value;

use super::support::{
    Columns, Lake, declared, executed, expected_schema, fixtures, parquet_rows, python, rows, run, session, skip,
    tables, written_by_python,
};
use super::{java, spark};
use crate::ErrorKind;
use crate::tables::Tables;

static LAKE: Lake = Lake::new(None);

fn lake() -> Option<Arc<tempfile::TempDir>> {
    written_by_python(&LAKE, "make_travel.py")
}

const EVOLVING: Columns<'_> = &[
    ("late", "string"),
    ("x", "long"),
    ("id", "long"),
    ("a", "long"),
    ("b", "string"),
    ("f", "double"),
    ("region", "string"),
    ("item", "struct<code: string, count: long>"),
];
const HISTORY: Columns<'_> = &[("note", "string"), ("id", "long"), ("region", "string")];

fn facts(lake: &Path, name: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(lake.join(format!("expected/{name}.json"))).unwrap()).unwrap()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// What a version is called, beside its number.
fn names_of(version: &Value) -> Vec<AsOf> {
    let number = AsOf::Version(text(&version["snapshot"]).parse().unwrap());
    let time = AsOf::Time(version["time_ms"].as_i64().unwrap() * 1000);
    let tags = version["tags"].as_array().unwrap().iter().map(|tag| AsOf::Reference(text(tag)));
    [number, time].into_iter().chain(tags).collect()
}

/// Each version is what its writer read of it, whatever it is called.
async fn every_version_is_what_its_writer_reads(tables: &Tables, lake: &Path, table: &Table) {
    let name = &table.name.table;
    for version in facts(lake, name)["versions"].as_array().unwrap() {
        let snapshot = text(&version["snapshot"]);
        let columns: BTreeSet<String> = version["columns"].as_array().unwrap().iter().map(text).collect();
        let expected = ResolvedVersion { snapshot: snapshot.clone(), is_branch: false, columns };
        for as_of in names_of(version) {
            assert_eq!(tables.resolve(table, &as_of).await.unwrap(), expected, "{name} as of {as_of}");
        }
        let pinned = tables.pin_at(table, &expected).await.unwrap();
        assert_eq!(pinned.snapshot(), snapshot);
        let ctx = session(tables);
        ctx.register_table("t", pinned.provider()).unwrap();
        let called = format!("{name}@{snapshot}");
        let batches = parquet_rows(&lake.join(format!("expected/{called}.parquet")));
        let file = expected_schema(lake, &called);
        let order: Vec<_> = table.fields().iter().filter_map(|field| file.index_of(&field.name).ok()).collect();
        let batches: Vec<_> = batches.iter().map(|batch| batch.project(&order).unwrap()).collect();
        let list = order.iter().map(|at| format!("\"{}\"", file.field(*at).name())).collect::<Vec<_>>().join(", ");
        let (_, found) = executed(&ctx, &format!("select {list} from t")).await;
        assert_eq!(rows(&found), rows(&batches), "{name}@{snapshot}");
        for field in table.fields().iter().filter(|field| !expected.columns.contains(&field.name)) {
            let (_, found) = executed(&ctx, &format!("select count(*), count(\"{0}\") from t", field.name)).await;
            let count: usize = batches.iter().map(|batch| batch.num_rows()).sum();
            assert_eq!(rows(&found), [format!("{count} | 0")], "`{}` of {name}@{snapshot}", field.name);
            for (filter, matching) in [("is null", count), ("is not null", 0)] {
                let (_, found) = executed(&ctx, &format!("select 1 from t where \"{}\" {filter}", field.name)).await;
                assert_eq!(rows(&found).len(), matching, "`{}` {filter} of {name}@{snapshot}", field.name);
            }
        }
        for filter in ["region = 'eu'", "region is null", "id < 150", "id % 7 = 3 and region <> 'eu'"] {
            let (_, part) = executed(&ctx, &format!("select id from t where {filter}")).await;
            let (_, counted) = executed(&ctx, &format!("select id, {filter} as k from t")).await;
            let kept = rows(&counted).iter().filter(|row| row.ends_with("true")).count();
            assert_eq!(rows(&part).len(), kept, "{filter} of {name}@{snapshot}");
        }
    }
}

/// The same, of a table here.
pub(super) async fn versions_are_what_the_writer_reads(name: &str, format: TableFormat) {
    let Some(lake) = lake() else { return };
    let columns = if format == TableFormat::Iceberg { EVOLVING } else { HISTORY };
    let table = declared(&lake.path().display().to_string(), name, format, columns);
    every_version_is_what_its_writer_reads(&tables(), lake.path(), &table).await;
}

/// Random appends, overwrites, deletes, updates and evolution by both formats' writers, each version beside a model.
/// `PORTCULLIS_SEED` asks for other pasts.
#[tokio::test(flavor = "multi_thread")]
async fn external_travel_random_pasts_are_what_a_model_says() {
    let Some(python) = python() else {
        skip("no Python with pyiceberg and deltalake (set PORTCULLIS_PYTHON, or run `cargo xtask setup`)");
        return;
    };
    let given = std::env::var("PORTCULLIS_SEED").ok().map(|seed| seed.parse::<u64>().unwrap());
    for seed in given.map_or(1..3, |seed| seed..seed + 1) {
        random_past(&python, seed, 20, &[]).await;
    }
}

/// The same by two writers in turns: pyiceberg and Iceberg's own library, deltalake and Spark.
#[tokio::test(flavor = "multi_thread")]
async fn external_travel_pasts_of_two_writers_are_what_a_model_says() {
    let (Some(python), Some(iceberg), Some(delta)) =
        (python(), java::command("Turn.java"), spark::command("Turn.java"))
    else {
        skip("no Python with pyiceberg and deltalake, or no Java with Maven");
        return;
    };
    let seed = std::env::var("PORTCULLIS_SEED").map_or(5, |seed| seed.parse::<u64>().unwrap());
    let commands = [iceberg, delta].map(|command| serde_json::to_string(&command).unwrap());
    random_past(&python, seed, 24, &commands).await;
}

async fn random_past(python: &Path, seed: u64, steps: u64, second_writers: &[String]) {
    let lake = tempfile::TempDir::new().unwrap();
    let mut writer = std::process::Command::new(python);
    writer.arg(fixtures().join("make_random.py")).arg(lake.path()).args([seed.to_string(), steps.to_string()]);
    run(writer.args(second_writers));
    for (format, kind) in [(TableFormat::Iceberg, "iceberg"), (TableFormat::Delta, "delta")] {
        let name = format!("{kind}_{seed}");
        eprintln!("seed {seed}: {name}");
        let facts = facts(lake.path(), &name);
        let columns = facts["declared"].as_array().unwrap().iter().map(|pair| (text(&pair[0]), text(&pair[1])));
        let columns: Vec<(String, String)> = columns.collect();
        let columns: Vec<(&str, &str)> = columns.iter().map(|(name, of)| (name.as_str(), of.as_str())).collect();
        let table = declared(&lake.path().display().to_string(), &name, format, &columns);
        every_version_is_what_its_writer_reads(&tables(), lake.path(), &table).await;
    }
}

async fn refused(tables: &Tables, table: &Table, as_of: AsOf) -> String {
    let error = tables.resolve(table, &as_of).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoVersion, "{error}");
    let text = error.to_string();
    let begin = format!("table `{}` cannot be read as of then: ", table.name);
    text.strip_prefix(&begin).unwrap_or_else(|| panic!("{text}")).to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn external_travel_iceberg_snapshots_have_the_columns_that_they_had() {
    let Some(lake) = lake() else { return };
    let table = declared(&lake.path().display().to_string(), "evolving", TableFormat::Iceberg, EVOLVING);
    let tables = tables();
    every_version_is_what_its_writer_reads(&tables, lake.path(), &table).await;

    let facts = facts(lake.path(), "evolving");
    let branch = tables.resolve(&table, &AsOf::Reference("audit".into())).await.unwrap();
    assert_eq!((branch.is_branch, &branch.snapshot), (true, &text(&facts["audit"])));
    assert_eq!(branch.columns.len(), EVOLVING.len(), "a branch has the columns of now");
    let main = tables.resolve(&table, &AsOf::Reference("main".into())).await.unwrap();
    assert!(main.is_branch);
    assert_eq!(main.snapshot, tables.pin(&table).await.unwrap().snapshot());
    let ctx = session(&tables);
    ctx.register_table("audit", tables.pin_at(&table, &branch).await.unwrap().provider()).unwrap();
    ctx.register_table("main", tables.pin_at(&table, &main).await.unwrap().provider()).unwrap();
    ctx.register_table("now", tables.pin(&table).await.unwrap().provider()).unwrap();
    let (_, old) =
        executed(&ctx, "select count(x), count(a), count(b), count(late), max(item['count']) from audit").await;
    assert_eq!(rows(&old), ["120 | 0 | 0 | 0 | ∅"]);
    let of = async |name: &str| rows(&executed(&ctx, &format!("select * from {name}")).await.1);
    assert_eq!(of("main").await, of("now").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn external_travel_iceberg_what_was_not_published_or_expired_is_not_there() {
    let Some(lake) = lake() else { return };
    let table = declared(&lake.path().display().to_string(), "evolving", TableFormat::Iceberg, EVOLVING);
    let (tables, facts) = (tables(), facts(lake.path(), "evolving"));
    let expired = text(&facts["expired"]);
    assert_eq!(
        refused(&tables, &table, AsOf::Version(expired.parse().unwrap())).await,
        format!("it has no snapshot {expired}, or not any more")
    );
    assert_eq!(refused(&tables, &table, AsOf::Version(4242)).await, "it has no snapshot 4242, or not any more");
    assert_eq!(
        refused(&tables, &table, AsOf::Version(u64::MAX)).await,
        format!("it has no snapshot {}, or not any more", u64::MAX)
    );
    assert_eq!(
        refused(&tables, &table, AsOf::Reference("nightly".into())).await,
        "it has no branch or tag `nightly`, or not any more"
    );
    let first = facts["versions"][0]["time_ms"].as_i64().unwrap();
    let before = refused(&tables, &table, AsOf::Time(first * 1000 - 1)).await;
    assert!(before.starts_with("it has no snapshot of 20") && before.ends_with("Z, or not any more"), "{before}");
    let empty = declared(&lake.path().display().to_string(), "nothing", TableFormat::Iceberg, EVOLVING);
    assert_eq!(tables.resolve(&empty, &AsOf::Version(1)).await.unwrap_err().kind(), ErrorKind::Unavailable);
}

#[tokio::test(flavor = "multi_thread")]
async fn external_travel_delta_versions_and_times_are_those_of_the_writer() {
    let Some(lake) = lake() else { return };
    let url = lake.path().display().to_string();
    let tables = tables();
    for name in ["history", "said", "cleaned"] {
        let table = declared(&url, name, TableFormat::Delta, HISTORY);
        every_version_is_what_its_writer_reads(&tables, lake.path(), &table).await;
    }
    let table = declared(&url, "history", TableFormat::Delta, HISTORY);
    for (millis, version) in facts(lake.path(), "history")["own"].as_object().unwrap() {
        let found = tables.resolve(&table, &AsOf::Time(millis.parse::<i64>().unwrap() * 1000)).await.unwrap();
        assert_eq!(found.snapshot, text(version), "at {millis}");
    }
    for (as_of, message) in [
        (AsOf::Version(6), "it has no version 6; its newest is 5"),
        (
            AsOf::Reference("main".into()),
            "a Delta table has no branches or tags; write the version's number without quotes",
        ),
        (AsOf::Time(999_999_999), "it has no version of 1970-01-01 00:16:39.999999Z"),
    ] {
        assert_eq!(refused(&tables, &table, as_of).await, message);
    }
    let said = declared(&url, "said", TableFormat::Delta, HISTORY);
    for (millis, version) in
        [(1_999_999, "0"), (2_000_000, "1"), (100_000_001, "1"), (100_000_002, "2"), (100_000_009, "5")]
    {
        let found = tables.resolve(&said, &AsOf::Time(millis * 1000)).await.unwrap();
        assert_eq!(found.snapshot, version, "at {millis}");
    }
    let cleaned = declared(&url, "cleaned", TableFormat::Delta, HISTORY);
    assert_eq!(
        refused(&tables, &cleaned, AsOf::Version(2)).await,
        "its log does not reach back to version 2; the earliest version is 3"
    );
    assert_eq!(
        refused(&tables, &cleaned, AsOf::Time(2_000_000_000)).await,
        "its log does not reach back to 1970-01-01 00:33:20Z; the earliest version is 3"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn external_travel_a_version_with_other_columns_than_were_decided_is_not_read() {
    let Some(lake) = lake() else { return };
    let url = lake.path().display().to_string();
    let tables = tables();
    for (name, format, columns) in
        [("evolving", TableFormat::Iceberg, EVOLVING), ("history", TableFormat::Delta, HISTORY)]
    {
        let table = declared(&url, name, format, columns);
        let snapshot = text(&facts(lake.path(), name)["versions"][0]["snapshot"]);
        let all: BTreeSet<String> = columns.iter().map(|(name, _)| (*name).to_owned()).collect();
        let wrong = ResolvedVersion { snapshot, is_branch: false, columns: all };
        let error = tables.pin_at(&table, &wrong).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.to_string().contains("its columns changed while the query was planned"), "{error}");
    }
    let table = declared(&url, "history", TableFormat::Delta, &[("id", "long"), ("note", "long")]);
    let error = tables.resolve(&table, &AsOf::Version(0)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Withheld, "{error}");
}
