use super::*;

/// The errors for a policy file, whether they refuse it or not.
fn findings(policies: &str) -> String {
    match compiled_over(mesh(), policies) {
        Ok(compiled) if compiled.warnings.iter().any(Finding::is_error) => lines(&compiled.warnings),
        Ok(_) => "accepted".to_owned(),
        Err(findings) => lines(&findings),
    }
}

/// The single finding for a row policy with this condition.
fn check(condition: &str, expected: &str) {
    let text = findings(&row_policy("p", "permit", condition));
    assert!(text.contains(expected), "for {condition}\nexpected …{expected}…\ngot {text}");
    assert!(text.starts_with("policies/a.cedar:1:"), "{text}");
}

#[test]
fn ids() {
    assert_eq!(
        findings("// who\npermit(principal, action, resource);"),
        "policies/a.cedar:2:1: error[policy-id]: policy without `@id` (hint: write `@id(\"…\")` before it: the audit \
         names policies by it)"
    );
    assert_eq!(
        findings("@id(\"a\") permit(principal, action, resource);\n @id(\"a\") permit(principal, action, resource);"),
        "policies/a.cedar:2:2: error[policy-id]: the id `a` is taken by the policy at policies/a.cedar:1:1 (hint: give \
         it another `@id`)"
    );
    assert!(findings("@id(\"a b\") permit(principal, action, resource);").contains("`a b` is not usable as an id"));
}

#[test]
fn syntax_errors_have_a_place_and_do_not_hide_each_other() {
    let text = findings(
        "@id(\"a\") permit(principal, action, resource) when { 1 + };\n\n// a ; in a comment\n@id(\"b;\\\";\") permit(principal, actoin, resource);\n@id(\"c\") permit(principal, action, resource)",
    );
    let found: Vec<&str> = text.lines().collect();
    assert_eq!(found.len(), 3, "{text}");
    assert!(found[0].starts_with("policies/a.cedar:1:57: error[policy-syntax]: "), "{text}");
    assert!(found[1].starts_with("policies/a.cedar:4:32: error[policy-syntax]: "), "{text}");
    assert!(found[2].starts_with("policies/a.cedar:5:"), "{text}");
}

#[test]
fn templates() {
    let text = findings("@id(\"a\") permit(principal == ?principal, action, resource);");
    assert!(text.contains("policy-template"), "{text}");
}

#[test]
fn ill_typed() {
    let strict = |text: &str| findings(&format!("@id(\"p\") {text}"));
    let typo = strict("permit(principal, action == Action::\"viewCler\", resource);");
    assert!(
        typo.starts_with("policies/a.cedar:1:") && typo.contains("policy-invalid") && typo.contains("viewCler"),
        "{typo}"
    );
    let tag = strict(
        "permit(principal, action == Action::\"viewClear\", resource) when { resource.tags.contains(Tag::\"pi\") };",
    );
    assert!(tag.contains("policy-invalid") && tag.contains("pi"), "{tag}");
    let purpose = strict(
        "permit(principal, action == Action::\"query\", resource) when { context has purpose && context.purpose == Purpose::\"fun\" };",
    );
    assert!(purpose.contains("policy-invalid"), "{purpose}");
    check("resource.region == \"EU\"", "policy-invalid");
    check("resource has n && resource.n == \"1\"", "policy-invalid");
    check("principal.clearance > 1", "policy-invalid");
}

#[test]
fn impossible_policies_are_errors() {
    check("false", "policy-suspicious");
    check("resource has regoin && resource.regoin == \"EU\"", "policy-suspicious");
}

#[test]
fn columns_without_a_cedar_type() {
    check("resource has score", "policy-suspicious");
    check(
        "resource has n || resource has total",
        "policies cannot read column `total` of `shop.orders`: Cedar has no such type",
    );
    check("resource has n || resource has nested", "policies cannot read column `nested`");
    check("resource has n || resource has at", "policies cannot read column `at`");
}

#[test]
fn has_of_something_that_nothing_has() {
    check(
        "(resource has regoin && resource.regoin == \"CH\") || resource has n",
        "nothing that this policy is about has `regoin`",
    );
    check("principal has clearence || resource has n", "nothing that this policy is about has `clearence`");
    check("context has porpose || resource has n", "nothing that this policy is about has `porpose`");
}

