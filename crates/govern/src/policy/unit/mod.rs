//! Tests of policies as a whole, over a small mesh made here.

mod cache;
mod closed;
mod demo;
mod filters;
mod fuzz;
mod impersonate;
mod ladder;
mod limits;
mod metadata;
mod rejected;
mod schema;
mod schemas;
mod scope;
mod withheld;
mod yaml_tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use portcullis_contract::{
    Access, Catalogue, Classification, Connection, ConnectionKind, Contract, Dialect, Expectations, Field, FieldType,
    Finding, Lineage, Masking, OutputPort, PortKind, Position, Sla, Source, SourceFile, SourcePath, Status,
    StoreOptions, Table, TableFormat, TableName, Version,
};

use super::{AttributeValue, Compiled, PolicySnapshot, PolicySources, Principal, RequestContext, RowFilter, Subject};

pub(crate) const VOCABULARY: &str = "
groups:
  analysts:
  eu_analysts: {parents: [analysts]}
  fraud:
purposes: [analytics, fraud]
attributes: {region: string, regions: set<string>, clearance: long, internal: bool, purposes: set<purpose>}
tags: [secret]
limits: {heavy: Reports at night, light: }
";

/// A column: name, type.
pub(crate) fn field(name: &str, data_type: &str) -> Field {
    Field {
        name: name.into(),
        data_type: data_type.parse().unwrap(),
        doc: None,
        primary_key: false,
        nullable: true,
        timezone: None,
        pii: false,
        masking: None,
        classification: None,
        tags: vec![],
        position: Position::file("catalogs/x.yaml"),
    }
}

pub(crate) fn masked(name: &str, data_type: &str, masking: Masking) -> Field {
    Field { pii: true, masking: Some(masking), ..field(name, data_type) }
}

pub(crate) fn table(name: &str, fields: Vec<Field>) -> Arc<Table> {
    table_with(name, fields, |_| {})
}

pub(crate) fn table_with(name: &str, fields: Vec<Field>, change: impl Fn(&mut Contract)) -> Arc<Table> {
    let (domain, short) = name.split_once('.').unwrap();
    let position = Position::file(format!("catalogs/{domain}/{short}.yaml"));
    let port = OutputPort {
        name: "table".into(),
        kind: PortKind::Table(TableFormat::Iceberg),
        location: None,
        connection: None,
        table: None,
        contract_format: None,
        partitioning: vec![],
        schema_registry: None,
        position: position.clone(),
    };
    let mut contract = Contract {
        file: position.file.clone(),
        dialect: Dialect::MeshV1Alpha1,
        name: short.into(),
        domain: domain.into(),
        version: Version { major: 1, minor: 0, patch: 0, text: "1.0.0".into() },
        status: Status::Active,
        owner: Some("a-team".into()),
        description: None,
        classification: Classification::Internal,
        tags: vec![],
        input_ports: vec![],
        transformation: None,
        output_ports: vec![port.clone()],
        expectations: Expectations::default(),
        sla: Sla::default(),
        fields,
        quality: vec![],
        lineage: Lineage::default(),
        access: Access::default(),
    };
    change(&mut contract);
    let store = StoreOptions::default();
    let kind = ConnectionKind::Directory { url: "lake".into(), store };
    let connection = Arc::new(Connection { name: "lake".into(), kind, domains: None, position });
    Arc::new(Table {
        name: TableName { domain: domain.into(), table: short.into() },
        aliases: vec![],
        contract: Arc::new(contract),
        port,
        format: TableFormat::Iceberg,
        source: Source { connection, path: SourcePath::Url("lake/x".into()), granted: None },
    })
}

