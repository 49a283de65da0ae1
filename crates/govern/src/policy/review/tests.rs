use std::collections::BTreeMap;

use portcullis_contract::{Finding, Level, Masking};

use super::*;
use crate::policy::subject::{AttributeValue, Principal};
use crate::policy::unit::{QUERY, ana, compile, compile_over, field, lines, masked, mesh, row_policy, subject, table};
use crate::policy::{PolicySnapshot, RowFilter};

/// The filter of `shop.orders` under one row policy.
fn filter(condition: &str) -> RowFilter {
    let snapshot = compile(&(QUERY.to_owned() + &row_policy("p", "permit", condition)));
    crate::policy::unit::filter(&snapshot, &ana())
}

fn compare(old: &str, new: &str) -> Option<RowsChange> {
    let orders = mesh().remove(0);
    compare_rows((&filter(old), &orders), (&filter(new), &orders))
}

/// `direction | gained | lost`, or `same`.
fn check(old: &str, new: &str, expected: &str) {
    let row = |row: Option<String>| row.unwrap_or_else(|| "-".into());
    let shown = match compare(old, new) {
        None => "same".to_owned(),
        Some(change) => {
            let incomplete = if change.complete { "" } else { " (incomplete)" };
            format!("{} | {} | {}{incomplete}", change.direction, row(change.gained), row(change.lost))
        }
    };
    assert_eq!(shown, expected, "{old} → {new}");
}

#[test]
fn filters_are_compared_by_the_rows_they_keep() {
    let eu = "resource has region && resource.region == \"EU\"";
    let two = "resource has region && [\"EU\", \"US\"].contains(resource.region)";
    check(eu, two, "loosened | region = 'US' | -");
    check(two, eu, "tightened | - | region = 'US'");
    check(eu, "resource has region && [\"EU\"].contains(resource.region)", "same");
    check("resource has region && resource.region == \"US\"", eu, "changed | region = 'EU' | region = 'US'");
    check(eu, "true", "loosened | region = 'US' | -".replace("'US'", "'…'").as_str());
    check(two, "resource has region && (resource.region == \"US\" || resource.region == \"EU\")", "same");
    check("resource has n && resource.n < 10", "resource has n && resource.n <= 10", "loosened | n = 10 | -");
    check("resource has n && resource.n < 11", "resource has n && resource.n <= 10", "same");
    check("resource has n && !(resource.n > 3)", "resource has n && resource.n <= 3", "same");
    check("!(resource has n)", "true", "loosened | n = 0 | -");
    check("resource has ok && resource.ok", "resource has ok", "loosened | ok = FALSE | -");
}

#[test]
fn boundaries_of_every_type_are_tried() {
    let at = |op: &str| format!("resource has price && resource.price.{op}(decimal(\"1.00\"))");
    check(&at("lessThan"), &at("lessThanOrEqual"), "loosened | price = 1.00 | -");
    let day = |op: &str| format!("resource has day && resource.day {op} datetime(\"2026-01-01\")");
    check(&day("<"), &day("<="), "loosened | day = '2026-01-01' | -");
    let ts = |op: &str| format!("resource has ts && resource.ts {op} datetime(\"2026-01-01\")");
    check(&ts("<"), &ts("<="), "loosened | ts = '2026-01-01T00:00:00Z' | -");
    let labels = |items: &str| format!("resource has labels && resource.labels.containsAll({items})");
    check(&labels("[\"a\", \"b\"]"), &labels("[\"a\"]"), "loosened | labels = [a] | -");
    let like = |pattern: &str| format!("resource has status && resource.status like \"{pattern}\"");
    check(&like("x*"), "resource has status && resource.status == \"x\"", "tightened | - | status = 'x…'");
    check(
        &like("x*"),
        &like("xy*"),
        "tightened | - | status = 'x' (incomplete)".replace("tightened", "changed").as_str(),
    );
}

#[test]
fn columns_that_are_compared_with_each_other_meet_in_every_order() {
    let both = |condition: &str| format!("resource has n && resource has m && {condition}");
    check(&both("resource.n < resource.m"), &both("resource.n <= resource.m"), "loosened | m = 0, n = 0 | -");
    check(
        &both("resource.n < resource.m && resource.n > 5"),
        &both("resource.n != resource.m && resource.n > 5 && resource.m > 5"),
        "loosened | m = 6, n = 7 | -",
    );
    check(&both("resource.n < resource.m"), &both("resource.m > resource.n"), "same");
}

