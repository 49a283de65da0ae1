//! What security costs, by itself: decisions, the keyed hash, scrubbing, and governed against hand-written queries.
//!
//! `cargo bench --package portcullis-tests --bench security` measures (and builds in release); `cargo test --workspace --bench security`
//! runs the same code in a development build, where only that it runs means anything. Names of sections as arguments run
//! those alone. Each line is a figure, its aim, and whether it is met; the best of several rounds counts, and ratios are
//! of rounds that took turns.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fmt::Write as _;
use std::hint::black_box;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, DictionaryArray, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int32Type};
use arrow_flight::FlightData;
use arrow_flight::encode::FlightDataEncoderBuilder;
use futures::TryStreamExt;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use portcullis_contract::{Catalogue, SourceFile};
use portcullis_engine::scrub::{scrub, wire_schema};
use portcullis_gateway::{Config, Gateway};
use portcullis_govern::mask::mask;
use portcullis_govern::{Disclosure, MaskKey, PolicySnapshot, PolicySources, Principal, RequestContext, Subject};

/// The product's.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let run = |name: &str| wanted.is_empty() || wanted.iter().any(|section| section == name);
    if cfg!(debug_assertions) {
        println!("a development build: the figures mean nothing");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    for (name, section) in [("decisions", decisions as fn()), ("hash", hash)] {
        if run(name) {
            section();
        }
    }
    if run("scrub") {
        runtime.block_on(scrubbing());
    }
    if run("governed") {
        runtime.block_on(governed());
    }
}

/// How much work a development build does.
fn scaled(release: usize) -> usize {
    if cfg!(debug_assertions) { (release / 50).max(1) } else { release }
}

/// The shortest of some rounds.
fn best(rounds: usize, mut work: impl FnMut()) -> Duration {
    (0..rounds)
        .map(|_| {
            let began = Instant::now();
            work();
            began.elapsed()
        })
        .min()
        .unwrap_or_default()
}

fn report(what: &str, value: f64, unit: &str, aim: f64, at_most: bool) {
    let met = if at_most { value <= aim } else { value >= aim };
    let (sign, word) = (if at_most { "≤" } else { "≥" }, if met { "met" } else { "NOT met" });
    println!("{what:<58} {value:>10.2} {unit:<8} aim {sign} {aim} {unit}: {word}");
}

// ---- decisions ---------------------------------------------------------------------------------------------------

/// A table of 100 columns of ten kinds of tags, and 200 policies about groups, tags, purposes and rows.
fn snapshot() -> PolicySnapshot {
    let mut contract = "apiVersion: datamesh.io/v1\nkind: DataProduct\nmetadata: {name: wide, domain: bench, version: 1.0.0}\n\
         outputPorts:\n  - {name: table, type: delta-table, connection: lake, table: bench.wide}\nschema:\n  fields:\n    \
         - {name: region, type: string}\n"
        .to_owned();
    for column in 1..100 {
        writeln!(contract, "    - {{name: c{column}, type: string, tags: [t{}]}}", column % 10).unwrap();
    }
    let groups: String = (0..40).map(|group| format!("  g{group}: {{}}\n")).collect();
    let vocabulary = format!(
        "groups:\n{groups}purposes: {{analytics: x, fraud: y}}\nattributes: {{regions: set<string>, level: long}}\n"
    );
    let mut policies = String::new();
    for number in 0..40 {
        let group = format!("principal in Group::\"g{number}\"");
        let tag = number % 10;
        write!(
            policies,
            "@id(\"q{number}\") permit ({group}, action in [Action::\"discover\", Action::\"query\"], resource);\n\
             @id(\"c{number}\") permit ({group}, action == Action::\"viewClear\", resource) \
             unless {{ resource.tags.contains(Tag::\"t{tag}\") }};\n\
             @id(\"h{number}\") permit ({group}, action == Action::\"viewHash\", resource) \
             when {{ resource.tags.contains(Tag::\"t{tag}\") }};\n\
             @id(\"r{number}\") permit ({group}, action == Action::\"readRow\", resource) \
             when {{ principal has regions && resource has region && principal.regions.contains(resource.region) }};\n\
             @id(\"f{number}\") forbid ({group}, action == Action::\"readRow\", resource) \
             when {{ resource has c{} && resource.c{} like \"hidden-*\" }};\n",
            number + 1,
            number + 1
        )
        .unwrap();
    }
    let connections = SourceFile::new("catalogs/connections.yaml", "connections: {lake: {type: directory, url: lake}}");
    let catalogue = Catalogue::build(&[SourceFile::new("catalogs/bench/wide.yaml", contract)], Some(&connections));
    let sources = PolicySources {
        policies: vec![SourceFile::new("policies/all.cedar", policies)],
        vocabulary: Some(SourceFile::new("policies/vocabulary.yaml", vocabulary)),
    };
    PolicySnapshot::compile(Arc::new(catalogue), &sources).unwrap_or_else(|errors| panic!("{errors:#?}")).snapshot
}

