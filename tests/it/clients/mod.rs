//! Real clients, each in its own language, against a served demo mesh, as two principals. The programs are in
//! tests/clients; what they print is compared with what the gateway answers in process.

mod conformance;
mod go;
mod harlequin;
mod sqlalchemy;
mod superset;

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{self, block_on, served};

use conformance::Shown;

const ROWS: &str =
    "SELECT order_id, customer_id, region, quantity, amount FROM orders.order_events ORDER BY order_id LIMIT 20";

/// Who asks, and for which purpose: an analyst whose rows and values are restricted, and the fraud desk.
const PEOPLE: [(&str, Option<&str>); 2] = [("ana", None), ("frida", Some("fraud"))];

/// What the gateway answers in process: rows of texts.
fn answer(user: &str, purpose: Option<&str>, sql: &str) -> Value {
    let gateway = support::gateway();
    let session = support::session(&gateway, user, purpose);
    let (_, batches) = block_on(support::rows(&gateway, &session, sql)).unwrap();
    Value::Array(batches.iter().flat_map(support::texts).collect())
}

fn number(user: &str, purpose: Option<&str>, sql: &str) -> Value {
    let text = answer(user, purpose, sql)[0][0].as_str().unwrap().to_owned();
    text.parse::<i64>().unwrap().into()
}

/// Starts a program for this user and returns the JSON object that it prints.
fn facts(command: &mut Command, user: &str, purpose: Option<&str>) -> Value {
    command.arg(served().address.to_string()).arg(user).args(purpose);
    let text = support::output_of(command);
    serde_json::from_str(text.lines().last().unwrap()).unwrap()
}

fn program(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients").join(name)
}

/// Whether a fact is a text with this in it.
fn says(fact: &Value, wanted: &str) -> bool {
    fact.as_str().is_some_and(|text| text.contains(wanted))
}

fn contains(fact: &Value, wanted: &str) {
    let text = fact.as_str().unwrap_or_else(|| panic!("{fact} is no text; wanted: {wanted}"));
    assert!(text.contains(wanted), "{text}\nwanted: {wanted}");
}

/// The two principals see different rows and different values: a test that compares alike answers proves little.
#[test]
fn the_two_principals_differ() {
    let [(ana, _), (frida, purpose)] = PEOPLE;
    assert_ne!(answer(ana, None, ROWS), answer(frida, purpose, ROWS));
    let regions = "SELECT DISTINCT region FROM orders.order_events";
    assert_eq!(answer(ana, None, regions), json!([["EU"]]));
    assert_ne!(answer(frida, purpose, regions), json!([["EU"]]));
}

#[test]
fn external_pyarrow_flight() {
    let Some(python) = support::python() else { return };
    let mut shown = Shown::of("`pyarrow.flight`");
    for (user, purpose) in PEOPLE {
        let facts = facts(Command::new(&python).arg(program("python/pyarrow_flight.py")), user, purpose);
        shown.holds("rows", facts["rows"] == answer(user, purpose, ROWS));
        shown.holds("purpose", facts["rows"] == answer(user, purpose, ROWS));
        shown.holds("wrong password", says(&facts["wrong_password"], "unauthenticated"));
        shown.holds("unknown table", says(&facts["no_table"], "orders.nowhere"));
        shown.holds("refused write", says(&facts["refused"], "the gateway only reads"));
        shown.holds("cancel", says(&facts["cancelled"], "FlightCancelledError"));
        contains(&facts["no_credentials"], "no credentials: send `authorization:");
        assert_eq!(facts["schemas_are_identical"], true);
        assert_eq!(facts["nullable"], true);
        assert_eq!(facts["types"], json!(["string", "string", "string", "int32", "decimal128(12, 2)"]));
        assert_eq!(facts["all_rows"], number(user, purpose, "SELECT count(*) FROM orders.order_events"));
        let actions = [
            "CancelFlightInfo",
            "CancelQuery",
            "ClosePreparedStatement",
            "CloseSession",
            "CreatePreparedStatement",
            "GetSessionOptions",
            "RenewFlightEndpoint",
            "SetSessionOptions",
        ];
        assert_eq!(facts["actions"], json!(actions));
        assert_eq!(facts["catalogs"], json!([{"catalog_name": "mesh"}]));
        assert_eq!(facts["large_headers"], json!(["one"]));
        assert_eq!(facts["basic_on_a_call"], json!(["one"]));
    }
    shown.check();
}