#[test]
fn a_search_that_cannot_be_complete_says_so() {
    let set = (0..80).map(|n| (n * 10).to_string()).collect::<Vec<_>>().join(", ");
    let wide = |constant: i64| {
        let each = ["n", "m"].map(|c| format!("resource has {c} && [{set}].contains(resource.{c})"));
        format!("({}) || (resource has n && resource.n == {constant})", each.join(" && "))
    };
    let change = compare(&wide(0), &wide(799)).unwrap();
    assert!(!change.complete);
    assert_ne!(change.direction, Direction::Tightened, "nobody knows");
}

fn principals() -> Vec<Principal> {
    let mut ana = subject("ana", &["eu_analysts"]).principal;
    ana.attributes = BTreeMap::from([("region".to_owned(), AttributeValue::String("EU".into()))]);
    vec![ana, subject("fred", &["fraud"]).principal]
}

fn found(snapshot: &PolicySnapshot) -> Vec<Finding> {
    idle(snapshot, &principals(), false, 0)
}

/// The findings about policies beside `q`, without the part that every one of them has.
fn check_idle(policies: &str, expected: &[(Level, &str, &str)]) {
    let snapshot = compile(&(QUERY.to_owned() + policies));
    let found = found(&snapshot);
    assert_eq!(found.len(), expected.len(), "{}", lines(&found));
    for (finding, (level, code, part)) in found.iter().zip(expected) {
        assert_eq!((finding.level, finding.code), (*level, *code), "{finding}");
        assert!(finding.message.contains(part), "{finding}\nlacks {part}");
    }
}

fn view(id: &str, effect: &str, who: &str, action: &str, when: &str) -> String {
    format!("@id(\"{id}\") {effect}({who}, action == Action::\"{action}\", resource){when};\n")
}

const FRAUD: &str = "principal in Group::\"fraud\"";

#[test]
fn policies_that_decide_something_are_left_in_peace() {
    check_idle(&row_policy("p", "permit", "resource has region && resource.region == \"EU\""), &[]);
    check_idle(&view("v", "permit", FRAUD, "viewClear", ""), &[]);
    // A forbid without a permit that it holds back is a guard.
    check_idle(&view("f", "forbid", FRAUD, "viewClear", ""), &[]);
    let purpose = " when { context has purpose && context.purpose == Purpose::\"fraud\" }";
    check_idle(&(view("v", "permit", FRAUD, "viewHash", "") + &view("c", "permit", FRAUD, "viewClear", purpose)), &[]);
}

#[test]
fn nobody_is_in_the_group() {
    let expected = [(Level::Warning, "policy-idle", "policy `v` applies to nobody: no user of users.yaml is in group")];
    let snapshot = compile(&(QUERY.to_owned() + &view("v", "permit", FRAUD, "viewClear", "")));
    let found = idle(&snapshot, &principals()[..1], false, 0);
    assert_eq!((found[0].level, found[0].code), (expected[0].0, expected[0].1));
    assert!(found[0].message.contains(expected[0].2), "{}", found[0]);
    assert_eq!(found[0].position.line, 2, "the finding has the policy's place");
    assert_eq!(idle(&snapshot, &principals()[..1], true, 0), [], "an identity provider may know somebody");
    let user = view("u", "permit", "principal == User::\"anna\"", "viewClear", "");
    check_idle(&user, &[(Level::Warning, "policy-idle", "users.yaml has no user `anna`")]);
    check_idle(&view("v", "permit", "principal in Group::\"analysts\"", "viewClear", ""), &[]);
}

#[test]
fn conditions_that_nothing_meets() {
    let tagged = |tag: &str| format!(" when {{ resource.tags.contains(Tag::\"{tag}\") }}");
    check_idle(&view("v", "permit", FRAUD, "viewClear", &tagged("secret")), &[]);
    let nothing = "match no table, row or column";
    let domain = view("d", "permit", FRAUD, "query", " when { resource.name == \"shop.nothing\" }");
    check_idle(&domain, &[(Level::Warning, "policy-idle", nothing)]);
    let clearance = " when { principal has clearance && principal.clearance > 5 }";
    let info = "it reads attributes of the principal, which may differ";
    check_idle(&view("c", "permit", FRAUD, "viewClear", clearance), &[(Level::Info, "policy-idle", info)]);
}