/// `shop.orders`, with a column of every type, and `shop.people`.
pub(crate) fn mesh() -> Vec<Arc<Table>> {
    let columns = [
        ("region", "string"),
        ("status", "string"),
        ("Odd.Name", "string"),
        ("n", "int"),
        ("m", "long"),
        ("ok", "boolean"),
        ("price", "decimal(5,2)"),
        ("cost", "decimal(9,4)"),
        ("total", "decimal(18,2)"),
        ("score", "double"),
        ("day", "date"),
        ("ts", "timestamptz"),
        ("local", "timestamp"),
        ("ns", "timestamptz_ns"),
        ("local_ns", "timestamp_ns"),
        ("at", "time"),
        ("labels", "list<string>"),
        ("nested", "struct<a: int>"),
    ];
    let orders = columns.into_iter().map(|(name, t)| field(name, t)).collect();
    let people = vec![
        field("id", "string"),
        masked("customer", "string", Masking::Hash),
        Field { pii: true, ..field("name", "string") },
        Field { tags: vec!["secret".into()], ..field("note", "string") },
        Field { pii: true, ..field("adult", "boolean") },
        masked("email", "string", Masking::Partial),
        field("age", "int"),
    ];
    vec![table("shop.orders", orders), table("shop.people", people)]
}

pub(crate) fn compile_over(tables: Vec<Arc<Table>>, policies: &str) -> Result<PolicySnapshot, Vec<Finding>> {
    compiled_over(tables, policies).map(|compiled| compiled.snapshot)
}

pub(super) fn compiled_over(tables: Vec<Arc<Table>>, policies: &str) -> Result<Compiled, Vec<Finding>> {
    let sources = PolicySources {
        policies: vec![SourceFile::new("policies/a.cedar", policies)],
        vocabulary: Some(SourceFile::new("policies/vocabulary.yaml", VOCABULARY)),
    };
    let catalogue = Arc::new(Catalogue::build(&[], None));
    PolicySnapshot::compile_for(catalogue, tables, &sources)
}

pub(crate) fn compile(policies: &str) -> PolicySnapshot {
    compile_over(mesh(), policies).unwrap_or_else(|findings| panic!("{}", lines(&findings)))
}

pub(crate) fn lines(findings: &[Finding]) -> String {
    findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

pub(crate) fn subject(id: &str, groups: &[&str]) -> Subject {
    let groups = groups.iter().map(ToString::to_string).collect();
    Subject {
        principal: Principal { id: id.into(), groups, attributes: BTreeMap::new() },
        context: RequestContext {
            purpose: None,
            break_glass: None,
            client_address: None,
            authentication: "password".into(),
            actor: None,
            domains: None,
            now_ms: 1_767_225_600_000,
        },
    }
}

/// An analyst with attributes: region EU, regions EU and UK, clearance 2.
pub(crate) fn ana() -> Subject {
    let mut ana = subject("ana", &["eu_analysts"]);
    ana.principal.attributes = [
        ("region".to_owned(), AttributeValue::String("EU".into())),
        ("regions".to_owned(), AttributeValue::Set(vec!["EU".into(), "UK".into()])),
        ("clearance".to_owned(), AttributeValue::Long(2)),
    ]
    .into();
    ana
}

/// May query everything.
pub(crate) const QUERY: &str =
    "@id(\"q\") permit(principal, action in [Action::\"discover\", Action::\"query\"], resource);\n";

/// A row policy over `shop.orders` with a condition.
pub(crate) fn row_policy(id: &str, effect: &str, condition: &str) -> String {
    let scope = "principal, action == Action::\"readRow\", resource is Row::shop_orders";
    format!("@id(\"{id}\") {effect}({scope}) when {{ {condition} }};\n")
}

/// The filter of `shop.orders` for a subject.
pub(crate) fn filter(snapshot: &PolicySnapshot, subject: &Subject) -> RowFilter {
    let table = mesh().remove(0);
    let decision = snapshot.decide(subject, &table);
    assert_eq!(decision.undecided, None);
    decision.filter.clone()
}

pub(crate) fn type_of(text: &str) -> FieldType {
    text.parse().unwrap()
}