#[test]
fn external_adbc_with_pandas_and_polars() {
    let Some(python) = support::python() else { return };
    let mut shown = Shown::of("ADBC from Python");
    for (user, purpose) in PEOPLE {
        let facts = facts(Command::new(&python).arg(program("python/adbc_dbapi.py")), user, purpose);
        let filtered = "SELECT count(*) FROM orders.order_events WHERE region = 'EU' AND quantity > 1";
        shown.holds("rows", facts["rows"] == answer(user, purpose, ROWS));
        shown.holds("purpose", facts["rows"] == answer(user, purpose, ROWS));
        shown.holds("parameters", facts["filtered"] == number(user, purpose, filtered));
        shown.holds("listings", facts["objects"] == objects(user, purpose));
        shown.holds("wrong password", says(&facts["wrong_password"], "UNAUTHENTICATED"));
        shown.holds("refused write", says(&facts["refused"], "the gateway only reads"));
        shown.holds("unknown table", says(&facts["no_table"], "`orders.nowhere` not found"));
        shown.holds("`SET`", facts["session"] == answer(user, purpose, ROWS));
        shown.holds("cancel", says(&facts["cancelled"], "context canceled"));
        let names = json!(["order_id", "customer_id", "region", "quantity", "amount"]);
        assert_eq!(facts["pandas"][0], names);
        assert_eq!(facts["pandas"][1][3], "int32");
        assert_eq!(facts["pandas"][2], 20);
        assert_eq!(
            facts["polars"],
            json!([names, ["String", "String", "String", "Int32", "Decimal(precision=12, scale=2)"], 20])
        );
        let regions = answer(user, purpose, "SELECT DISTINCT region FROM orders.order_events");
        assert_eq!(facts["pandas_read_sql"], regions.as_array().unwrap().len());
        assert_eq!(facts["instant_has_zone"], true);
        let bound = facts["parameters"].as_object().unwrap();
        assert_eq!(bound.len(), 9);
        assert!(bound.values().all(|same| *same == true), "{bound:?}");
        let untyped =
            ["int", "bigint", "double", "boolean", "decimal", "date", "null"].map(|kind| &facts["untyped"][kind]);
        assert_eq!(json!(untyped), json!(["42", "9007199254740993", "0.1", "true", "1234567.89", "2024-02-29", null]));
        contains(&facts["untyped"]["timestamp"], "2024-03-31T01:30:00.123456");
        assert!(facts["since"].as_i64().unwrap() > 0);
        let one: Vec<_> = facts["objects_by_pattern"].as_object().unwrap().keys().collect();
        assert_eq!(one, ["orders.order_events"]);
        assert_eq!(facts["table_types"], json!(["SYSTEM TABLE", "TABLE"]));
        assert_eq!(facts["info"], "Portcullis");
        assert_eq!(facts["table_schema"][0], "order_id: string");
        assert!(facts["unparsable"].is_string(), "{facts}");
        contains(&facts["set_without_cookies"], "turn its cookies on");
    }
    shown.check();
}

/// What may be discovered: schema.table and the columns.
fn objects(user: &str, purpose: Option<&str>) -> Value {
    let gateway = support::gateway();
    let tables = gateway.visible_tables(&support::session(&gateway, user, purpose)).unwrap();
    let columns = |table: &portcullis_gateway::VisibleTable| -> Value {
        table.schema.fields().iter().map(|field| field.name().clone()).collect::<Vec<_>>().into()
    };
    Value::Object(tables.iter().map(|table| (format!("{}.{}", table.domain, table.table), columns(table))).collect())
}

/// A program of tests/clients/jdbc with the JDBC driver, in a virtual machine with this default time zone.
pub fn jdbc(zone: &str, program: &str) -> Option<Command> {
    let jar = support::jdbc_jar()?;
    if !Command::new("java").arg("-version").output().is_ok_and(|output| output.status.success()) {
        support::skipped("there is no `java`");
        return None;
    }
    let mut java = Command::new("java");
    java.arg(format!("-Duser.timezone={zone}")).arg("--add-opens=java.base/java.nio=ALL-UNNAMED");
    java.arg("-cp").arg(jar).arg(self::program("jdbc").join(program));
    Some(java)
}