#[test]
fn shapes_without_a_row_filter() {
    check("resource has n && resource.n + 1 > 3", "a row filter cannot express arithmetic on a column");
    check("resource has n && -resource.n > 3", "a row filter cannot express a computation on a column");
    check(
        "resource has ts && resource.ts.offset(duration(\"1d\")) > context.now",
        "a row filter cannot express a method of a column's value",
    );
    check(
        "resource has status && resource has region && [resource.status, \"x\"].contains(resource.region)",
        "a row filter cannot express a set that mixes columns and values",
    );
    check("resource has labels && resource.labels.isEmpty()", "a row filter cannot express");
    check(
        "resource has labels && resource.labels == [\"x\"]",
        "a row filter cannot express comparing a list as a whole",
    );
    check(
        "resource has labels && [\"x\"].containsAll(resource.labels)",
        "a row filter cannot express `containsAll` of a list column",
    );
    check(
        "resource has day && resource has ts && resource.day == resource.ts",
        "a row filter cannot express comparing columns of different types",
    );
    check(
        "resource has ns && resource has ts && resource.ns == resource.ts",
        "a row filter cannot express comparing columns of different types",
    );
    check(
        "resource has n && (if resource.n > 1 then 1 else 2) == 2",
        "a row filter cannot express a value that depends on the row",
    );
    let place = findings(&row_policy("p", "permit", "resource has n && resource.n + 1 > 3"));
    assert!(place.starts_with("policies/a.cedar:1:112: "), "{place}");
}

#[test]
fn names_that_nothing_has() {
    let strict = |text: &str| findings(&format!("@id(\"p\")\n{text}"));
    assert_eq!(
        strict("permit(principal in Group::\"nope\", action == Action::\"query\", resource);"),
        "policies/a.cedar:2:21: error[policy-unsupported]: there is no `Group::\"nope\"` (hint: declare it in \
         policies/vocabulary.yaml under `groups`)"
    );
    for (name, resource) in
        [("Table::\"shop.order\"", "in"), ("Domain::\"shopp\"", "in"), ("Table::\"system.secrets\"", "==")]
    {
        let text = strict(&format!("permit(principal, action == Action::\"query\", resource {resource} {name});"));
        assert!(text.contains(&format!("there is no `{name}`")), "{text}");
    }
    let text = strict("permit(principal, action == Action::\"viewClear\", resource == Column::\"shop.people.ide\");");
    assert!(text.contains("there is no `Column::\"shop.people.ide\"`"), "{text}");
    let text = strict("permit(principal, action == Action::\"readRow\", resource == Row::shop_orders::\"7\");");
    assert!(text.contains("rows have no names"), "{text}");
    let text =
        strict("permit(principal == User::\"somebody\", action == Action::\"query\", resource in Domain::\"system\");");
    assert_eq!(text, "accepted");
}

#[test]
fn a_mask_that_the_named_column_cannot_carry() {
    let text = findings(
        "@id(\"p\") permit(principal, action == Action::\"viewBucket\", resource == Column::\"shop.people.id\");",
    );
    assert!(text.contains("column `id` is a string, which has no level bucket"), "{text}");
    let fine = "@id(\"p\") permit(principal, action == Action::\"viewHash\", resource == Column::\"shop.people.id\");";
    assert_eq!(findings(fine), "accepted");
}

#[test]
fn row_types_that_collide() {
    let tables = vec![table("a.b_c", vec![field("x", "int")]), table("a_b.c", vec![field("x", "int")])];
    let text = lines(&compile_over(tables, "").unwrap_err());
    assert_eq!(
        text,
        "catalogs/a_b/c.yaml: error[policy-row-type]: tables `a.b_c` (catalogs/a/b_c.yaml) and `a_b.c` would both be \
         `Row::a_b_c` in policies (hint: rename one of them: domain and table are joined with `_`)"
    );
    let text = lines(&compile_over(vec![table("system.x", vec![field("x", "int")])], "").unwrap_err());
    assert!(text.contains("the domain `system` is the gateway's own"), "{text}");
}

#[test]
fn vocabularies() {
    let read = |text: &str| {
        let sources =
            PolicySources { policies: vec![], vocabulary: Some(SourceFile::new("policies/vocabulary.yaml", text)) };
        let catalogue = Arc::new(Catalogue::build(&[], None));
        lines(&PolicySnapshot::compile_for(catalogue, mesh(), &sources).err().unwrap_or_default())
    };
    assert_eq!(read("groups: [a, b]\npurposes: {x: why}\nattributes: {region: string}"), "");
    assert!(read("groups: {a: {parents: [b]}}").contains("group `a` has the unknown parent `b`"));
    assert!(read("groups: {a: {parents: [b]}, b: {parents: [a]}}").contains("is its own ancestor"));
    assert!(read("attributes: {x: text}").contains("attribute `x` has the unknown type `text`"));
    assert!(read("attributes: {x: set<purpose>}").contains("`set<purpose>` needs `purposes`"));
    assert_eq!(read("# nothing yet"), "policies/vocabulary.yaml:1:1: error[vocabulary-syntax]: file is empty");
    assert!(read("gruops: [a]").contains("unknown key `gruops`"));
}

#[test]
fn one_bad_policy_refuses_the_whole_set() {
    let good = "@id(\"good\") permit(principal, action == Action::\"query\", resource);\n";
    assert!(compile_over(mesh(), good).is_ok());
    let findings = compile_over(
        mesh(),
        &(good.to_owned() + "@id(\"bad\") permit(principal, action == Action::\"qurey\", resource);"),
    )
    .unwrap_err();
    assert!(findings.iter().all(|f| f.position.line == 2), "{}", lines(&findings));
}
