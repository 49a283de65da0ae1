use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::model::{Compatibility, PortKind, TableFormat};
use crate::{Catalogue, Masking};

const HEAD: &str = "apiVersion: datamesh.io/v1\nkind: DataProduct\nmetadata: {name: x, domain: d, version: 1.0.0}\n";
const FIELDS: &str = "schema: {fields: [{name: id, type: string}]}\n";
const PORT: &str = "outputPorts: [{name: t, type: delta-table, location: a}]\n";

/// The findings of a manifest, one on each line, after whether a contract came out.
fn check(text: &str, expected: &str) {
    let (contract, findings) = read(&SourceFile::new("catalogs/d/x.yaml", text));
    let shown: Vec<String> = findings
        .iter()
        .map(|finding| finding.to_string().trim_start_matches("catalogs/d/x.yaml:").to_owned())
        .collect();
    let expected: Vec<&str> = expected.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    assert_eq!(shown, expected, "{text}");
    assert_eq!(contract.is_some(), !findings.iter().any(Finding::is_error), "{text}");
}

/// A manifest whose one field is this, on line 4.
fn check_field(field: &str, expected: &str) {
    check(&format!("{HEAD}schema: {{fields: [{{{field}}}]}}\n{PORT}"), expected);
}

fn good(text: &str) -> Contract {
    let (contract, findings) = read(&SourceFile::new("catalogs/d/x.yaml", text));
    contract.unwrap_or_else(|| panic!("{findings:?}"))
}

#[test]
fn everything_that_a_mesh_manifest_says() {
    let contract = good(include_str!("../../../../catalogs/fintech_core/payment_transactions_enriched.yaml"));
    assert_eq!((contract.name.as_str(), contract.domain.as_str()), ("payment_transactions_enriched", "fintech-core"));
    assert_eq!((contract.dialect, contract.version.major), (Dialect::MeshV1Alpha1, 2));
    assert_eq!(contract.owner.as_deref(), Some("payments-team@example.com"));
    assert_eq!(contract.classification, Classification::Restricted);
    assert_eq!(contract.input_ports[1].kind.as_deref(), Some("grpc"));
    assert_eq!(contract.transformation.as_ref().and_then(|t| t.engine.as_deref()), Some("flink"));
    let [table, alerts] = contract.output_ports.as_slice() else { panic!() };
    assert_eq!(table.kind, PortKind::Table(TableFormat::Iceberg));
    assert_eq!(table.contract_format.as_deref(), Some("parquet"));
    assert_eq!(table.schema_registry.as_deref(), Some("https://schemas.example.com/payment_transactions_enriched"));
    assert_eq!(alerts.kind, PortKind::Other("kafka-topic".to_owned()));
    assert_eq!(contract.expectations.freshness, Some(Duration::from_secs(900)));
    assert_eq!(contract.expectations.completeness, Some(99.9 / 100.0));
    assert_eq!(contract.expectations.schema_compatibility, Some(Compatibility::Full));
    assert_eq!(contract.quality[0].value.as_deref(), Some("[0, 1]"));
    assert_eq!(contract.lineage.upstream, ["orders.order_events"]);
    let iban = contract.field("iban").unwrap();
    assert_eq!((iban.pii, iban.masking, iban.nullable), (true, Some(Masking::Redact), true));
    assert_eq!(
        (iban.classification, iban.tags.as_slice()),
        (Some(Classification::Restricted), ["bank_account".to_owned()].as_slice())
    );
    assert!(contract.field("transaction_id").is_some_and(|field| field.primary_key && !field.nullable));
}

#[test]
fn keys_may_stand_at_the_top_in_spec_or_in_metadata() {
    let flat = "apiVersion: datamesh.io/v1\nkind: DataProduct\nname: d.x\nversion: 2\nowner: {team: a}\nsla: {freshness: 24h, availability: 99%}\naccess: {roles: [analysts], policies: p1}\n";
    let contract = good(&format!("{flat}{FIELDS}{PORT}"));
    assert_eq!((contract.name.as_str(), contract.domain.as_str(), contract.owner.as_deref()), ("x", "d", Some("a")));
    assert_eq!(contract.sla.freshness, Some(Duration::from_secs(86_400)));
    assert_eq!((contract.access.roles, contract.access.policies), (vec!["analysts".to_owned()], vec!["p1".to_owned()]));
    check(
        &format!("{HEAD}owner: a\nspec: {{owner: b}}\n{FIELDS}{PORT}"),
        "4:8: error[contract-bad-value]: `owner` is given in two places",
    );
}

