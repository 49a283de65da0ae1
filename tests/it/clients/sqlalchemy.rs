//! SQLAlchemy through its dialect for ADBC, and ibis on what ADBC has read.

use std::process::Command;

use serde_json::json;

use super::conformance::Shown;
use super::{PEOPLE, ROWS, answer, facts, number, objects, program, says};
use crate::support;

#[test]
fn external_sqlalchemy_and_ibis() {
    let Some(python) = support::bi_python() else { return };
    let mut shown = Shown::of("SQLAlchemy");
    let mut through_ibis = Shown::of("ibis (on ADBC)");
    for (user, purpose) in PEOPLE {
        let facts = facts(Command::new(&python).arg(program("python/sqlalchemy_dialect.py")), user, purpose);
        let rows = answer(user, purpose, ROWS);
        let number = |sql| number(user, purpose, sql);
        let visible = objects(user, purpose);
        let mut columns: Vec<&String> = facts["columns"].as_object().unwrap().keys().collect();
        columns.sort();
        let mut wanted: Vec<_> = visible["orders.order_events"].as_array().unwrap().clone();
        wanted.sort_by_key(ToString::to_string);
        assert_eq!(json!(columns), json!(wanted));
        assert_eq!(facts["columns"]["quantity"], "INTEGER");
        assert_eq!(facts["has_table"], json!([true, false]));
        let grouped = "SELECT region, count(*), CAST(sum(amount) AS DECIMAL(20, 2)) FROM orders.order_events \
                       WHERE quantity > 1 AND region IN ('EU', 'US') GROUP BY region ORDER BY region";
        assert_eq!(texts(&facts["expression"]), answer(user, purpose, grouped));
        assert_eq!(facts["pandas"], json!(["region", "orders", "amount"]));
        let mut domains: Vec<&str> =
            visible.as_object().unwrap().keys().map(|name| name.split('.').next().unwrap()).collect();
        domains.dedup();
        let filtered = "SELECT count(*) FROM orders.order_events WHERE region = 'EU' AND quantity > 1";
        shown.holds("rows", facts["rows"] == rows);
        shown.holds("purpose", facts["rows"] == rows);
        shown.holds("parameters", facts["filtered"] == number(filtered));
        shown.holds("listings", facts["schemas"] == json!(domains));
        shown.holds("wrong password", says(&facts["wrong_password"], "wrong password"));
        shown.holds("unknown table", says(&facts["no_table"], "`orders.nowhere` not found"));
        shown.holds("refused write", says(&facts["refused"], "the gateway only reads"));
        let by_region = "SELECT region, count(*), CAST(sum(amount) AS DECIMAL(20, 2)) FROM orders.order_events \
                         GROUP BY region ORDER BY region";
        let same = texts(&facts["ibis"]) == answer(user, purpose, by_region);
        through_ibis.holds("rows", same);
        through_ibis.holds("purpose", same);
    }
    shown.check();
    through_ibis.check();
}

/// Rows with each value as text.
fn texts(rows: &serde_json::Value) -> serde_json::Value {
    let text = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let row = |row: &serde_json::Value| row.as_array().unwrap().iter().map(text).collect::<Vec<_>>();
    json!(rows.as_array().unwrap().iter().map(row).collect::<Vec<_>>())
}
