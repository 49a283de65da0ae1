//! The gateway as the crates above see it.

use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::record_batch::RecordBatch;
use portcullis_contract::Finding;

use crate::access::AccessReport;
use crate::config::Config;
use crate::describe::Described;
use crate::error::GatewayError;
use crate::session::Session;
use crate::stream::QueryStream;
use crate::tables::VisibleTable;

/// The gateway over one mesh directory.
pub struct Gateway {
    config: Config,
}

fn unfinished<T>() -> Result<T, GatewayError> {
    Err(GatewayError::internal("the gateway is being built"))
}

impl Gateway {
    /// Opens a mesh directory: contracts, policies, users, keys, the audit journal.
    pub async fn open(_mesh_dir: &Path, _config: Config) -> Result<Arc<Gateway>, GatewayError> {
        unfinished()
    }

    /// The configuration it was opened with.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Checks a password.
    pub async fn login(&self, _user: &str, _password: &str) -> Result<Session, GatewayError> {
        unfinished()
    }

    /// A session of the command line on this machine (`--as`), which asks for no password.
    pub fn local_session(&self, _user: &str) -> Result<Session, GatewayError> {
        unfinished()
    }

    /// A signed, expiring bearer token for a session.
    pub fn issue_token(&self, _session: &Session) -> String {
        String::new()
    }

    /// The session that a token stands for.
    pub fn verify_token(&self, _token: &str) -> Result<Session, GatewayError> {
        unfinished()
    }

    /// Signs a payload (a ticket, a handle) so that any replica can trust it until it expires.
    pub fn seal(&self, _kind: &str, payload: &[u8]) -> Vec<u8> {
        payload.to_vec()
    }

    /// The payload of something sealed, if it is genuine, of this kind and not expired.
    pub fn unseal(&self, _kind: &str, _sealed: &[u8]) -> Result<Vec<u8>, GatewayError> {
        unfinished()
    }

    /// As [`Gateway::seal`], and only this session's principal can unseal it.
    pub fn seal_for(&self, _session: &Session, _kind: &str, payload: &[u8]) -> Vec<u8> {
        payload.to_vec()
    }

    /// As [`Gateway::unseal`], for what was sealed for this session's principal.
    pub fn unseal_for(&self, _session: &Session, _kind: &str, _sealed: &[u8]) -> Result<Vec<u8>, GatewayError> {
        unfinished()
    }

    /// Plans a statement without running it.
    pub async fn describe(&self, _session: &Session, _sql: &str) -> Result<Described, GatewayError> {
        unfinished()
    }

    /// Runs a statement. The audit record is on the disk before this returns.
    pub async fn query(
        &self,
        _session: &Session,
        _sql: &str,
        _parameters: Option<RecordBatch>,
    ) -> Result<QueryStream, GatewayError> {
        unfinished()
    }

    /// The tables that the session's principal may discover, in order of name.
    pub fn visible_tables(&self, _session: &Session) -> Result<Vec<VisibleTable>, GatewayError> {
        unfinished()
    }

    /// What the session's principal may do with a statement's tables, and why.
    pub fn explain_access(&self, _session: &Session, _sql: &str) -> Result<AccessReport, GatewayError> {
        unfinished()
    }

    /// All findings of the mesh as it is loaded now.
    pub fn findings(&self) -> Vec<Finding> {
        Vec::new()
    }

    /// Stops taking queries, waits for the running ones, and closes the audit journal.
    pub async fn shutdown(&self) {}
}
