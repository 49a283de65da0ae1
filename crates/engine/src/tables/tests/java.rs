//! Iceberg tables written by Iceberg's own library: deletes of every kind.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use portcullis_contract::TableFormat;
use tempfile::TempDir;

use super::support::{Columns, Lake, declared, executed, files_in, fixtures, rows, run, session, skip, tables};

static LAKE: Lake = Lake::new(None);

const COLUMNS: Columns<'_> = &[("id", "long"), ("region", "string"), ("amount", "double"), ("note", "string")];

pub(super) fn has(program: &str) -> bool {
    Command::new(program).arg("-version").output().is_ok_and(|output| output.status.success())
}

/// Where tests keep what they need.
pub(super) fn cache() -> PathBuf {
    let given = std::env::var_os("PORTCULLIS_CACHE").map(PathBuf::from);
    given.unwrap_or_else(|| PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache/portcullis"))
}

/// Where the libraries of a program of ours are, found by Maven when the list of what is needed changed.
pub(super) fn classpath(program: &str) -> Option<String> {
    let directory = cache().join(program);
    let (list, stamp, project) = (directory.join("classpath"), directory.join("pom.xml"), fixtures().join(program));
    let pom = std::fs::read_to_string(project.join("pom.xml")).unwrap();
    if !list.exists() || !std::fs::read_to_string(&stamp).is_ok_and(|found| found == pom) {
        if !has("mvn") {
            return None;
        }
        std::fs::create_dir_all(&directory).ok()?;
        let output = format!("-Dmdep.outputFile={}", list.display());
        run(Command::new("mvn").args(["-q", "-B", "dependency:build-classpath", &output]).current_dir(project));
        std::fs::write(stamp, pom).ok()?;
    }
    std::fs::read_to_string(list).ok()
}

/// The command that runs a program with Iceberg's libraries; none without Java.
pub(super) fn command(program: &str) -> Option<Vec<String>> {
    let classpath = if has("java") { classpath("java_writer") } else { None }?;
    let program = fixtures().join("java_writer").join(program).display().to_string();
    Some(vec!["java".into(), "-cp".into(), classpath.trim().into(), program])
}

pub(super) fn lake() -> Option<Arc<TempDir>> {
    let mut lake = LAKE.lock().unwrap();
    if let Some(lake) = lake.as_ref() {
        return Some(Arc::clone(lake));
    }
    let Some(command) = command("Write.java") else {
        skip("no Java with Maven to write Iceberg tables");
        return None;
    };
    let directory = TempDir::new().unwrap();
    run(Command::new(&command[0]).args(&command[1..]).arg(directory.path()));
    Some(Arc::clone(lake.insert(Arc::new(directory))))
}

/// A condition in SQL, and the same on a row's texts.
type Condition = (&'static str, fn(&[&str]) -> bool);

async fn compare(name: &str, queries: &[Condition]) {
    let Some(lake) = lake() else { return };
    let tables = tables();
    let url = lake.path().display().to_string();
    let pinned = tables.pin(&declared(&url, name, TableFormat::Iceberg, COLUMNS)).await.unwrap();
    let ctx = session(&tables);
    ctx.register_table("t", pinned.provider()).unwrap();
    let expected = std::fs::read_to_string(lake.path().join(format!("expected/{name}.txt"))).unwrap();
    for (condition, holds) in queries {
        let (plan, batches) = executed(&ctx, &format!("select * from t where {condition}")).await;
        let mut wanted: Vec<String> = expected
            .lines()
            .filter(|line| holds(&line.split(" | ").collect::<Vec<_>>()))
            .map(|line| line.replace(" | null", " | ∅"))
            .collect();
        wanted.sort_unstable();
        assert_eq!(rows(&batches).len(), wanted.len(), "number of rows of {name} where {condition}");
        assert_eq!(rows(&batches), wanted, "{name} where {condition}");
        if *condition == "region = 'nowhere'" {
            assert_eq!(files_in(&plan), 0, "partitions are pruned before their deletes are read");
        }
        let (_, count) = executed(&ctx, &format!("select count(*) from t where {condition}")).await;
        assert_eq!(rows(&count), [wanted.len().to_string()], "count of {name} where {condition}");
    }
    let (_, limited) = executed(&ctx, "select id from t limit 10").await;
    assert_eq!(rows(&limited).len(), 10);
}

const CONDITIONS: &[Condition] = &[
    ("true", |_| true),
    ("region = 'us'", |row| row[1] == "us"),
    ("region = 'nowhere'", |_| false),
    ("id % 1000 < 30 and region = 'eu'", |row| row[0].parse::<i64>().unwrap() % 1000 < 30 && row[1] == "eu"),
    ("id between 19990 and 20010", |row| (19990..=20010).contains(&row[0].parse::<i64>().unwrap())),
    ("note is null and id < 3000", |row| row[3] == "∅" && row[0].parse::<i64>().unwrap() < 3000),
];

#[tokio::test(flavor = "multi_thread")]
async fn external_java_position_deletes() {
    compare("positions", CONDITIONS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn external_java_equality_deletes() {
    compare("equality", CONDITIONS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn external_java_equality_deletes_without_partitions_and_with_renames() {
    compare("equality_everywhere", CONDITIONS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn external_java_deletion_vectors() {
    compare("vectors", CONDITIONS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn external_java_nanoseconds_are_not_cut() {
    let Some(lake) = lake() else { return };
    let tables = tables();
    let url = lake.path().display().to_string();
    let cut = declared(&url, "nanos", TableFormat::Iceberg, &[("id", "long"), ("ts", "timestamp")]);
    assert_eq!(
        tables.pin(&cut).await.unwrap_err().to_string(),
        "table `test.nanos` is withheld: the contract declares the column `ts` as `timestamp`, and the table has it as \
         `timestamp_ns`"
    );
    let table = declared(&url, "nanos", TableFormat::Iceberg, super::support::NANOS);
    let ctx = super::support::beside_expected(lake.path(), &table).await;
    // The last day of a partition, its first nanosecond and the one before; what no 64 bits hold is an error or empty.
    for query in [
        "select id from {} where ts >= timestamp '1970-01-01T00:00:00' and ts < timestamp '1970-01-02T00:00:00'",
        "select id from {} where tz < timestamp '1970-01-01T00:00:00Z'",
        "select id from {} where ts = timestamp '1969-12-31T23:59:58.999999991'",
        "select id, ts from {} where item['at'] > timestamp '1970-01-01T12:00:00'",
        "select id from {} where ts is null and id > 50",
        "select min(ts), max(tz), count(ts) from {}",
        "select count(*) from {} where ts in (select ts from {} where id % 3 = 0)",
        "select date_trunc('day', ts) as day, count(*) from {} where id > 1 group by day",
    ] {
        super::support::same(&ctx, query).await;
    }
    let all = files_in(&executed(&ctx, "select id from t").await.0);
    let some = files_in(&executed(&ctx, "select id from t where ts > timestamp '1970-01-01T12:00:00'").await.0);
    assert!(some < all, "{some} of {all} files");
}

#[tokio::test(flavor = "multi_thread")]
async fn external_java_initial_defaults_stand_in_for_columns_that_files_lack() {
    let Some(lake) = lake() else { return };
    let tables = tables();
    let url = lake.path().display().to_string();
    let table = declared(&url, "vectors", TableFormat::Iceberg, &[("id", "long"), ("channel", "string")]);
    let ctx = session(&tables);
    ctx.register_table("t", tables.pin(&table).await.unwrap().provider()).unwrap();
    let (_, answer) = executed(&ctx, "select channel, min(id) from t where channel = 'web' group by channel").await;
    assert_eq!(rows(&answer), ["web | 1"]);
}
