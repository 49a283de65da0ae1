//! Tables without a domain: the session's, and never beyond what its subject may discover.

use super::mesh::{ana, parsed, parsed_in, planner};
use super::*;
use crate::explain::{Audience, explain_access};
use crate::sql::Defaults;

fn defaults(schema: &str) -> Defaults {
    Defaults { schema: Some(schema.into()), ..Defaults::default() }
}

/// The tables behind a plan in this schema, or the error.
fn tables_in(schema: &str, sql: &str) -> String {
    match planner().govern(&parsed_in(sql, &defaults(schema)), &ana(), None) {
        Verdict::Permit(plan, _) => {
            plan.scans().iter().map(|scan| scan.table().name.to_string()).collect::<Vec<_>>().join(" ")
        }
        other => other.decision().reason.as_ref().unwrap().message.clone(),
    }
}

#[test]
fn a_table_without_a_domain_is_of_the_sessions() {
    assert_eq!(tables_in("orders", "SELECT id FROM events"), "orders.events");
    assert_eq!(
        tables_in("orders", "SELECT e.id FROM events e JOIN orders.events x ON e.id = x.id"),
        "orders.events orders.events"
    );
    assert_eq!(
        tables_in("customers", "SELECT p.age FROM profiles p, orders.events"),
        "customers.profiles orders.events"
    );
    assert_eq!(
        tables_in("orders", "WITH events AS (SELECT 1 AS id) SELECT id FROM events"),
        "",
        "its own name goes first"
    );
    assert_eq!(tables_in("orders", "DESCRIBE events"), "");
    assert_eq!(tables_in("orders", "SHOW COLUMNS FROM events"), "");
    let missing = |name: &str| {
        format!("table `{name}` not found: write `domain.table`, `SHOW TABLES` lists what you may discover")
    };
    for (schema, name) in [("orders", "profiles"), ("hr", "salaries"), ("hr", "nothing"), ("", "events")] {
        assert_eq!(tables_in(schema, &format!("SELECT 1 FROM {name}")), missing(name), "{schema}");
    }
    assert_eq!(tables_in("hr", "DESCRIBE salaries"), missing("salaries"));
    assert!(matches!(planner().govern(&parsed("SELECT id FROM events"), &ana(), None), Verdict::Deny(_)));
}

#[test]
fn what_is_reported_is_what_is_read() {
    let sql = "WITH c AS (SELECT 1) SELECT * FROM events, c, customers.profiles";
    let statement = parsed_in(sql, &defaults("orders"));
    let report = explain_access(planner().snapshot(), &statement, &ana(), Audience::Subject);
    let names: Vec<_> = report.tables.iter().map(|table| table.table.as_str()).collect();
    assert_eq!((names, report.not_found), (vec!["customers.profiles", "orders.events"], vec![]));
}
