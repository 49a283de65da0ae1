//! Opening a mesh directory, and what may go wrong on the way.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use portcullis_contract::Finding;
use portcullis_gateway::{Config, Gateway, GatewayError, Session};

use crate::args::Asking;
use crate::{FAILED, USAGE};

/// Why a command did not do what it was asked for: one line, with what to do about it.
#[derive(Debug)]
pub struct Failure {
    message: String,
    hint: Option<String>,
    findings: Vec<Finding>,
    code: u8,
}

impl Failure {
    /// Wrong usage.
    pub(crate) fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: Some(hint.into()), findings: Vec::new(), code: USAGE }
    }

    /// Anything else.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, findings: Vec::new(), code: FAILED }
    }

    pub(crate) fn code(&self) -> u8 {
        self.code
    }

    pub(crate) fn print(&self, err: &mut dyn Write) {
        if self.message.is_empty() {
            return;
        }
        for finding in &self.findings {
            writeln!(err, "{finding}").ok();
        }
        let hint = self.hint.as_ref().map(|hint| format!(" (hint: {hint})")).unwrap_or_default();
        let line: String = format!("error: {}{hint}", self.message).replace('\n', " ");
        writeln!(err, "{line}").ok();
    }
}

impl From<GatewayError> for Failure {
    fn from(error: GatewayError) -> Self {
        Self { message: error.message, hint: None, findings: error.findings.into_vec(), code: FAILED }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::failed(format!("{error:#}"))
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            // Whoever read along has seen enough (`| head`): nothing to tell.
            return Self::failed(String::new());
        }
        Self::failed(error.to_string())
    }
}

impl From<arrow::error::ArrowError> for Failure {
    fn from(error: arrow::error::ArrowError) -> Self {
        Self::failed(error.to_string())
    }
}

/// The configuration of a mesh directory; a directory without one is not a mesh.
pub(crate) fn configuration(mesh: &Path) -> Result<Config, Failure> {
    if !mesh.join(portcullis_gateway::config::FILE).is_file() {
        return Err(Failure::usage(
            format!("`{}` is not a mesh directory: it has no portcullis.toml", mesh.display()),
            "give one with --mesh DIR",
        ));
    }
    Ok(Config::load(mesh)?)
}

/// Opens a mesh directory for the length of one command: changed files are not taken up.
pub async fn open_mesh(mesh: &Path) -> Result<Arc<Gateway>, Failure> {
    let mut config = configuration(mesh)?;
    config.catalogue.watch = false;
    Ok(Gateway::open(mesh, config).await?)
}

/// A session for who asks, with everything that it asks with.
pub(crate) async fn asking(gateway: &Gateway, asking: &Asking) -> Result<Session, Failure> {
    let session = session(gateway, &asking.user, asking.purpose.as_deref())?;
    for (option, value) in [("break_glass", &asking.break_glass), ("as_of", &asking.as_of)] {
        if let Some(value) = value {
            gateway.set_option(&session, option, Some(value)).await?;
        }
    }
    Ok(session)
}

/// A session of this machine's own for a user.
pub(crate) fn session(gateway: &Gateway, user: &str, purpose: Option<&str>) -> Result<Session, Failure> {
    Ok(gateway.local_session(user)?.with_purpose(purpose.map(str::to_string)))
}
