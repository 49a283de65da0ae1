mod kinds;
mod mesh;
mod parameters;
mod schema;
mod surface;
mod time_zone;
mod travel;

use datafusion::arrow::datatypes::DataType;

use super::*;
use crate::policy::Disclosure;
use mesh::{ana, parsed, planner};

fn verdict(sql: &str) -> Verdict {
    planner().govern(&parsed(sql), &ana(), None)
}

fn permitted(sql: &str) -> (GovernedPlan, Decision) {
    match verdict(sql) {
        Verdict::Permit(plan, decision) => (*plan, decision),
        other => panic!("{sql}: {:?}", other.decision().reason),
    }
}

/// Why there is no plan: `kind: message`.
fn denied(sql: &str) -> String {
    match verdict(sql) {
        Verdict::Permit(plan, _) => panic!("{sql}: {}", plan.logical().display_indent()),
        Verdict::Deny(decision) | Verdict::Undecided(decision) => {
            let reason = decision.reason.unwrap();
            format!("{}: {}", reason.kind.as_str(), reason.message)
        }
    }
}

/// The scans of a plan, as the engine will bind them.
fn scans(plan: &GovernedPlan) -> Vec<String> {
    let columns = |scan: &ScanSource| {
        let shown = scan.columns().iter().map(|column| match &column.expr {
            datafusion::logical_expr::Expr::Column(_) => column.name.clone(),
            masked => masked.to_string(),
        });
        shown.collect::<Vec<_>>().join(" ")
    };
    let scans = plan.scans().iter();
    scans.map(|s| format!("{} [{}] {}", s.table().name, columns(s), s.decision().filter.text())).collect()
}

