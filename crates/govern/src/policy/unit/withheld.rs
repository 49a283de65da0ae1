//! Policies that name what a withheld contract would have been.

use super::*;
use crate::policy::TableAction;
use crate::policy::tests::run;

const CONNECTIONS: &str = "connections: {lake: {type: directory, url: lake}}";

/// A contract; `coupon` is a column, and `secret_orders` a tag, that only `orders` has.
fn contract(name: &str, more: &str) -> SourceFile {
    let amount = if name == "orders" { "long" } else { "double" };
    let text = format!(
        "apiVersion: datamesh.io/v1\nkind: DataProduct\nmetadata: {{name: {name}, domain: shop, version: 1}}\noutputPorts:\n  \
         - {{name: table, type: delta-table, connection: lake, table: shop.{name}}}\nschema:\n  fields:\n    \
         - {{name: region, type: string}}\n    - {{name: id, type: string}}\n    - {{name: amount, type: {amount}}}\n{more}"
    );
    SourceFile::new(format!("catalogs/shop/{name}.yaml"), text)
}

const COUPON: &str = "    - {name: coupon, type: string, tags: [secret_orders]}\n";

fn orders() -> SourceFile {
    contract("orders", COUPON)
}

/// The same with a mistake that leaves it readable, and with one that does not.
fn broken() -> [SourceFile; 2] {
    let typo = contract("orders", &format!("{COUPON}accces: {{}}\n"));
    let mut syntax = orders();
    syntax.text = syntax.text.replace("schema:", "schema: [");
    [typo, syntax]
}

fn compile_with(orders: Option<SourceFile>, policies: &str) -> Result<crate::policy::Compiled, Vec<Finding>> {
    let files: Vec<SourceFile> = orders.into_iter().chain([contract("people", "")]).collect();
    let connections = SourceFile::new("catalogs/connections.yaml", CONNECTIONS);
    let sources = PolicySources {
        policies: vec![SourceFile::new("policies/a.cedar", policies)],
        vocabulary: Some(SourceFile::new("policies/vocabulary.yaml", VOCABULARY)),
    };
    PolicySnapshot::compile(Arc::new(Catalogue::build(&files, Some(&connections))), &sources)
}

/// The findings where `orders` is broken, in each of two ways: the same for both but for the contract's place.
fn findings(policies: &str) -> Vec<Finding> {
    compile_with(Some(orders()), policies).unwrap_or_else(|f| panic!("not good to begin with: {}", lines(&f)));
    let [first, second] = broken().map(|file| match compile_with(Some(file), policies) {
        Ok(compiled) => compiled.warnings,
        Err(errors) => errors,
    });
    assert_eq!(first.iter().map(|f| f.code).collect::<Vec<_>>(), second.iter().map(|f| f.code).collect::<Vec<_>>());
    first
}

/// A policy that is about rows, in different words.
const ABOUT_ROWS: [&str; 9] = [
    "resource) when { (resource has amount && resource.amount > 1) || (resource has id && resource.id == \"x\") }",
    "resource in Table::\"shop.orders\") when { resource has coupon && resource.coupon like \"W*\" }",
    "resource is Row::shop_orders) when { resource has coupon && resource.coupon == \"W\" }",
    "resource is Row::shop_orders in Table::\"shop.orders\")",
    "resource) when { resource has coupon && resource.coupon == \"W\" }",
    "resource) when { (resource has coupon && resource.coupon == \"W\") || (resource has id && resource.id == \"x\") }",
    "resource) unless { resource in Table::\"shop.orders\" }",
    "resource) unless { resource is Row::shop_orders }",
    "resource in Domain::\"shop\") when { resource has coupon }",
];

#[test]
fn policies_that_name_a_withheld_table_are_warnings_and_stay_in_force() {
    for effect in ["permit", "forbid"] {
        for about in ABOUT_ROWS {
            let policy = format!("@id(\"p\")\n{effect}(principal, action == Action::\"readRow\", {about};");
            let found = findings(&policy);
            assert!(!found.is_empty(), "{policy}");
            for finding in &found {
                assert_eq!((finding.level.as_str(), finding.code), ("warning", "policy-names-withheld"), "{finding}");
                assert!(finding.message.contains("catalogs/shop/orders.yaml:"), "{finding}");
                assert_eq!((&*finding.position.file, finding.position.line), ("policies/a.cedar", 2));
            }
        }
    }
    let found =
        findings("@id(\"p\") permit(principal, action == Action::\"query\", resource == Table::\"shop.orders\");");
    assert_eq!(
        lines(&found),
        "policies/a.cedar:1:67: warning[policy-names-withheld]: policy `p` names `Table::\"shop.orders\"`, which is missing because its \
         contract is withheld: catalogs/shop/orders.yaml:12:1 (hint: repair the contract; the policy stays in force for everything that is served)"
    );
    let column = "resource == Column::\"shop.orders.coupon\");";
    assert_eq!(findings(&format!("@id(\"p\") permit(principal, action == Action::\"viewClear\", {column}")).len(), 1);
    // A tag that only the withheld contract uses is still a tag, and no reason for a word.
    let tag = "resource) when { resource.tags.contains(Tag::\"secret_orders\") };";
    assert_eq!(findings(&format!("@id(\"p\") forbid(principal, action == Action::\"viewClear\", {tag}")), []);
}

