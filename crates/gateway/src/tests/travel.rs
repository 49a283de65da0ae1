//! Earlier versions of a table under the policies of now, from the statement to the journal.
//!
//! The table, with columns mapped by name: version 0 has a column `customer_id` that was dropped later (its values are
//! account numbers), version 1 knows the region and a new `customer_id`, version 2 renames `amount` to `price` and
//! deletes an order.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use datafusion::arrow::array::{ArrayRef, Int64Array, StringArray};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::parquet::arrow::ArrowWriter;
use serde_json::{Value, json};

use super::fixture::{Fixture, config, mesh};
use crate::Gateway;
use crate::error::ErrorKind;

const CONTRACT: &str = r"
apiVersion: datamesh.io/v1
kind: DataProduct
metadata: {name: order_events, domain: orders, version: 1.2.0, owner: orders@example.com, description: Orders}
outputPorts:
  - {name: table, type: delta-table, connection: lake, table: orders.order_events}
schema:
  fields:
    - {name: order_id, type: long}
    - {name: region, type: string}
    - {name: customer_id, type: string, constraints: {pii: true, masking: hash}}
    - {name: price, type: long}
";

/// Rows without a region are for everybody, but those of the US are not; and nobody but `fraud` sees clear customers.
const POLICIES: &str = r#"
@id("query") permit (principal in Group::"readers", action in [Action::"discover", Action::"query"], resource);
@id("clear") permit (principal in Group::"readers", action == Action::"viewClear", resource)
unless { resource.tags.contains(Tag::"pii") };
@id("null") permit (principal in Group::"readers", action == Action::"viewNull", resource);
@id("rows") permit (principal in Group::"readers", action == Action::"readRow", resource);
@id("not-us") forbid (principal, action == Action::"readRow", resource)
when { resource has region && resource.region == "US" }
unless { context has purpose && context.purpose == Purpose::"fraud" };
@id("fraud") permit (principal in Group::"readers", action == Action::"viewClear", resource)
when { context has purpose && context.purpose == Purpose::"fraud" };
"#;

fn column(id: i64, name: &str, physical: &str, kind: &str) -> Value {
    let metadata = json!({"delta.columnMapping.id": id, "delta.columnMapping.physicalName": physical});
    json!({"name": name, "type": kind, "nullable": true, "metadata": metadata})
}

fn metadata(columns: &[Value]) -> Value {
    json!({"metaData": {
        "id": "00000000-0000-0000-0000-000000000002", "format": {"provider": "parquet", "options": {}},
        "schemaString": json!({"type": "struct", "fields": columns}).to_string(), "partitionColumns": [],
        "configuration": {"delta.columnMapping.mode": "name", "delta.columnMapping.maxColumnId": "9"}, "createdTime": 0
    }})
}

