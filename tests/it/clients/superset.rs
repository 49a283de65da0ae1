//! Apache Superset: a database, a dataset and a chart. A job of its own (`cargo xtask superset`), because it takes a gigabyte.

use std::process::Command;

use serde_json::json;

use super::{PEOPLE, answer, contains, facts, objects, program};
use crate::support;

#[test]
fn external_superset_shows_a_chart() {
    let Some(python) = support::superset_python() else { return };
    for (user, purpose) in PEOPLE {
        let facts = facts(Command::new(&python).arg(program("python/superset_chart.py")), user, purpose);
        let grouped = |condition: &str| {
            let sql = format!(
                "SELECT region, count(*), CAST(sum(amount) AS DECIMAL(20, 2)) FROM orders.order_events {condition} \
                 GROUP BY region ORDER BY region"
            );
            answer(user, purpose, &sql)
        };
        assert_eq!(facts["rows"], grouped(""));
        assert_eq!(facts["filtered"], grouped("WHERE quantity > 1"));
        assert_eq!(facts["chart"], "Orders by region");
        let visible = objects(user, purpose);
        let mut names: Vec<&str> = visible.as_object().unwrap().keys().map(String::as_str).collect();
        names.retain(|name| name.starts_with("orders."));
        let names: Vec<&str> = names.iter().filter_map(|name| name.split_once('.')).map(|(_, table)| table).collect();
        assert_eq!(facts["tables"], json!(names));
        let mut columns: Vec<_> = facts["columns"].as_object().unwrap().keys().map(|name| json!(name)).collect();
        let mut wanted = visible["orders.order_events"].as_array().unwrap().clone();
        columns.sort_by_key(ToString::to_string);
        wanted.sort_by_key(ToString::to_string);
        assert_eq!(columns, wanted);
        contains(&facts["missing"], "`orders.nowhere` not found");
        contains(&facts["wrong_password"], "unknown user or wrong password");
        contains(&facts["refused"], "the gateway only reads");
    }
}
