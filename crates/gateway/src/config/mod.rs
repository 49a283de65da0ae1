//! `portcullis.toml`: plain structs, parsed once, passed by value. docs/configuration.md is held against them.

mod certificates;
mod issuer;
mod page;
mod size;
mod span;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use portcullis_engine::DataCache;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use certificates::{CertificateName, Certificates};
pub use issuer::TrustedIssuer;
pub use page::Page;
pub use size::Size;
pub use span::Span;

use crate::error::GatewayError;

/// Deeper statements could exhaust a thread's stack.
const DEEPEST_STATEMENT: u32 = 48;
/// What is revoked is felt no later than this.
const OLDEST_REVOCATION: Span = Span::seconds(5);

/// The file's name in the mesh directory.
pub const FILE: &str = "portcullis.toml";

/// The gateway's configuration. Every key has a default; relative paths start at the mesh directory.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where the gateway listens.
    pub listen: Listen,
    /// Who may come in.
    pub identity: Identity,
    /// What a query, and all queries together, may use.
    pub limits: Limits,
    /// The audit journal.
    pub audit: Audit,
    /// The log.
    pub log: Log,
    /// What is told of queries, beside the log, to who runs the gateway.
    pub telemetry: Telemetry,
    /// Keys, by reference.
    pub secrets: Secrets,
    /// Contracts, connections and policies.
    pub catalogue: Catalogue,
    /// Bytes of data files on the gateway's own disk.
    pub cache: Cache,
}

/// Where the gateway listens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Listen {
    /// Address and port for Flight SQL.
    pub flight: SocketAddr,
    /// Certificate chain (PEM). With it and `tls_key`, only TLS connections are accepted.
    pub tls_certificate: Option<PathBuf>,
    /// Private key of the certificate (PEM).
    pub tls_key: Option<PathBuf>,
    /// Certificates of authorities (PEM) whose client certificates are accepted; without it, none are asked for.
    pub tls_client_ca: Option<PathBuf>,
    /// Address and port for health and metrics (HTTP, without TLS and without login: for the platform's own network);
    /// without it, there are none.
    pub http: Option<SocketAddr>,
}

/// Who may come in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Identity {
    /// The users file.
    pub users: PathBuf,
    /// How long a bearer token is valid after the login.
    pub token_lifetime: Span,
    /// The file of personal access tokens, which `portcullis token` writes. Replicas share it.
    pub tokens: PathBuf,
    /// How long a personal access token may live at most; those that would end later are refused.
    pub personal_token_lifetime: Span,
    /// The users file, those of personal access tokens and revoked certificates, and TLS certificates are looked at again at
    /// this age, whatever the system tells of changes; 5s at most.
    pub revocation_age: Span,
    /// How long tickets and prepared-statement handles are valid.
    pub handle_lifetime: Span,
    /// Failed logins of one user name within `login_window` before further ones are refused.
    pub login_attempts: u32,
    /// Failed logins from one address (IPv6: one network of 64 bits) within `login_window` before further ones are refused.
    pub address_attempts: u32,
    /// The window in which failed logins are counted.
    pub login_window: Span,
    /// How long a session sees what policies open to who breaks the glass (`SET break_glass`).
    pub break_glass: Span,
    /// What client certificates stand for, as `[identity.certificates]`.
    pub certificates: Certificates,
    /// The page on which people get a token, as `[identity.page]`.
    pub page: Page,
    /// Identity providers whose tokens are accepted, as `[[identity.issuers]]`.
    pub issuers: Vec<TrustedIssuer>,
}

/// What a query, and all queries together, may use.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Queries that run at the same time.
    pub concurrent_queries: u32,
    /// Of these, queries of one principal.
    pub principal_queries: u32,
    /// Of these, queries of all members of a group of the vocabulary together; other groups have no bound of their own.
    pub groups: BTreeMap<String, u32>,
    /// Queries that may wait for their turn; further ones are refused at once.
    pub queued_queries: u32,
    /// Of these, queries of one principal.
    pub principal_queued_queries: u32,
    /// How long a query may wait for its turn.
    pub queue_wait: Span,
    /// How long a query may run, reading by the client included.
    pub query_time: Span,
    /// How long a client may leave a message of its result unread; then the query is stopped.
    pub client_wait: Span,
    /// How long a running query may go on after a change of policies, contracts or users by which it would be refused,
    /// or answered otherwise; then it is stopped.
    pub revoke_within: Span,
    /// How long running queries are waited for at shutdown.
    pub drain: Span,
    /// Memory for sorts, joins and aggregations of all queries together; beyond it they spill to disk.
    pub memory: Size,
    /// Of this, memory for one query.
    pub query_memory: Size,
    /// Most rows of an answer; without it, any number.
    pub rows: Option<u64>,
    /// Most bytes of an answer's values, as they are in memory; without it, any number.
    pub bytes: Option<Size>,
    /// Connections to the Flight SQL port that are open at the same time; further ones are closed at once.
    pub connections: u32,
    /// Where they spill to.
    pub spill_dir: PathBuf,
    /// Disk space for spilling.
    pub spill: Size,
    /// Parallel streams of one query; 0: as many as there are cores.
    pub partitions: u32,
    /// Rows in a batch.
    pub batch_rows: u32,
    /// Longest statement.
    pub statement: Size,
    /// Deepest nesting of a statement's expressions and subqueries; 48 at most.
    pub statement_depth: u32,
}

