//! What planning costs where 1,000 products are registered, each a table of 10,000 files: cold, when nothing is known of a
//! product, and warm, when its metadata is known.
//!
//! `cargo bench -p portcullis-tests --bench planning` measures; `cargo test --workspace --bench planning` runs the same in a
//! development build with a few products, where only that it runs means anything. `PLANNING_SECONDS=20` repeats the first
//! warm case for so long, for a profiler to look at.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::{Expr, SessionConfig, SessionContext};
use portcullis_contract::{Catalogue, SourceFile, Table};
use portcullis_engine::{Tables, TablesOptions};
use tempfile::TempDir;

const FILES: usize = 10_000;
const PRODUCTS: usize = if cfg!(debug_assertions) { 5 } else { 1_000 };
/// How many products are planned cold.
const COLD: usize = if cfg!(debug_assertions) { 2 } else { 20 };
const COLD_MS: f64 = 300.0;
const WARM_MS: f64 = 5.0;

fn main() {
    if cfg!(debug_assertions) {
        println!("a development build: the figures mean nothing");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(planning());
}

/// A Delta log of files that are named and never read, partitioned by day.
fn log() -> String {
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
    log
}

/// The tables of all products: one log, under as many names, so that the disk has it once.
fn write_lake(lake: &Path) {
    let first = lake.join("first.json");
    std::fs::write(&first, log()).unwrap();
    for product in 0..PRODUCTS {
        let directory = lake.join(format!("p{product}/_delta_log"));
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::hard_link(&first, directory.join("00000000000000000000.json")).unwrap();
    }
}

fn catalogue(lake: &Path) -> Catalogue {
    let contract = |product: usize| {
        let text = format!(
            "apiVersion: datamesh.io/v1\nkind: DataProduct\nmetadata: {{name: p{product}, domain: bench, version: 1.0.0}}\n\
             outputPorts:\n  - {{name: table, type: delta-table, connection: lake, location: \"{}/p{product}\"}}\n\
             schema:\n  fields:\n    - {{name: id, type: long}}\n    - {{name: day, type: date}}\n    \
             - {{name: region, type: string}}\n    - {{name: amount, type: double}}\n",
            lake.display()
        );
        SourceFile::new(format!("catalogs/bench/p{product}.yaml"), &text)
    };
    let contracts: Vec<SourceFile> = (0..PRODUCTS).map(contract).collect();
    let connections = format!("connections: {{lake: {{type: directory, url: \"{}\"}}}}", lake.display());
    Catalogue::build(&contracts, Some(&SourceFile::new("catalogs/connections.yaml", &connections)))
}

fn product(catalogue: &Catalogue, number: usize) -> &Table {
    catalogue.resolve("bench", &format!("p{number}")).unwrap_or_else(|| panic!("{:#?}", catalogue.findings()))
}

/// A gateway's tables, of which nothing is known yet, and a session that reads them.
fn fresh(lake: &Path) -> (Tables, SessionContext) {
    let mut options = TablesOptions::new(lake);
    options.refresh_age = Duration::from_secs(3600);
    let tables = Tables::new(options);
    let registry = tables.object_store_registry();
    let runtime = RuntimeEnvBuilder::new().with_object_store_registry(registry).build_arc().unwrap();
    (tables, SessionContext::new_with_config_rt(SessionConfig::new().with_target_partitions(4), runtime))
}

async fn plan(tables: &Tables, ctx: &SessionContext, table: &Table, filters: &[Expr]) -> Duration {
    let began = Instant::now();
    let provider = tables.pin(table).await.unwrap().provider();
    let plan = provider.scan(&ctx.state(), None, filters, None).await.unwrap();
    let took = began.elapsed();
    drop(plan);
    took
}

fn told(what: &str, mut times: Vec<Duration>, aim: f64) {
    times.sort_unstable();
    let ms = |at: usize| times[at].as_secs_f64() * 1000.0;
    let (median, worst) = (ms(times.len() / 2), ms(times.len() - 1));
    let word = if median <= aim { "met" } else { "NOT met" };
    println!("{what:<52} {median:>9.2} ms, at most {worst:>9.2} ms       aim ≤ {aim} ms: {word}");
}

async fn planning() {
    let directory = TempDir::new().unwrap();
    let lake = directory.path();
    write_lake(lake);
    let catalogue = catalogue(lake);
    println!("{PRODUCTS} products of {FILES} files");

    let (tables, ctx) = fresh(lake);
    let mut times = Vec::new();
    for number in 0..COLD {
        times.push(plan(&tables, &ctx, product(&catalogue, number), &[]).await);
    }
    told("cold: a product that nobody asked for yet", times, COLD_MS);

    let began = Instant::now();
    for number in 0..PRODUCTS {
        tables.pin(product(&catalogue, number)).await.unwrap();
    }
    println!("{:<52} {:>9.2} ms", "opened: all products", began.elapsed().as_secs_f64() * 1000.0);
    warm(&tables, &ctx, product(&catalogue, PRODUCTS - 1)).await;
}

/// Plans of a product that is known, among all that are.
async fn warm(tables: &Tables, ctx: &SessionContext, table: &Table) {
    let mut seconds =
        std::env::var("PLANNING_SECONDS").ok().and_then(|text| text.parse().ok()).map(Duration::from_secs_f64);
    plan(tables, ctx, table, &[]).await;
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
        let filters = match filter {
            "true" => Vec::new(),
            _ => datafusion::logical_expr::utils::split_conjunction_owned(expression),
        };
        let (mut times, begin, repeated) = (Vec::new(), Instant::now(), seconds.take());
        while times.len() < 20 || repeated.is_some_and(|seconds| begin.elapsed() < seconds) {
            times.push(plan(tables, ctx, table, &filters).await);
        }
        told(what, times, WARM_MS);
    }
}