/// The tables behind a plan, in the order of its scans.
fn tables(sql: &str) -> String {
    let (plan, _) = permitted(sql);
    plan.scans().iter().map(|scan| scan.table().name.to_string()).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_scan_shows_what_was_decided() {
    let (plan, decision) = permitted("SELECT * FROM orders.events");
    let [scan] = scans(&plan).try_into().unwrap();
    assert!(scan.starts_with("orders.events [id mask_hash(customer) region amount qty at tags] "), "{scan}");
    assert!(scan.contains("EU"), "{scan}");
    let names: Vec<_> = plan.schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(names, ["id", "customer", "region", "amount", "qty", "at", "tags"]);
    assert_eq!(plan.schema().field(1).data_type(), &DataType::Utf8View);
    assert_eq!(plan.scans()[0].base_schema().fields().len(), 8);
    assert!(plan.scans()[0].filter().is_some());
    assert_eq!(decision.tables.len(), 1);
    assert!(decision.columns.iter().any(|c| c.column == "customer" && c.disclosure == Disclosure::Hash));
    assert!(decision.columns.iter().all(|c| c.column != "secret"));
    assert_eq!(plan.logical().display_indent().to_string().lines().last().unwrap().trim(), "TableScan: orders.events");
}

#[test]
fn every_place_for_a_table_is_governed() {
    let (o, c) = ("orders.events", "customers.profiles");
    for (sql, expect) in [
        ("SELECT 1 FROM orders.events e, orders.events f", format!("{o} {o}")),
        ("SELECT 1 FROM mesh.orders.events", o.to_string()),
        ("SELECT 1 FROM Orders.EVENTS", o.to_string()),
        ("SELECT (SELECT max(qty) FROM orders.events)", o.to_string()),
        ("SELECT 1 WHERE EXISTS (SELECT 1 FROM orders.events)", o.to_string()),
        ("SELECT 1 WHERE 1 IN (SELECT qty FROM orders.events)", o.to_string()),
        ("SELECT 1 WHERE 1 > ALL (SELECT qty FROM orders.events)", o.to_string()),
        ("WITH x AS (SELECT * FROM orders.events) SELECT 1 FROM x a, x b", format!("{o} {o}")),
        ("SELECT id FROM orders.events UNION SELECT name FROM customers.profiles", format!("{o} {c}")),
        ("SELECT id FROM orders.events EXCEPT SELECT name FROM customers.profiles", format!("{o} {c}")),
        ("SELECT id FROM orders.events INTERSECT SELECT name FROM customers.profiles", format!("{o} {c}")),
        ("SELECT 1 FROM (SELECT * FROM orders.events) x", o.to_string()),
        ("VALUES ((SELECT max(id) FROM orders.events))", o.to_string()),
        (
            "SELECT sum(qty) FILTER (WHERE id IN (SELECT name FROM customers.profiles)) FROM orders.events",
            format!("{c} {o}"),
        ),
        ("SELECT 1 FROM orders.events ORDER BY (SELECT max(age) FROM customers.profiles)", format!("{c} {o}")),
        (
            "SELECT CASE WHEN EXISTS (SELECT 1 FROM customers.profiles) THEN 1 END FROM orders.events",
            format!("{c} {o}"),
        ),
        (
            "SELECT e.id FROM orders.events e JOIN customers.profiles p ON e.customer = p.customer \
             AND p.age > (SELECT avg(age) FROM customers.profiles)",
            format!("{o} {c} {c}"),
        ),
        (
            "SELECT e.id, x.name FROM orders.events e, LATERAL (SELECT name FROM customers.profiles p \
             WHERE p.customer = e.customer) x",
            format!("{o} {c}"),
        ),
        (
            "SELECT id FROM orders.events e WHERE EXISTS (SELECT 1 FROM customers.profiles p WHERE p.customer = e.customer \
             AND EXISTS (SELECT 1 FROM orders.events f WHERE f.customer = p.customer))",
            format!("{o} {c} {o}"),
        ),
        (
            "WITH RECURSIVE r AS (SELECT qty FROM orders.events UNION ALL SELECT qty + 1 FROM r WHERE qty < 9) SELECT * FROM r",
            o.to_string(),
        ),
        ("SELECT row_number() OVER (PARTITION BY customer ORDER BY amount) FROM orders.events", o.to_string()),
        ("SELECT customer, count(*) FROM orders.events GROUP BY ROLLUP (customer) HAVING count(*) > 1", o.to_string()),
        ("SELECT unnest(tags) FROM orders.events", o.to_string()),
        ("SELECT * FROM generate_series(1, 3)", String::new()),
        ("SELECT * FROM range(5) r(n) JOIN orders.events ON qty = n", o.to_string()),
        ("SELECT 1", String::new()),
    ] {
        let found = tables(sql);
        let sorted = |text: &str| {
            let mut words: Vec<_> = text.split_whitespace().map(String::from).collect();
            words.sort();
            words
        };
        assert_eq!(sorted(&found), sorted(&expect), "{sql}");
    }
}

#[test]
fn a_cte_may_shadow_a_table_but_not_unhide_one() {
    assert_eq!(tables("WITH events AS (SELECT 1 AS a) SELECT a FROM events"), "");
    let missing = denied("WITH salaries AS (SELECT * FROM hr.salaries) SELECT * FROM salaries");
    assert!(missing.starts_with("not-found: table `hr.salaries` not found"), "{missing}");
}

#[test]
fn the_analyser_accepts_governed_plans() {
    for sql in [
        "SELECT customer, sum(amount) FROM orders.events WHERE qty > '3' GROUP BY 1 ORDER BY 2 DESC LIMIT 3",
        "SELECT * FROM orders.events e JOIN customers.profiles p USING (customer)",
        "SELECT table_name FROM information_schema.tables UNION ALL SELECT reader FROM system.products",
    ] {
        let (plan, _) = permitted(sql);
        let analysed = Analyzer::new().execute_and_check(plan.logical().clone(), &ConfigOptions::new(), |_, _| {});
        assert_eq!(analysed.unwrap().schema().inner().as_ref(), plan.schema().as_ref(), "{sql}");
    }
}

#[test]
fn lineage_names_what_answers_depend_on() {
    let of = |sql: &str| {
        let plan = permitted(sql).0;
        let lineage = lineage(plan.logical()).unwrap();
        let name = |column: &SourceColumn| format!("{}.{}", column.table.table, column.column);
        let output = |(output, from): &(String, std::collections::BTreeSet<SourceColumn>)| {
            format!("{output}<{}", from.iter().map(name).collect::<Vec<_>>().join("+"))
        };
        let outputs = lineage.outputs.iter().map(output).collect::<Vec<_>>().join(" ");
        format!("{outputs} | {}", lineage.touched.iter().map(name).collect::<Vec<_>>().join(" "))
    };
    assert_eq!(of("SELECT id AS a FROM orders.events WHERE qty > 1"), "a<events.id | events.id events.qty");
    assert_eq!(
        of("SELECT customer c, sum(amount) s FROM orders.events GROUP BY customer"),
        "c<events.customer s<events.amount | events.amount events.customer"
    );
    assert_eq!(
        of("SELECT x.n FROM (SELECT e.id, p.name AS n, e.at FROM orders.events e JOIN customers.profiles p \
            ON e.customer = p.customer) x"),
        "n<profiles.name | profiles.customer profiles.name events.customer"
    );
    assert_eq!(
        of("SELECT (SELECT max(age) FROM customers.profiles p WHERE p.customer = e.customer) m FROM orders.events e"),
        "m<profiles.age | profiles.age profiles.customer events.customer"
    );
    assert_eq!(
        of(
            "WITH x AS (SELECT id, region FROM orders.events) SELECT id FROM x UNION SELECT name FROM customers.profiles"
        ),
        "id<profiles.name+events.id | profiles.name events.id"
    );
    assert_eq!(of("SELECT count(*) n FROM orders.events"), "n< | ");
    assert_eq!(
        of("SELECT lag(amount) OVER (PARTITION BY region ORDER BY at) l FROM orders.events"),
        "l<events.amount+events.at+events.region | events.amount events.at events.region"
    );
}

#[test]
fn explain_shows_the_subjects_own_plan() {
    let (plan, _) = permitted("EXPLAIN SELECT customer FROM orders.events WHERE qty > 5");
    assert_eq!(plan.explains(), Some(crate::ExplainKind::Plain));
    assert_eq!(
        plan.explain_text().unwrap(),
        "Projection: orders.events.customer\n  Filter: orders.events.qty > Int64(5)\n    TableScan: orders.events \
         columns=[customer masked, qty]"
    );
    let (plan, _) =
        permitted("EXPLAIN VERBOSE SELECT 1 WHERE EXISTS (SELECT 1 FROM orders.events WHERE region = 'US')");
    let text = plan.explain_text().unwrap();
    assert!(text.contains("TableScan: orders.events columns=[region]"), "{text}");
    for hidden in ["mask_", "EU", "secret", "eu-rows"] {
        assert!(!text.contains(hidden), "{text}");
    }
    assert!(permitted("SELECT 1").0.explains().is_none());
}

#[test]
fn long_sums_are_planned_without_overflow() {
    permitted(&format!("SELECT 1 {}", "+ 1 ".repeat(crate::ParseLimits::default().max_chain - 1)));
}

#[test]
fn long_conditions_are_planned_without_overflow() {
    let terms = crate::ParseLimits::default().max_chain - 2;
    permitted(&format!("SELECT id FROM orders.events WHERE qty = 0 {}", "OR qty = 1 ".repeat(terms)));
}

#[test]
fn long_unions_are_planned_without_overflow() {
    permitted(&format!("SELECT 1 {}", "UNION ALL SELECT 1 ".repeat(crate::ParseLimits::default().max_chain)));
}
