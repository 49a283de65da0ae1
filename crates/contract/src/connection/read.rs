//! `catalogs/connections.yaml` to connections.

use std::collections::BTreeMap;

use super::{Connection, ConnectionKind, RestAuth, SecretRef, SqlDatabase, StoreOptions};
use crate::finding::{Finding, Level, SourceFile};
use crate::location::Location;
use crate::yaml::{Codes, Mapping, Node, Reader, Value};

const CODES: Codes =
    Codes::new("connections-syntax", "connections-unknown-key", "connections-missing-key", "connections-bad-value");

/// What became of an entry.
pub(crate) enum Entry {
    /// It can be used.
    Good(Box<Connection>),
    /// It has errors, which are among the findings.
    Bad(String),
}

/// Reads all entries. An entry with errors takes out only itself.
pub(crate) fn read(source: &SourceFile) -> (Vec<Entry>, Vec<Finding>) {
    let reader = Reader::new(source.path.as_str(), CODES);
    let mut entries = Vec::new();
    let mut findings = Vec::new();
    if let Some(root) = reader.parse(&source.text)
        && let Some(file) = reader.mapping(&root, "connections file")
    {
        if let Some(all) = file.require("connections").and_then(|node| reader.mapping(node, "`connections`")) {
            for entry in all.entries() {
                let own = Reader::new(reader.file().clone(), CODES);
                let connection = connection(&own, &entry.key, &entry.value);
                entries.push(match connection {
                    Some(connection) if !own.has_errors() => Entry::Good(Box::new(connection)),
                    _ => Entry::Bad(entry.key.clone()),
                });
                findings.extend(own.into_findings());
            }
        }
        file.finish(Level::Error);
    }
    findings.extend(reader.into_findings());
    (entries, findings)
}

fn connection(reader: &Reader, name: &str, node: &Node) -> Option<Connection> {
    let map = reader.mapping(node, &format!("connection `{name}`"))?;
    let kind = map.require_string("type")?;
    let kind = match kind.as_str() {
        "directory" => directory(&map),
        "iceberg-rest" => iceberg_rest(&map),
        "iceberg-sql" => iceberg_sql(&map),
        other => {
            map.unknown_word(map.raw("type")?, "type", other, &["directory", "iceberg-rest", "iceberg-sql"]);
            return None;
        }
    };
    let domains = domains(&map, kind.as_ref());
    let position = map.position();
    map.finish(Level::Error);
    Some(Connection { name: name.to_owned(), kind: kind?, domains, position })
}

/// The directories of each domain. A domain without any may not use the connection.
fn domains(map: &Mapping<'_>, kind: Option<&ConnectionKind>) -> Option<BTreeMap<String, Vec<String>>> {
    let all = map.mapping("domains", "`domains`")?;
    let (key, root) = match kind {
        Some(ConnectionKind::Directory { url, .. }) => ("url", Location::parse(url).ok()),
        Some(ConnectionKind::IcebergSql { warehouse, .. }) => ("warehouse", Location::parse(warehouse).ok()),
        _ => ("url", None),
    };
    let mut domains = BTreeMap::new();
    for entry in all.entries() {
        let mut directories = Vec::new();
        for text in all.reader().strings(&entry.value, &format!("`{}`", entry.key)) {
            let problem = match Location::parse(&text) {
                Ok(place) if root.as_ref().is_some_and(|root| place != *root && !place.is_below(root)) => {
                    format!("`{text}` is not below the connection's `{key}`")
                }
                Ok(place) => {
                    directories.push(place.to_string());
                    continue;
                }
                Err(error) => error.to_string(),
            };
            all.reader().error(&entry.value, "connections-bad-value", problem);
        }
        domains.insert(entry.key.clone(), directories);
    }
    Some(domains)
}

fn directory(map: &Mapping<'_>) -> Option<ConnectionKind> {
    let url = map.require_string("url");
    let store = store(map);
    Some(ConnectionKind::Directory { url: place(map, "url", &url?, &store)?, store })
}

/// A directory in a store.
fn place(map: &Mapping<'_>, key: &'static str, text: &str, store: &StoreOptions) -> Option<String> {
    match Location::parse(text) {
        Ok(location) => {
            if location.lacks_account() && store.account.is_none() {
                let message = "a directory in Azure needs the `account` that it is in, under `store`";
                map.reader().error(map.raw(key)?, "connections-missing-key", message);
            }
            Some(location.to_string())
        }
        Err(error) => {
            map.reader().error(map.raw(key)?, "connections-bad-value", error.to_string());
            None
        }
    }
}