/// The audit journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Audit {
    /// Directory of the journal's segments.
    pub dir: PathBuf,
    /// A segment that has grown to this size is closed and a new one begun.
    pub segment_size: Size,
    /// A segment of this age is closed and a new one begun.
    pub segment_age: Span,
    /// Newest entries that `system.access_log` shows; `portcullis audit` searches all.
    pub access_log_rows: u32,
}

/// The log. What it says and where it goes is for `PORTCULLIS_LOG`; this is about what it must not say.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// Whether errors of queries are logged with all that they quote: values of rows, hidden ones too. For finding a
    /// fault, where only those read the log who may see all data.
    pub values: bool,
}

/// What is told of queries, beside the log, to who runs the gateway. Never a statement, a value, or who asked.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Telemetry {
    /// Address of an OpenTelemetry collector (OTLP over gRPC, `http://host:4317`, in the platform's own network) that is sent
    /// a trace of each query; without it, there are no traces.
    pub otlp: Option<String>,
    /// Whether `/metrics` counts usage by domain, too. That tells the names of domains to who can read the HTTP port.
    pub domains: bool,
}

/// Keys, by reference. A key has at least 32 bytes. Without a reference, one is generated into `keys_dir`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Secrets {
    /// Signs tokens, tickets, handles and sessions. Replicas share it.
    pub signing_key: Option<KeyRef>,
    /// Other keys whose signatures are accepted: the next one, and those of before, while a new one takes over.
    pub accepted_keys: Vec<KeyRef>,
    /// Keys the `hash` mask. Whoever has it can guess values: keep it apart from the data, and keep it, or hashes change.
    pub mask_key: Option<KeyRef>,
    /// Where generated keys are kept (directory mode 0700, files 0600).
    pub keys_dir: PathBuf,
}

/// Where a secret is found; never the secret itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum KeyRef {
    /// An environment variable.
    Env(String),
    /// A file; white space at its end does not count.
    File(PathBuf),
}

/// Contracts, connections and policies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Catalogue {
    /// Directory of the contracts, with `connections.yaml`.
    pub catalogs: PathBuf,
    /// Directory of the policies, with `vocabulary.yaml` and `tests/`.
    pub policies: PathBuf,
    /// Whether changed files are taken up while the gateway runs.
    pub watch: bool,
    /// How long the files must have been quiet before a change is taken up.
    pub watch_delay: Span,
    /// A table's metadata is looked at again before a query may use it when it is older than this, and beside queries
    /// from half of it on.
    pub refresh_age: Span,
    /// Memory for cached metadata of tables and files.
    pub cache: Size,
}

/// Bytes of data files that came from object stores, on the gateway's own disk, so that the stores are asked for them once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Cache {
    /// Directory of its file, which is encrypted, and gone when the gateway ends; only the gateway's user may enter it. It is made
    /// if it is not there. Without it, there is no such cache.
    pub dir: Option<PathBuf>,
    /// Disk space for it, 64 MiB at least.
    pub size: Size,
}

impl Default for Listen {
    fn default() -> Listen {
        Listen {
            flight: SocketAddr::from((Ipv4Addr::LOCALHOST, 32010)),
            tls_certificate: None,
            tls_key: None,
            tls_client_ca: None,
            http: None,
        }
    }
}

impl Default for Identity {
    fn default() -> Identity {
        Identity {
            users: PathBuf::from("users.yaml"),
            token_lifetime: Span::hours(12),
            tokens: PathBuf::from(".portcullis/tokens.json"),
            personal_token_lifetime: Span::hours(365 * 24),
            revocation_age: Span::seconds(2),
            handle_lifetime: Span::hours(24),
            login_attempts: 10,
            address_attempts: 100,
            login_window: Span::minutes(1),
            break_glass: Span::minutes(15),
            certificates: Certificates::default(),
            page: Page::default(),
            issuers: Vec::new(),
        }
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            concurrent_queries: 32,
            principal_queries: 16,
            groups: BTreeMap::new(),
            queued_queries: 256,
            principal_queued_queries: 128,
            queue_wait: Span::seconds(30),
            query_time: Span::minutes(60),
            client_wait: Span::minutes(5),
            revoke_within: Span::minutes(5),
            drain: Span::seconds(20),
            memory: Size::mib(1024),
            query_memory: Size::mib(512),
            rows: None,
            bytes: None,
            connections: 1024,
            spill_dir: PathBuf::from(".portcullis/spill"),
            spill: Size::mib(20 * 1024),
            partitions: 0,
            batch_rows: 8192,
            statement: Size::kib(256),
            statement_depth: DEEPEST_STATEMENT,
        }
    }
}

impl Default for Audit {
    fn default() -> Audit {
        Audit {
            dir: PathBuf::from(".portcullis/audit"),
            segment_size: Size::mib(64),
            segment_age: Span::hours(24),
            access_log_rows: 10_000,
        }
    }
}

