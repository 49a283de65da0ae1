//! Tables as of earlier versions: what is planned, and what is refused before anything is looked up.

use super::mesh::{ana, parsed, parsed_in, planner};
use super::*;
use crate::sql::{AsOf, Defaults};

/// What the engine would say: `orders.events` has no columns `customer` and `region` at version 1.
fn resolved(asked: &[VersionedTable]) -> Versions {
    let mut versions = Versions::default();
    for one in asked {
        let lacks: &[&str] = match (one.table.name.to_string().as_str(), &one.as_of) {
            ("orders.events", AsOf::Version(1)) => &["customer", "region"],
            _ => &[],
        };
        let names = one.table.fields().iter().map(|field| field.name.clone());
        let columns = names.filter(|name| !lacks.contains(&name.as_str())).collect();
        let snapshot = match &one.as_of {
            AsOf::Version(number) => number.to_string(),
            other => other.to_string(),
        };
        versions.insert(one, ResolvedVersion { snapshot, is_branch: false, columns });
    }
    versions
}

fn verdict(sql: &str) -> Verdict {
    verdict_of(&parsed(sql))
}

fn verdict_of(statement: &Statement) -> Verdict {
    let subject = ana();
    match planner().versions(statement, &subject) {
        Ok(asked) => planner().govern_at(statement, &subject, None, &resolved(&asked)),
        Err(refused) => *refused,
    }
}

fn plan(sql: &str) -> GovernedPlan {
    match verdict(sql) {
        Verdict::Permit(plan, _) => *plan,
        other => panic!("{sql}: {:?}", other.decision().reason),
    }
}

fn refused(sql: &str) -> String {
    match verdict(sql) {
        Verdict::Permit(plan, _) => panic!("{sql}: {}", plan.logical().display_indent()),
        Verdict::Deny(decision) | Verdict::Undecided(decision) => decision.reason.unwrap().message,
    }
}

/// The versions of the scans, in their order.
fn scanned(sql: &str) -> Vec<String> {
    let plan = plan(sql);
    let version = |scan: &Arc<ScanSource>| scan.version().map_or("now".to_string(), |version| version.snapshot.clone());
    let mut versions: Vec<_> = plan.scans().iter().map(version).collect();
    versions.sort();
    versions
}

fn columns(sql: &str) -> Vec<String> {
    plan(sql).schema().fields().iter().map(|field| field.name().clone()).collect()
}

#[test]
fn each_scan_has_its_own_version() {
    for (sql, expect) in [
        ("SELECT 1 FROM orders.events VERSION AS OF 2", "2"),
        ("SELECT events.id FROM orders.events VERSION AS OF 2", "2"),
        ("SELECT orders.events.id FROM orders.events VERSION AS OF 2", "2"),
        ("SELECT 1 FROM mesh.orders.events VERSION AS OF 2 a, ORDERS.events b", "2 now"),
        ("SELECT a.id FROM orders.events VERSION AS OF 1 a JOIN orders.events VERSION AS OF 2 b ON a.id = b.id", "1 2"),
        (
            "SELECT 1 FROM orders.events a WHERE EXISTS (SELECT 1 FROM orders.events VERSION AS OF 3 b WHERE b.id = a.id)",
            "3 now",
        ),
        ("WITH x AS (SELECT * FROM orders.events VERSION AS OF 2) SELECT 1 FROM x, x y, orders.events", "2 2 now"),
        (
            "SELECT id FROM orders.events VERSION AS OF 'audit' UNION SELECT id FROM orders.events",
            "branch or tag `audit` now",
        ),
        ("SELECT (SELECT max(qty) FROM orders.events TIMESTAMP AS OF '2026-01-01')", "2026-01-01 00:00:00Z"),
        (
            "SELECT 1 FROM orders.events e, LATERAL (SELECT 1 FROM orders.events VERSION AS OF 2 f WHERE f.id = e.id) x",
            "2 now",
        ),
        ("SELECT 1 FROM (orders.events VERSION AS OF 2 a CROSS JOIN orders.events b)", "2 now"),
        ("WITH unused AS (SELECT * FROM orders.events VERSION AS OF 2) SELECT 1", ""),
    ] {
        assert_eq!(scanned(sql).join(" "), expect, "{sql}");
    }
}