#[test]
fn bad_files() {
    check("a: [1", "2:1: error[contract-syntax]: this is not YAML: while parsing a flow sequence, expected ',' or ']'");
    check("a: b: c", "1:5: error[contract-syntax]: this is not YAML: mapping values are not allowed in this context");
    check("text", "1:1: error[contract-bad-value]: manifest must be a mapping, not text");
    check(
        &format!("{}{FIELDS}{PORT}", HEAD.replace("datamesh.io/v1", "datamesh.io/v2").replace("DataProduct", "Schema")),
        "1:13: error[contract-dialect]: unknown `apiVersion`: `datamesh.io/v2` (hint: did you mean `datamesh.io/v1`?)
         2:7: error[contract-dialect]: unknown `kind`: `Schema` (hint: write `kind: DataProduct`)",
    );
    check(
        &format!("{}{FIELDS}{PORT}", HEAD.replace("name: x, ", "").replace("1.0.0", "one")),
        "3:11: error[contract-missing-key]: manifest has no `name`
         3:32: error[contract-bad-value]: `one` is not a version: write `1.2.3`",
    );
    check(
        &format!("{}{FIELDS}{PORT}", HEAD.replace("name: x", "name: '??'")),
        "3:18: error[contract-bad-value]: `name` must have a letter or a digit of `a` to `z`, `0` to `9`, and at most 128 characters",
    );
}

#[test]
fn no_schema_no_port() {
    check(
        &format!("{HEAD}{PORT}"),
        "1:1: error[contract-no-schema]: contract has no schema (hint: declare the columns under `schema.fields`)",
    );
    check(
        &format!("{HEAD}schema: {{fields: []}}\n{PORT}"),
        "4:9: error[contract-no-schema]: schema has no fields (hint: declare the columns under `schema.fields`)",
    );
    check(
        &format!("{HEAD}{FIELDS}"),
        "1:1: warning[contract-no-port]: contract has no output port (hint: declare a table under `outputPorts`)",
    );
    check(
        &format!("{HEAD}{FIELDS}outputPorts: [{{name: t, type: delta-table}}]\n"),
        "5:15: error[contract-missing-location]: output port `t` does not say where its data is (hint: add `connection` and `table`, or a `location`)",
    );
    check(
        &format!(
            "{HEAD}{FIELDS}outputPorts:\n  - {{name: t, type: delta-table, location: a}}\n  - {{name: t, type: delta-table, location: b}}\n"
        ),
        "7:5: error[contract-duplicate-port]: output port `t` is declared twice, first on line 6",
    );
}

#[test]
fn unknown_keys_weigh_as_much_as_what_they_may_have_been() {
    check(
        &format!("{HEAD}acess: {{roles: [a]}}\nsla: {{freshnes: 1h}}\nx-team: a\n{FIELDS}{PORT}"),
        "4:1: error[contract-unknown-key]: unknown key `acess` in manifest (hint: did you mean `access`?)
         5:7: warning[contract-unknown-key]: unknown key `freshnes` in `sla` (hint: did you mean `freshness`?)",
    );
    check_field(
        "name: id, type: string, maskng: hash",
        "4:44: error[contract-unknown-key]: unknown key `maskng` in field (hint: did you mean `masking`?)",
    );
    check(
        &format!("{HEAD}access: {{roles: []}}\n{FIELDS}{PORT}"),
        "4:17: error[contract-bad-value]: `roles` names no group (hint: leave `roles` out where the contract sets no limit)",
    );
}

#[test]
fn access_limits() {
    let with = |access: &str| format!("{HEAD}access: {access}\n{FIELDS}{PORT}");
    let contract = good(&with("{purposes: [fraud, support], aggregation: {entity: id, at_least: 5}}"));
    assert_eq!(contract.access.purposes, ["fraud", "support"]);
    assert_eq!(contract.access.aggregation, Some(crate::Aggregation { entity: "id".into(), at_least: 5 }));
    check(
        &with("{purposes: []}"),
        "4:20: error[contract-bad-value]: `purposes` names no purpose (hint: leave `purposes` out where the contract sets no limit)",
    );
    check(
        &with("{aggregation: {entity: id, at_least: 1}}"),
        "4:46: error[contract-bad-value]: `at_least` must be 2 or more: a group of one is a row",
    );
    check(&with("{aggregation: {entity: id}}"), "4:23: error[contract-missing-key]: `aggregation` has no `at_least`");
    check(
        &with("{aggregation: {entity: zz, at_least: 5}}"),
        "4:32: error[contract-unknown-column]: column `zz` is not in the schema (hint: known: id)",
    );
}

