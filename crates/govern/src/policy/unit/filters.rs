use super::*;

/// What the condition becomes for ana, as a permit and as a forbid.
fn check(condition: &str, permit: &str, forbid: &str) {
    let permitted = compile(&(QUERY.to_owned() + &row_policy("p", "permit", condition)));
    assert_eq!(filter(&permitted, &ana()).text(), permit, "permit when {condition}");
    let all = row_policy("all", "permit", "true");
    let forbidden = compile(&(QUERY.to_owned() + &all + &row_policy("f", "forbid", condition)));
    assert_eq!(filter(&forbidden, &ana()).text(), forbid, "forbid when {condition}");
}

#[test]
fn comparisons() {
    check("resource has region && resource.region == \"EU\"", "region = 'EU'", "region IS NULL OR region <> 'EU'");
    check("resource has n && resource.n < 5", "n < 5", "n IS NULL OR n >= 5");
    check("resource has m && 5 <= resource.m", "m >= 5", "m IS NULL OR m < 5");
    check("resource has ok && resource.ok", "ok", "ok IS NULL OR NOT ok");
    check("resource has ok && !resource.ok", "NOT ok", "ok IS NULL OR ok");
    check("resource has ok && resource.ok == false", "NOT ok", "ok IS NULL OR ok");
    check("resource has n && resource has m && resource.n == resource.m", "n = m", "n IS NULL OR m IS NULL OR n <> m");
}

#[test]
fn attributes_of_the_subject_become_constants() {
    check(
        "principal has region && resource has region && resource.region == principal.region",
        "region = 'EU'",
        "region IS NULL OR region <> 'EU'",
    );
    check(
        "principal has regions && resource has region && principal.regions.contains(resource.region)",
        "region IN ('EU', 'UK')",
        "region IS NULL OR region NOT IN ('EU', 'UK')",
    );
    check("principal has internal && principal.internal", "no rows", "all rows");
    check("principal in Group::\"analysts\"", "all rows", "no rows");
    check("context has purpose", "no rows", "all rows");
}

#[test]
fn an_empty_set_contains_nothing_but_reads_the_column() {
    let mut ben = ana();
    ben.principal.attributes.insert("regions".into(), AttributeValue::Set(vec![]));
    let condition = "principal has regions && resource has region && !principal.regions.contains(resource.region)";
    let snapshot = compile(&(QUERY.to_owned() + &row_policy("p", "permit", condition)));
    assert_eq!(filter(&snapshot, &ben).text(), "region IS NOT NULL");
}

#[test]
fn patterns_are_escaped() {
    check(
        r#"resource has status && resource.status like "a%b_c\*\\d*""#,
        r"status LIKE 'a\%b\_c*\\d%'",
        r"status IS NULL OR status NOT LIKE 'a\%b\_c*\\d%'",
    );
    check(
        r#"resource has status && resource.status like "a_b""#,
        "status = 'a_b'",
        "status IS NULL OR status <> 'a_b'",
    );
}

#[test]
fn names_are_not_folded_or_split() {
    check(
        r#"resource has "Odd.Name" && resource["Odd.Name"] == "it's""#,
        "\"Odd.Name\" = 'it''s'",
        "\"Odd.Name\" IS NULL OR \"Odd.Name\" <> 'it''s'",
    );
}

#[test]
fn constants_between_two_hundredths() {
    let price = |op: &str, value: &str| format!("resource has price && resource.price.{op}(decimal(\"{value}\"))");
    check(&price("lessThan", "1.005"), "price <= 1.00", "price IS NULL OR price > 1.00");
    check(&price("lessThanOrEqual", "1.005"), "price <= 1.00", "price IS NULL OR price > 1.00");
    check(&price("greaterThan", "1.005"), "price > 1.00", "price IS NULL OR price <= 1.00");
    check(&price("greaterThanOrEqual", "-1.005"), "price > -1.01", "price IS NULL OR price <= -1.01");
    check(&price("lessThan", "1.50"), "price < 1.50", "price IS NULL OR price >= 1.50");
    let equal = "resource has price && resource.price == decimal(\"1.005\")";
    check(equal, "no rows", "price IS NULL OR price IS NOT NULL");
    let wide = "resource has cost && resource.cost == decimal(\"1.005\")";
    check(wide, "cost = 1.0050", "cost IS NULL OR cost <> 1.0050");
}

#[test]
fn constants_beyond_the_type() {
    check("resource has n && resource.n < 3000000000", "n IS NOT NULL", "n IS NULL");
    check("resource has n && resource.n > 3000000000", "no rows", "n IS NULL OR n IS NOT NULL");
    check("resource has n && resource.n >= -3000000000", "n IS NOT NULL", "n IS NULL");
    let price = "resource has price && resource.price.lessThan(decimal(\"1000.0\"))";
    check(price, "price IS NOT NULL", "price IS NULL");
}

