//! SQL catalogues in PostgreSQL: one connection to a server, which all tables of a catalogue share.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres::config::SslMode;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Config, Error, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{Entry, QUERY};
use crate::tables::fault::Fault;

/// A server and how to be let in.
pub(super) struct Login<'a> {
    /// Name of the connection.
    pub(super) connection: &'a str,
    /// The server.
    pub(super) host: &'a str,
    /// Its port.
    pub(super) port: u16,
    /// The database.
    pub(super) database: &'a str,
    /// As whom to come.
    pub(super) user: &'a str,
    /// How to prove that.
    pub(super) password: Option<String>,
    /// Whom to trust, where the server must be who it says and nobody else reads what is sent.
    pub(super) trusted: Option<RootCertStore>,
}

/// Connects, within this time.
pub(super) async fn open(login: Login<'_>, patience: Duration) -> Result<Client, Fault> {
    let mut config = Config::new();
    config.host(login.host).port(login.port).dbname(login.database).user(login.user);
    config.application_name("portcullis").connect_timeout(patience).tcp_user_timeout(patience);
    // A statement that is waited for no more is not worked on any more.
    config.options(format!("-c default_transaction_read_only=on -c statement_timeout={}", patience.as_millis()));
    if let Some(password) = &login.password {
        config.password(password);
    }
    let failed = |error: Error| failed(login.connection, &error);
    // Whatever ends the connection ends the client's calls too, which say so.
    Ok(match login.trusted {
        Some(trusted) => {
            config.ssl_mode(SslMode::Require);
            let (client, connection) = config.connect(encryption(trusted)?).await.map_err(failed)?;
            tokio::spawn(connection);
            client
        }
        None => {
            config.ssl_mode(SslMode::Disable);
            let (client, connection) = config.connect(NoTls).await.map_err(failed)?;
            tokio::spawn(connection);
            client
        }
    })
}

/// Whom the machine trusts.
pub(super) fn trusted() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

fn encryption(roots: RootCertStore) -> Result<MakeRustlsConnect, Fault> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| Fault::Internal(error.to_string()))?;
    Ok(MakeRustlsConnect::new(builder.with_root_certificates(roots).with_no_client_auth()))
}

/// The row of a table, by the names of catalogue, namespace and table. One request, and no statement is left on the server.
pub(super) async fn entry(client: &Client, connection: &str, key: &[String; 3]) -> Result<Option<Entry>, Fault> {
    let [catalog, namespace, table] = key;
    let key = [catalog, namespace, table].map(|name| (name as _, Type::VARCHAR));
    let found = client.query_typed_opt(QUERY, &key).await;
    let Some(row) = found.map_err(|error| failed(connection, &error))? else { return Ok(None) };
    let text = |name: &str| match row.columns().iter().any(|column| column.name() == name) {
        true => row.try_get::<_, Option<String>>(name).map_err(|error| failed(connection, &error)),
        false => Ok(None),
    };
    Ok(Some(Entry { location: text("metadata_location")?, kind: text("iceberg_type")? }))
}

/// Without what the server says, which may quote anything.
fn failed(connection: &str, error: &Error) -> Fault {
    let code = error.code();
    tracing::warn!(connection, code = code.map(SqlState::code), %error, "the catalogue failed");
    let refused =
        [SqlState::INVALID_PASSWORD, SqlState::INVALID_AUTHORIZATION_SPECIFICATION, SqlState::INSUFFICIENT_PRIVILEGE];
    let unproven = error.source().is_some_and(|cause| cause.to_string() == "password missing");
    match code {
        None if unproven => {
            Fault::Refused(format!("the database of connection `{connection}` asks for a password, and there is none"))
        }
        Some(code) if refused.contains(code) => {
            Fault::Refused(format!("the database of connection `{connection}` refused the gateway's credentials"))
        }
        Some(code) if [SqlState::UNDEFINED_TABLE, SqlState::UNDEFINED_COLUMN].contains(code) => {
            Fault::Unavailable(format!("the database of connection `{connection}` holds no Iceberg catalogue"))
        }
        Some(code) if *code == SqlState::INVALID_CATALOG_NAME => {
            Fault::Unavailable(format!("the server of connection `{connection}` has no such database"))
        }
        _ => Fault::Unavailable(format!("the database of connection `{connection}` did not answer")),
    }
}

#[cfg(test)]
mod tests;
