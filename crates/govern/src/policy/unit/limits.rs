//! Who may have which limits.

use super::*;

const HEAVY: &str = "@id(\"h\") permit (principal in Group::\"analysts\", action == Action::\"useLimits\", resource == Limits::\"heavy\");";

fn given(policies: &str, subject: &Subject) -> Vec<String> {
    compile(policies).limits(subject)
}

#[test]
fn only_a_policy_that_names_the_action_gives_limits() {
    let (ana, fred) = (ana(), subject("fred", &["fraud"]));
    assert_eq!(given(HEAVY, &ana), ["heavy"], "eu_analysts are analysts");
    assert!(given(HEAVY, &fred).is_empty() && given("", &ana).is_empty());
    assert!(given("@id(\"a\") permit (principal, action, resource);", &ana).is_empty());
    let all = "@id(\"a\") permit (principal, action == Action::\"useLimits\", resource);";
    assert_eq!(given(all, &fred), ["heavy", "light"]);
    assert_eq!(given(&format!("@id(\"b\") permit (principal, action, resource);\n{HEAVY}"), &ana), ["heavy"]);
}

#[test]
fn circumstances_count_and_doubts_give_nothing() {
    let mut ana = ana();
    let only = |condition: &str| HEAVY.replace(");", &format!(") when {{ {condition} }};"));
    let fraud = only("context has purpose && context.purpose == Purpose::\"fraud\"");
    assert!(given(&fraud, &ana).is_empty());
    ana.context.purpose = Some("fraud".to_owned());
    assert_eq!(given(&fraud, &ana), ["heavy"]);
    assert_eq!(given(&only("context.now > datetime(\"1970-01-01\")"), &ana), ["heavy"]);
    for forbid in [
        "@id(\"f\") forbid (principal, action == Action::\"useLimits\", resource == Limits::\"heavy\");",
        "@id(\"f\") forbid (principal, action == Action::\"useLimits\", resource) when { principal has clearance && principal.clearance + 9223372036854775807 > 0 };",
    ] {
        let mut high = ana.clone();
        high.principal.attributes.insert("clearance".to_owned(), AttributeValue::Long(1));
        assert!(given(&format!("{HEAVY}\n{forbid}"), &high).is_empty(), "{forbid}");
    }
    ana.context.purpose = Some("cooking".to_owned());
    assert!(given(HEAVY, &ana).is_empty(), "whose circumstances have no form gets nothing more");
}

#[test]
fn classes_that_do_not_exist_do_not_load() {
    let unknown = HEAVY.replace("heavy", "heavier");
    assert!(compile_over(mesh(), &unknown).is_err());
}
