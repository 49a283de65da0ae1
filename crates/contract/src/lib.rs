//! Contracts of data products: the text of manifests in, one validated model out.
//!
//! *In*: the texts of a mesh directory's contracts (`catalogs/<domain>/*.yaml`) and of `catalogs/connections.yaml`, read
//! by somebody else. *Out*: a [`Catalogue`]: the tables that may be served, under their SQL names, each with its
//! contract and the place of its data; and [`Finding`]s with file, line, column and a hint for whatever is wrong. A
//! contract with an error is withheld; only it. *Must never know*: DataFusion, Arrow, files, networks, the clock.
//!
//! Beside that: [`yaml`], the positioned YAML reader that other crates read their files with too.

pub mod yaml;

mod catalogue;
mod connection;
mod duration;
mod finding;
mod location;
mod manifest;
mod masking;
mod metadata;
mod model;
mod schemas;
mod types;
mod version;

pub use catalogue::{Catalogue, Withheld};
pub use connection::{Connection, ConnectionKind, RestAuth, SecretRef, SqlDatabase, StoreOptions};
pub use finding::{Finding, Level, Position, SourceFile};
pub use masking::{Classification, Masking};
pub use metadata::MetadataColumn;
pub use model::{
    Access, Aggregation, Compatibility, Contract, Dialect, Expectations, Field, InputPort, Lineage, OutputPort,
    PortKind, QualityCheck, Sla, Source, SourcePath, Status, Table, TableFormat, TableName, Transformation,
};
pub use schemas::schemas;
pub use types::{FieldType, TypeError};
pub use version::{Version, VersionError};
