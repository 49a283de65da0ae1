//! Fixtures, contracts and comparisons for the tests of both formats.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::Schema;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::catalog::MemTable;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::physical_plan::{ExecutionPlan, collect};
use datafusion::prelude::{SessionConfig, SessionContext};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use portcullis_contract::{
    Access, Classification, Connection, ConnectionKind, Contract, Dialect, Expectations, Field, Lineage, OutputPort,
    PortKind, Position, Sla, Source, SourcePath, Status, StoreOptions, Table, TableFormat, TableName, Version,
};
use serde_json::json;
use tempfile::TempDir;

use crate::tables::shared::SharedScan;
use crate::tables::{Tables, TablesOptions};

/// Says why a test is skipped; fails where everything must be there.
pub(in crate::tables) fn skip(why: &str) {
    assert!(std::env::var("CI").as_deref() != Ok("true"), "CI lacks what a test needs: {why}");
    eprintln!("skipped: {why}");
}

/// The Python with the writers.
pub(super) fn python() -> Option<PathBuf> {
    let given = std::env::var_os("PORTCULLIS_PYTHON").map(PathBuf::from);
    let python =
        given.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache/portcullis/venv/bin/python")));
    python.filter(|python| python.exists())
}

/// The project's `tests/fixtures`.
pub(super) fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures")
}

/// A lake that a program wrote, once for all tests of this process.
pub(super) type Lake = Mutex<Option<Arc<TempDir>>>;

/// What `script` writes, or none without Python.
pub(super) fn written_by_python(lake: &Lake, script: &str) -> Option<Arc<TempDir>> {
    let mut lake = lake.lock().unwrap();
    if let Some(lake) = lake.as_ref() {
        return Some(Arc::clone(lake));
    }
    let Some(python) = python() else {
        skip("no Python with pyiceberg and deltalake (set PORTCULLIS_PYTHON, or run `cargo xtask setup`)");
        return None;
    };
    let directory = TempDir::new().unwrap();
    run(Command::new(python).arg(fixtures().join(script)).arg(directory.path()));
    Some(Arc::clone(lake.insert(Arc::new(directory))))
}

/// Runs a program that must succeed.
pub(super) fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{command:?} failed:\n{text}\n{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// A contract's columns, as `name type` pairs.
pub(in crate::tables) type Columns<'a> = &'a [(&'a str, &'a str)];

/// The columns of the table with times in nanoseconds.
pub(super) const NANOS: Columns<'_> = &[
    ("id", "long"),
    ("ts", "timestamp_ns"),
    ("tz", "timestamptz_ns"),
    ("item", "struct<at: timestamp_ns>"),
    ("times", "list<timestamptz_ns>"),
];

/// The table `name` in the directory `url`, as a contract with these columns declares it.
pub(super) fn declared(url: &str, name: &str, format: TableFormat, columns: Columns<'_>) -> Table {
    let kind = ConnectionKind::Directory { url: url.to_owned(), store: StoreOptions::default() };
    declared_in(kind, SourcePath::Url(format!("{url}/{name}")), name, format, columns)
}

/// The same, in any connection.
pub(in crate::tables) fn declared_in(
    kind: ConnectionKind,
    path: SourcePath,
    name: &str,
    format: TableFormat,
    columns: Columns<'_>,
) -> Table {
    let position = || Position { file: Arc::from("test.yaml"), line: 1, column: 1 };
    let fields = columns.iter().map(|(name, data_type)| Field {
        name: (*name).to_owned(),
        data_type: data_type.parse().unwrap(),
        doc: None,
        primary_key: false,
        nullable: true,
        timezone: None,
        pii: false,
        masking: None,
        classification: None,
        tags: Vec::new(),
        position: position(),
    });
    let port = OutputPort {
        name: name.to_owned(),
        kind: PortKind::Table(format),
        location: None,
        connection: None,
        table: None,
        contract_format: None,
        partitioning: Vec::new(),
        schema_registry: None,
        position: position(),
    };
    let contract = Contract {
        file: Arc::from("test.yaml"),
        dialect: Dialect::DataMeshV1,
        name: name.to_owned(),
        domain: "test".to_owned(),
        version: "1.0.0".parse::<Version>().unwrap(),
        status: Status::Active,
        owner: None,
        description: None,
        classification: Classification::Internal,
        tags: Vec::new(),
        input_ports: Vec::new(),
        transformation: None,
        output_ports: vec![port.clone()],
        expectations: Expectations::default(),
        sla: Sla::default(),
        fields: fields.collect(),
        quality: Vec::new(),
        lineage: Lineage::default(),
        access: Access::default(),
    };
    let connection = Arc::new(Connection { name: "lake".to_owned(), kind, domains: None, position: position() });
    Table {
        name: TableName { domain: "test".to_owned(), table: name.to_owned() },
        aliases: Vec::new(),
        contract: Arc::new(contract),
        port,
        format,
        source: Source { connection, path, granted: None },
    }
}

/// Tables that are looked up anew each time.
pub(super) fn tables() -> Tables {
    let mut options = TablesOptions::new("/");
    options.refresh_age = std::time::Duration::ZERO;
    Tables::new(options)
}

/// A session that reads the stores of `tables`.
pub(super) fn session(tables: &Tables) -> SessionContext {
    let runtime = RuntimeEnvBuilder::new().with_object_store_registry(tables.object_store_registry()).build_arc();
    let config = SessionConfig::new().with_target_partitions(3).with_batch_size(512);
    SessionContext::new_with_config_rt(config, runtime.unwrap())
}