fn subject(number: usize) -> Subject {
    let regions = cedar_set(&["EU", "US"]);
    let principal = Principal {
        id: format!("user-{number}"),
        groups: [format!("g{}", number % 40), format!("g{}", (number + 7) % 40)].into_iter().collect(),
        attributes: [("regions".to_owned(), regions)].into_iter().collect(),
    };
    let context = RequestContext {
        purpose: Some("analytics".to_owned()),
        break_glass: None,
        client_address: None,
        authentication: "token".to_owned(),
        actor: None,
        domains: None,
        now_ms: 0,
    };
    Subject { principal, context }
}

fn cedar_set(values: &[&str]) -> portcullis_govern::AttributeValue {
    portcullis_govern::AttributeValue::Set(values.iter().map(|value| (*value).to_owned()).collect())
}

fn decisions() {
    let snapshot = snapshot();
    let table = snapshot.catalogue().tables().next().unwrap().clone();
    let (cold, warm) = (scaled(400), scaled(200_000));
    let decision = snapshot.decide(&subject(0), &table);
    assert!(decision.undecided.is_none() && decision.query.allowed && decision.columns.len() == 100);
    let mut next = 1;
    let took = best(3, || {
        for _ in 0..cold {
            black_box(snapshot.decide(&subject(next), &table));
            next += 1;
        }
    });
    let micros = |took: Duration, count: usize| took.as_secs_f64() * 1e6 / count as f64;
    report("decision, 100 columns, 200 policies, cold", micros(took, cold), "µs", 300.0, true);
    let known = subject(0);
    snapshot.decide(&known, &table);
    let took = best(3, || (0..warm).for_each(|_| drop(black_box(snapshot.decide(&known, &table)))));
    report("the same, cached", micros(took, warm), "µs", 5.0, true);
}

// ---- hash --------------------------------------------------------------------------------------------------------

fn hash() {
    let key = MaskKey::new(b"a key of the benchmark, at least 32 bytes long");
    let rows = scaled(1_000_000);
    let rate = |column: &ArrayRef| {
        let took = best(5, || drop(black_box(mask(Disclosure::Hash, &key, column))));
        column.len() as f64 / took.as_secs_f64() / 1e6
    };
    let texts: ArrayRef = Arc::new((0..rows).map(|row| Some(format!("c-{row:07}"))).collect::<StringArray>());
    let short = cast(&texts, &DataType::Utf8View).unwrap();
    report("keyed hash, short strings, all different", rate(&short), "M/s", 5.0, false);
    report("the same as plain strings", rate(&texts), "M/s", 5.0, false);
    let mails: ArrayRef =
        Arc::new((0..rows).map(|row| Some(format!("somebody.{row}@example.com"))).collect::<StringArray>());
    report("keyed hash, e-mail addresses", rate(&cast(&mails, &DataType::Utf8View).unwrap()), "M/s", 5.0, false);
    let few: Vec<String> = (0..rows).map(|row| format!("customer number {}", row % 500)).collect();
    let few: ArrayRef = Arc::new(few.iter().map(String::as_str).collect::<DictionaryArray<Int32Type>>());
    let repeated = rate(&cast(&few, &DataType::Utf8View).unwrap());
    report("keyed hash, 500 different strings, from a dictionary", repeated, "M/s", 20.0, false);
    report("the same as a dictionary", rate(&few), "M/s", 1_000.0, false);
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows as i64));
    report("keyed hash, whole numbers", rate(&numbers), "M/s", 5.0, false);
}

