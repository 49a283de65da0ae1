//! What cannot be found, asked, called or learnt.

use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::datasource::{MemTable, source_as_provider};
use datafusion::logical_expr::LogicalPlan;

use super::*;
use crate::explain::{Audience, explain_access};
use crate::policy::Disclosure;

/// Both statements are refused with the same text, but for the names.
fn same(hidden: &str, missing: &str, names: (&str, &str)) {
    let (hidden_text, missing_text) = (denied(hidden), denied(missing));
    assert_eq!(hidden_text.replace(names.0, names.1), missing_text);
}

#[test]
fn hidden_tables_are_as_missing_ones() {
    for sql in [
        "SELECT * FROM {}",
        "SELECT id FROM {} WHERE region = 'EU'",
        "SELECT 1 WHERE EXISTS (SELECT 1 FROM {})",
        "DESCRIBE {}",
        "SHOW COLUMNS FROM {}",
        "EXPLAIN SELECT * FROM {}",
        "SELECT * FROM mesh.{}",
    ] {
        let (hidden, missing) = (sql.replace("{}", "hr.salaries"), sql.replace("{}", "hr.nothing"));
        same(&hidden, &missing, ("salaries", "nothing"));
        let (hidden, missing) = (sql.replace("{}", "system.access_log"), sql.replace("{}", "system.access_lag"));
        same(&hidden, &missing, ("access_log", "access_lag"));
    }
    assert_eq!(
        denied("SELECT * FROM hr.salaries"),
        "not-found: table `hr.salaries` not found: write `domain.table`, `SHOW TABLES` lists what you may discover"
    );
    for sql in ["SELECT * FROM salaries", "SELECT * FROM other.orders.events", "SELECT * FROM orders.event"] {
        let text = denied(sql);
        assert!(text.starts_with("not-found: table `"), "{text}");
        assert!(!text.to_lowercase().contains("did you mean"), "{text}");
    }
}

#[test]
fn denied_columns_are_as_missing_ones() {
    for sql in [
        "SELECT {} FROM orders.events",
        "SELECT e.{} FROM orders.events e",
        "SELECT id FROM orders.events WHERE {} = 'x'",
        "SELECT id FROM orders.events ORDER BY {}",
        "SELECT count(*) FROM orders.events GROUP BY {}",
        "SELECT 1 FROM orders.events e JOIN customers.profiles p ON e.{} = p.name",
        "SELECT * EXCLUDE ({}) FROM orders.events",
        "SELECT (SELECT max({}) FROM orders.events)",
    ] {
        let (hidden, missing) = (denied(&sql.replace("{}", "secret")), denied(&sql.replace("{}", "sacrat")));
        assert_eq!(hidden.replace("secret", "sacrat"), missing, "{sql}");
        assert!(!missing.contains("secret"), "{missing}");
    }
    let near = denied("SELECT secre FROM orders.events");
    assert!(!near.contains("secret"), "{near}");
}

#[test]
fn what_may_be_known_but_not_queried() {
    assert_eq!(
        denied("SELECT * FROM vault.keys"),
        "permission-denied: permission denied on table `vault.keys`: no policy lets you query it"
    );
    assert!(denied("SELECT * FROM system.findings").starts_with("permission-denied: "));
    permitted("DESCRIBE vault.keys");
    permitted("SHOW COLUMNS FROM system.findings");
    let Verdict::Deny(decision) = verdict("SELECT * FROM vault.keys") else { panic!() };
    assert_eq!(decision.tables.len(), 1, "the audit knows which table was asked for");
}

#[test]
fn functions_are_an_allow_list() {
    for name in ["mask_hash", "mask_redact", "input_file_name", "file_row_index", "arrow_metadata", "no_such"] {
        let text = denied(&format!("SELECT {name}('x')"));
        assert!(text.starts_with("invalid: ") && text.contains(&format!("'{name}'")), "{text}");
        assert!(!text.replace(name, "").contains("mask_"), "{text}");
        assert!(!function_names().contains(&name.to_string()));
    }
    for name in ["version", "arrow_typeof", "sum", "row_number", "generate_series", "unnest", "now", "array_sort"] {
        assert!(function_names().contains(&name.to_string()), "{name}");
    }
    permitted("SELECT version(), arrow_typeof(customer), now(), random() FROM orders.events");
    assert!(denied("SELECT @@secret").starts_with("invalid: "));
    assert!(denied("SELECT * FROM generate_series(1, 10, 0)").contains("must not be 0"));
    assert!(denied("SELECT * FROM generate_series('a', 'b')").contains("constant whole numbers"));
}

#[test]
fn errors_of_statements_are_plain() {
    assert!(denied("SELECT id FROM orders.events WHERE qty").starts_with("invalid: "));
    assert!(denied("SELECT sum(id, id) FROM orders.events").starts_with("invalid: "));
    assert_eq!(denied("SET purpose = 'x'"), "unsupported: a setting is applied to the session, not planned");
    let text = denied("SELECT nope FROM orders.events");
    assert!(text.starts_with("invalid: column `nope` not found; there are orders.events.id, "), "{text}");
}

