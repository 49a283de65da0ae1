//! The one model that every dialect of manifest becomes.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::connection::Connection;
use crate::finding::Position;
use crate::masking::{Classification, Masking};
use crate::types::FieldType;
use crate::version::Version;

/// Which form of manifest a contract was written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// `apiVersion: mesh.io/v1alpha1`, `kind: DataProduct`.
    MeshV1Alpha1,
    /// `apiVersion: datamesh.io/v1`, `kind: DataProduct`.
    DataMeshV1,
}

impl Dialect {
    /// All dialects read.
    pub const ALL: [Dialect; 2] = [Dialect::MeshV1Alpha1, Dialect::DataMeshV1];

    /// The text of the manifest's `apiVersion`.
    pub fn as_str(self) -> &'static str {
        match self {
            Dialect::MeshV1Alpha1 => "mesh.io/v1alpha1",
            Dialect::DataMeshV1 => "datamesh.io/v1",
        }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where a data product stands in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Status {
    /// Not published yet: reachable by its pinned name only.
    Draft,
    /// In use.
    #[default]
    Active,
    /// Still served, by its pinned name only.
    Deprecated,
}

impl Status {
    /// `draft`, `active` or `deprecated`.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Draft => "draft",
            Status::Active => "active",
            Status::Deprecated => "deprecated",
        }
    }
}

/// A data product's contract: what its domain promises about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Contract {
    /// File that it was read from.
    pub file: Arc<str>,
    /// Form of the manifest.
    pub dialect: Dialect,
    /// Name of the data product as written.
    pub name: String,
    /// Name of the domain as written.
    pub domain: String,
    /// Version of the contract.
    pub version: Version,
    /// Where the product stands in its life.
    pub status: Status,
    /// Who answers for it.
    pub owner: Option<String>,
    /// What it is.
    pub description: Option<String>,
    /// How sensitive the product is as a whole.
    pub classification: Classification,
    /// Tags of the product.
    pub tags: Vec<String>,
    /// What the product is made from.
    pub input_ports: Vec<InputPort>,
    /// How it is made.
    pub transformation: Option<Transformation>,
    /// Where it can be read, in the order of the manifest.
    pub output_ports: Vec<OutputPort>,
    /// What its readers may expect.
    pub expectations: Expectations,
    /// What its owner commits to.
    pub sla: Sla,
    /// Columns, in the order of the manifest.
    pub fields: Vec<Field>,
    /// Quality checks.
    pub quality: Vec<QualityCheck>,
    /// Where the data comes from and goes to.
    pub lineage: Lineage,
    /// Who may query it, as far as the contract says.
    pub access: Access,
}

impl Contract {
    /// The column of this name, if it is declared.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}

/// A column that the contract promises.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// Name, as in the table.
    pub name: String,
    /// Type.
    pub data_type: FieldType,
    /// What it means.
    pub doc: Option<String>,
    /// Whether it is part of the primary key.
    pub primary_key: bool,
    /// Whether the contract allows nulls.
    pub nullable: bool,
    /// Time zone of the values, for readers.
    pub timezone: Option<String>,
    /// Whether it is about a person.
    pub pii: bool,
    /// The most that is shown without a policy's explicit `viewClear`.
    pub masking: Option<Masking>,
    /// How sensitive this column is, where it differs from the product.
    pub classification: Option<Classification>,
    /// Tags of the column.
    pub tags: Vec<String>,
    /// Where it is declared.
    pub position: Position,
}

/// What a product is made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputPort {
    /// Name.
    pub name: String,
    /// Kind, such as `kafka-topic`, as written.
    pub kind: Option<String>,
    /// Where it is read from, as written.
    pub location: Option<String>,
    /// Where it is declared.
    pub position: Position,
}

/// How a product is made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Transformation {
    /// Engine, such as `spark`.
    pub engine: Option<String>,
    /// Where the code is.
    pub repository: Option<String>,
    /// What runs: a job, query or entry point.
    pub entrypoint: Option<String>,
    /// When it runs.
    pub schedule: Option<String>,
    /// What it does, in words.
    pub description: Option<String>,
}

/// Table format of an output port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TableFormat {
    /// Apache Iceberg.
    Iceberg,
    /// Delta Lake.
    Delta,
}

impl TableFormat {
    /// `iceberg` or `delta`.
    pub fn as_str(self) -> &'static str {
        match self {
            TableFormat::Iceberg => "iceberg",
            TableFormat::Delta => "delta",
        }
    }
}

impl fmt::Display for TableFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Kind of an output port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PortKind {
    /// A table that the gateway serves.
    Table(TableFormat),
    /// Something else, such as `kafka-topic`: listed, not served.
    Other(String),
}