#[test]
fn levels_that_no_column_reaches() {
    let check = |columns, policies: &str, part: &str| {
        let snapshot = compile_over(vec![table("shop.orders", columns)], &(QUERY.to_owned() + policies)).unwrap();
        let found = found(&snapshot);
        assert_eq!(found.len(), 1, "{}", lines(&found));
        assert!(found[0].message.contains(part), "{}", found[0]);
    };
    let partial = view("p", "permit", FRAUD, "viewPartial", "");
    check(
        vec![field("n", "int"), field("ok", "boolean")],
        &partial,
        "no column of this mesh has a type that can carry",
    );
    let capped = vec![masked("mail", "string", Masking::Redact)];
    check(capped, &partial, "the contracts' `masking` shows less than `partial` of every such column");
}

#[test]
fn permits_that_change_nothing() {
    let clear = view("all", "permit", "principal", "viewClear", "");
    let covered = [(Level::Warning, "policy-shadowed", "policy `some` changes no decision")];
    check_idle(&(clear.clone() + &view("some", "permit", FRAUD, "viewPartial", "")), &covered);
    let snapshot = compile(&(QUERY.to_owned() + &clear + &view("some", "permit", FRAUD, "viewClear", "")));
    assert!(found(&snapshot)[0].message.ends_with("`all` grant as much"), "{}", found(&snapshot)[0]);
    let forbidden = view("no", "forbid", "principal", "viewHash", "") + &view("some", "permit", FRAUD, "viewHash", "");
    check_idle(&forbidden, &[(Level::Warning, "policy-shadowed", "forbidden by `no`")]);
    // Two row policies of different texts that keep the same rows.
    let rows = row_policy("wide", "permit", "resource has region && [\"EU\", \"US\"].contains(resource.region)")
        + &row_policy("narrow", "permit", "resource has region && resource.region == \"EU\"");
    check_idle(&rows, &[(Level::Warning, "policy-shadowed", "policy `narrow` changes no decision")]);
}

#[test]
fn what_depends_on_circumstances_is_a_remark() {
    let clear = view("all", "permit", "principal", "viewClear", " when { context.now > datetime(\"1969-01-01\") }");
    let some = view("some", "permit", FRAUD, "viewClear", "");
    check_idle(&(clear + &some), &[(Level::Info, "policy-shadowed", "policy `some`")]);
}

fn diff(old: &str, new: &str) -> Vec<String> {
    let (old, new) = (compile(&(QUERY.to_owned() + old)), compile(&(QUERY.to_owned() + new)));
    let users = principals();
    let side = |snapshot| Side { snapshot, users: &users };
    let shown = |change: Change| {
        let rows: Vec<String> = [("gained", change.gained), ("lost", change.lost)]
            .into_iter()
            .filter_map(|(word, row)| row.map(|row| format!(" {word} {row}")))
            .collect();
        format!(
            "{} {} {}: {} → {}{} [{}]",
            change.table,
            change.direction,
            change.what,
            change.old,
            change.new,
            rows.concat(),
            change.who.join(", ")
        )
    };
    changes(side(&old), side(&new), 0).into_iter().map(shown).collect()
}

#[test]
fn changes_have_a_direction_and_concern_somebody() {
    let eu = row_policy("p", "permit", "resource has region && resource.region == \"EU\"");
    let two = row_policy("p", "permit", "resource has region && [\"EU\", \"US\"].contains(resource.region)");
    assert_eq!(diff(&eu, &eu), [""; 0]);
    let everybody = "ana, fred, group analysts, group eu_analysts, group fraud";
    assert_eq!(
        diff(&eu, &two),
        [format!(
            "shop.orders loosened rows: region = 'EU' → region IN ('EU', 'US') gained region = 'US' [{everybody}]"
        )]
    );
    let hash = view("h", "permit", FRAUD, "viewHash", " when { resource.name == \"id\" }");
    let clear = hash.replace("viewHash", "viewClear");
    assert_eq!(diff(&clear, &hash), ["shop.people tightened columns id: clear → hash [fred, group fraud]"]);
    let purpose = " when { resource.name == \"id\" && context has purpose && context.purpose == Purpose::\"fraud\" }";
    let for_fraud = view("c", "permit", FRAUD, "viewClear", purpose);
    assert_eq!(
        diff("", &for_fraud),
        ["shop.people loosened columns id: denied → clear [fred for fraud, group fraud for fraud]"]
    );
}

#[test]
fn rules_of_the_same_meaning_do_not_differ() {
    let one = row_policy("p", "permit", "resource has n && resource.n < 11");
    let other = row_policy("other-name", "permit", "resource has n && resource.n <= 10");
    assert_eq!(diff(&one, &other), [""; 0]);
}