#[test]
fn external_jdbc_reads_rows_metadata_and_errors() {
    let mut shown = Shown::of("JDBC");
    for (user, purpose) in PEOPLE {
        let Some(mut java) = jdbc("America/New_York", "JdbcClient.java") else { return };
        let facts = facts(&mut java, user, purpose);
        let filtered = "SELECT count(*) FROM orders.order_events WHERE region = 'EU' AND quantity > 1";
        shown.holds("rows", facts["rows"] == answer(user, purpose, ROWS));
        shown.holds("purpose", facts["rows"] == answer(user, purpose, ROWS));
        shown.holds("parameters", facts["filtered"][0] == json!([number(user, purpose, filtered).to_string()]));
        shown.holds("wrong password", says(&facts["wrong_password"], "wrong password"));
        shown.holds("unknown table", says(&facts["no_table"], "`orders.nowhere` not found"));
        shown.holds("refused write", says(&facts["refused"], "the gateway only reads"));
        shown.holds("`SET`", facts["session"] == answer(user, purpose, ROWS));
        shown.holds("cancel", says(&facts["cancelled"], "Statement canceled"));
        assert_eq!(facts["labels"], json!(["order_id VARCHAR", "total DECIMAL"]));
        assert_eq!(facts["all_rows"], number(user, purpose, "SELECT count(*) FROM orders.order_events"));
        assert_eq!(facts["catalogs"], json!([["mesh"]]));
        assert_eq!(facts["schemas_by_pattern"], json!([["orders", "mesh"]]));
        assert_eq!(facts["table_types"], json!([["SYSTEM TABLE"], ["TABLE"]]));
        assert_eq!(facts["one_table"], json!([["mesh", "orders", "order_events", "TABLE"]]));
        assert_eq!(facts["no_view"], json!([]));
        let tables: Vec<String> = facts["tables"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| format!("{}.{}", text(&row[1]), text(&row[2])))
            .collect();
        let visible = objects(user, purpose);
        shown.holds("listings", tables == visible.as_object().unwrap().keys().cloned().collect::<Vec<_>>());
        let columns: Vec<&str> = facts["columns"].as_array().unwrap().iter().map(|row| text(&row[0])).collect();
        assert_eq!(json!(columns), visible["orders.order_events"]);
        assert_eq!(facts["columns"][0][1], "VARCHAR");
        assert_eq!(
            json!(facts["columns"][1].as_array().unwrap()[..6]),
            json!(["event_ts", "TIMESTAMP WITH TIME ZONE", "2014", "YES", "32", "6"])
        );
        assert_eq!(facts["imported_keys"], 0);
        assert_eq!(facts["broken_getters"], json!([]));
        let flags =
            ["read_only", "transactions", "full_outer_joins", "forward_only", "converts"].map(|flag| &facts[flag]);
        assert_eq!(json!(flags), json!([true, false, true, true, true]));
        assert_eq!(facts["with_catalog"], json!([["1"]]));
        assert_eq!(facts["other_catalog"], "refused");
        assert_eq!(facts["set_is_an_update"], true);
        assert_eq!(facts["fetched"], json!([facts["all_rows"], 3]));
        contains(&facts["no_column"], "nothing");
        assert_ne!(facts["unparsable"], "no error");
    }
    shown.check();
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

#[test]
fn external_jdbc_binds_parameters_and_keeps_timestamps() {
    let zones = ["America/New_York", "Asia/Kolkata", "Pacific/Auckland"];
    for (zone, (user, purpose)) in zones.into_iter().zip(PEOPLE.into_iter().cycle()) {
        let Some(mut java) = jdbc(zone, "JdbcClient.java") else { return };
        let facts = facts(&mut java, user, purpose);
        let bound = facts["parameters"].as_object().unwrap();
        assert_eq!(bound.len(), 16);
        for (parameter, answer) in bound {
            let wanted = match parameter.as_str() {
                "CAST(1 AS BIGINT)" => "null",
                "CAST(? AS INT)" | "? AS x" => "42",
                _ => "true",
            };
            assert_eq!(answer, wanted, "{parameter} in {zone}");
        }
        assert_eq!(facts["filtered"][1], json!(["0"]));
        assert_eq!(facts["time_types"], json!(["TIMESTAMP_WITH_TIMEZONE", "TIMESTAMP", "DATE"]));
        let times =
            ["instant_text", "instant", "local_text", "local", "local_timestamp", "day"].map(|fact| &facts[fact]);
        let unshifted = [
            "2024-03-31 01:30:00.123456",
            "2024-03-31T01:30:00.123456Z",
            "2024-03-31 01:30:00.123456",
            "2024-03-31T01:30:00.123456",
            "2024-03-31 01:30:00.123456",
            "2024-02-29 2024-02-29",
        ];
        assert_eq!(json!(times), json!(unshifted), "{zone}");
    }
}
