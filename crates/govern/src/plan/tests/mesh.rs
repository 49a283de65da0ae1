//! A mesh of four tables: two to query, one to know of, one that is hidden.

use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use portcullis_contract::{Catalogue, SourceFile};

use crate::policy::{PolicySnapshot, PolicySources, Principal, RequestContext, Subject};
use crate::{Defaults, MaskKey, ParseLimits, Planner, Statement, SystemTable, SystemTables, parse_in};

const CONNECTIONS: &str = "connections:\n  lake: {type: directory, url: lake}\n";

const EVENTS: &str = "
    - {name: id, type: string, constraints: {primary_key: true}}
    - {name: customer, type: string, constraints: {pii: true, masking: hash}}
    - {name: region, type: string}
    - {name: amount, type: 'decimal(12,2)'}
    - {name: qty, type: int}
    - {name: secret, type: string}
    - {name: at, type: timestamptz}
    - {name: tags, type: list<string>}
";

const PROFILES: &str = "
    - {name: customer, type: string, constraints: {primary_key: true, pii: true, masking: hash}}
    - {name: name, type: string, constraints: {pii: true}}
    - {name: age, type: int}
    - {name: region, type: string}
";

const POLICIES: &str = r#"
@id("find") permit (principal in Group::"analysts", action in [Action::"discover", Action::"query"], resource)
  when { resource in Domain::"orders" || resource in Domain::"customers" };
@id("know-vault") permit (principal in Group::"analysts", action == Action::"discover", resource in Domain::"vault");
@id("eu-rows") permit (principal in Group::"analysts", action == Action::"readRow", resource)
  when { resource has region && resource.region == "EU" };
@id("clear") permit (principal in Group::"analysts", action == Action::"viewClear", resource)
  unless { resource.tags.contains(Tag::"pii") || resource.name == "secret" };
@id("masked") permit (principal in Group::"analysts", action in Action::"viewMasked", resource)
  when { resource.tags.contains(Tag::"pii") };
@id("products") permit (principal in Group::"analysts", action in [Action::"discover", Action::"query"],
  resource == Table::"system.products");
@id("findings") permit (principal in Group::"analysts", action == Action::"discover",
  resource == Table::"system.findings");
"#;

fn contract(domain: &str, name: &str, fields: &str) -> SourceFile {
    let access = if domain == "orders" { "access: {aggregation: {entity: customer, at_least: 3}}\n" } else { "" };
    let text = format!(
        "apiVersion: mesh.io/v1alpha1\nkind: DataProduct\nmetadata: {{name: {name}, domain: {domain}, version: 1.0.0}}\n\
         schema:\n  fields:{fields}\noutputPorts:\n  - {{name: table, type: iceberg-table, connection: lake, table: {domain}.{name}}}\n{access}"
    );
    SourceFile::new(format!("catalogs/{domain}/{name}.yaml"), text)
}

pub(super) fn catalogue() -> Catalogue {
    let contracts = [
        contract("orders", "events", EVENTS),
        contract("customers", "profiles", PROFILES),
        contract("vault", "keys", "\n    - {name: id, type: string}\n    - {name: region, type: string}\n"),
        contract("hr", "salaries", "\n    - {name: id, type: string}\n    - {name: region, type: string}\n"),
    ];
    let catalogue = Catalogue::build(&contracts, Some(&SourceFile::new("catalogs/connections.yaml", CONNECTIONS)));
    assert_eq!(catalogue.findings().iter().map(ToString::to_string).collect::<Vec<_>>(), Vec::<String>::new());
    catalogue
}

pub(super) fn snapshot(policies: &str) -> Arc<PolicySnapshot> {
    let sources = PolicySources {
        policies: vec![SourceFile::new("policies/a.cedar", policies)],
        vocabulary: Some(SourceFile::new("policies/vocabulary.yaml", "groups: {analysts: }\npurposes: [analytics]\n")),
    };
    let compiled = PolicySnapshot::compile(Arc::new(catalogue()), &sources);
    let findings = |found: Vec<portcullis_contract::Finding>| found.iter().map(ToString::to_string).collect::<Vec<_>>();
    Arc::new(compiled.map_err(findings).unwrap().snapshot)
}

struct System {
    tables: Vec<SystemTable>,
}

impl SystemTables for System {
    fn tables(&self) -> &[SystemTable] {
        &self.tables
    }

    fn batches(&self, name: &str, subject: &Subject) -> RecordBatch {
        let schema = self.tables.iter().find(|table| table.name == name).unwrap().schema.clone();
        let reader = StringArray::from(vec![subject.principal.id.clone()]);
        RecordBatch::try_new(schema, vec![Arc::new(reader)]).unwrap()
    }
}

pub(super) fn planner() -> &'static Planner {
    static PLANNER: LazyLock<Planner> = LazyLock::new(|| planner_of(POLICIES));
    &PLANNER
}

/// A planner over the same tables with other policies.
pub(super) fn planner_of(policies: &str) -> Planner {
    let schema = Arc::new(Schema::new(vec![Field::new("reader", DataType::Utf8, true)]));
    let table = |name: &str| SystemTable { name: name.into(), schema: schema.clone(), description: String::new() };
    let system = System { tables: ["access_log", "findings", "products"].map(table).to_vec() };
    Planner::new(snapshot(policies), MaskKey::new(b"a key of the tests"), Arc::new(system))
}

pub(super) fn ana() -> Subject {
    Subject {
        principal: Principal { id: "ana".into(), groups: ["analysts".to_string()].into(), attributes: [].into() },
        context: RequestContext {
            purpose: None,
            break_glass: None,
            client_address: None,
            authentication: "password".into(),
            actor: None,
            domains: None,
            now_ms: 1_763_700_000_000,
        },
    }
}

pub(super) fn parsed(sql: &str) -> Statement {
    parsed_in(sql, &Defaults::default())
}

pub(super) fn parsed_in(sql: &str, defaults: &Defaults) -> Statement {
    parse_in(sql, &ParseLimits::default(), defaults).unwrap_or_else(|error| panic!("{sql}: {error}"))
}
