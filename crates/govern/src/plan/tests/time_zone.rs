//! What the time zone of a statement changes: types that SQL leaves to it. And the names of types that users see.

use datafusion::arrow::datatypes::DataType;

use super::mesh::{ana, parsed_in, planner};
use super::*;
use crate::{Defaults, wire_type};

/// The type of a statement's one column.
fn column(sql: &str, zone: Option<&str>) -> String {
    let defaults =
        zone.map_or_else(Defaults::default, |zone| Defaults { time_zone: zone.into(), ..Defaults::default() });
    let statement = parsed_in(sql, &defaults);
    match planner().govern(&statement, &ana(), None) {
        Verdict::Permit(plan, _) => plan.schema().field(0).data_type().to_string(),
        other => panic!("{sql}: {:?}", other.decision().reason),
    }
}

#[test]
fn types_with_a_zone_have_the_statements() {
    for sql in [
        "SELECT now()",
        "SELECT current_timestamp",
        "SELECT CAST('2026-07-01 12:00' AS TIMESTAMP WITH TIME ZONE)",
        "SELECT to_timestamp('2026-07-01 12:00')",
        "SELECT date_trunc('day', now())",
    ] {
        assert_eq!(column(sql, None), "Timestamp(ns, \"+00:00\")", "{sql}");
        assert_eq!(column(sql, Some("Europe/Vienna")), "Timestamp(ns, \"Europe/Vienna\")", "{sql}");
    }
    // What says its zone itself, or that it has none, is as it is.
    for (sql, expect) in [
        ("SELECT at FROM orders.events", "Timestamp(µs, \"+00:00\")"),
        ("SELECT TIMESTAMP '2026-07-01 12:00'", "Timestamp(ns)"),
        ("SELECT now() AT TIME ZONE 'Asia/Tokyo'", "Timestamp(ns, \"Asia/Tokyo\")"),
    ] {
        assert_eq!(column(sql, Some("Europe/Vienna")), expect, "{sql}");
    }
}

#[test]
fn users_see_the_types_that_arrive() {
    let wrong = denied("SELECT abs(id) FROM orders.events");
    assert!(wrong.contains("Utf8") || wrong.contains("String"), "{wrong}");
    for error in [
        wrong,
        denied("SELECT id + tags FROM orders.events"),
        denied("SELECT id FROM orders.events UNION SELECT tags FROM orders.events"),
        denied("SELECT date_trunc(id, id) FROM orders.events WHERE id"),
    ] {
        assert!(!error.contains("View"), "{error}");
    }
    let explained = permitted("EXPLAIN SELECT CAST(qty AS VARCHAR) FROM orders.events").0;
    assert!(explained.explain_text().unwrap().contains("AS Utf8)"), "{:?}", explained.explain_text());
    assert_eq!(wire_type(&DataType::new_list(DataType::Utf8View, true)), DataType::new_list(DataType::Utf8, true));
}