impl Default for Secrets {
    fn default() -> Secrets {
        Secrets {
            signing_key: None,
            accepted_keys: Vec::new(),
            mask_key: None,
            keys_dir: PathBuf::from(".portcullis/keys"),
        }
    }
}

impl Default for Catalogue {
    fn default() -> Catalogue {
        Catalogue {
            catalogs: PathBuf::from("catalogs"),
            policies: PathBuf::from("policies"),
            watch: true,
            watch_delay: Span::millis(250),
            refresh_age: Span::seconds(30),
            cache: Size::mib(128),
        }
    }
}

impl Default for Cache {
    fn default() -> Cache {
        Cache { dir: None, size: Size::mib(20 * 1024) }
    }
}

impl Config {
    /// Reads `portcullis.toml` of a mesh directory; all defaults where there is none.
    ///
    /// # Errors
    ///
    /// `InvalidArgument`, with file, line and column, if the file cannot be read or has an unknown key or wrong value.
    pub fn load(mesh_dir: &Path) -> Result<Config, GatewayError> {
        let path = mesh_dir.join(FILE);
        match std::fs::read_to_string(&path) {
            Ok(text) => Config::parse(&text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Config::default()),
            Err(error) => Err(GatewayError::invalid(format!("cannot read `{}`: {error}", path.display()))),
        }
    }

    /// Parses the text of a `portcullis.toml`.
    ///
    /// # Errors
    ///
    /// As [`Config::load`].
    pub fn parse(text: &str) -> Result<Config, GatewayError> {
        let config: Config = toml::from_str(text).map_err(|error| {
            let (line, column) = error.span().map_or((0, 0), |span| position(text, span.start));
            GatewayError::invalid(format!("{FILE}:{line}:{column}: {}", error.message()))
        })?;
        config.validate()?;
        Ok(config)
    }

    /// The JSON Schema of `portcullis.toml`, for editors.
    pub fn json_schema() -> serde_json::Value {
        schemars::schema_for!(Config).to_value()
    }

    fn validate(&self) -> Result<(), GatewayError> {
        let positive = [
            ("limits.concurrent_queries", u64::from(self.limits.concurrent_queries)),
            ("limits.principal_queries", u64::from(self.limits.principal_queries)),
            ("limits.query_memory", self.limits.query_memory.bytes()),
            ("limits.connections", u64::from(self.limits.connections)),
            ("limits.groups", self.limits.groups.values().copied().min().unwrap_or(1).into()),
            ("limits.batch_rows", u64::from(self.limits.batch_rows)),
            ("limits.memory", self.limits.memory.bytes()),
            ("limits.statement", self.limits.statement.bytes()),
            ("limits.statement_depth", u64::from(self.limits.statement_depth)),
            ("identity.login_attempts", u64::from(self.identity.login_attempts)),
            ("identity.address_attempts", u64::from(self.identity.address_attempts)),
            ("audit.segment_size", self.audit.segment_size.bytes()),
        ];
        if let Some((key, _)) = positive.into_iter().find(|(_, value)| *value == 0) {
            return Err(GatewayError::invalid(format!("{FILE}: `{key}` must be more than 0")));
        }
        let age = self.identity.revocation_age;
        if age > OLDEST_REVOCATION || age < Span::millis(10) {
            let message = format!("`identity.revocation_age` must be from 10ms to {OLDEST_REVOCATION}");
            return Err(GatewayError::invalid(format!("{FILE}: {message}")));
        }
        if self.limits.statement_depth > DEEPEST_STATEMENT {
            let message = format!("`limits.statement_depth` must be at most {DEEPEST_STATEMENT}");
            return Err(GatewayError::invalid(format!("{FILE}: {message}")));
        }
        if self.listen.tls_certificate.is_some() != self.listen.tls_key.is_some() {
            let message = "`listen.tls_certificate` and `listen.tls_key` belong together: give both or neither";
            return Err(GatewayError::invalid(format!("{FILE}: {message}")));
        }
        if self.identity.page.url.is_some() && self.listen.http.is_none() {
            return Err(GatewayError::invalid(format!("{FILE}: `identity.page.url` needs `listen.http`")));
        }
        if self.cache.size.bytes() < DataCache::LEAST_BYTES {
            let least = Size::mib(DataCache::LEAST_BYTES >> 20);
            return Err(GatewayError::invalid(format!("{FILE}: `cache.size` must be at least {least}")));
        }
        let certificates = self.listen.tls_client_ca.is_some();
        if certificates && self.listen.tls_key.is_none() {
            let message = "`listen.tls_client_ca` is of no use without `listen.tls_certificate` and `listen.tls_key`";
            return Err(GatewayError::invalid(format!("{FILE}: {message}")));
        }
        if self.identity.certificates.required && !certificates {
            let message = "`identity.certificates.required` needs `listen.tls_client_ca`";
            return Err(GatewayError::invalid(format!("{FILE}: {message}")));
        }
        Ok(())
    }
}

fn position(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |tail| tail.chars().count()) + 1;
    (line, column)
}
