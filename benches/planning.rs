//! What planning costs: a table of 10,000 files whose metadata is known.
//!
//! `cargo bench --workspace --bench planning` measures; `cargo test --workspace --bench planning` runs the same in a
//! development build, where only that it runs means anything. `PLANNING_SECONDS=20` repeats the first case for so long, for
//! a profiler to look at.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};
use portcullis_contract::{Catalogue, SourceFile};
use portcullis_engine::{Tables, TablesOptions};

const FILES: usize = 10_000;

fn main() {
    if cfg!(debug_assertions) {
        println!("a development build: the figures mean nothing");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(planning());
}

/// A Delta table of files that are named and never read, partitioned by day.
fn write_log(table: &Path) {
    std::fs::create_dir_all(table.join("_delta_log")).unwrap();
    let column = |name: &str, of: &str| {
        format!(r#"{{\"name\":\"{name}\",\"type\":\"{of}\",\"nullable\":true,\"metadata\":{{}}}}"#)
    };
    let columns = [column("id", "long"), column("day", "date"), column("region", "string"), column("amount", "double")];
    let mut log = format!(
        "{{\"protocol\":{{\"minReaderVersion\":1,\"minWriterVersion\":2}}}}\n\
         {{\"metaData\":{{\"id\":\"many\",\"format\":{{\"provider\":\"parquet\",\"options\":{{}}}},\"schemaString\":\"\
         {{\\\"type\\\":\\\"struct\\\",\\\"fields\\\":[{}]}}\",\"partitionColumns\":[\"day\"],\"configuration\":{{}}}}}}\n",
        columns.join(",")
    );
    for file in 0..FILES {
        let (low, high) = (file * 1000, file * 1000 + 999);
        let stats = format!(
            r#"{{\"numRecords\":1000,\"minValues\":{{\"id\":{low},\"region\":\"a\"}},\"maxValues\":{{\"id\":{high},\"region\":\"z\"}},\"nullCount\":{{\"id\":0,\"region\":0,\"amount\":0}}}}"#
        );
        let day = format!("20{:02}-{:02}-{:02}", 10 + file % 10, 1 + file % 12, 1 + file % 28);
        writeln!(
            log,
            "{{\"add\":{{\"path\":\"day={day}/part-{file:05}.parquet\",\"partitionValues\":{{\"day\":\"{day}\"}},\"size\":1000000,\
             \"modificationTime\":1700000000000,\"dataChange\":true,\"stats\":\"{stats}\"}}}}"
        )
        .unwrap();
    }
    std::fs::write(table.join("_delta_log/00000000000000000000.json"), log).unwrap();
}

async fn planning() {
    let lake = tempfile::tempdir().unwrap();
    write_log(&lake.path().join("many"));
    let contract = format!(
        "apiVersion: datamesh.io/v1\nkind: DataProduct\nmetadata: {{name: many, domain: bench, version: 1.0.0}}\n\
         outputPorts:\n  - {{name: table, type: delta-table, connection: lake, location: \"{}/many\"}}\nschema:\n  fields:\n    \
         - {{name: id, type: long}}\n    - {{name: day, type: date}}\n    - {{name: region, type: string}}\n    \
         - {{name: amount, type: double}}\n",
        lake.path().display()
    );
    let connections = format!("connections: {{lake: {{type: directory, url: \"{}\"}}}}", lake.path().display());
    let connections = SourceFile::new("catalogs/connections.yaml", &connections);
    let catalogue = Catalogue::build(&[SourceFile::new("catalogs/bench/many.yaml", &contract)], Some(&connections));
    let table = catalogue.resolve("bench", "many").unwrap_or_else(|| panic!("{:#?}", catalogue.findings()));
    let mut options = TablesOptions::new(lake.path());
    options.refresh_age = Duration::from_secs(3600);
    let tables = Tables::new(options);
    let registry = tables.object_store_registry();
    let runtime = RuntimeEnvBuilder::new().with_object_store_registry(registry).build_arc().unwrap();
    let ctx = SessionContext::new_with_config_rt(SessionConfig::new().with_target_partitions(4), runtime);

    let began = Instant::now();
    let provider = tables.pin(table).await.unwrap().provider();
    let all = provider.scan(&ctx.state(), None, &[], None).await.unwrap();
    println!("{:<58} {:>10.2} ms", "cold: the log, all files", began.elapsed().as_secs_f64() * 1000.0);
    drop(all);

    let seconds =
        std::env::var("PLANNING_SECONDS").ok().and_then(|text| text.parse().ok()).map(Duration::from_secs_f64);
    for (what, filter) in [
        ("warm: all files", "true"),
        ("warm: one file of them, by key", "id = 4999500"),
        ("warm: a day", "day = date '2013-04-04'"),
        (
            "warm: files of ten conditions",
            "id > 10 and id < 9999999 and region >= 'a' and region <= 'z' and day > date '2000-01-01' and id <> 7 and id <> 8 and region <> 'b' and region like 'a%' and amount > 0",
        ),
    ] {
        let query = ctx.read_table(tables.pin(table).await.unwrap().provider()).unwrap();
        let expression = query.parse_sql_expr(filter).unwrap();
        let filters = if filter == "true" {
            Vec::new()
        } else {
            datafusion::logical_expr::utils::split_conjunction_owned(expression)
        };
        let mut times = Vec::new();
        let begin = Instant::now();
        while times.len() < 20 || seconds.is_some_and(|seconds| begin.elapsed() < seconds) {
            let began = Instant::now();
            let provider = tables.pin(table).await.unwrap().provider();
            let plan = provider.scan(&ctx.state(), None, &filters, None).await.unwrap();
            times.push(began.elapsed());
            drop(plan);
        }
        times.sort_unstable();
        let median = times[times.len() / 2].as_secs_f64() * 1000.0;
        let word = if median <= 5.0 { "met" } else { "NOT met" };
        println!("{what:<58} {median:>10.2} ms       aim ≤ 5 ms: {word}");
    }
}