/// A data file and its action.
fn file(dir: &Path, name: &str, columns: Vec<(&str, ArrayRef)>) -> Value {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer = ArrowWriter::try_new(fs::File::create(dir.join(name)).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let size = fs::metadata(dir.join(name)).unwrap().len();
    json!({"add": {"path": name, "partitionValues": {}, "size": size, "modificationTime": 0, "dataChange": true}})
}

fn numbers(values: &[i64]) -> ArrayRef {
    Arc::new(Int64Array::from(values.to_vec()))
}

fn texts(values: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

/// A commit, written so many days after 1970-01-01.
fn commit(dir: &Path, version: u64, days: u64, actions: &[Value]) {
    let path = dir.join(format!("_delta_log/{version:020}.json"));
    fs::write(&path, actions.iter().map(|action| format!("{action}\n")).collect::<String>()).unwrap();
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(days * 86_400);
    fs::File::options().write(true).open(&path).unwrap().set_modified(at).unwrap();
}

fn write_table(dir: &Path) {
    fs::remove_dir_all(dir).unwrap();
    fs::create_dir_all(dir.join("_delta_log")).unwrap();
    let (id, account) = (column(1, "order_id", "p1", "long"), column(2, "customer_id", "p2", "string"));
    let (region, customer) = (column(3, "region", "p3", "string"), column(4, "customer_id", "p4", "string"));
    let (amount, price) = (column(5, "amount", "p5", "long"), column(5, "price", "p5", "long"));
    let features = ["columnMapping"];
    let protocol = json!({"protocol": {
        "minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": features, "writerFeatures": features
    }});
    let zero = vec![("p1", numbers(&[1, 2])), ("p2", texts(&["ACCT-1", "ACCT-2"])), ("p5", numbers(&[10, 20]))];
    let zero = file(dir, "zero.parquet", zero);
    commit(dir, 0, 10, &[protocol, metadata(&[id.clone(), account, amount.clone()]), zero]);
    let one = vec![
        ("p1", numbers(&[3, 4])),
        ("p3", texts(&["EU", "US"])),
        ("p4", texts(&["carl", "dora"])),
        ("p5", numbers(&[30, 40])),
    ];
    let one = file(dir, "one.parquet", one);
    commit(dir, 1, 20, &[metadata(&[id.clone(), region.clone(), customer.clone(), amount]), one]);
    let two = vec![
        ("p1", numbers(&[5, 6])),
        ("p3", texts(&["EU", "US"])),
        ("p4", texts(&["emil", "fred"])),
        ("p5", numbers(&[50, 60])),
    ];
    let two = file(dir, "two.parquet", two);
    let gone = json!({"remove": {"path": "zero.parquet", "deletionTimestamp": 0, "dataChange": true}});
    commit(dir, 2, 30, &[metadata(&[id, region, customer, price]), two, gone]);
}

async fn travelled() -> Fixture {
    let dir = mesh();
    super::fixture::write(dir.path(), "catalogs/orders/order_events.yaml", CONTRACT);
    super::fixture::write(dir.path(), "policies/all.cedar", POLICIES);
    write_table(&dir.path().join("lake/orders/order_events"));
    let opened = Gateway::open(dir.path(), config()).await;
    let gateway = opened.unwrap_or_else(|error| panic!("{error}: {:#?}", error.findings));
    Fixture { dir, gateway }
}

/// The answer's cells, a line for each row.
async fn answer(f: &Fixture, purpose: Option<&str>, sql: &str) -> Vec<String> {
    let session = f.session("ana").with_purpose(purpose.map(str::to_owned));
    let text = f.text(&session, sql).await;
    let lines = text.lines().filter(|line| line.starts_with('|'));
    lines.map(|line| line.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>().join(", ")).collect()
}

#[tokio::test]
async fn the_policies_of_now_govern_the_rows_of_then() {
    let f = travelled().await;
    let all = |version: &str| format!("SELECT * FROM orders.order_events {version} ORDER BY order_id");
    assert_eq!(
        answer(&f, None, &all("")).await,
        ["order_id, region, customer_id, price", "3, EU, , 30", "5, EU, , 50"]
    );
    assert_eq!(
        answer(&f, Some("fraud"), &all("VERSION AS OF 1")).await,
        ["order_id, region, customer_id, price", "1, , , 10", "2, , , 20", "3, EU, carl, 30", "4, US, dora, 40"],
        "rows that were deleted since are there, of the column that was dropped nothing is"
    );
    assert_eq!(
        answer(&f, None, &all("VERSION AS OF 1")).await,
        ["order_id, region, customer_id, price", "1, , , 10", "2, , , 20", "3, EU, , 30"],
        "the filter and the mask of now"
    );
    for purpose in [None, Some("fraud")] {
        assert_eq!(
            answer(&f, purpose, &all("VERSION AS OF 0")).await,
            ["order_id, price", "1, 10", "2, 20"],
            "the dropped column had the name of one that is declared, and is not it"
        );
    }
    let both = "SELECT a.order_id, b.order_id AS later FROM orders.order_events VERSION AS OF 1 a \
                FULL JOIN orders.order_events FOR VERSION AS OF 2 AS b ON a.order_id = b.order_id ORDER BY 1, 2";
    assert_eq!(answer(&f, None, both).await, ["order_id, later", "1, ", "2, ", "3, 3", ", 5"]);
    let counts = "SELECT (SELECT count(*) FROM orders.order_events VERSION AS OF 0) AS a, \
                  (SELECT count(*) FROM orders.order_events VERSION AS OF 1) AS b, count(*) AS c FROM orders.order_events";
    assert_eq!(answer(&f, None, counts).await, ["a, b, c", "2, 3, 2"], "equal subqueries over two versions are two");
}

#[tokio::test]
async fn times_find_the_version_that_was_current() {
    let f = travelled().await;
    for (time, expect) in [
        ("'1970-01-11'", "2"),
        ("'1970-01-20T23:59:59.999Z'", "2"),
        ("TIMESTAMP '1970-01-21 00:00:00'", "3"),
        ("'1970-01-21T00:30:00+01:00'", "2"),
        ("DATE '1970-01-31'", "2"),
        ("'2100-01-01'", "2"),
    ] {
        let sql =
            format!("SELECT count(*) AS n FROM orders.order_events TIMESTAMP AS OF {time} WHERE order_id <> 5 OR true");
        assert_eq!(answer(&f, None, &sql).await, ["n", expect], "{time}");
    }
    let price = "SELECT max(price) AS p FROM orders.order_events FOR SYSTEM_TIME AS OF '1970-01-25'";
    assert_eq!(answer(&f, None, price).await, ["p", "30"], "not of the US, whose row is hidden");
}

#[tokio::test]
async fn what_is_not_there_is_told_by_version_only() {
    let f = travelled().await;
    let ana = f.session("ana");
    let then = "table `orders.order_events` cannot be read as of then: ";
    for (version, expect) in [
        ("VERSION AS OF 3", "it has no version 3; its newest is 2"),
        ("VERSION AS OF 'main'", "a Delta table has no branches or tags; write the version's number without quotes"),
        ("TIMESTAMP AS OF '1970-01-10'", "it has no version of 1970-01-10 00:00:00Z"),
    ] {
        let error = f.error(&ana, &format!("SELECT 1 FROM orders.order_events {version}")).await;
        assert_eq!((error.kind, error.to_string()), (ErrorKind::InvalidArgument, format!("{then}{expect}")));
    }
    for column in ["customer_id", "region", "amount"] {
        let sql = format!("SELECT {column} FROM orders.order_events VERSION AS OF 0");
        let error = f.error(&ana, &sql).await.to_string();
        let names = "there are orders.order_events.order_id, orders.order_events.price";
        assert_eq!(error, format!("column `{column}` not found; {names}"));
        assert_eq!(f.gateway.describe(&ana, &sql, None).await.unwrap_err().to_string(), error);
    }
    let bob = f.session("bob");
    let hidden = f.error(&bob, "SELECT 1 FROM orders.order_events").await;
    for version in ["VERSION AS OF 0", "VERSION AS OF 99", "TIMESTAMP AS OF '1970-01-01'"] {
        let sql = format!("SELECT 1 FROM orders.order_events {version}");
        let error = f.error(&bob, &sql).await;
        assert_eq!((error.kind, error.to_string()), (hidden.kind, hidden.to_string()), "{version}");
        assert_eq!(f.gateway.describe(&bob, &sql, None).await.unwrap_err().to_string(), hidden.to_string());
    }
}

/// Sets it, and does what `SELECT count(*)` says then.
async fn counted(f: &Fixture, session: &crate::Session, set: &str) -> String {
    f.rows(session, set).await.unwrap();
    let text = f.text(session, "SELECT count(*) AS n FROM orders.order_events").await;
    text.lines().filter(|line| line.starts_with('|')).nth(1).unwrap().replace(['|', ' '], "")
}

#[tokio::test]
async fn a_session_reads_as_of_its_time() {
    let f = travelled().await;
    let ana = f.session("ana");
    for (set, expect) in [
        ("SET as_of = '1970-01-11'", "2"),
        ("SET as_of = TIMESTAMP '1970-01-21 00:00:00'", "3"),
        ("SET TIME ZONE 'Europe/Vienna'", "3"),
        ("SET as_of = '1970-01-21 00:30:00'", "2"),
        ("SET as_of = DATE '1970-01-31'", "3"),
        ("SET as_of = DEFAULT", "2"),
    ] {
        assert_eq!(counted(&f, &ana, set).await, expect, "{set}: without a zone, it is in the session's");
    }
    f.rows(&ana, "SET as_of = '1970-01-10'").await.unwrap();
    let error = f.error(&ana, "SELECT 1 FROM orders.order_events").await;
    assert_eq!(error.kind, ErrorKind::InvalidArgument);
    let expect = "table `orders.order_events` cannot be read as of then: it has no version of 1970-01-09 23:00:00Z";
    assert_eq!(error.to_string(), expect);
    let described = f.gateway.describe(&ana, "SELECT 1 FROM orders.order_events", None).await;
    assert_eq!(described.unwrap_err().to_string(), expect);
    // Where its name is the statement's own, nobody misses the table.
    f.rows(&ana, "SET schema = 'orders'").await.unwrap();
    f.rows(&ana, "WITH order_events AS (SELECT 1) SELECT * FROM order_events").await.unwrap();
    f.rows(&ana, "SELECT 1 FROM order_events VERSION AS OF 0").await.unwrap();
    assert_eq!(f.error(&ana, "SET as_of = 'then'").await.kind, ErrorKind::InvalidArgument);
    assert_eq!(f.gateway.as_of(&ana).as_deref(), Some("1970-01-09 23:00:00Z"), "what was wrong has changed nothing");
    let again = f.gateway.as_of(&ana);
    f.gateway.set_option(&ana, "as_of", again.as_deref()).await.unwrap();
    assert_eq!(f.gateway.as_of(&ana), again, "what is told can be set");
    let hidden = f.session("bob");
    f.rows(&hidden, "SET as_of = '1970-01-10'").await.unwrap();
    let now = f.error(&f.session("bob"), "SELECT 1 FROM orders.order_events").await.to_string();
    assert_eq!(f.error(&hidden, "SELECT 1 FROM orders.order_events").await.to_string(), now);
}

#[tokio::test]
async fn describing_and_running_agree_and_the_journal_names_every_snapshot() {
    let f = travelled().await;
    let ana = f.session("ana");
    let sql = "SELECT * FROM orders.order_events VERSION AS OF 0";
    let described = f.gateway.describe(&ana, sql, None).await.unwrap().schema;
    assert_eq!(f.rows(&ana, sql).await.unwrap()[0].schema(), described);
    let three = "SELECT 1 FROM orders.order_events VERSION AS OF 0 a, orders.order_events b, \
                 orders.order_events TIMESTAMP AS OF '1970-02-15' c, orders.order_events VERSION AS OF 1 d";
    f.rows(&ana, three).await.unwrap();
    f.error(&ana, "SELECT 1 FROM orders.order_events VERSION AS OF 7").await;
    let report = f.gateway.explain_access(&ana, three).await.unwrap();
    assert_eq!((report.decision.as_str(), report.tables.len()), ("permitted", 1));
    let explained = f.text(&ana, &format!("EXPLAIN {sql}")).await;
    assert!(
        explained.contains("TableScan: orders.order_events as of version 0 (0) columns=[order_id, price]"),
        "{explained}"
    );
    assert!(!explained.contains("US"), "{explained}");

    let journal = f.journal().await;
    let snapshots = |at: usize| -> Vec<String> {
        journal[at]
            .begin
            .tables
            .iter()
            .map(|table| format!("{}@{}", table.name, table.snapshot.as_deref().unwrap_or("")))
            .collect()
    };
    assert_eq!(snapshots(0), ["orders.order_events@0"]);
    assert_eq!(snapshots(1), ["orders.order_events@0", "orders.order_events@1", "orders.order_events@2"]);
    let failed = &journal[2];
    assert_eq!(failed.error_kind.as_deref(), Some("invalid_argument"));
    assert_eq!(failed.begin.statement, "SELECT ? FROM orders.order_events VERSION AS OF ?");
}
