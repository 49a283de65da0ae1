//! The shape of a `kind: DataProduct` manifest.
#![allow(dead_code, reason = "these types are never built: only their schema is used")]

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde_json::Value;

/// The contract of a data product. The keys of `metadata` and `spec` may also stand at the top, each once.
#[derive(JsonSchema)]
#[schemars(title = "Portcullis data product contract", rename_all = "camelCase")]
#[schemars(extend("unevaluatedProperties" = false, "patternProperties" = {"^x-": {}}))]
pub(super) struct Manifest {
    /// Dialect of the manifest.
    api_version: ApiVersion,
    /// Always `DataProduct`.
    kind: Kind,
    /// Who and what the product is.
    metadata: Option<Section>,
    /// What the product promises.
    spec: Option<Section>,
    #[schemars(flatten)]
    section: Keys,
}

#[derive(JsonSchema)]
enum ApiVersion {
    #[schemars(rename = "mesh.io/v1alpha1")]
    MeshV1Alpha1,
    #[schemars(rename = "datamesh.io/v1")]
    DataMeshV1,
}

#[derive(JsonSchema)]
enum Kind {
    DataProduct,
}

/// Keys that may stand in `metadata`, in `spec` or at the top.
#[derive(JsonSchema)]
#[schemars(extend("unevaluatedProperties" = false, "patternProperties" = {"^x-": {}}))]
struct Section {
    #[schemars(flatten)]
    keys: Keys,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
struct Keys {
    /// Name of the data product.
    name: Option<String>,
    /// Name of the domain; the contract's directory where it is missing.
    domain: Option<String>,
    /// Version, such as `1.2.3`. Another major version is another table.
    version: Option<Text>,
    /// Who answers for it.
    owner: Option<Owner>,
    /// What it is.
    description: Option<String>,
    /// Where it stands in its life.
    status: Option<Status>,
    /// How sensitive it is.
    classification: Option<Classification>,
    /// Tags of the product.
    tags: Option<Texts>,
    /// Free labels.
    labels: Option<BTreeMap<String, Value>>,
    /// Free annotations.
    annotations: Option<BTreeMap<String, Value>>,
    /// What it is made from.
    input_ports: Option<Vec<InputPort>>,
    /// How it is made.
    transformation: Option<Transformation>,
    /// Where it can be read.
    output_ports: Option<Vec<OutputPort>>,
    /// What readers may expect.
    expectations: Option<Expectations>,
    /// What the owner commits to.
    sla: Option<Sla>,
    /// The columns.
    schema: Option<TableSchema>,
    /// Quality checks.
    quality: Option<Quality>,
    /// Where the data comes from and goes to.
    lineage: Option<Lineage>,
    /// Who may query it.
    access: Option<Access>,
}

#[derive(JsonSchema)]
#[schemars(untagged)]
enum Text {
    String(String),
    Number(f64),
}

#[derive(JsonSchema)]
#[schemars(untagged)]
enum Texts {
    One(String),
    Many(Vec<String>),
}

#[derive(JsonSchema)]
#[schemars(untagged)]
enum Owner {
    Name(String),
    Team(Team),
}

#[derive(JsonSchema)]
struct Team {
    team: Option<String>,
    name: Option<String>,
    email: Option<String>,
    contact: Option<String>,
    slack: Option<String>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
enum Status {
    Draft,
    Active,
    Deprecated,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
enum Classification {
    Public,
    Internal,
    Confidential,
    Restricted,
}

#[derive(JsonSchema)]
#[schemars(untagged)]
enum InputPort {
    Name(String),
    Port(Box<InputPortKeys>),
}

#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
struct InputPortKeys {
    name: String,
    r#type: Option<String>,
    location: Option<String>,
    product: Option<String>,
    domain: Option<String>,
    version: Option<Text>,
    connection: Option<String>,
    table: Option<String>,
    topic: Option<String>,
    description: Option<String>,
    schema_registry: Option<Value>,
    contract: Option<Value>,
}

#[derive(JsonSchema)]
struct Transformation {
    engine: Option<String>,
    r#type: Option<String>,
    repository: Option<String>,
    entrypoint: Option<String>,
    job: Option<String>,
    query: Option<String>,
    schedule: Option<String>,
    image: Option<String>,
    parameters: Option<Value>,
    description: Option<String>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
struct OutputPort {
    /// Name; part of the table's name where the product has several tables.
    name: String,
    /// `iceberg-table` and `delta-table` are served; other kinds are listed.
    #[schemars(extend("examples" = ["iceberg-table", "delta-table", "kafka-topic"]))]
    r#type: String,
    /// Place of the data, below a directory connection: `s3://bucket/path`, `file:///path` or a path.
    location: Option<String>,
    /// Name of an entry of connections.yaml.
    connection: Option<String>,
    /// Table within the connection.
    table: Option<String>,
    /// What it is.
    description: Option<String>,
    /// Where the schema is registered.
    schema_registry: Option<SchemaRegistry>,
    /// How the files are written.
    contract: Option<PortContract>,
}

#[derive(JsonSchema)]
#[schemars(untagged)]
enum SchemaRegistry {
    Url(String),
    Entry(RegistryEntry),
}

#[derive(JsonSchema)]
struct RegistryEntry {
    url: Option<String>,
    subject: Option<String>,
    version: Option<Text>,
}

#[derive(JsonSchema)]
struct PortContract {
    /// File format, such as `parquet`.
    format: Option<String>,
    /// Columns that the table is partitioned by.
    partitioning: Option<Texts>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
struct Expectations {
    /// Greatest age of the newest data: `15m`, `24h`, `PT15M`.
    freshness: Option<String>,
    /// Share of rows that are there: `99.5%` or `0.995`.
    completeness: Option<Text>,
    /// How the schema may change: `NONE`, `BACKWARD`, `FORWARD`, `FULL`.
    schema_compatibility: Option<String>,
}

#[derive(JsonSchema)]
struct Sla {
    /// Greatest age of the newest data: `15m`, `24h`, `PT15M`.
    freshness: Option<String>,
    /// Share of time that the product can be read: `99.9%` or `0.999`.
    availability: Option<Text>,
}

#[derive(JsonSchema)]
#[schemars(extend("additionalProperties" = false, "patternProperties" = {"^x-": {}}))]
struct TableSchema {
    r#type: Option<String>,
    name: Option<String>,
    version: Option<Text>,
    description: Option<String>,
    doc: Option<String>,
    /// The columns, in their order.
    #[schemars(length(min = 1))]
    fields: Vec<Field>,
}

/// A column. The keys of `constraints` may stand in the field itself, each once.
#[derive(JsonSchema)]
#[schemars(extend("unevaluatedProperties" = false, "patternProperties" = {"^x-": {}}))]
struct Field {
    /// Name, as in the table.
    name: String,
    /// Type, such as `string`, `long`, `decimal(12,2)`, `timestamptz` or `list<string>`.
    r#type: String,
    /// What it means.
    doc: Option<String>,
    /// The same as `doc`.
    description: Option<String>,
    /// Constraints.
    constraints: Option<Constraints>,
    #[schemars(flatten)]
    direct: ConstraintKeys,
}

#[derive(JsonSchema)]
#[schemars(extend("unevaluatedProperties" = false, "patternProperties" = {"^x-": {}}))]
struct Constraints {
    #[schemars(flatten)]
    keys: ConstraintKeys,
}

#[derive(JsonSchema)]
struct ConstraintKeys {
    /// Whether it is part of the primary key.
    primary_key: Option<bool>,
    /// Whether it may be null.
    null: Option<bool>,
    /// The same as `null`.
    nullable: Option<bool>,
    /// Time zone of the values.
    timezone: Option<String>,
    /// Whether it is about a person.
    pii: Option<bool>,
    /// The most that is shown without an explicit `viewClear`.
    masking: Option<Masking>,
    /// How sensitive it is.
    classification: Option<Classification>,
    /// Tags of the column.
    tags: Option<Texts>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
enum Masking {
    None,
    Partial,
    Bucket,
    Hash,
    Redact,
    Null,
}

#[derive(JsonSchema)]
struct Quality {
    checks: Option<Vec<Check>>,
}

#[derive(JsonSchema)]
struct Check {
    /// Column that it is about; none for the table.
    column: Option<String>,
    /// What is asserted, such as `not_null`.
    assertion: String,
    /// Share of rows that must pass: `99.9%` or `0.999`.
    threshold: Option<Text>,
    /// What the column is compared with.
    value: Option<Value>,
    name: Option<String>,
    description: Option<String>,
}

#[derive(JsonSchema)]
struct Lineage {
    /// Sources.
    upstream: Option<Texts>,
    /// Readers.
    downstream: Option<Texts>,
}

#[derive(JsonSchema)]
#[schemars(extend("additionalProperties" = false, "patternProperties" = {"^x-": {}}))]
struct Access {
    /// Groups of which a principal must have one.
    roles: Option<Texts>,
    /// Purposes of which a request must declare one.
    purposes: Option<Texts>,
    /// What is counted where a policy shows aggregates only (`aggregateOnly`).
    aggregation: Option<Aggregation>,
    /// Policies that the contract refers to, by id.
    policies: Option<Texts>,
}

/// The smallest group whose aggregates are shown.
#[derive(JsonSchema)]
#[schemars(extend("additionalProperties" = false, "patternProperties" = {"^x-": {}}))]
struct Aggregation {
    /// The column whose values tell apart those that rows are about, such as customers.
    entity: String,
    /// How many of them a group must have.
    #[schemars(range(min = 2))]
    at_least: u64,
}
