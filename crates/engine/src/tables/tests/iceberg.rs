//! Iceberg tables written by pyiceberg.

use std::sync::Arc;

use portcullis_contract::{SourcePath, TableFormat};

use super::support::{
    Columns, Lake, beside_expected, declared, executed, files_in, rows, same, session, tables, written_by_python,
};
use crate::ErrorKind;

static LAKE: Lake = Lake::new(None);

const EVENTS: Columns<'_> = &[
    ("id", "long"),
    ("ts", "timestamp"),
    ("region", "string"),
    ("user_id", "int"),
    ("amount", "double"),
    ("price", "decimal(12,2)"),
    ("note", "string"),
];

const QUERIES: &[&str] = &[
    "select * from {}",
    "select count(*) from {}",
    "select count(*), count(region), count(user_id), min(id), max(id), min(price), max(price) from {}",
    "select note, id from {} where region = 'eu' and user_id < 10",
    "select id from {} where region is null",
    "select id from {} where region is not null and user_id is null",
    "select id from {} where region <> 'eu'",
    "select id from {} where region in ('us', 'nowhere')",
    "select id from {} where region not in ('us')",
    "select id from {} where not (region = 'us' and user_id > 5)",
    "select id from {} where amount > 900",
    "select id from {} where amount >= 949.0 or price < 0",
    "select id from {} where amount is not null and not (amount < 900)",
    "select count(*) from {} where id between 1990 and 2010",
    "select id, price from {} where price between 10.00 and 11.50",
    "select id from {} where note like 'note 1%'",
    "select id from {} where note > 'note 96' order by id limit 5",
    "select id from {} where ts >= timestamp '2024-02-25T00:00:00' and ts < timestamp '2024-02-26T00:00:00'",
    "select region, count(*), sum(user_id) from {} group by region",
    "select a.id from {} a join {} b on a.id = b.user_id where b.region = 'us' and b.price > 900.00",
];

pub(super) fn lake() -> Option<Arc<tempfile::TempDir>> {
    written_by_python(&LAKE, "make_iceberg.py")
}

