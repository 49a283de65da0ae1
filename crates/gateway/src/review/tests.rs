use std::path::Path;

use portcullis_audit::Query;
use portcullis_govern::policy::review::Direction;

use super::*;
use crate::tests::fixture::{Fixture, POLICIES, fixture, mesh, write};

/// A second directory of policies, made from the fixture's by replacing one text with another.
fn changed(mesh: &Path, from: &str, to: &str) -> PolicySet {
    let policies = POLICIES.replace(from, to);
    assert_ne!(policies, POLICIES);
    write(mesh, "proposal/all.cedar", &policies);
    PolicySet::in_mesh(mesh, &mesh.join("proposal"))
}

const EU: &str = "resource.region == \"EU\"";

#[test]
fn a_directory_of_policies_is_compared_over_the_mesh_s_contracts_users_and_vocabulary() {
    let mesh = mesh();
    let old = PolicySet::of_mesh(mesh.path());
    assert_eq!(policy_diff(&old, &old).unwrap(), []);
    let new = changed(mesh.path(), EU, "[\"EU\", \"US\"].contains(resource.region)");
    let changes = policy_diff(&old, &new).unwrap();
    assert_eq!(changes.len(), 1, "{changes:?}");
    let change = &changes[0];
    assert_eq!((change.table.as_str(), change.what.as_str()), ("orders.order_events", "rows"));
    assert_eq!(change.direction, Direction::Loosened);
    assert_eq!(change.gained.as_deref(), Some("region = 'US'"), "made from the filters, not from the table");
    assert_eq!(change.who, ["ana", "group readers", "nina"]);
    assert_eq!(policy_diff(&new, &old).unwrap()[0].direction, Direction::Tightened);
}

#[test]
fn policies_that_do_not_compile_are_an_error_with_findings() {
    let mesh = mesh();
    let new = changed(mesh.path(), "readers-eu", "readers eu");
    let error = policy_diff(&PolicySet::of_mesh(mesh.path()), &new).unwrap_err();
    assert!(error.message.contains("do not compile (1 errors)"), "{error}");
    assert_eq!(error.findings[0].code, "policy-id");
    let nowhere = PolicySet::in_mesh(mesh.path(), &mesh.path().join("nowhere"));
    assert!(policy_diff(&nowhere, &nowhere).unwrap_err().message.contains("is not a directory of policies"));
}

#[test]
fn checking_policies_leaves_contracts_out() {
    let mesh = mesh();
    write(mesh.path(), "catalogs/orders/broken.yaml", "kind: DataProduct");
    let text = |findings: Vec<Finding>| findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    let found = text(policy_check(mesh.path()).unwrap());
    assert!(
        found.starts_with("policies: info[policy-not-reviewed]: policies without effect are not looked"),
        "{found}"
    );
    assert!(!found.contains("\ncatalogs/"), "{found}");
    std::fs::remove_file(mesh.path().join("catalogs/orders/broken.yaml")).unwrap();
    assert_eq!(text(policy_check(mesh.path()).unwrap()), "");
    let idle = "@id(\"idle\") permit (principal == User::\"nobody\", action == Action::\"query\", resource);";
    write(mesh.path(), "policies/idle.cedar", idle);
    let found = text(policy_check(mesh.path()).unwrap());
    assert!(
        found.starts_with("policies/idle.cedar:1:1: warning[policy-idle]: policy `idle` applies to nobody"),
        "{found}"
    );
}

#[test]
fn the_matrix_has_users_and_groups_of_the_files() {
    let text = policy_matrix(mesh().path()).unwrap();
    let heads: Vec<&str> = text.lines().filter(|line| !line.starts_with(' ') && !line.is_empty()).collect();
    assert_eq!(heads, ["ana", "bob", "nina", "petra", "group admins", "group readers"]);
    assert!(text.contains("orders.order_events: rows where region = 'EU' | clear order_id region | hash customer_id"));
}

async fn simulated(f: &Fixture, from: &str, to: &str, query: &Query) -> Vec<(Effect, Basis, String)> {
    let policies = changed(f.dir.path(), from, to);
    let simulation = simulate(&policies, query).unwrap();
    assert_eq!(simulation.damaged, [""; 0]);
    simulation.statements.into_iter().map(|s| (s.effect, s.basis, s.details.join("; "))).collect()
}

#[tokio::test]
async fn statements_of_the_journal_are_decided_again() {
    let f = fixture().await;
    let (ana, bob) = (f.session("ana"), f.session("bob"));
    f.rows(&ana, "SELECT order_id, 'x' FROM orders.order_events WHERE region <> 'XX' LIMIT 3").await.unwrap();
    f.rows(&ana, "SELECT count(*), min(customer_id) FROM orders.order_events").await.unwrap();
    f.rows(&ana, "SELECT 1 + 1").await.unwrap();
    f.error(&bob, "SELECT * FROM orders.order_events").await;
    f.gateway.shutdown().await;
    let all = Query::default();

    let same = |basis, details: &str| (Effect::Same, basis, details.to_owned());
    let rows = simulated(&f, EU, "resource.region == \"US\"", &all).await;
    let other =
        |basis| (Effect::Different, basis, "orders.order_events: other rows: region = 'EU' → region = 'US'".into());
    assert_eq!(rows, [same(Basis::Plan, ""), same(Basis::Record, ""), other(Basis::Plan), other(Basis::Plan)]);

    let masks = simulated(&f, "Action::\"viewHash\", Action::\"viewNull\"", "Action::\"viewNull\"", &all).await;
    let null = (Effect::Different, Basis::Plan, "orders.order_events.customer_id: hash → null".to_owned());
    assert_eq!(masks[2], null, "only where the column is read");
    assert_eq!(masks[3], same(Basis::Plan, ""));

    let refused = simulated(
        &f,
        "permit (principal in Group::\"readers\", action in",
        "permit (principal in Group::\"admins\", action in",
        &all,
    )
    .await;
    assert_eq!((refused[2].0, refused[3].0), (Effect::Refused, Effect::Refused));
    assert!(refused[3].2.contains("table `orders.order_events` not found"), "{refused:?}");

    let opened =
        simulated(&f, "permit (principal in Group::\"readers\", action in", "permit (principal, action in", &all).await;
    assert_eq!(
        opened.iter().map(|one| one.0).collect::<Vec<_>>(),
        [Effect::Permitted, Effect::Same, Effect::Same, Effect::Same]
    );

    let of_bob = Query { principal: Some("bob".into()), ..Query::default() };
    assert_eq!(simulated(&f, EU, "true", &of_bob).await.len(), 1);
    let last = Query { limit: Some(2), ..Query::default() };
    assert_eq!(simulated(&f, EU, "true", &last).await.len(), 2);
}

#[tokio::test]
async fn what_cannot_be_planned_without_its_literals_is_decided_by_the_record() {
    let f = fixture().await;
    let ana = f.session("ana");
    f.rows(&ana, "SELECT CAST(order_id AS DECIMAL(12, 2)) FROM orders.order_events").await.unwrap();
    f.error(&ana, "SELEKT").await;
    f.gateway.shutdown().await;
    let found = simulated(&f, EU, "true", &Query::default()).await;
    assert_eq!(found[0].0, Effect::Unknown, "{found:?}");
    assert_eq!((found[1].0, found[1].1), (Effect::Different, Basis::Record), "{found:?}");
    assert!(found[1].2.contains("more rows"), "{found:?}");
}