// ---- scrub -------------------------------------------------------------------------------------------------------

/// A Parquet file, read as the engine reads it and sent as the server sends it, with and without scrubbing.
async fn scrubbing() {
    let directory = tempfile::tempdir().unwrap();
    let rows = scaled(1_000_000);
    let mixed = mixed(rows);
    let numeric = mixed.project(&[0, 1, 2]).unwrap();
    let thinned = arrow::compute::filter_record_batch(
        &mixed,
        &(0..rows).map(|row| Some(row % 100 < 60)).collect::<arrow::array::BooleanArray>(),
    );
    for (name, batch, aim) in [
        ("SELECT *, mixed columns, scrubbed / not", mixed, 1.0),
        ("SELECT *, mixed columns, 60 % of the rows", thinned.unwrap(), 1.0),
        ("SELECT *, clean numeric columns", numeric, 1.03),
    ] {
        let file = directory.path().join("data.parquet");
        let mut writer = ArrowWriter::try_new(std::fs::File::create(&file).unwrap(), batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        let (mut with, mut without) = (Duration::MAX, Duration::MAX);
        for _ in 0..7 {
            let began = Instant::now();
            black_box(send(&file, false).await);
            without = without.min(began.elapsed());
            let began = Instant::now();
            black_box(send(&file, true).await);
            with = with.min(began.elapsed());
        }
        report(name, with.as_secs_f64() / without.as_secs_f64(), "times", aim, true);
    }
}

fn mixed(rows: usize) -> RecordBatch {
    let texts =
        |make: &dyn Fn(usize) -> Option<String>| Arc::new((0..rows).map(make).collect::<StringArray>()) as ArrayRef;
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("id", Arc::new(Int64Array::from_iter_values(0..rows as i64))),
        ("amount", Arc::new((0..rows).map(|row| Some(row as f64 * 1.5)).collect::<Float64Array>())),
        ("quantity", Arc::new((0..rows).map(|row| Some((row % 97) as i64)).collect::<Int64Array>())),
        ("comment", texts(&|row| Some(format!("a comment on order {row} that is longer than a view")))),
        ("region", texts(&|row| Some(["EU", "US", "APAC"][row % 3].to_owned()))),
        ("coupon", texts(&|row| row.is_multiple_of(2).then(|| format!("COUPON-{}", row % 1000)))),
        (
            "returned",
            Arc::new((0..rows).map(|row| row.is_multiple_of(3).then_some(row as i64)).collect::<Int64Array>()),
        ),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap()
}

async fn send(file: &Path, scrubbed: bool) -> usize {
    let open = || std::fs::File::open(file).unwrap();
    let plain = ParquetRecordBatchReaderBuilder::try_new(open()).unwrap().schema().clone();
    // Text as views, as the engine reads it.
    let fields: Vec<_> = plain
        .fields()
        .iter()
        .map(|field| match field.data_type() {
            DataType::Utf8 => Arc::new(field.as_ref().clone().with_data_type(DataType::Utf8View)),
            _ => Arc::clone(field),
        })
        .collect();
    let options = ArrowReaderOptions::new().with_schema(Arc::new(arrow::datatypes::Schema::new(fields)));
    let reader = ParquetRecordBatchReaderBuilder::try_new_with_options(open(), options).unwrap();
    let wire = wire_schema(reader.schema());
    let batches = reader.with_batch_size(8192).build().unwrap().map(move |batch| {
        let batch = batch.unwrap();
        Ok(if scrubbed { scrub(&batch, &wire).unwrap() } else { batch })
    });
    let encoder = FlightDataEncoderBuilder::new().build(futures::stream::iter(batches));
    // Over a socket, because what is not scrubbed is more to send.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let reader = std::thread::spawn(move || {
        let mut taken = listener.accept().unwrap().0;
        let (mut buffer, mut total) = (vec![0; 256 << 10], 0);
        loop {
            match taken.read(&mut buffer).unwrap() {
                0 => return total,
                read => total += read,
            }
        }
    });
    let sent = |message: FlightData| {
        socket.write_all(&message.data_header).and_then(|()| socket.write_all(&message.data_body)).unwrap();
    };
    encoder.map_ok(sent).try_collect::<()>().await.unwrap();
    drop(socket);
    reader.join().unwrap()
}