#[test]
fn a_column_that_did_not_exist_does_not() {
    assert_eq!(columns("SELECT * FROM orders.events VERSION AS OF 1"), ["id", "amount", "qty", "at", "tags"]);
    assert_eq!(columns("SELECT * FROM orders.events VERSION AS OF 2").len(), 7);
    let error = refused("SELECT region FROM orders.events VERSION AS OF 1");
    assert_eq!(
        error,
        "column `region` not found; there are orders.events.id, orders.events.amount, orders.events.qty, \
         orders.events.at, orders.events.tags"
    );
    let error = refused("SELECT secret FROM orders.events VERSION AS OF 2");
    assert!(error.starts_with("column `secret` not found; there are") && !error[30..].contains("secret"), "{error}");
    let wide = "SELECT * FROM orders.events VERSION AS OF 1 a FULL JOIN orders.events b USING (id)";
    assert_eq!(columns(wide).len(), 5 + 7 - 1);
}

#[test]
fn the_policies_of_now_govern_every_version() {
    for version in ["", "VERSION AS OF 1", "VERSION AS OF 2", "TIMESTAMP AS OF '1970-01-01'"] {
        let plan = plan(&format!("SELECT * FROM orders.events {version}"));
        let [scan] = plan.scans() else { panic!("{version}") };
        assert_eq!(scan.base_schema().fields().len(), 8, "the filter reads what the version lacks as NULL");
        assert!(scan.filter().unwrap().to_string().contains("region"), "{version}");
        let masked = scan.columns().iter().find(|column| column.name == "customer");
        assert_eq!(masked.map(|column| column.disclosure), (version != "VERSION AS OF 1").then_some(Disclosure::Hash));
        assert!(scan.columns().iter().all(|column| column.name != "secret"), "{version}");
        assert!(scan.is_faithful());
    }
}

#[test]
fn hidden_tables_are_as_hidden_with_a_version() {
    for (plain, versioned) in [
        ("SELECT 1 FROM hr.salaries", "SELECT 1 FROM hr.salaries VERSION AS OF 1"),
        ("SELECT 1 FROM no.thing", "SELECT 1 FROM no.thing TIMESTAMP AS OF '2026-01-01'"),
        ("SELECT 1 FROM vault.keys", "SELECT 1 FROM vault.keys VERSION AS OF 'main'"),
        ("SELECT 1 FROM system.access_log", "SELECT 1 FROM system.access_log VERSION AS OF 1"),
        ("SELECT 1 FROM system.findings", "SELECT 1 FROM system.findings VERSION AS OF 1"),
        ("SELECT 1 FROM c", "WITH c AS (SELECT * FROM orders.events) SELECT 1 FROM c VERSION AS OF 1"),
    ] {
        assert_eq!(refused(plain), refused(versioned), "{versioned}");
        let asked = planner().versions(&parsed(versioned), &ana());
        assert!(asked.is_err(), "nothing is looked up for {versioned}");
    }
    for table in ["system.products", "information_schema.tables"] {
        let error = refused(&format!("SELECT 1 FROM {table} VERSION AS OF 1"));
        assert_eq!(error, format!("table `{table}` has no versions: leave AS OF out"));
    }
}

#[test]
fn a_version_that_nobody_resolved_is_not_planned() {
    let sql = "SELECT 1 FROM orders.events VERSION AS OF 7";
    let verdict = planner().govern(&parsed(sql), &ana(), None);
    assert!(matches!(verdict, Verdict::Undecided(_)), "{:?}", verdict.decision().reason);
    let other = planner().versions(&parsed("SELECT 1 FROM orders.events VERSION AS OF 8"), &ana()).unwrap();
    let verdict = planner().govern_at(&parsed(sql), &ana(), None, &resolved(&other));
    assert!(matches!(verdict, Verdict::Undecided(_)), "{:?}", verdict.decision().reason);
    let several =
        "SELECT 1 FROM orders.events VERSION AS OF 7 a, mesh.orders.events VERSION AS OF 7 b, orders.events c";
    assert_eq!(planner().versions(&parsed(several), &ana()).unwrap().len(), 1, "each version is looked up once");
}

const THEN: &str = "2026-01-01 00:00:00Z";

/// In a session of that time, whose tables without a domain are of `schema`.
fn then(sql: &str, schema: Option<&str>) -> Statement {
    let defaults =
        Defaults { schema: schema.map(Into::into), as_of: Some(1_767_225_600_000_000), ..Defaults::default() };
    parsed_in(sql, &defaults)
}