#[test]
fn bad_fields() {
    check_field(
        "name: id, type: strng",
        "4:36: error[contract-unknown-type]: unknown type `strng` (hint: did you mean `string`?)",
    );
    check_field(
        "name: id, type: decimal",
        "4:36: error[contract-unknown-type]: type `decimal` needs a precision of 1 to 38 and a scale of at most that: `decimal(12,2)`",
    );
    check_field("name: id", "4:19: error[contract-missing-key]: field has no `type`");
    check_field(
        "name: id, type: string}, {name: ID, type: long",
        "4:45: error[contract-duplicate-field]: field `ID` is declared twice, first on line 4",
    );
    check_field(
        "name: id, type: string, pii: true, constraints: {pii: false}",
        "4:49: error[contract-bad-value]: `pii` is given twice, in the field and in its constraints",
    );
    check_field(
        "name: id, type: string, pii: ",
        "4:47: error[contract-bad-value]: `pii` must be `true` or `false`, not nothing",
    );
    check_field("name: id, type: string, pii: yes", "4:49: error[contract-bad-value]: `pii` must be `true` or `false`");
}

#[test]
fn masking() {
    check_field(
        "name: id, type: string, masking: hsah",
        "4:53: error[contract-bad-value]: unknown `masking`: `hsah` (hint: did you mean `hash`?)",
    );
    check_field(
        "name: id, type: boolean, masking: hash",
        "4:54: error[contract-masking-type]: masking `hash` cannot keep the type of field `id` (boolean) (hint: use one of `null`)",
    );
    check_field(
        "name: id, type: string, pii: true, masking: none",
        "4:64: warning[contract-unmasked-pii]: field `id` is personal data that the contract does not mask (hint: without a `masking`, personal data is redacted)",
    );
    // The word, not YAML's nothing.
    let contract = good(&format!("{HEAD}schema: {{fields: [{{name: id, type: string, masking: null}}]}}\n{PORT}"));
    assert_eq!(contract.fields[0].masking, Some(Masking::Null));
    // A masking that was begun and not written is not the absence of one.
    check_field(
        "name: id, type: string, masking: ",
        "4:51: error[contract-bad-value]: unknown `masking`: `` (hint: known: bucket, hash, none, null, partial, redact)",
    );
}

#[test]
fn columns_that_are_not_there() {
    let port =
        "outputPorts: [{name: t, type: delta-table, location: a, contract: {partitioning: ['days(day)', id]}}]\n";
    check(
        &format!("{HEAD}{FIELDS}{port}quality: {{checks: [{{column: di, assertion: unique}}]}}\n"),
        "5:15: warning[contract-unknown-column]: column `days(day)` is not in the schema (hint: known: id)
         6:20: warning[contract-unknown-column]: column `di` is not in the schema (hint: did you mean `id`?)",
    );
}

fn build(text: &str) {
    let file = SourceFile::new("catalogs/orders/x.yaml", text);
    let catalogue = Catalogue::build(std::slice::from_ref(&file), Some(&file));
    // Whatever is served has columns and a place; whatever is wrong can be shown.
    assert!(catalogue.tables().all(|table| !table.fields().is_empty()));
    assert!(catalogue.findings().iter().all(|finding| !finding.to_string().contains('\n')));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read_without_a_panic(text in any::<String>()) {
        build(&text);
    }

    #[test]
    fn yaml_like_text_is_read_without_a_panic(text in "[a-z\\n \\-:\\[\\]{},&*!|>'\"#%@?\t\0~<.0-9]{0,200}") {
        build(&text);
    }

    #[test]
    fn a_mutated_manifest_is_read_without_a_panic(
        which in 0usize..3,
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0usize..6, "[a-z:\\-\\[\\]{}&*!|>'\"#\\n\t\0 é]{0,4}"), 1..8),
    ) {
        let mut text = [
            include_str!("../../../../catalogs/orders/order_events.yaml"),
            include_str!("../../../../catalogs/customers/customer_profiles.yaml"),
            include_str!("../../../../catalogs/connections.yaml"),
        ][which].to_owned();
        for (at, cut, with) in edits {
            let chars: Vec<char> = text.chars().collect();
            let start = at.index(chars.len().max(1)).min(chars.len());
            let end = (start + cut).min(chars.len());
            text = chars[..start].iter().chain(with.chars().collect::<Vec<_>>().iter()).chain(&chars[end..]).collect();
        }
        build(&text);
    }
}
