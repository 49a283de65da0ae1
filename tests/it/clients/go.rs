//! tests/clients/go: ADBC's driver for Go, and the driver of arrow-go for `database/sql`.

use std::process::Command;

use serde_json::{Value, json};

use super::conformance::Shown;
use super::{PEOPLE, ROWS, answer, contains, facts, number, objects, says};
use crate::support;

const FILTERED: &str = "SELECT count(*) FROM orders.order_events WHERE region = 'EU' AND quantity > 1";

/// What the program prints, for each of the people.
fn found() -> Option<[Value; PEOPLE.len()]> {
    let client = support::go_client()?;
    Some(PEOPLE.map(|(user, purpose)| facts(&mut Command::new(&client), user, purpose)))
}

#[test]
fn external_go_adbc() {
    let Some(found) = found() else { return };
    let mut shown = Shown::of("ADBC from Go");
    for ((user, purpose), facts) in PEOPLE.into_iter().zip(found) {
        let facts = &facts["adbc"];
        let rows = answer(user, purpose, ROWS);
        assert_eq!(facts["error"], Value::Null);
        assert_eq!(
            facts["all_rows"][0][0],
            number(user, purpose, "SELECT count(*) FROM orders.order_events").to_string()
        );
        assert_eq!(facts["instant"], json!([["2024-03-31T01:30:00.123456"]]));
        assert_eq!(facts["after_cancelling"], json!([["1"]]));
        let visible = objects(user, purpose);
        assert_eq!(facts["table_schema"][0], "order_id: utf8");
        assert_eq!(facts["table_schema"][8], "amount: decimal(12, 2)");
        assert_eq!(
            facts["table_schema"].as_array().unwrap().len(),
            visible["orders.order_events"].as_array().unwrap().len()
        );
        contains(&facts["set_without_cookies"], "turn its cookies on");
        shown.holds("rows", facts["rows"] == rows);
        shown.holds("purpose", facts["rows"] == rows);
        shown.holds("parameters", facts["filtered"] == json!([[number(user, purpose, FILTERED).to_string()]]));
        shown.holds("listings", facts["objects"] == json!(visible.as_object().unwrap().keys().collect::<Vec<_>>()));
        shown.holds("wrong password", says(&facts["wrong_password"], "wrong password"));
        shown.holds("unknown table", says(&facts["no_table"], "`orders.nowhere` not found"));
        shown.holds("refused write", says(&facts["refused"], "the gateway only reads"));
        shown.holds("`SET`", facts["session"] == rows);
        shown.holds("cancel", says(&facts["cancelled"], "context canceled"));
    }
    shown.check();
}

#[test]
fn external_go_database_sql() {
    let Some(found) = found() else { return };
    let mut shown = Shown::of("`database/sql` (Go)");
    for ((user, purpose), facts) in PEOPLE.into_iter().zip(found) {
        let facts = &facts["sql"];
        let rows = answer(user, purpose, ROWS);
        assert_eq!(facts["error"], Value::Null);
        assert_eq!(facts["instant"], "2024-03-31T01:30:00.123456Z");
        assert_eq!(facts["null"], true);
        contains(&facts["transaction"], "transactions are not supported");
        // The driver's own: `database/sql` makes 64 bits of every whole number, and it does not narrow them.
        contains(&facts["filtered_as_it_is"], "invalid value type int64");
        shown.holds("rows", facts["rows"] == rows);
        shown.holds("purpose", facts["rows"] == rows);
        shown.holds("parameters", facts["filtered"] == number(user, purpose, FILTERED));
        shown.holds("wrong password", says(&facts["wrong_password"], "wrong password"));
        shown.holds("unknown table", says(&facts["no_table"], "`orders.nowhere` not found"));
        shown.holds("refused write", says(&facts["refused"], "the gateway only reads"));
    }
    shown.check();
}