/// Whatever is broken, the others' answers are those of before.
#[test]
fn what_is_decided_about_other_tables_does_not_change() {
    for effect in ["permit", "forbid"] {
        for about in ABOUT_ROWS {
            let other = "@id(\"all\") permit(principal, action == Action::\"readRow\", resource);";
            let policies =
                format!("{QUERY}{other}\n@id(\"p\") {effect}(principal, action == Action::\"readRow\", {about};");
            let filter = |orders: SourceFile| {
                let snapshot =
                    compile_with(Some(orders), &policies).unwrap_or_else(|f| panic!("{}", lines(&f))).snapshot;
                let table = snapshot.catalogue().resolve("shop", "people").unwrap().clone();
                let decision = snapshot.decide(&ana(), &table);
                assert_eq!(decision.undecided, None);
                decision.filter.text()
            };
            let good = filter(orders());
            for file in broken() {
                assert_eq!(filter(file), good, "{policies}");
            }
        }
    }
}

#[test]
fn the_withheld_table_does_not_exist() {
    for file in broken() {
        let compiled = compile_with(Some(file), QUERY).unwrap();
        assert!(compiled.snapshot.may(&ana(), TableAction::Discover, "shop.people").allowed);
        assert!(!compiled.snapshot.may(&ana(), TableAction::Discover, "shop.orders").allowed);
    }
}

#[test]
fn what_no_contract_explains_is_an_error() {
    let policies = [
        ("query", "resource == Table::\"shop.odrers\")"),
        ("query", "resource == Table::\"stock.orders\")"),
        ("readRow", "resource) unless { resource in Table::\"shop.odrers\" }"),
        ("readRow", "resource is Row::shop_odrers)"),
        ("readRow", "resource) when { resource has cuopon && resource.cuopon == \"W\" }"),
        ("readRow", "resource in Table::\"shop.orders\") unless { principal in Group::\"fruad\" }"),
        ("viewClear", "resource) when { resource.tags.contains(Tag::\"secret_odrers\") }"),
    ];
    for (action, about) in policies {
        let policy = format!("@id(\"p\") forbid(principal, action == Action::\"{action}\", {about};");
        for orders in broken() {
            let errors = compile_with(Some(orders), &policy).err().unwrap_or_else(|| panic!("accepted: {policy}"));
            assert!(errors.iter().all(Finding::is_error), "{}", lines(&errors));
        }
    }
    // A contract that is not there at all explains nothing.
    let gone = "@id(\"p\") permit(principal, action == Action::\"query\", resource == Table::\"shop.orders\");";
    assert!(compile_with(None, gone).is_err());
}

#[test]
fn a_table_that_is_served_under_another_name_is_not_missing() {
    let mut second = contract("orders", "oops: 1\n");
    second.path = "catalogs/shop/orders2.yaml".into();
    second.text = second.text.replace("version: 1", "version: 2");
    let connections = SourceFile::new("catalogs/connections.yaml", CONNECTIONS);
    let catalogue = Arc::new(Catalogue::build(&[orders(), second], Some(&connections)));
    // The older version does not inherit the name, and with it the policies, of the one that is being repaired.
    let names: Vec<String> = catalogue.tables().map(|table| table.name.to_string()).collect();
    assert_eq!(names, ["shop.orders_v1"]);
    let compile = |table: &str| {
        let text = format!("@id(\"p\") forbid(principal, action, resource in Table::\"{table}\");");
        let policies = vec![SourceFile::new("policies/a.cedar", text)];
        PolicySnapshot::compile(catalogue.clone(), &PolicySources { policies, vocabulary: None })
            .map(|c| c.warnings.len())
    };
    assert_eq!(compile("shop.orders_v1").unwrap(), 0);
    assert_eq!(compile("shop.orders").unwrap(), 1);
}

#[test]
fn a_mesh_whose_only_contract_is_broken_still_starts() {
    let connections = SourceFile::new("catalogs/connections.yaml", CONNECTIONS);
    for file in broken() {
        let catalogue = Arc::new(Catalogue::build(&[file], Some(&connections)));
        let text =
            "@id(\"p\") permit(principal, action == Action::\"readRow\", resource) when { resource has region };";
        let policies = vec![SourceFile::new("policies/a.cedar", text)];
        let compiled = PolicySnapshot::compile(catalogue, &PolicySources { policies, vocabulary: None });
        assert_eq!(compiled.unwrap_or_else(|f| panic!("{}", lines(&f))).warnings.len(), 1);
    }
}

#[test]
fn tests_of_a_withheld_table_are_skipped_by_name() {
    let text = "tests:\n  - {name: t, as: {id: x}, table: shop.orders, expect: {columns: {a: clear}}}\n";
    for file in broken() {
        let snapshot = compile_with(Some(file), QUERY).unwrap().snapshot;
        let outcome = run(&snapshot, &BTreeMap::new(), &[SourceFile::new("policies/tests/t.yaml", text)]);
        assert_eq!(outcome.results, []);
        let found = lines(&outcome.findings);
        assert!(
            found.starts_with(
                "policies/tests/t.yaml:2:35: warning[policy-test-skipped]: test of `shop.orders` is skipped: its contract is withheld: catalogs/shop/orders.yaml:"
            ),
            "{found}"
        );
    }
}