/// Rows of the system table in a plan, as text.
fn rows(sql: &str) -> Vec<String> {
    let (plan, _) = permitted(sql);
    let mut found: Option<RecordBatch> = None;
    plan.logical()
        .apply_with_subqueries(|node| {
            if let LogicalPlan::TableScan(scan) = node {
                let provider = source_as_provider(&scan.source)?;
                let table = provider.downcast_ref::<MemTable>().unwrap();
                found = Some(table.batches[0].try_read().unwrap()[0].clone());
            }
            Ok(datafusion::common::tree_node::TreeNodeRecursion::Continue)
        })
        .unwrap();
    let batch = found.unwrap();
    let text = |column: usize, row: usize| match batch.column(column).as_string_opt::<i32>() {
        Some(strings) => strings.value(row).to_string(),
        None => String::new(),
    };
    (0..batch.num_rows())
        .map(|row| (1..batch.num_columns().min(4)).map(|c| text(c, row)).collect::<Vec<_>>().join(" "))
        .collect()
}

#[test]
fn information_schema_holds_what_may_be_discovered() {
    assert_eq!(
        rows("SELECT * FROM information_schema.tables"),
        [
            "customers profiles BASE TABLE",
            "orders events BASE TABLE",
            "vault keys BASE TABLE",
            "system findings SYSTEM TABLE",
            "system products SYSTEM TABLE",
            "information_schema columns VIEW",
            "information_schema schemata VIEW",
            "information_schema tables VIEW",
        ]
    );
    assert_eq!(rows("SHOW TABLES FROM orders"), rows("SELECT * FROM information_schema.tables"));
    let columns = rows("DESCRIBE orders.events");
    assert!(columns.contains(&"orders events customer".to_string()));
    assert!(
        !columns.iter().any(|row| row.contains("secret") || row.contains("salaries") || row.contains("access_log"))
    );
    let schemata = rows("SHOW SCHEMAS");
    assert_eq!(schemata, ["customers ", "information_schema ", "orders ", "system ", "vault "]);
    permitted("SHOW TABLES LIKE 'o''%'");
    permitted("SHOW TABLES IN mesh.orders");
}

#[test]
fn system_tables_are_made_for_the_subject() {
    let (plan, decision) = permitted("SELECT a.reader FROM system.products a JOIN system.products b USING (reader)");
    assert_eq!(decision.system_tables, ["system.products"]);
    assert!(plan.scans().is_empty());
}

#[test]
fn access_is_explained_without_telling_of_hidden_things() {
    let planner = planner();
    let statement = parsed("SELECT * FROM orders.events, hr.salaries, hr.nothing, vault.keys");
    let report = |audience| explain_access(planner.snapshot(), &statement, &ana(), audience);
    let own = report(Audience::Subject);
    assert_eq!(own.not_found, ["hr.nothing", "hr.salaries"]);
    let names: Vec<&str> = own.tables.iter().map(|table| table.table.as_str()).collect();
    assert_eq!(names, ["orders.events", "vault.keys"]);
    let (events, keys) = (&own.tables[0], &own.tables[1]);
    assert!(events.columns.iter().all(|column| column.disclosure != Disclosure::Denied), "{events:?}");
    assert!(events.contract.starts_with("catalogs/orders/events.yaml:"), "{events:?}");
    assert_eq!((keys.discover.allowed, keys.query.allowed), (true, false));
    assert_eq!(events.filter, "filtered");
    let text = format!("{own:?}");
    assert!(!text.contains("eu-rows") && !text.contains("'EU'") && !text.contains("group `"), "{text}");

    let all = report(Audience::Operator);
    assert_eq!(all.not_found, ["hr.nothing"]);
    assert!(all.tables.iter().any(|table| table.columns.iter().any(|column| column.disclosure == Disclosure::Denied)));
    assert!(format!("{all:?}").contains("eu-rows"));
}

#[test]
fn a_plan_that_was_not_rewritten_is_no_governed_plan() {
    let planner = planner();
    let subject = ana();
    let options = ConfigOptions::new();
    let context = MeshContext::new(planner.snapshot(), &subject, planner.system.as_ref(), &options, None);
    let statement = parsed("SELECT * FROM orders.events");
    let view = SqlToRel::new(&context).sql_statement_to_plan(statement.query().unwrap().clone()).unwrap();
    let schema = view.schema().inner().clone();
    let parts = |plan, scans| Parts {
        plan,
        scans,
        schema: schema.clone(),
        parameters: vec![],
        explain: None,
        time_zone: String::new(),
    };
    let problem = GovernedPlan::new(parts(view.clone(), vec![])).unwrap_err();
    assert_eq!(problem, "scan of `orders.events` is unknown");
    let done = rewrite::govern(view.clone(), &context, &planner.masks).unwrap();
    assert_eq!(
        GovernedPlan::new(parts(done.plan.clone(), vec![])).unwrap_err(),
        "scan of `orders.events` is not what was decided"
    );
    let twin = rewrite::govern(view, &context, &planner.masks).unwrap();
    assert!(GovernedPlan::new(parts(done.plan.clone(), twin.scans)).is_err(), "another plan's scans");
    assert!(GovernedPlan::new(parts(done.plan, done.scans)).is_ok());
}