fn iceberg_sql(map: &Mapping<'_>) -> Option<ConnectionKind> {
    let uri = map.require_string("uri");
    let catalog = map.require_string("catalog");
    let warehouse = map.require_string("warehouse");
    let store = store(map);
    let database = database(map, uri);
    let warehouse = place(map, "warehouse", &warehouse?, &store);
    Some(ConnectionKind::IcebergSql { database: database?, catalog: catalog?, warehouse: warehouse?, store })
}

/// The database of `sqlite:FILE` or `postgresql://HOST[:PORT]/DATABASE`. What is written instead is not repeated: it may
/// hold a password.
fn database(map: &Mapping<'_>, uri: Option<String>) -> Option<SqlDatabase> {
    let user = map.string("user");
    let password = secret(map, "password");
    let tls = map.boolean("tls");
    let uri = uri?;
    if let Some(file) = uri.strip_prefix("sqlite:").filter(|file| !file.is_empty() && !file.starts_with("//")) {
        for key in ["user", "password", "tls"] {
            if let Some(node) = map.get(key) {
                let message = format!("`{key}` is for PostgreSQL; a file of SQLite has none");
                map.reader().error(node, "connections-bad-value", message);
            }
        }
        return Some(SqlDatabase::Sqlite { file: file.to_owned() });
    }
    let node = map.raw("uri")?;
    let wrong = || {
        let message = "`uri` is neither `sqlite:` and a file (relative to the mesh directory, or with one leading `/`) nor \
                       `postgresql://host:port/database`";
        map.reader().error(node, "connections-bad-value", message);
        None
    };
    let Ok(url) = url::Url::parse(&uri) else { return wrong() };
    if !url.username().is_empty() || url.password().is_some() {
        let message = "`uri` holds a user name or a password in plain text";
        let finding = Finding::error("connections-plain-secret", map.reader().position(node), message);
        map.reader().report(finding.with_hint("write `user`, and `password` by reference, and change the password"));
        return None;
    }
    let database = url.path().strip_prefix('/').filter(|name| is_name(name));
    let (Some(host), Some(database)) = (url.host_str().filter(|host| !host.is_empty()), database) else {
        return wrong();
    };
    if !matches!(url.scheme(), "postgresql" | "postgres") || url.query().is_some() || url.fragment().is_some() {
        return wrong();
    }
    let Some(user) = user else {
        map.reader().error(map.node(), "connections-missing-key", "a PostgreSQL catalogue needs the `user` to come as");
        return None;
    };
    Some(SqlDatabase::Postgres {
        host: host.trim_matches(['[', ']']).to_owned(),
        port: url.port().unwrap_or(5432),
        database: database.to_owned(),
        user,
        password,
        tls: tls.unwrap_or(true),
    })
}

/// Whether a text is a plain name: one that nothing in a URL would have to be escaped for.
fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
}

fn iceberg_rest(map: &Mapping<'_>) -> Option<ConnectionKind> {
    let uri = map.require_string("uri");
    let warehouse = map.string("warehouse");
    let prefix = map.string("prefix");
    let auth = auth(map);
    let store = store(map);
    let uri = http_url(map, "uri", &uri?)?;
    if auth != RestAuth::None && uri.scheme() == "http" && !is_loopback(&uri) {
        let message = "credentials for this catalogue go over the network unencrypted";
        let finding = Finding::warning("connections-clear-text", map.reader().position(map.raw("uri")?), message);
        map.reader().report(finding.with_hint("use `https://`"));
    }
    Some(ConnectionKind::IcebergRest {
        uri: uri.as_str().trim_end_matches('/').to_owned(),
        warehouse,
        prefix,
        auth,
        store,
    })
}

