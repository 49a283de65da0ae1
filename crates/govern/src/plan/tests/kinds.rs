//! Aggregates only and join-only columns, as far as plans tell; what comes out is in tests/slt.

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::{Optimizer, OptimizerContext};

use super::mesh::{ana, parsed, planner_of};
use crate::plan::{aggregate_only, group_guard};
use crate::{Disclosure, Unmet, Verdict};

const AGGREGATES: &str = r#"
@id("find") permit (principal in Group::"analysts", action in [Action::"discover", Action::"aggregateOnly", Action::"readRow"], resource);
@id("profiles") permit (principal in Group::"analysts", action == Action::"query", resource == Table::"customers.profiles");
@id("view") permit (principal in Group::"analysts", action in Action::"view", resource);
"#;

fn verdict(policies: &str, sql: &str) -> Verdict {
    planner_of(policies).govern(&parsed(sql), &ana(), None)
}

fn plan(policies: &str, sql: &str) -> LogicalPlan {
    match verdict(policies, sql) {
        Verdict::Permit(plan, _) => plan.logical().clone(),
        other => panic!("{sql}: {:?}", other.decision().reason),
    }
}

fn denied(policies: &str, sql: &str) -> String {
    match verdict(policies, sql) {
        Verdict::Permit(plan, _) => panic!("{sql}: {}", plan.logical().display_indent()),
        other => other.decision().reason.as_ref().unwrap().message.clone(),
    }
}

fn optimised(plan: LogicalPlan) -> Result<String, String> {
    let optimised = Optimizer::new().optimize(plan, &OptimizerContext::new(), |_, _| {});
    optimised.map(|plan| plan.display_indent().to_string()).map_err(|error| error.to_string())
}

#[test]
fn a_guard_stands_above_the_aggregate_and_counts_for_each_column() {
    let sql = "SELECT region, sum(amount) AS s, count(*) FROM orders.events WHERE qty > 1 GROUP BY region";
    let plan = plan(AGGREGATES, sql);
    let text = plan.display_indent().to_string();
    assert!(text.contains("GroupGuard: at_least=[3, 3]"), "{text}");
    assert!(text.contains("count(DISTINCT orders.events.customer)"), "{text}");
    assert!(text.contains("FILTER (WHERE orders.events.amount IS NOT NULL)"), "{text}");
    let names: Vec<_> = plan.schema().fields().iter().map(|field| field.name().as_str()).collect();
    assert_eq!(names, ["region", "s", "count(*)"], "what is counted is not shown");
}

#[test]
fn a_plan_that_lost_its_guard_is_none() {
    let plan = plan(AGGREGATES, "SELECT n FROM (SELECT region, count(*) AS n FROM orders.events GROUP BY region)");
    assert!(aggregate_only::holds(&plan).unwrap());
    let unguarded = plan.transform_up(|node| match group_guard(&node) {
        Some(_) => Ok(Transformed::yes(node.inputs()[0].clone())),
        None => Ok(Transformed::no(node)),
    });
    assert!(!aggregate_only::holds(&unguarded.unwrap().data).unwrap());
}

#[test]
fn nothing_of_the_statement_moves_below_a_guard() {
    let grouped = "(SELECT qty, count(*) AS n FROM orders.events GROUP BY qty)";
    let text =
        optimised(plan(AGGREGATES, &format!("SELECT * FROM {grouped} WHERE 1 / (qty - 5) > 0 LIMIT 3"))).unwrap();
    let (above, below) = text.split_once("GroupGuard").unwrap();
    assert!(above.contains("Filter") && above.contains("Limit"), "{text}");
    assert!(!below.contains("Filter") && !below.contains("Limit") && !below.contains("fetch"), "{text}");
    // DataFusion moves what has no columns: then there is no plan.
    for condition in ["random() > 0.5", "1 / 0 > 0"] {
        let error = optimised(plan(AGGREGATES, &format!("SELECT * FROM {grouped} WHERE {condition}"))).unwrap_err();
        assert!(error.contains("a condition without columns"), "{error}");
    }
}

#[test]
fn each_table_of_a_join_counts() {
    let sql = "SELECT count(*) FROM orders.events e JOIN orders.events f ON e.id = f.id";
    let text = plan(AGGREGATES, sql).display_indent().to_string();
    assert!(text.contains("at_least=[3, 3]"), "{text}");
    assert!(text.contains("count(DISTINCT e.customer)") && text.contains("count(DISTINCT f.customer)"), "{text}");
}

