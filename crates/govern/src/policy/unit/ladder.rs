use super::*;
use crate::policy::{ColumnDecision, Disclosure};

fn columns(policies: &str, who: &Subject) -> Vec<ColumnDecision> {
    let decision = compile(policies).decide(who, &mesh()[1]);
    assert_eq!(decision.undecided, None);
    decision.columns.clone()
}

fn check(policies: &str, expected: &str) {
    let shown: Vec<String> = columns(policies, &ana()).iter().map(|c| format!("{}={}", c.name, c.disclosure)).collect();
    assert_eq!(shown.join(" "), expected);
}

#[test]
fn nothing_is_shown_without_a_permit() {
    check("", "id=denied customer=denied name=denied note=denied adult=denied email=denied age=denied");
}

#[test]
fn the_contract_is_a_ceiling() {
    // `view` is no explicit `viewClear`; pii without a mask is redacted; a boolean cannot be, so NULL.
    check(
        "@id(\"a\") permit(principal, action in Action::\"view\", resource);",
        "id=clear customer=hash name=redact note=clear adult=null email=partial age=clear",
    );
    check(
        "@id(\"a\") permit(principal, action, resource);",
        "id=clear customer=hash name=redact note=clear adult=null email=partial age=clear",
    );
}

#[test]
fn an_explicit_view_clear_beats_the_ceiling() {
    let clear = "id=clear customer=clear name=clear note=clear adult=clear email=clear age=clear";
    check("@id(\"a\") permit(principal, action == Action::\"viewClear\", resource);", clear);
    check("@id(\"a\") permit(principal, action in [Action::\"viewClear\", Action::\"viewNull\"], resource);", clear);
    // …only where it is satisfied.
    check(
        "@id(\"a\") permit(principal, action == Action::\"viewClear\", resource) when { context has purpose };
         @id(\"b\") permit(principal, action in Action::\"view\", resource);",
        "id=clear customer=hash name=redact note=clear adult=null email=partial age=clear",
    );
}

#[test]
fn levels_that_cannot_keep_the_type_are_skipped() {
    // Strings have no bucket, integers no partial.
    check(
        "@id(\"a\") permit(principal, action in [Action::\"viewPartial\", Action::\"viewBucket\", Action::\"viewNull\"], resource);",
        "id=partial customer=null name=null note=partial adult=null email=partial age=bucket",
    );
}

#[test]
fn a_forbid_knocks_out_single_levels() {
    let decided = columns(
        "@id(\"a\") permit(principal, action in Action::\"view\", resource);
         @id(\"f\") forbid(principal, action in [Action::\"viewClear\", Action::\"viewPartial\"], resource) when { resource.tags.contains(Tag::\"secret\") };",
        &ana(),
    );
    let note = decided.iter().find(|c| c.name == "note").unwrap();
    assert_eq!(note.disclosure, Disclosure::Hash);
    assert_eq!((&note.policies[..], &note.forbidden_by[..]), (&["a".to_owned()][..], &["f".to_owned()][..]));
    assert_eq!(note.contract_masking, None);
    let customer = decided.iter().find(|c| c.name == "customer").unwrap();
    assert_eq!(customer.contract_masking, Some(Masking::Hash));
}

#[test]
fn an_error_denies_the_column() {
    check(
        "@id(\"a\") permit(principal, action in Action::\"view\", resource);
         @id(\"f\") forbid(principal, action == Action::\"viewClear\", resource) when { resource.tags.contains(Tag::\"secret\") && principal has clearance && 9223372036854775807 + principal.clearance > 0 };",
        "id=clear customer=hash name=redact note=denied adult=null email=partial age=clear",
    );
}

#[test]
fn an_error_denies_discovering_and_querying() {
    let snapshot = compile(
        &(QUERY.to_owned()
            + "@id(\"f\") forbid(principal, action == Action::\"query\", resource) when { principal has clearance && 9223372036854775807 + principal.clearance > 0 };"),
    );
    let decision = snapshot.decide(&ana(), &mesh()[1]);
    assert!(decision.discover.allowed && !decision.query.allowed);
    assert_eq!(decision.query.policies, ["f"]);
}

#[test]
fn columns_of_one_signature_can_be_told_apart_by_name_or_identity() {
    let view = "@id(\"a\") permit(principal, action in Action::\"view\", resource);";
    check(
        &format!(
            "{view} @id(\"f\") forbid(principal, action == Action::\"viewClear\", resource == Column::\"shop.people.id\");"
        ),
        "id=partial customer=hash name=redact note=clear adult=null email=partial age=clear",
    );
    check(
        &format!(
            "{view} @id(\"f\") forbid(principal, action == Action::\"viewClear\", resource) when {{ resource.name == \"age\" }};"
        ),
        "id=clear customer=hash name=redact note=clear adult=null email=partial age=bucket",
    );
    check(
        &format!(
            "{view} @id(\"f\") forbid(principal, action == Action::\"viewClear\", resource) when {{ resource == Column::\"shop.people.age\" }};"
        ),
        "id=clear customer=hash name=redact note=clear adult=null email=partial age=bucket",
    );
}