/// The versions of the scans, or why there are none.
fn scanned_then(sql: &str, schema: Option<&str>) -> String {
    match verdict_of(&then(sql, schema)) {
        Verdict::Permit(plan, _) => {
            let version =
                |scan: &Arc<ScanSource>| scan.version().map_or("now".to_string(), |found| found.snapshot.clone());
            let mut versions: Vec<_> = plan.scans().iter().map(version).collect();
            versions.sort();
            versions.join(", ").replace(THEN, "then")
        }
        other => other.decision().reason.clone().unwrap().message,
    }
}

#[test]
fn a_sessions_time_is_that_of_tables_without_a_clause() {
    for (sql, expect) in [
        ("SELECT 1 FROM orders.events", "then"),
        ("SELECT 1 FROM mesh.orders.events a, ORDERS.events b, customers.profiles", "then, then, then"),
        ("SELECT 1 FROM orders.events VERSION AS OF 2 a, orders.events b", "2, then"),
        ("SELECT 1 FROM orders.events TIMESTAMP AS OF '2025-01-01' a, orders.events b", "2025-01-01 00:00:00Z, then"),
        (
            "SELECT (SELECT count(*) FROM orders.events) AS a, (SELECT count(*) FROM orders.events VERSION AS OF 2) AS b",
            "2, then",
        ),
        (
            "WITH e AS (SELECT * FROM orders.events) SELECT 1 FROM e, e f WHERE EXISTS (SELECT 1 FROM orders.events)",
            "then, then, then",
        ),
        ("EXPLAIN SELECT 1 FROM orders.events", "then"),
        ("EXPLAIN ANALYZE SELECT 1 FROM orders.events", "then"),
        ("SELECT 1 FROM generate_series(1, 2), unnest([1])", ""),
        ("SELECT table_name FROM information_schema.tables", ""),
        ("SHOW TABLES", ""),
        ("SHOW COLUMNS FROM orders.events", ""),
        ("DESCRIBE orders.events", ""),
        ("EXPLAIN ACCESS SELECT 1 FROM orders.events, system.products", ""),
        (
            "SELECT 1 FROM system.products",
            "table `system.products` has no versions: `SET as_of = DEFAULT` goes back to now",
        ),
        (
            "SELECT 1 FROM hr.salaries",
            "table `hr.salaries` not found: write `domain.table`, `SHOW TABLES` lists what you may discover",
        ),
    ] {
        assert_eq!(scanned_then(sql, None), expect, "{sql}");
    }
    let own = "WITH events AS (SELECT 1 AS id) SELECT id FROM events";
    assert_eq!(scanned_then(own, Some("orders")), "", "the statement's own name is no table");
    let both = "WITH events AS (SELECT id FROM events) SELECT id FROM events";
    assert_eq!(scanned_then(both, Some("orders")), "then", "but within it, the name is the table's");
    let asked = planner().versions(&then("SELECT 1 FROM orders.events a, orders.events b, hr.salaries", None), &ana());
    assert_eq!(asked.unwrap().len(), 1, "each once, and nothing of what is hidden");
}

#[test]
fn a_time_that_nobody_resolved_is_not_planned() {
    let statement = then("SELECT 1 FROM orders.events", None);
    let verdict = planner().govern(&statement, &ana(), None);
    assert!(matches!(verdict, Verdict::Undecided(_)), "{:?}", verdict.decision().reason);
}

#[test]
fn explain_names_the_version() {
    let plan = plan("EXPLAIN SELECT e.id FROM orders.events VERSION AS OF 2 e");
    let text = plan.explain_text().unwrap();
    assert!(text.contains("TableScan: orders.events as of version 2 (2) columns=[id]"), "{text}");
}

#[test]
fn scans_of_two_versions_are_two_scans() {
    let sql = "SELECT (SELECT count(*) FROM orders.events VERSION AS OF 2) AS a, \
               (SELECT count(*) FROM orders.events VERSION AS OF 3) AS b, \
               (SELECT count(*) FROM orders.events VERSION AS OF '2') AS c, (SELECT count(*) FROM orders.events) AS d";
    let plan = plan(sql);
    let mut names = std::collections::BTreeSet::new();
    plan.logical()
        .apply_with_subqueries(|node| {
            if let datafusion::logical_expr::LogicalPlan::TableScan(scan) = node {
                names.insert(scan.table_name.to_string());
            }
            Ok(datafusion::common::tree_node::TreeNodeRecursion::Continue)
        })
        .unwrap();
    assert_eq!(names.len(), 4, "{names:?}");
}
