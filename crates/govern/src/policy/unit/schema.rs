use super::*;
use crate::policy::columns::CedarType;

#[test]
fn the_schema_is_generated_from_contracts_and_vocabulary() {
    let schema = compile("").cedar_schema().to_owned();
    assert_eq!(schema, compile("").cedar_schema(), "the same input gives the same text");
    for line in [
        "entity Tag enum [\"pii\", \"secret\"];",
        "entity Classification enum [\"public\", \"internal\", \"confidential\", \"restricted\"];",
        "entity Purpose enum [\"analytics\", \"fraud\"];",
        "  \"regions\"?: Set<String>,",
        "  \"purposes\"?: Set<Purpose>,",
        "entity shop_orders in [Table] {",
        "  \"Odd.Name\"?: String,",
        "  \"price\"?: decimal,",
        "  \"ts\"?: datetime,",
        "  \"labels\"?: Set<String>,",
        "action readRow appliesTo { principal: User, resource: [Row::shop_orders, Row::shop_people], context: Ctx };",
    ] {
        assert!(schema.lines().any(|l| l == line), "{line} not in\n{schema}");
    }
    for absent in ["\"score\"", "\"total\"", "\"at\"", "\"nested\""] {
        assert!(!schema.contains(absent), "{absent} in\n{schema}");
    }
}

#[test]
fn types_that_cedar_can_hold() {
    let of = |text: &str| CedarType::of(&type_of(text)).map(CedarType::as_str);
    assert_eq!(of("decimal(18,4)"), Some("decimal"));
    for wide in ["decimal(19,4)", "decimal(18,3)", "decimal(9,5)", "float", "double", "time", "uuid", "binary"] {
        assert_eq!(of(wide), None, "{wide}");
    }
    assert_eq!(of("list<int>"), Some("Set<Long>"));
    assert_eq!(of("list<date>"), None);
    assert_eq!(of("list<list<int>>"), None);
    assert_eq!(of("map<string,int>"), None);
}

#[test]
fn an_empty_mesh_has_a_schema_too() {
    let sources = PolicySources::default();
    let catalogue = Arc::new(Catalogue::build(&[], None));
    let compiled = PolicySnapshot::compile(catalogue, &sources).unwrap_or_else(|f| panic!("{}", lines(&f)));
    assert_eq!(compiled.warnings, []);
    assert!(!compiled.snapshot.cedar_schema().contains("readRow"));
}

#[test]
fn the_version_follows_the_texts() {
    let (one, same, other) = (compile(QUERY), compile(QUERY), compile(""));
    assert_eq!(one.version(), same.version());
    assert_ne!(one.version(), other.version());
    assert_eq!(one.version().len(), 16);
}

#[test]
fn policies_are_listed_with_their_places() {
    let snapshot = compile(&format!(
        "// first\n{QUERY}// second\n@id(\"a\")\nforbid(principal, action == Action::\"query\", resource);"
    ));
    let listed: Vec<String> =
        snapshot.policies().iter().map(|p| format!("{} {} {}", p.id, p.effect, p.position)).collect();
    assert_eq!(listed, ["a forbid policies/a.cedar:4:1", "q permit policies/a.cedar:2:1"]);
    assert!(snapshot.policies()[0].text.starts_with("@id(\"a\")"));
}