#[test]
fn statements_with_parameters_are_described() {
    let sql = "SELECT region, count(*) FROM orders.events WHERE qty > ? AND region = ? GROUP BY region";
    let Verdict::Permit(described, _) = verdict(AGGREGATES, sql) else { panic!() };
    assert_eq!(described.parameters().len(), 2);
    assert!(denied(AGGREGATES, "SELECT * FROM orders.events WHERE qty = ?").contains("may only be aggregated"));
}

#[test]
fn only_contracts_that_say_what_to_count_are_opened() {
    let planner = planner_of(AGGREGATES);
    let decide = |domain: &str, table: &str| {
        let catalogue = planner.snapshot().catalogue();
        planner.snapshot().decide(&ana(), catalogue.resolve(domain, table).unwrap()).as_ref().clone()
    };
    let keys = decide("vault", "keys");
    assert_eq!((keys.query.allowed, keys.query.unmet), (false, Some(Unmet::Aggregation)));
    let profiles = decide("customers", "profiles");
    assert!(profiles.query.allowed && profiles.aggregation.is_none(), "`query` is more than `aggregateOnly`");
    let nulls = AGGREGATES.replace("action in Action::\"view\"", "action == Action::\"viewNull\"");
    let message = denied(&nulls, "SELECT count(*) FROM orders.events");
    assert!(message.contains("`customer`, which is to be counted, is not clear, hash or join-only"), "{message}");
}

#[test]
fn an_error_in_a_policy_on_query_does_not_fall_back_to_aggregates() {
    let failing = format!(
        "{AGGREGATES}@id(\"errs\") forbid (principal, action == Action::\"query\", resource) \
         when {{ context.now.offset(duration(\"9223372036854775807ms\")) > context.now }};"
    );
    let message = denied(&failing, "SELECT count(*) FROM orders.events");
    assert!(message.contains("no policy lets you query it"), "{message}");
}

#[test]
fn matching_is_granted_by_name() {
    let base = AGGREGATES.replace("Action::\"aggregateOnly\"", "Action::\"query\"");
    let no_customer = format!(
        "{base}@id(\"no\") forbid (principal, action in [Action::\"viewClear\", Action::\"viewMasked\"], resource) \
         when {{ resource.name == \"customer\" }};"
    );
    let matched = format!(
        "{no_customer}@id(\"match\") permit (principal, action == Action::\"viewJoinOnly\", resource) \
         when {{ resource.name == \"customer\" }};"
    );
    let level = |policies: &str| {
        let planner = planner_of(policies);
        let table = planner.snapshot().catalogue().resolve("orders", "events").unwrap().clone();
        planner.snapshot().decide(&ana(), &table).columns.iter().find(|c| c.name == "customer").unwrap().disclosure
    };
    assert_eq!(level(&base), Disclosure::Hash);
    assert_eq!(level(&no_customer), Disclosure::Denied);
    assert_eq!(level(&matched), Disclosure::JoinOnly);
    let forbidden = format!("{matched}@id(\"none\") forbid (principal, action in Action::\"view\", resource);");
    assert_eq!(level(&forbidden), Disclosure::Denied);
    let sql = "SELECT count(*) FROM orders.events e JOIN customers.profiles p ON e.customer = p.customer";
    assert!(plan(&matched, sql).display_indent().to_string().contains("Join"));
    assert!(denied(&matched, "SELECT customer FROM orders.events").contains("is join-only"));
    let explained = match verdict(&matched, &format!("EXPLAIN {sql}")) {
        Verdict::Permit(plan, _) => plan.explain_text().unwrap().to_owned(),
        other => panic!("{:?}", other.decision().reason),
    };
    assert!(explained.contains("columns=[customer join-only]"), "{explained}");
}

#[test]
fn aggregates_are_of_now() {
    let sql = "SELECT region, count(*) FROM orders.events VERSION AS OF 2 GROUP BY region";
    let refused = planner_of(AGGREGATES).versions(&parsed(sql), &ana()).unwrap_err();
    let reason = refused.decision().reason.as_ref().unwrap();
    assert_eq!(reason.message, "table `orders.events` may only be aggregated, and only as it is now: leave AS OF out");
    let profiles = "SELECT count(*) FROM customers.profiles VERSION AS OF 2";
    assert!(planner_of(AGGREGATES).versions(&parsed(profiles), &ana()).is_ok(), "which `query` allows");
}
