//! Who may act for whom.

use super::*;

const BI: &str = "@id(\"bi\") permit (principal == User::\"bi\", action == Action::\"impersonate\", resource in Group::\"analysts\");";

fn may(policies: &str, actor: &Subject, user: &Subject) -> bool {
    compile(policies).may_impersonate(actor, &user.principal).allowed
}

#[test]
fn only_a_policy_that_names_the_action_lets_one_act_for_another() {
    let (bi, ana, fred) = (subject("bi", &[]), ana(), subject("fred", &["fraud"]));
    assert!(may(BI, &bi, &ana), "eu_analysts are analysts");
    assert!(!may(BI, &bi, &fred) && !may(BI, &ana, &bi) && !may(BI, &fred, &ana) && !may("", &bi, &ana));
    for everything in [
        "@id(\"a\") permit (principal, action, resource);",
        "@id(\"a\") permit (principal == User::\"bi\", action, resource in Group::\"analysts\");",
    ] {
        assert!(!may(everything, &bi, &ana), "{everything}");
        assert!(may(&format!("{everything}\n{BI}"), &bi, &ana));
    }
    assert!(!may(&BI.replace("impersonate", "query").replace("Group::\"analysts\"", "Domain::\"shop\""), &bi, &ana));
    let access = compile(BI).may_impersonate(&bi, &ana.principal);
    assert_eq!((access.policies, access.unmet), (vec!["bi".to_owned()], None));
}

#[test]
fn forbids_and_errors_close_and_conditions_read_both() {
    let (bi, ana) = (subject("bi", &["analysts"]), ana());
    assert!(may(BI, &bi, &ana), "both are analysts");
    assert!(may(BI, &bi, &bi), "for itself, as for any analyst");
    for forbid in [
        "@id(\"f\") forbid (principal, action == Action::\"impersonate\", resource == User::\"ana\");",
        "@id(\"f\") forbid (principal, action, resource) when { principal == User::\"bi\" };",
        "@id(\"f\") forbid (principal, action == Action::\"impersonate\", resource) when { resource has clearance && resource.clearance + 9223372036854775807 > 0 };",
    ] {
        assert!(!may(&format!("{BI}\n{forbid}"), &bi, &ana), "{forbid}");
    }
    let only = |condition: &str| BI.replace(");", &format!(") when {{ {condition} }};"));
    assert!(may(&only("resource has region && resource.region == \"EU\""), &bi, &ana));
    assert!(!may(&only("resource has region && resource.region == \"US\""), &bi, &ana));
    assert!(!may(&only("context has purpose"), &bi, &ana));
    assert!(!may(&only("context.authentication == \"certificate\""), &bi, &ana));
    // Somebody whom the vocabulary does not know.
    let mut odd = ana.clone();
    odd.principal.attributes.insert("height".to_owned(), AttributeValue::Long(1));
    assert!(!may(BI, &bi, &odd) && !may(BI, &odd, &bi));
}

/// Policies can tell that somebody acts for the user.
#[test]
fn the_actor_is_a_circumstance() {
    let alone = "@id(\"q\") permit (principal, action in [Action::\"discover\", Action::\"query\"], resource) unless { context has actor };";
    let snapshot = compile(alone);
    let orders = mesh().remove(0);
    let mut acted_for = ana();
    acted_for.context.actor = Some("bi".to_owned());
    assert!(snapshot.decide(&ana(), &orders).query.allowed);
    assert!(!snapshot.decide(&acted_for, &orders).query.allowed);
    let named = alone.replace("context has actor", "context has actor && context.actor == \"other\"");
    assert!(compile(&named).decide(&acted_for, &orders).query.allowed);
}
