//! Delta tables written by deltalake, and by hand where that cannot write them.

use std::sync::Arc;

use portcullis_contract::TableFormat;

use super::support::{Columns, Lake, beside_expected, declared, executed, files_in, same, tables, written_by_python};
use crate::ErrorKind;

static LAKE: Lake = Lake::new(None);

const EVENTS: Columns<'_> = &[
    ("note", "string"),
    ("id", "long"),
    ("ts", "timestamptz"),
    ("region", "string"),
    ("day", "date"),
    ("amount", "double"),
    ("price", "decimal(20,2)"),
];

pub(super) fn lake() -> Option<Arc<tempfile::TempDir>> {
    written_by_python(&LAKE, "make_delta.py")
}

#[tokio::test(flavor = "multi_thread")]
async fn external_delta_partitioned_table_is_what_its_writer_reads() {
    let Some(lake) = lake() else { return };
    let url = lake.path().display().to_string();
    let ctx = beside_expected(lake.path(), &declared(&url, "events", TableFormat::Delta, EVENTS)).await;
    for query in [
        "select note, id, ts, region, day, amount, price from {}",
        "select count(*) from {}",
        "select count(*), count(region), min(id), max(id), max(price), min(ts), max(ts) from {}",
        "select id, note from {} where region = 'a/b%c' and day = date '2024-01-02'",
        "select id from {} where region is null",
        "select id from {} where region <> 'us' or day > date '2024-01-02'",
        "select id from {} where amount > 900",
        "select id from {} where not (amount <= 900)",
        "select id from {} where price > 9000000000.00",
        "select id from {} where price = 0.01 or price < -9.00",
        "select id from {} where ts > timestamp '2024-01-20T23:00:00Z'",
        "select id from {} where id in (5, 105, 1999, 2000)",
        "select region, day, count(*) from {} group by region, day",
        "select id from {} order by ts desc limit 7",
    ] {
        same(&ctx, query).await;
    }
    let some = files_in(&executed(&ctx, "select id from t where region = 'us' and day = date '2024-01-01'").await.0);
    assert_eq!(some, 4, "one file for each commit");
    assert_eq!(files_in(&executed(&ctx, "select id from t where id >= 3000 and region = 'us'").await.0), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn external_delta_types_are_read_as_declared() {
    let Some(lake) = lake() else { return };
    let url = lake.path().display().to_string();
    let columns: Columns<'_> = &[
        ("id", "long"),
        ("flag", "boolean"),
        ("tiny", "int"),
        ("small", "long"),
        ("i", "int"),
        ("f", "float"),
        ("d", "double"),
        ("date", "date"),
        ("ts", "timestamp"),
        ("tz", "timestamptz"),
        ("s", "string"),
        ("bin", "binary"),
        ("dec", "decimal(38,10)"),
        ("tags", "list<string>"),
        ("attributes", "map<string,long>"),
        ("item", "struct<sku: string, count: int>"),
    ];
    let ctx = beside_expected(lake.path(), &declared(&url, "types", TableFormat::Delta, columns)).await;
    for query in [
        "select * from {}",
        "select id from {} where tiny > 50 and small < 90",
        "select id from {} where dec >= 100000000000000000000 and dec <= 110000000000000000000",
        "select id from {} where item['count'] = 12 or item['sku'] = 'sku9'",
        "select id from {} where flag and tz < timestamp '1969-12-03T00:00:00Z'",
        "select id, f from {} where f > 20",
        "select id from {} where date = date '1969-01-20'",
    ] {
        same(&ctx, query).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn external_delta_times_in_other_forms_than_the_tables_are_read_or_refused() {
    let Some(lake) = lake() else { return };
    let url = lake.path().display().to_string();
    for name in ["int96", "nanos"] {
        let table = declared(&url, name, TableFormat::Delta, &[("id", "long"), ("ts", "timestamp")]);
        let ctx = beside_expected(lake.path(), &table).await;
        for query in [
            "select * from {}",
            "select min(ts), max(ts) from {}",
            "select id from {} where ts < timestamp '1970-01-01T00:00:00'",
            "select id from {} where ts > timestamp '2200-01-01T00:00:00'",
            "select id from {} where ts = timestamp '1969-12-31T23:59:59.999999'",
        ] {
            same(&ctx, query).await;
        }
    }
    let tables = tables();
    let table = declared(&url, "finer", TableFormat::Delta, &[("id", "long"), ("ts", "timestamp")]);
    let ctx = super::support::session(&tables);
    ctx.register_table("t", tables.pin(&table).await.unwrap().provider()).unwrap();
    let error = ctx.sql("select ts from t").await.unwrap().collect().await.unwrap_err();
    let words = "a data file has times in nanoseconds, and its table has them in microseconds";
    assert!(error.to_string().contains(words), "{error}");
    let declared_finer = declared(&url, "finer", TableFormat::Delta, &[("ts", "timestamp_ns")]);
    assert_eq!(
        tables.pin(&declared_finer).await.unwrap_err().to_string(),
        "table `test.finer` is withheld: the contract declares the column `ts` as `timestamp_ns`, and the table has it as \
         `timestamp`"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn external_delta_columns_that_files_lack_are_null() {
    let Some(lake) = lake() else { return };
    let url = lake.path().display().to_string();
    let table = declared(&url, "widened", TableFormat::Delta, &[("id", "long"), ("extra", "string")]);
    let ctx = beside_expected(lake.path(), &table).await;
    for query in
        ["select id, extra from {}", "select id from {} where extra is null", "select id from {} where extra = 'x3'"]
    {
        same(&ctx, query).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn external_delta_deletion_vectors_and_column_mapping() {
    let Some(lake) = lake() else { return };
    let url = lake.path().display().to_string();
    for name in ["mapped_by_name", "mapped_by_id"] {
        let columns: Columns<'_> =
            &[("id", "long"), ("region", "string"), ("Full Name", "string"), ("item", "struct<sku: string>")];
        let ctx = beside_expected(lake.path(), &declared(&url, name, TableFormat::Delta, columns)).await;
        for query in [
            "select * from {}",
            "select id, item['sku'] from {} where item['sku'] like 'sku10%'",
            "select count(*) from {}",
            "select count(*), min(id), max(id) from {}",
            "select id from {} where region = 'us' and id > 1490 and id < 1630",
            "select id, \"Full Name\" from {} where region is null and id % 100 = 0",
            "select \"Full Name\" from {} where \"Full Name\" >= 'n998'",
            "select count(*) from {} where id = 1000 or id = 1003",
        ] {
            same(&ctx, query).await;
        }
        let pinned = tables().pin(&declared(&url, name, TableFormat::Delta, columns)).await.unwrap();
        assert_eq!((pinned.snapshot(), pinned.snapshot_time_ms()), ("0", Some(1_700_000_001_234)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn external_delta_new_versions_are_seen_and_missing_tables_are_named() {
    let Some(lake) = lake() else { return };
    let url = lake.path().display().to_string();
    let tables = tables();
    let table = declared(&url, "events", TableFormat::Delta, EVENTS);
    let first = tables.pin(&table).await.unwrap();
    assert_eq!(first.snapshot(), "4");
    let same_again = tables.pin(&table).await.unwrap();
    assert_eq!(same_again.snapshot(), "4");
    let gone = tables.pin(&declared(&url, "nothing", TableFormat::Delta, EVENTS)).await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::Unavailable, "{gone}");
    assert_eq!(
        gone.to_string(),
        "table `test.nothing` is not available: there is no Delta table at its place in connection `lake`; try again later"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn external_delta_a_table_written_anew_in_its_place_is_read_anew() {
    let Some(lake) = lake() else { return };
    let place = tempfile::TempDir::new().unwrap();
    let put = |name: &str| {
        let target = place.path().join("table");
        let _ = std::fs::remove_dir_all(&target);
        super::support::run(std::process::Command::new("cp").arg("-r").arg(lake.path().join(name)).arg(target));
    };
    let tables = tables();
    let table = declared(&place.path().display().to_string(), "table", TableFormat::Delta, &[("id", "long")]);
    let mut counts = Vec::new();
    for name in ["events", "mapped_by_id", "types", "mapped_by_name"] {
        put(name);
        let ctx = super::support::session(&tables);
        ctx.register_table("t", tables.pin(&table).await.unwrap().provider()).unwrap();
        let (_, answer) = executed(&ctx, "select count(*) from t where id >= 0").await;
        counts.push(super::support::rows(&answer).concat());
    }
    assert_eq!(counts, ["3900", "2748", "200", "2748"]);
}
