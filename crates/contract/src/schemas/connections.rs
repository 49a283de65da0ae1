//! The shape of `catalogs/connections.yaml`.
#![allow(dead_code, reason = "these types are never built: only their schema is used")]

use std::collections::BTreeMap;

use schemars::JsonSchema;

/// Where the platform keeps its tables. Secrets are references, never values.
#[derive(JsonSchema)]
#[schemars(title = "Portcullis connections", extend("additionalProperties" = false, "patternProperties" = {"^x-": {}}))]
pub(super) struct ConnectionsFile {
    /// Connections by name.
    connections: BTreeMap<String, Connection>,
}

#[derive(JsonSchema)]
#[schemars(tag = "type", rename_all = "kebab-case")]
enum Connection {
    /// A directory of tables.
    Directory(Directory),
    /// An Iceberg REST catalogue.
    IcebergRest(IcebergRest),
    /// An Iceberg SQL catalogue, as its JDBC catalogue.
    IcebergSql(IcebergSql),
}

#[derive(JsonSchema)]
struct Directory {
    /// `s3://bucket/prefix`, `gs://bucket/prefix`, `az://container/prefix`, `file:///path`, an absolute path, or a path relative to the mesh directory.
    url: String,
    /// How to reach the object store.
    store: Option<Store>,
    /// The directories of each domain: its tables, and the files that their metadata names, lie in one of them. Without
    /// this key a table's files lie below its own directory.
    domains: Option<BTreeMap<String, Places>>,
}

#[derive(JsonSchema)]
struct IcebergRest {
    /// Base URI of the catalogue.
    #[schemars(url)]
    uri: String,
    /// Warehouse to ask for.
    warehouse: Option<String>,
    /// Path prefix, where the catalogue does not tell it itself.
    prefix: Option<String>,
    /// How the gateway proves who it is.
    auth: Option<Auth>,
    /// How to reach the store behind the catalogue.
    store: Option<Store>,
    /// The directories of each domain: its tables, and the files that their metadata names, lie in one of them. Without
    /// this key a table's files lie below the location that the catalogue says.
    domains: Option<BTreeMap<String, Places>>,
}

#[derive(JsonSchema)]
struct IcebergSql {
    /// `sqlite:` and the database's file, relative to the mesh directory or absolute; or `postgresql://host:port/database`.
    #[schemars(regex(pattern = "^(sqlite:/?[^/].*|postgres(ql)?://[^/@]+/[A-Za-z0-9_.-]+)$"))]
    uri: String,
    /// PostgreSQL: as whom the gateway comes.
    user: Option<String>,
    /// PostgreSQL: how it proves that.
    password: Option<Secret>,
    /// PostgreSQL: whether what is sent is encrypted, and the server must be who it says. It is, without this key.
    tls: Option<bool>,
    /// Name of the catalogue in the database (`catalog_name`).
    catalog: String,
    /// The directory of all its tables, as the `url` of a directory. What lies elsewhere is not read.
    warehouse: String,
    /// How to reach the store that the warehouse is in.
    store: Option<Store>,
    /// The directories of each domain: its tables, and the files that their metadata names, lie in one of them. Without
    /// this key a table's files lie below the directory that the catalogue says.
    domains: Option<BTreeMap<String, Places>>,
}

/// One directory, or several.
#[derive(JsonSchema)]
#[schemars(untagged)]
enum Places {
    /// One directory.
    One(String),
    /// Several directories.
    Several(Vec<String>),
}

#[derive(JsonSchema)]
#[schemars(tag = "type", rename_all = "kebab-case")]
enum Auth {
    /// No credentials.
    None,
    /// A fixed token.
    Bearer {
        /// The token.
        token: Secret,
    },
    /// OAuth2 client credentials.
    ClientCredentials {
        /// Client id.
        client_id: String,
        /// Client secret.
        client_secret: Secret,
        /// Scope to ask for.
        scope: Option<String>,
        /// Token endpoint, where it is not the catalogue's own.
        token_uri: Option<String>,
    },
}

#[derive(JsonSchema)]
#[schemars(extend("additionalProperties" = false, "patternProperties" = {"^x-": {}}))]
struct Store {
    /// Endpoint URL, for stores that are not AWS.
    #[schemars(url)]
    endpoint: Option<String>,
    /// Region.
    region: Option<String>,
    /// Access key id.
    access_key_id: Option<Secret>,
    /// Secret access key.
    secret_access_key: Option<Secret>,
    /// Session token.
    session_token: Option<Secret>,
    /// Account of Azure, where the URL does not name it.
    account: Option<String>,
    /// Key of that account.
    account_key: Option<Secret>,
    /// Shared access signature, instead of the key.
    sas_token: Option<Secret>,
    /// Key of a service account of Google, as its JSON file.
    service_account_key: Option<Secret>,
    /// Whether `http://` endpoints are allowed.
    allow_http: Option<bool>,
    /// Whether the bucket is part of the host name.
    virtual_hosted: Option<bool>,
}

/// Where a secret is to be found.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum Secret {
    /// An environment variable.
    Env(String),
    /// A file, relative to the mesh directory or absolute.
    File(String),
}