#[tokio::test(flavor = "multi_thread")]
async fn external_iceberg_partitioned_table_is_what_its_writer_reads() {
    let Some(lake) = lake() else { return };
    let url = lake.path().display().to_string();
    let ctx = beside_expected(lake.path(), &declared(&url, "events", TableFormat::Iceberg, EVENTS)).await;
    for query in QUERIES {
        same(&ctx, query).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn external_iceberg_files_are_pruned_by_partition_and_statistics() {
    let Some(lake) = lake() else { return };
    let url = lake.path().display().to_string();
    let ctx = beside_expected(lake.path(), &declared(&url, "events", TableFormat::Iceberg, EVENTS)).await;
    let all = files_in(&executed(&ctx, "select id from t").await.0);
    assert_eq!(all, 9, "three commits of three partitions");
    assert_eq!(files_in(&executed(&ctx, "select id from t where region = 'eu'").await.0), 3);
    assert_eq!(files_in(&executed(&ctx, "select id from t where region is null").await.0), 3);
    assert_eq!(files_in(&executed(&ctx, "select id from t where id < 2000 and region = 'us'").await.0), 1);
    assert_eq!(files_in(&executed(&ctx, "select id from t where not (id >= 2000 or region <> 'us')").await.0), 1);
    assert_eq!(files_in(&executed(&ctx, "select id from t where id > 100000").await.0), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn external_iceberg_files_are_pruned_by_every_transform_as_their_writer_does() {
    let Some(lake) = lake() else { return };
    let url = lake.path().display().to_string();
    let columns: Columns<'_> = &[
        ("id", "long"),
        ("ts", "timestamp"),
        ("tz", "timestamptz"),
        ("day", "date"),
        ("name", "string"),
        ("price", "decimal(12,2)"),
        ("n", "int"),
    ];
    let ctx = beside_expected(lake.path(), &declared(&url, "transformed", TableFormat::Iceberg, columns)).await;
    let files = std::fs::read_to_string(lake.path().join("expected/transformed.json")).unwrap();
    let files: std::collections::BTreeMap<String, usize> = serde_json::from_str(&files).unwrap();
    let all = files["true"];
    for (filter, of_writer) in files {
        same(&ctx, &format!("select * from {{}} where {filter}")).await;
        let read = files_in(&executed(&ctx, &format!("select id from t where {filter}")).await.0);
        assert!(read <= of_writer, "{filter}: {read} files, and the writer reads {of_writer} of {all}");
        assert!(of_writer < all || filter == "true", "{filter} leaves out no file");
    }
    for filter in [
        "ts < timestamp '1970-01-01T00:00:00' and ts >= timestamp '1969-12-31T15:00:00'",
        "day <= date '1969-12-31'",
        "tz = timestamp '1969-12-30T08:59:59.999983Z'",
        "name not like 'ab%' and name > 'b'",
        "name in ('\u{10FFFF}\u{10FFFF}', '')",
        "not (price <= -1.50 or n > 3)",
        "id <> 75 and id not in (76, 77)",
    ] {
        same(&ctx, &format!("select * from {{}} where {filter}")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn external_iceberg_columns_are_found_by_identity() {
    let Some(lake) = lake() else { return };
    let url = lake.path().display().to_string();
    let columns: Columns<'_> =
        &[("c", "string"), ("b", "long"), ("x", "string"), ("f", "double"), ("d", "decimal(12,2)")];
    let ctx = beside_expected(lake.path(), &declared(&url, "evolved", TableFormat::Iceberg, columns)).await;
    for query in [
        "select b, x, f, d, c from {}",
        "select c from {} where c is null",
        "select x, c from {} where b > 4000000000 and x like 'x1%'",
        "select x from {} where x = 'b7' or c = 'c9'",
        "select max(b), min(x), max(d), count(c) from {}",
        "select b from {} where d = 3.25",
        "select b from {} where f > 100",
    ] {
        same(&ctx, query).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn external_iceberg_types_are_read_as_declared() {
    let Some(lake) = lake() else { return };
    let url = lake.path().display().to_string();
    let columns: Columns<'_> = &[
        ("id", "long"),
        ("flag", "boolean"),
        ("i", "long"),
        ("f", "double"),
        ("d", "double"),
        ("day", "date"),
        ("t", "time"),
        ("ts", "timestamp"),
        ("tz", "timestamptz"),
        ("s", "string"),
        ("bin", "binary"),
        ("dec", "decimal(38,10)"),
        ("tags", "list<string>"),
        ("attributes", "map<string,long>"),
        ("item", "struct<code: string, count: long, label: string>"),
    ];
    let ctx = beside_expected(lake.path(), &declared(&url, "types", TableFormat::Iceberg, columns)).await;
    for query in [
        "select * from {}",
        "select id from {} where flag",
        "select id from {} where not flag",
        "select id, item['code'] from {} where item['count'] > 150",
        "select id from {} where item['label'] is null",
        "select id from {} where day < date '1969-02-01' or ts > timestamp '1969-12-12T00:00:00'",
        "select id from {} where tz < timestamp '1969-12-02T00:00:00Z'",
        "select id from {} where arrow_cast(t, 'Utf8') > '20'",
        "select id from {} where dec > 100000000000000000000",
        "select id, tags from {} where array_length(tags) = 2",
        "select id from {} where bin is null and s is null",
    ] {
        same(&ctx, query).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn external_iceberg_tables_without_rows_have_none() {
    let Some(lake) = lake() else { return };
    let url = lake.path().display().to_string();
    for name in ["empty", "emptied"] {
        let table = declared(&url, name, TableFormat::Iceberg, &[("name", "string"), ("id", "long")]);
        let ctx = beside_expected(lake.path(), &table).await;
        same(&ctx, "select name, id from {}").await;
        same(&ctx, "select count(*) from {} where id > 0").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn external_iceberg_partitioning_may_change() {
    let Some(lake) = lake() else { return };
    let url = lake.path().display().to_string();
    let columns: Columns<'_> = &[("id", "long"), ("country", "string"), ("score", "double")];
    let ctx = beside_expected(lake.path(), &declared(&url, "respecced", TableFormat::Iceberg, columns)).await;
    for query in [
        "select * from {}",
        "select id from {} where country = 'de'",
        "select id from {} where country is null",
        "select country, count(*) from {} group by country",
    ] {
        same(&ctx, query).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn external_iceberg_snapshots_are_pinned_and_metadata_can_be_named() {
    let Some(lake) = lake() else { return };
    let url = lake.path().display().to_string();
    let tables = tables();
    let newest = declared(&url, "events", TableFormat::Iceberg, EVENTS);
    let pinned = tables.pin(&newest).await.unwrap();
    assert!(pinned.snapshot().parse::<i64>().is_ok() && pinned.snapshot_time_ms().unwrap() > 1_600_000_000_000);

    // The metadata file as it was after the first commit, named by the contract.
    let mut names: Vec<_> = std::fs::read_dir(lake.path().join("events/metadata"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".metadata.json"))
        .collect();
    names.sort();
    let mut first = newest.clone();
    first.source.path = SourcePath::Url(format!("{url}/events/metadata/{}", names[1]));
    let old = tables.pin(&first).await.unwrap();
    assert_ne!(old.snapshot(), pinned.snapshot());
    let ctx = session(&tables);
    ctx.register_table("old", old.provider()).unwrap();
    let expected = super::support::parquet_rows(&lake.path().join("expected/events_first.parquet"));
    assert_eq!(rows(&executed(&ctx, "select * from old").await.1), rows(&expected));
}

#[tokio::test(flavor = "multi_thread")]
async fn external_iceberg_a_moved_table_is_read_where_it_is() {
    let Some(lake) = lake() else { return };
    let elsewhere = tempfile::TempDir::new().unwrap();
    super::support::run(
        std::process::Command::new("cp").arg("-r").arg(lake.path().join("events")).arg(elsewhere.path()),
    );
    let tables = tables();
    let url = elsewhere.path().display().to_string();
    let pinned = tables.pin(&declared(&url, "events", TableFormat::Iceberg, EVENTS)).await.unwrap();
    let ctx = session(&tables);
    ctx.register_table("moved", pinned.provider()).unwrap();
    let expected = super::support::parquet_rows(&lake.path().join("expected/events.parquet"));
    assert_eq!(rows(&executed(&ctx, "select * from moved").await.1), rows(&expected));
}

#[tokio::test(flavor = "multi_thread")]
async fn external_iceberg_contracts_that_do_not_match_are_withheld() {
    let Some(lake) = lake() else { return };
    let url = lake.path().display().to_string();
    let tables = tables();
    let refused = async |columns: Columns<'_>| {
        let error = tables.pin(&declared(&url, "events", TableFormat::Iceberg, columns)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Withheld);
        error.to_string()
    };
    assert_eq!(
        refused(&[("id", "long"), ("missing", "string")]).await,
        "table `test.events` is withheld: the contract declares a column `missing` that the table does not have"
    );
    assert_eq!(
        refused(&[("id", "int")]).await,
        "table `test.events` is withheld: the contract declares the column `id` as `int`, and the table has it as `long`"
    );
    assert_eq!(
        refused(&[("ts", "timestamptz")]).await,
        "table `test.events` is withheld: the contract declares the column `ts` as `timestamptz`, and the table has it as \
         `timestamp`"
    );
    let gone = tables.pin(&declared(&url, "nothing", TableFormat::Iceberg, &[("id", "long")])).await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::Unavailable);
    assert_eq!(
        gone.to_string(),
        "table `test.nothing` is not available: there is no Iceberg table at its place in connection `lake`; try again later"
    );
}
