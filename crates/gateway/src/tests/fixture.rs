//! A mesh in a temporary directory: one product in a Delta table that is written here by hand, and four users.

use std::fs;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use datafusion::arrow::array::{ArrayRef, Int64Array, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::parquet::arrow::ArrowWriter;
use futures::TryStreamExt;
use portcullis_audit::{Entry, Order, Query, search};
use serde_json::json;
use tempfile::TempDir;

use crate::users::hash_with;
use crate::{Config, Gateway, GatewayError, Session};

pub(crate) const CONNECTIONS: &str = "connections: {lake: {type: directory, url: lake}}\n";
pub(crate) const CONTRACT: &str = r"
apiVersion: datamesh.io/v1
kind: DataProduct
metadata: {name: order_events, domain: orders, version: 1.2.0, owner: orders@example.com, description: Orders}
outputPorts:
  - {name: table, type: delta-table, connection: lake, table: orders.order_events}
schema:
  fields:
    - {name: order_id, type: long, doc: The order, constraints: {primary_key: true}}
    - {name: region, type: string}
    - {name: customer_id, type: string, constraints: {pii: true, masking: hash}}
";
pub(crate) const VOCABULARY: &str = r"
groups: {readers: {}, admins: {}}
purposes: {analytics: Reports, fraud: Suspicions}
attributes: {level: long, team: string}
";
pub(crate) const POLICIES: &str = r#"
@id("readers-query")
permit (principal in Group::"readers", action in [Action::"discover", Action::"query"], resource)
unless { resource in Domain::"system" };
@id("readers-clear")
permit (principal in Group::"readers", action == Action::"viewClear", resource)
unless { resource.tags.contains(Tag::"pii") };
@id("readers-hash")
permit (principal in Group::"readers", action in [Action::"viewHash", Action::"viewNull"], resource);
@id("readers-eu")
permit (principal in Group::"readers", action == Action::"readRow", resource)
when { resource has region && resource.region == "EU" };
@id("fraud-clear")
permit (principal in Group::"readers", action == Action::"viewClear", resource)
when { context has purpose && context.purpose == Purpose::"fraud" };
@id("admins")
permit (principal in Group::"admins", action in [Action::"discover", Action::"query"], resource in Domain::"system");
"#;

pub(crate) struct Fixture {
    pub dir: TempDir,
    pub gateway: Arc<Gateway>,
}

fn hash(password: &str) -> String {
    hash_with(password, 64, 1).unwrap()
}

/// ana and nina read, petra administers, bob is in no group.
pub(crate) fn users() -> &'static str {
    static USERS: OnceLock<String> = OnceLock::new();
    USERS.get_or_init(|| {
        let user =
            |name: &str, groups: &str| format!("  {name}: {{password: \"{}\", groups: [{groups}]}}\n", hash(name));
        let all = [user("ana", "readers"), user("nina", "readers"), user("petra", "admins"), user("bob", "")];
        format!("users:\n{}", all.concat())
    })
}

pub(crate) fn write(dir: &Path, path: &str, text: &str) {
    let path = dir.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

pub(crate) fn mesh() -> TempDir {
    let dir = TempDir::new().unwrap();
    for (path, text) in [
        ("catalogs/connections.yaml", CONNECTIONS),
        ("catalogs/orders/order_events.yaml", CONTRACT),
        ("policies/vocabulary.yaml", VOCABULARY),
        ("policies/all.cedar", POLICIES),
        ("users.yaml", users()),
    ] {
        write(dir.path(), path, text);
    }
    delta(&dir.path().join("lake/orders/order_events"));
    dir
}

/// Version 0 of a Delta table with four rows.
fn delta(dir: &Path) {
    let texts = |values: [&str; 4]| Arc::new(StringArray::from(values.to_vec())) as ArrayRef;
    let schema = Schema::new(vec![
        Field::new("order_id", DataType::Int64, true),
        Field::new("region", DataType::Utf8, true),
        Field::new("customer_id", DataType::Utf8, true),
    ]);
    let columns = vec![
        Arc::new(Int64Array::from(vec![1, 2, 3, 4])) as ArrayRef,
        texts(["EU", "US", "EU", "US"]),
        texts(["carl", "dora", "emil", "fred"]),
    ];
    let batch = RecordBatch::try_new(Arc::new(schema), columns).unwrap();
    fs::create_dir_all(dir.join("_delta_log")).unwrap();
    let file = fs::File::create(dir.join("part-0.parquet")).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let size = fs::metadata(dir.join("part-0.parquet")).unwrap().len();
    let field = |name: &str, kind: &str| json!({"name": name, "type": kind, "nullable": true, "metadata": {}});
    let fields = json!([field("order_id", "long"), field("region", "string"), field("customer_id", "string")]);
    let lines = [
        json!({"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}}),
        json!({"metaData": {
            "id": "00000000-0000-0000-0000-000000000001", "format": {"provider": "parquet", "options": {}},
            "schemaString": json!({"type": "struct", "fields": fields}).to_string(),
            "partitionColumns": [], "configuration": {}, "createdTime": 0
        }}),
        json!({"add": {
            "path": "part-0.parquet", "partitionValues": {}, "size": size, "modificationTime": 0, "dataChange": true
        }}),
    ];
    let log: String = lines.iter().map(|line| format!("{line}\n")).collect();
    fs::write(dir.join("_delta_log/00000000000000000000.json"), log).unwrap();
}

pub(crate) fn config() -> Config {
    let mut config = Config::default();
    config.catalogue.watch = false;
    config
}

pub(crate) async fn fixture_with(config: Config) -> Fixture {
    // The log of a failed test is shown with it.
    let _ = tracing_subscriber::fmt().with_test_writer().try_init();
    let dir = mesh();
    let gateway =
        Gateway::open(dir.path(), config).await.unwrap_or_else(|error| panic!("{error}: {:#?}", error.findings));
    Fixture { dir, gateway }
}

pub(crate) async fn fixture() -> Fixture {
    fixture_with(config()).await
}

impl Fixture {
    pub(crate) fn session(&self, user: &str) -> Session {
        self.gateway.local_session(user).unwrap()
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        write(self.dir.path(), path, text);
    }

    pub(crate) async fn rows(&self, session: &Session, sql: &str) -> Result<Vec<RecordBatch>, GatewayError> {
        self.gateway.query(session, sql, None).await?.try_collect().await
    }

    /// The answer as a table of text.
    pub(crate) async fn text(&self, session: &Session, sql: &str) -> String {
        let rows = self.rows(session, sql).await.unwrap_or_else(|error| panic!("{sql}: {:?} {error}", error.kind));
        pretty_format_batches(&rows).unwrap().to_string()
    }

    pub(crate) async fn error(&self, session: &Session, sql: &str) -> GatewayError {
        self.rows(session, sql).await.map(|rows| format!("{rows:?}")).unwrap_err()
    }

    /// The journal, once the gateway has closed it.
    pub(crate) async fn journal(&self) -> Vec<Entry> {
        self.gateway.shutdown().await;
        let query = Query { order: Order::OldestFirst, ..Query::default() };
        search(&self.dir.path().join(".portcullis/audit"), &query).unwrap().map(Result::unwrap).collect()
    }
}