/// Where a product can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputPort {
    /// Name.
    pub name: String,
    /// Kind.
    pub kind: PortKind,
    /// Location as written.
    pub location: Option<String>,
    /// Name of a connection.
    pub connection: Option<String>,
    /// Table within the connection, as written.
    pub table: Option<String>,
    /// `contract.format`, such as `parquet`.
    pub contract_format: Option<String>,
    /// `contract.partitioning`: column names.
    pub partitioning: Vec<String>,
    /// Where the schema is registered.
    pub schema_registry: Option<String>,
    /// Where it is declared.
    pub position: Position,
}

/// How a schema may change between versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Compatibility {
    /// Any change.
    None,
    /// New readers can read old data.
    Backward,
    /// Old readers can read new data.
    Forward,
    /// Both.
    Full,
}

impl Compatibility {
    /// `none`, `backward`, `forward` or `full`.
    pub fn as_str(self) -> &'static str {
        match self {
            Compatibility::None => "none",
            Compatibility::Backward => "backward",
            Compatibility::Forward => "forward",
            Compatibility::Full => "full",
        }
    }
}

/// What readers may expect.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Expectations {
    /// Greatest age of the newest data.
    pub freshness: Option<Duration>,
    /// Share of rows that are there, 0 to 1.
    pub completeness: Option<f64>,
    /// How the schema may change.
    pub schema_compatibility: Option<Compatibility>,
}

/// What the owner commits to.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sla {
    /// Greatest age of the newest data.
    pub freshness: Option<Duration>,
    /// Share of time that the product can be read, 0 to 1.
    pub availability: Option<f64>,
}

/// A check on the data.
#[derive(Debug, Clone, PartialEq)]
pub struct QualityCheck {
    /// Column that it is about; none for the table.
    pub column: Option<String>,
    /// What is asserted, such as `not_null`, as written.
    pub assertion: String,
    /// Share of rows that must pass, 0 to 1.
    pub threshold: Option<f64>,
    /// What the column is compared with, as written.
    pub value: Option<String>,
    /// Where it is declared.
    pub position: Position,
}

/// Where the data comes from and goes to, by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lineage {
    /// Sources.
    pub upstream: Vec<String>,
    /// Readers.
    pub downstream: Vec<String>,
}

/// Who may query a product, as far as its contract says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Access {
    /// Groups of which a principal must have one; empty for no such limit.
    pub roles: Vec<String>,
    /// Purposes of which a request must declare one; empty for no such limit.
    pub purposes: Vec<String>,
    /// What is counted where a policy shows aggregates only; without it, such a policy opens nothing.
    pub aggregation: Option<Aggregation>,
    /// Policies that the contract refers to, by id.
    pub policies: Vec<String>,
}

/// The smallest group whose aggregates may be shown to those who may not see rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aggregation {
    /// The column whose values tell apart those that rows are about, such as customers.
    pub entity: String,
    /// How many of them a group must have. At least 2.
    pub at_least: u64,
}

/// The SQL name of a table below the catalogue `mesh`: only `[a-z0-9_]` in both parts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableName {
    /// Schema.
    pub domain: String,
    /// Table.
    pub table: String,
}

impl TableName {
    /// The name of the table's rows in policies, below `Row::`.
    pub fn in_policies(&self) -> String {
        let name = format!("{}_{}", self.domain, self.table);
        if name.starts_with(|c: char| c.is_ascii_digit()) { format!("_{name}") } else { name }
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.domain, self.table)
    }
}

/// An output port that is served as a table.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// Its SQL name.
    pub name: TableName,
    /// Other table names in the same domain that mean it.
    pub aliases: Vec<String>,
    /// Contract that declares it.
    pub contract: Arc<Contract>,
    /// Port that declares it.
    pub port: OutputPort,
    /// Table format.
    pub format: TableFormat,
    /// Where the data is.
    pub source: Source,
}

impl Table {
    /// Columns in the order of the contract.
    pub fn fields(&self) -> &[Field] {
        &self.contract.fields
    }

    /// The column of this name, if it is declared.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.contract.field(name)
    }

    /// Names of the primary key's columns, in the order of the contract.
    pub fn primary_key(&self) -> Vec<&str> {
        self.fields().iter().filter(|field| field.primary_key).map(|field| field.name.as_str()).collect()
    }
}

/// Where a table's data is: a connection, and a place in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    /// Connection, whose credentials are the platform's.
    pub connection: Arc<Connection>,
    /// Place within it.
    pub path: SourcePath,
    /// The directories of the table's domain, where the connection is divided among domains ([`Connection::domains`]).
    pub granted: Option<Vec<String>>,
}

/// A place within a connection.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SourcePath {
    /// Below the URL of a directory connection: `s3://bucket/key`, an absolute path, or a path relative to the mesh
    /// directory. Never with `..`. Tables of directory connections always have this form.
    Url(String),
    /// Dotted name of a table in a catalogue (iceberg-rest and iceberg-sql connections).
    Table(String),
}
