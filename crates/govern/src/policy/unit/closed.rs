//! A contract drops a column that policies name: nobody sees more of its table, and nobody else is concerned.

use super::*;
use crate::policy::Disclosure;

/// Everybody may read every row and every value, but for what the policies under test say.
const OPEN: &str = "@id(\"q\") permit(principal, action in [Action::\"discover\", Action::\"query\"], resource);
@id(\"rows\") permit(principal, action == Action::\"readRow\", resource);
@id(\"clear\") permit(principal, action == Action::\"viewClear\", resource);\n";

/// The mesh, and a table of another domain that has neither `status` nor `note`; `dropped` columns are not there.
fn mesh_without(dropped: &[&str]) -> Vec<Arc<Table>> {
    let cut = |table: &Arc<Table>| {
        let fields = table.fields().iter().filter(|field| !dropped.contains(&field.name.as_str())).cloned().collect();
        super::table(&table.name.to_string(), fields)
    };
    let mut tables: Vec<_> = mesh().iter().map(cut).collect();
    tables.push(table("stock.items", vec![field("region", "string"), field("n", "int")]));
    tables
}

/// What is seen of a table: its filter, and how many columns are clear.
fn seen(snapshot: &PolicySnapshot, tables: &[Arc<Table>], name: &str) -> String {
    let table = tables.iter().find(|table| table.name.to_string() == name).unwrap();
    let decision = snapshot.decide(&ana(), table);
    assert_eq!(decision.undecided, None, "{name}");
    let clear = decision.columns.iter().filter(|column| column.disclosure == Disclosure::Clear).count();
    format!("{}, {clear} clear", decision.filter.text())
}

/// What is seen of `shop.orders`, `shop.people` and `stock.items` once `status` and `note` are gone.
fn after(policy: &str) -> Result<[String; 3], String> {
    let policies = format!("{OPEN}{policy}");
    compile_over(mesh_without(&[]), &policies)
        .unwrap_or_else(|found| panic!("not good to begin with: {}", lines(&found)));
    let tables = mesh_without(&["status", "note"]);
    let compiled = compiled_over(tables.clone(), &policies).map_err(|found| lines(&found))?;
    let closed = compiled.warnings.iter().find(|finding| finding.code == "policy-closed");
    assert!(closed.is_some_and(Finding::is_error), "{policy}: {}", lines(&compiled.warnings));
    Ok(["shop.orders", "shop.people", "stock.items"].map(|name| seen(&compiled.snapshot, &tables, name)))
}

const ALL: [&str; 3] = ["all rows, 17 clear", "all rows, 6 clear", "all rows, 2 clear"];

#[test]
fn a_forbid_whose_column_is_gone_forbids_all_in_its_scope() {
    let [orders, people, items] = ALL;
    let none = "no rows, 17 clear";
    for (policy, expect) in [
        ("\"readRow\", resource is Row::shop_orders) when { resource has status && resource.status == \"x\" };", none),
        (
            "\"readRow\", resource in Table::\"shop.orders\") when { resource has status && resource.status == \"x\" };",
            none,
        ),
        (
            "\"readRow\", resource is Row::shop_orders) when { (resource has status && resource.status == \"x\") || (resource has n && resource.n > 9) };",
            none,
        ),
        ("\"viewClear\", resource == Column::\"shop.orders.status\");", "all rows, 0 clear"),
        (
            "\"viewClear\", resource in Table::\"shop.orders\") when { resource == Column::\"shop.orders.status\" };",
            "all rows, 0 clear",
        ),
    ] {
        let seen = after(&format!("@id(\"p\") forbid(principal, action == Action::{policy}"));
        assert_eq!(seen.unwrap(), [expect, people, items], "{policy}");
    }
    // The domain's own tables, where the policy is for the domain.
    let domain = "@id(\"p\") forbid(principal, action == Action::\"readRow\", resource in Domain::\"shop\") when { resource has status && resource.status == \"x\" };";
    assert_eq!(after(domain).unwrap(), [none, "no rows, 6 clear", items]);
    assert_eq!(orders, ALL[0]);
}

#[test]
fn a_permit_whose_column_is_gone_permits_nothing() {
    let policies = |policy: &str| {
        let without_rows = OPEN.lines().filter(|line| !line.contains("readRow")).collect::<Vec<_>>().join("\n");
        format!("{without_rows}\n@id(\"p\") permit(principal, action == Action::\"readRow\", {policy}")
    };
    for policy in [
        "resource is Row::shop_orders) when { resource has status && resource.status == \"x\" };",
        "resource is Row::shop_orders) unless { resource has status && resource.status == \"x\" };",
        "resource is Row::shop_orders) when { !(resource has status) || resource.status != \"x\" };",
        "resource) when { resource has status && resource.status == \"x\" };",
    ] {
        let tables = mesh_without(&["status"]);
        let compiled =
            compiled_over(tables.clone(), &policies(policy)).unwrap_or_else(|f| panic!("{policy}: {}", lines(&f)));
        assert_eq!(seen(&compiled.snapshot, &tables, "shop.orders"), "no rows, 17 clear", "{policy}");
        let finding = compiled.warnings.iter().find(|finding| finding.code == "policy-closed").unwrap();
        assert_eq!(finding.message, "policy `p` cannot be judged, so it is closed: it permits nothing");
        // The policy is still listed.
        assert!(compiled.snapshot.policies().iter().any(|info| info.id == "p"));
    }
}

/// Closing a policy for all domains would hide what others have; leaving it as it is may show more.
#[test]
fn a_policy_for_everything_still_refuses_the_set() {
    for policy in [
        "forbid(principal, action == Action::\"readRow\", resource) when { resource has status && resource.status == \"x\" };",
        "permit(principal, action == Action::\"readRow\", resource) unless { resource has status && resource.status == \"x\" };",
        "permit(principal, action == Action::\"viewClear\", resource) unless { resource == Column::\"shop.people.note\" };",
    ] {
        let refused = after(&format!("@id(\"p\") {policy}"));
        assert!(refused.as_ref().is_err_and(|found| found.contains("error[")), "{policy}: {refused:?}");
    }
}

/// What is wrong beside the column refuses the set as ever.
#[test]
fn other_mistakes_are_not_closed() {
    for policy in [
        "forbid(principal in Group::\"frued\", action == Action::\"readRow\", resource is Row::shop_orders) when { resource has gone };",
        "forbid(principal, action == Action::\"readRow\", resource is Row::shop_odrers) when { resource has gone };",
        "forbid(principal, action == Action::\"viewClear\", resource == Column::\"shop.odrers.gone\");",
        "forbid(principal, action == Action::\"viewClaer\", resource == Column::\"shop.orders.gone\");",
    ] {
        let refused = compile_over(mesh(), &format!("@id(\"p\") {policy}"));
        assert!(refused.is_err(), "{policy}");
    }
}