fn auth(map: &Mapping<'_>) -> RestAuth {
    let Some(auth) = map.mapping("auth", "`auth`") else { return RestAuth::None };
    let kind = auth.require("type").and_then(|_| {
        auth.choice("type", &[("none", "none"), ("bearer", "bearer"), ("client-credentials", "client-credentials")])
    });
    let read = match kind {
        Some("bearer") => {
            auth.require("token");
            secret(&auth, "token").map(|token| RestAuth::Bearer { token })
        }
        Some("client-credentials") => {
            auth.require("client_secret");
            let client_id = auth.require_string("client_id");
            let client_secret = secret(&auth, "client_secret");
            let scope = auth.string("scope");
            let token_uri = auth.string("token_uri");
            if let Some(uri) = &token_uri {
                http_url(&auth, "token_uri", uri);
            }
            client_id.zip(client_secret).map(|(client_id, client_secret)| RestAuth::ClientCredentials {
                client_id,
                client_secret,
                scope,
                token_uri,
            })
        }
        _ => None,
    };
    auth.finish(Level::Error);
    read.unwrap_or_default()
}

fn store(map: &Mapping<'_>) -> StoreOptions {
    let Some(store) = map.mapping("store", "`store`") else { return StoreOptions::default() };
    let options = StoreOptions {
        endpoint: store.string("endpoint"),
        region: store.string("region"),
        access_key_id: secret(&store, "access_key_id"),
        secret_access_key: secret(&store, "secret_access_key"),
        session_token: secret(&store, "session_token"),
        account: account(&store),
        account_key: secret(&store, "account_key"),
        sas_token: secret(&store, "sas_token"),
        service_account_key: secret(&store, "service_account_key"),
        allow_http: store.boolean("allow_http").unwrap_or(false),
        virtual_hosted: store.boolean("virtual_hosted").unwrap_or(false),
    };
    if let (Some(endpoint), Some(node)) = (&options.endpoint, store.raw("endpoint"))
        && let Some(url) = http_url(&store, "endpoint", endpoint)
        && url.scheme() == "http"
        && !options.allow_http
    {
        let finding =
            Finding::error("connections-bad-value", map.reader().position(node), "`endpoint` is not encrypted");
        map.reader().report(finding.with_hint("use `https://`, or say `allow_http: true`"));
    }
    if store.get("access_key_id").is_some() != store.get("secret_access_key").is_some() {
        let message = "`access_key_id` and `secret_access_key` belong together";
        map.reader().error(store.node(), "connections-missing-key", message);
    }
    store.finish(Level::Error);
    options
}

/// An account of Azure: it becomes a part of the name of a host.
fn account(store: &Mapping<'_>) -> Option<String> {
    let account = store.string("account")?;
    if !account.is_empty() && account.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit()) {
        return Some(account);
    }
    let message = "`account` is not a name of small letters and digits";
    store.reader().error(store.raw("account")?, "connections-bad-value", message);
    None
}

/// A secret by reference. What is written instead of a reference is never repeated.
fn secret(map: &Mapping<'_>, key: &'static str) -> Option<SecretRef> {
    let node = map.get(key)?;
    let reader = map.reader();
    if !matches!(node.value, Value::Mapping(_)) {
        let message = format!("secret `{key}` is written in plain text");
        let finding = Finding::error("connections-plain-secret", reader.position(node), message);
        reader.report(finding.with_hint("write `{env: NAME}` or `{file: path}`, and change the secret"));
        return None;
    }
    let reference = reader.mapping(node, &format!("secret `{key}`"))?;
    let found = match (reference.string("env"), reference.string("file")) {
        (Some(env), None) => Some(SecretRef::Env(env)),
        (None, Some(file)) => Some(SecretRef::File(file)),
        _ => {
            let message = format!("secret `{key}` needs either `env` or `file`");
            reader.error(node, "connections-bad-value", message);
            None
        }
    };
    reference.finish(Level::Error);
    found
}

fn http_url(map: &Mapping<'_>, key: &'static str, text: &str) -> Option<url::Url> {
    let reader = map.reader();
    let node = map.raw(key)?;
    match url::Url::parse(text) {
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            let message = format!("`{key}` holds a user name or a password in plain text");
            let finding = Finding::error("connections-plain-secret", reader.position(node), message);
            reader.report(finding.with_hint("give credentials by reference, and change the password"));
            None
        }
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.host().is_some() => Some(url),
        _ => {
            reader.error(node, "connections-bad-value", format!("`{key}` is not an `http://` or `https://` URL"));
            None
        }
    }
}

fn is_loopback(url: &url::Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests;