#[test]
fn days_and_times() {
    let condition = |column: &str, op: &str, text: &str| {
        format!("resource has {column} && resource.{column} {op} datetime(\"{text}\")")
    };
    check(&condition("day", "<", "2026-03-01"), "day < '2026-03-01'", "day IS NULL OR day >= '2026-03-01'");
    check(&condition("day", "<", "2026-03-01T12:00:00Z"), "day <= '2026-03-01'", "day IS NULL OR day > '2026-03-01'");
    check(&condition("day", "==", "2026-03-01T12:00:00Z"), "no rows", "day IS NULL OR day IS NOT NULL");
    let ts = "'2026-03-01T12:00:00.500Z'";
    check(
        &condition("ts", ">", "2026-03-01T12:00:00.500Z"),
        &format!("ts > {ts}"),
        &format!("ts IS NULL OR ts <= {ts}"),
    );
    check(
        "resource has local && resource.local < context.now.offset(duration(\"-1d\"))",
        "local < '2025-12-31T00:00:00Z'",
        "local IS NULL OR local >= '2025-12-31T00:00:00Z'",
    );
    for column in ["ns", "local_ns"] {
        check(
            &condition(column, "<=", "2026-03-01T12:00:00.500Z"),
            &format!("{column} <= {ts}"),
            &format!("{column} IS NULL OR {column} > {ts}"),
        );
        // No nanosecond of 64 bits is so late, or so early.
        let (all, none) = (format!("{column} IS NOT NULL"), format!("{column} IS NULL OR {column} IS NOT NULL"));
        check(&condition(column, "<", "9999-12-31"), &all, &format!("{column} IS NULL"));
        check(&condition(column, ">=", "1600-01-01"), &all, &format!("{column} IS NULL"));
        check(&condition(column, ">", "9999-12-31"), "no rows", &none);
        check(&condition(column, "==", "9999-12-31"), "no rows", &none);
    }
}

#[test]
fn lists_are_sets() {
    check(
        "resource has labels && resource.labels.contains(\"x\")",
        "array_has(labels, 'x')",
        "labels IS NULL OR (labels IS NOT NULL AND NOT array_has(labels, 'x'))",
    );
    check(
        "resource has labels && resource.labels.containsAny([\"x\", \"y\"])",
        "array_has(labels, 'x') OR array_has(labels, 'y')",
        "labels IS NULL OR (NOT array_has(labels, 'x') AND labels IS NOT NULL AND NOT array_has(labels, 'y'))",
    );
}

#[test]
fn the_policies_behind_a_filter_are_named() {
    let all = row_policy("all", "permit", "true");
    let forbid = row_policy("f", "forbid", "resource has region && resource.region == \"CH\"");
    let snapshot = compile(&(QUERY.to_owned() + &all + &forbid));
    let got = filter(&snapshot, &ana());
    assert_eq!((got.permits, got.forbids), (vec!["all".to_owned()], vec!["f".to_owned()]));
}

#[test]
fn a_forbid_that_cannot_be_evaluated_denies_everything() {
    let all = row_policy("all", "permit", "true");
    let forbid = row_policy("f", "forbid", "principal has clearance && 9223372036854775807 + principal.clearance > 0");
    let snapshot = compile(&(QUERY.to_owned() + &all + &forbid));
    let decision = snapshot.decide(&ana(), &mesh()[0]);
    assert_eq!(decision.undecided.as_deref(), Some("policy `f` is a forbid that cannot be evaluated"));
    assert!(!decision.query.allowed && !decision.discover.allowed);
    assert_eq!(decision.filter.text(), "no rows");
    // Nobody else's decision suffers.
    assert_eq!(filter(&snapshot, &subject("ben", &[])).text(), "all rows");
}

#[test]
fn a_permit_that_cannot_be_evaluated_grants_nothing() {
    let permit = row_policy("p", "permit", "principal has clearance && 9223372036854775807 + principal.clearance > 0");
    assert_eq!(filter(&compile(&(QUERY.to_owned() + &permit)), &ana()).text(), "no rows");
}

#[test]
fn no_query_no_rows() {
    let snapshot = compile(&row_policy("p", "permit", "true"));
    assert_eq!(filter(&snapshot, &ana()).text(), "no rows");
}

#[test]
fn roles_of_the_contract_limit_who_may_query() {
    let orders = table_with("shop.orders", vec![field("id", "string")], |c| c.access.roles = vec!["analysts".into()]);
    let policies = QUERY.to_owned() + "@id(\"r\") permit(principal, action == Action::\"readRow\", resource);";
    let snapshot = compile_over(vec![orders.clone()], &policies).unwrap();
    // Through a parent group.
    assert!(snapshot.decide(&ana(), &orders).query.allowed);
    let ben = snapshot.decide(&subject("ben", &["fraud"]), &orders);
    assert!(ben.discover.allowed && !ben.query.allowed);
    assert_eq!(ben.query.unmet, Some(crate::Unmet::Roles(vec!["analysts".into()])));
    assert_eq!(ben.filter.text(), "no rows");
}

#[test]
fn what_is_unknown_is_denied() {
    let snapshot = compile(QUERY);
    let mut ben = subject("ben", &["no_such_group"]);
    assert!(snapshot.decide(&ben, &mesh()[0]).query.allowed, "a permit for everybody needs no group");
    assert_eq!(
        snapshot.check_principal(&ben.principal).unwrap_err(),
        ["group `no_such_group` is not in policies/vocabulary.yaml"]
    );
    ben.context.purpose = Some("fun".into());
    let reason = snapshot.decide(&ben, &mesh()[0]).undecided.clone();
    assert_eq!(reason.as_deref(), Some("purpose `fun` is not in policies/vocabulary.yaml"));
    let mut eve = subject("eve", &[]);
    eve.principal.attributes.insert("clearance".into(), AttributeValue::String("9".into()));
    let reason = snapshot.decide(&eve, &mesh()[0]).undecided.clone();
    assert_eq!(reason.as_deref(), Some("attribute `clearance` must be a long"));
    let stranger = table("shop.orders", vec![field("id", "string")]);
    assert!(snapshot.decide(&ana(), &stranger).undecided.is_some());
    use crate::policy::TableAction::Query;
    assert!(snapshot.may(&ana(), Query, "system.access_log").allowed);
    assert!(!snapshot.may(&ana(), Query, "system.nothing").allowed);
    assert!(!snapshot.may(&ana(), Query, "nonsense").allowed);
}