// ---- governed against hand-written -------------------------------------------------------------------------------

/// Everything to everybody.
const ALL: &str = r#"
@id("all") permit (
    principal,
    action in [Action::"discover", Action::"query", Action::"readRow", Action::"viewClear"],
    resource
);
"#;

/// The demo mesh as its policies show it, and the same questions with the policies' conditions written by hand, asked of the same
/// gateway by somebody who sees everything.
async fn governed() {
    let directory = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for name in ["catalogs", "policies"] {
        copy(&root.join(name), &directory.path().join(name));
    }
    for name in ["users.yaml", "portcullis.toml"] {
        std::fs::copy(root.join(name), directory.path().join(name)).unwrap();
    }
    portcullis::demo::lake::ensure(directory.path(), scaled(1_000_000) as u64, true).await.unwrap();
    let open = async |audit: &str| {
        let mut config = Config::load(directory.path()).unwrap();
        config.catalogue.watch = false;
        config.audit.dir = audit.into();
        let gateway = Gateway::open(directory.path(), config).await.unwrap();
        let session = gateway.local_session("ana").unwrap();
        (gateway, session)
    };
    let (gateway, session) = open("audit-governed").await;
    let policies = directory.path().join("policies");
    for entry in std::fs::read_dir(&policies).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "cedar") {
            std::fs::remove_file(path).unwrap();
        }
    }
    std::fs::write(policies.join("all.cedar"), ALL).unwrap();
    let (open_gateway, anybody) = open("audit-by-hand").await;
    let columns = "order_id, event_ts, event_type, region, channel, product_id, quantity, amount, currency, coupon";
    for (name, question) in [
        ("all rows", format!("SELECT {columns} FROM {{}}")),
        ("an aggregate", "SELECT channel, count(*), sum(amount) FROM {} GROUP BY channel".to_owned()),
        ("a filter", "SELECT order_id, amount FROM {} WHERE quantity > 3 AND currency = 'EUR'".to_owned()),
        ("a top ten", "SELECT order_id, amount FROM {} ORDER BY amount DESC, order_id LIMIT 10".to_owned()),
        ("a point", "SELECT order_id, amount FROM {} WHERE order_id = 'o-0000100'".to_owned()),
    ] {
        let ours = question.replace("{}", "orders.order_events");
        // What ana's policy says, as somebody would write it.
        let theirs = question.replace("{}", "(SELECT * FROM orders.order_events WHERE region = 'EU') AS events");
        let (mut governed, mut plain) = (f64::MAX, f64::MAX);
        for _ in 0..7 {
            let began = cpu();
            let stream = open_gateway.query(&anybody, &theirs, None).await.unwrap();
            let rows: Vec<RecordBatch> = stream.try_collect().await.unwrap();
            plain = plain.min(cpu() - began);
            let began = cpu();
            let stream = gateway.query(&session, &ours, None).await.unwrap();
            let answer: Vec<RecordBatch> = stream.try_collect().await.unwrap();
            governed = governed.min(cpu() - began);
            let count = |batches: &[RecordBatch]| batches.iter().map(RecordBatch::num_rows).sum::<usize>();
            assert_eq!(count(&rows), count(&answer), "{question}");
        }
        println!("{name:<20} governed {governed:>8.3} CPU s, by hand {plain:>8.3} CPU s");
        if plain >= 0.02 {
            report(&format!("governed / by hand, CPU: {name}"), governed / plain, "times", 1.03, true);
        }
    }
    gateway.shutdown().await;
    open_gateway.shutdown().await;
}

/// CPU seconds of this process so far.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let own = || stat.split_whitespace().next()?.parse::<f64>().ok();
    let threads = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten().filter_map(|task| {
        let stat = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        stat.split_whitespace().next()?.parse::<f64>().ok()
    });
    let all: f64 = threads.sum();
    if all > 0.0 { all / 1e9 } else { own().unwrap_or(0.0) / 1e9 }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}
