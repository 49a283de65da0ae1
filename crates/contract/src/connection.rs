//! Connections: the physical stores and catalogues of the platform, with secrets by reference only.

use std::collections::BTreeMap;

use crate::finding::Position;

pub(crate) mod read;

/// An entry of `catalogs/connections.yaml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// Name, by which output ports refer to it.
    pub name: String,
    /// What it connects to.
    pub kind: ConnectionKind,
    /// The directories of each domain, where the connection is divided among domains: tables of a domain, and the files
    /// that their metadata names, lie in one of them. None: a table's files lie below its own directory.
    pub domains: Option<BTreeMap<String, Vec<String>>>,
    /// Where it is declared.
    pub position: Position,
}

/// What a connection connects to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConnectionKind {
    /// A directory of tables: a path or an object-store prefix.
    Directory {
        /// `s3://bucket/prefix`, `gs://bucket/prefix`, `az://container/prefix`, an absolute path, or a path relative to the mesh directory; without a trailing `/`.
        url: String,
        /// How to reach the store.
        store: StoreOptions,
    },
    /// An Iceberg REST catalogue.
    IcebergRest {
        /// Base URI of the catalogue.
        uri: String,
        /// Warehouse to ask for.
        warehouse: Option<String>,
        /// Path prefix, where the catalogue does not tell it itself.
        prefix: Option<String>,
        /// How the gateway proves who it is.
        auth: RestAuth,
        /// How to reach the store behind the catalogue.
        store: StoreOptions,
    },
    /// An Iceberg SQL catalogue (JDBC catalogue).
    IcebergSql {
        /// Where it is kept.
        database: SqlDatabase,
        /// Name of the catalogue, of those that the database may hold.
        catalog: String,
        /// The directory of all its tables, as the `url` of a directory connection: what lies elsewhere is not read.
        warehouse: String,
        /// How to reach the store that the warehouse is in.
        store: StoreOptions,
    },
}

/// Where an SQL catalogue is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SqlDatabase {
    /// In a file of SQLite.
    Sqlite {
        /// The file, relative to the mesh directory or absolute.
        file: String,
    },
    /// On a PostgreSQL server.
    Postgres {
        /// Name or address of the server.
        host: String,
        /// Its port.
        port: u16,
        /// The database.
        database: String,
        /// As whom the gateway comes.
        user: String,
        /// How it proves that, where the server asks.
        password: Option<SecretRef>,
        /// Whether what is sent is encrypted, and the server must be who it says.
        tls: bool,
    },
}

/// How the gateway proves to an Iceberg REST catalogue who it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum RestAuth {
    /// Not at all.
    #[default]
    None,
    /// With a fixed token.
    Bearer {
        /// The token.
        token: SecretRef,
    },
    /// OAuth2 client credentials.
    ClientCredentials {
        /// Client id.
        client_id: String,
        /// Client secret.
        client_secret: SecretRef,
        /// Scope to ask for.
        scope: Option<String>,
        /// Token endpoint, where it is not the catalogue's own.
        token_uri: Option<String>,
    },
}

/// How to reach an object store. Empty for files.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StoreOptions {
    /// Endpoint URL, for stores that are not AWS.
    pub endpoint: Option<String>,
    /// Region.
    pub region: Option<String>,
    /// Access key id.
    pub access_key_id: Option<SecretRef>,
    /// Secret access key.
    pub secret_access_key: Option<SecretRef>,
    /// Session token.
    pub session_token: Option<SecretRef>,
    /// Account of Azure, where the URL does not name it.
    pub account: Option<String>,
    /// Key of that account.
    pub account_key: Option<SecretRef>,
    /// Shared access signature, instead of the key.
    pub sas_token: Option<SecretRef>,
    /// Key of a service account of Google, as its JSON file.
    pub service_account_key: Option<SecretRef>,
    /// Whether `http://` endpoints are allowed.
    pub allow_http: bool,
    /// Whether the bucket is part of the host name rather than of the path.
    pub virtual_hosted: bool,
}

/// Where a secret is to be found. Never the secret itself, so it may be printed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SecretRef {
    /// Environment variable.
    Env(String),
    /// File, relative to the mesh directory or absolute; its text without the trailing line end.
    File(String),
}