/// The rows of a Parquet file.
pub(super) fn parquet_rows(path: &Path) -> Vec<RecordBatch> {
    let file = std::fs::File::open(path).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    reader.map(Result::unwrap).collect()
}

/// Rows as text, in an order of their own.
pub(super) fn rows(batches: &[RecordBatch]) -> Vec<String> {
    let options = FormatOptions::default().with_null("∅");
    let mut rows = Vec::new();
    for batch in batches {
        let columns: Vec<_> =
            batch.columns().iter().map(|column| ArrayFormatter::try_new(column.as_ref(), &options).unwrap()).collect();
        for row in 0..batch.num_rows() {
            rows.push(columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>().join(" | "));
        }
    }
    rows.sort_unstable();
    rows
}

/// The file of the rows that a table's writer reads: `NAME.parquet`, or the only one in the directory `NAME`.
pub(super) fn expected_file(lake: &Path, name: &str) -> PathBuf {
    let expected = lake.join("expected");
    let directory = expected.join(name);
    let mut parts = std::fs::read_dir(directory).into_iter().flatten().map(|part| part.unwrap().path());
    let part = parts.find(|path| path.extension().is_some_and(|end| end == "parquet"));
    part.unwrap_or_else(|| expected.join(format!("{name}.parquet")))
}

/// The columns that a table's writer reads.
pub(super) fn expected_schema(lake: &Path, name: &str) -> Schema {
    let file = std::fs::File::open(expected_file(lake, name)).unwrap();
    let schema = Arc::clone(ParquetRecordBatchReaderBuilder::try_new(file).unwrap().schema());
    Schema::new(schema.fields().clone())
}

/// A session where `t` is the table and `e` holds the rows that its writer reads.
pub(super) async fn beside_expected(lake: &Path, table: &Table) -> SessionContext {
    beside_expected_in(tables(), lake, table).await
}

/// The same, where secrets are needed.
pub(super) async fn beside_expected_in(tables: Tables, lake: &Path, table: &Table) -> SessionContext {
    let expected = expected_file(lake, &table.name.table);
    let ctx = session(&tables);
    ctx.register_table("t", tables.pin(table).await.unwrap().provider()).unwrap();
    let plain = expected_schema(lake, &table.name.table);
    let batches = parquet_rows(&expected);
    let batches = batches.into_iter().map(|batch| batch.with_schema(Arc::new(plain.clone())).unwrap()).collect();
    ctx.register_table("e", Arc::new(MemTable::try_new(Arc::new(plain), vec![batches]).unwrap())).unwrap();
    ctx
}

/// Runs a query whose `{}` is the table's name on the table and on the expected rows.
pub(super) async fn same(ctx: &SessionContext, query: &str) {
    let mut answers = Vec::new();
    for name in ["t", "e"] {
        let query = query.replace("{}", name);
        let answer = ctx.sql(&query).await.unwrap_or_else(|e| panic!("{query}: {e}")).collect().await;
        answers.push(rows(&answer.unwrap_or_else(|e| panic!("{query}: {e}"))));
    }
    let [actual, expected] = answers.try_into().unwrap();
    assert_eq!(actual.len(), expected.len(), "number of rows of {query}");
    for (actual, expected) in actual.iter().zip(&expected) {
        assert_eq!(actual, expected, "{query}");
    }
}

/// The physical plan of a query, executed, so that its metrics are filled.
pub(super) async fn executed(ctx: &SessionContext, query: &str) -> (Arc<dyn ExecutionPlan>, Vec<RecordBatch>) {
    let plan = ctx.sql(query).await.unwrap().create_physical_plan().await.unwrap();
    let batches = collect(Arc::clone(&plan), ctx.task_ctx()).await.unwrap();
    (plan, batches)
}

/// How many files the scans of a plan read.
pub(super) fn files_in(plan: &Arc<dyn ExecutionPlan>) -> usize {
    use datafusion::datasource::physical_plan::FileScanConfig;
    use datafusion::datasource::source::DataSourceExec;
    let of = |exec: &DataSourceExec| {
        let source = exec.data_source();
        let shared = source.downcast_ref::<SharedScan>().map(|scan| scan.files().count());
        let own = source.downcast_ref::<FileScanConfig>();
        shared.or_else(|| own.map(|config| config.file_groups.iter().map(|group| group.len()).sum()))
    };
    let own = plan.downcast_ref::<DataSourceExec>().and_then(of).unwrap_or(0);
    own + plan.children().into_iter().map(files_in).sum::<usize>()
}

/// Metadata of an Iceberg table without snapshots, with one column of numbers.
pub(in crate::tables) fn iceberg_metadata(location: &str, column: &str) -> String {
    let fields = json!([{"id": 1, "name": column, "required": false, "type": "long"}]);
    let metadata = json!({
        "format-version": 2, "table-uuid": "9c12d441-03fe-4693-9a96-a0705ddf69c1", "location": location,
        "last-sequence-number": 0, "last-updated-ms": 1, "last-column-id": 1, "current-schema-id": 0,
        "schemas": [{"type": "struct", "schema-id": 0, "fields": fields}], "default-spec-id": 0,
        "partition-specs": [{"spec-id": 0, "fields": []}], "last-partition-id": 999, "default-sort-order-id": 0,
        "sort-orders": [{"order-id": 0, "fields": []}]});
    metadata.to_string()
}
