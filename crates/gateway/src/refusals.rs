//! Refusals before there is a query: failed logins, refused tokens, no turn. They are in the audit journal, and cannot
//! flood it: within a window each kind of refusal of one principal from one address has one record, and one more that
//! counts its repetitions; of different ones there are [`DISTINCT`], and one record counts all others.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use portcullis_audit::{Begin, Decision, Journal, Outcome, Status};
use uuid::Uuid;

use crate::error::{ErrorKind, GatewayError};
use crate::metrics::Metrics;

/// Different refusals that have records of their own within one window.
const DISTINCT: usize = 100;
const WINDOW: Duration = Duration::from_secs(60);
/// Longest name of a principal that is recorded: whoever is refused may claim any.
const LONGEST_NAME: usize = 64;
/// Stands for a principal that is not known, or for several.
const NOBODY: &str = "?";

/// What was refused, to whom.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Refusal {
    what: What,
    authentication: String,
    kind: ErrorKind,
    limit: Option<&'static str>,
    principal: String,
    client: Option<IpAddr>,
}

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum What {
    Login,
    Token,
    Certificate,
    /// To act for another user.
    Impersonation,
    /// A query that got no turn: its statement was not looked at.
    Query,
    Anything,
}

impl What {
    fn statement(self) -> &'static str {
        match self {
            What::Login => "(login)",
            What::Token => "(token)",
            What::Certificate => "(certificate)",
            What::Impersonation => "(impersonation)",
            What::Query => "(not parsed)",
            What::Anything => "(several)",
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            What::Login => "login",
            What::Token => "token",
            What::Certificate => "certificate",
            What::Impersonation => "impersonation",
            What::Query => "query",
            What::Anything => "several",
        }
    }
}

impl Refusal {
    /// A refusal with this error of who came by this way; the name is what was claimed, if anything was.
    pub(crate) fn new(
        what: What,
        authentication: &str,
        error: &GatewayError,
        name: Option<&str>,
        client: Option<SocketAddr>,
    ) -> Refusal {
        let printable = |c: char| if c.is_control() { '\u{fffd}' } else { c };
        let name = name.filter(|name| !name.is_empty()).unwrap_or(NOBODY);
        let principal = name.chars().take(LONGEST_NAME).map(printable).collect();
        let client = client.map(|client| client.ip().to_canonical());
        Refusal {
            what,
            authentication: authentication.to_owned(),
            kind: error.kind,
            limit: error.limit,
            principal,
            client,
        }
    }
}

/// Writes refusals to the journal.
pub(crate) struct Refusals {
    journal: Journal,
    metrics: Arc<Metrics>,
    window: Mutex<Option<Window>>,
}

/// How often each refusal came again, and how many more there were.
#[derive(Default)]
struct Window {
    again: HashMap<Refusal, u64>,
    others: u64,
}

impl Refusals {
    pub(crate) fn new(journal: Journal, metrics: Arc<Metrics>) -> Arc<Refusals> {
        Arc::new(Refusals { journal, metrics, window: Mutex::default() })
    }

    /// Takes note of a refusal. If it is to have a record of its own, that is on the disk when this returns.
    pub(crate) async fn note(self: &Arc<Self>, refusal: Refusal) {
        self.metrics.refused(refusal.what.as_str(), refusal.kind, refusal.limit);
        if self.is_new(&refusal) {
            self.write(&refusal, None).await;
        }
    }

    fn is_new(self: &Arc<Self>, refusal: &Refusal) -> bool {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        let window = window.get_or_insert_with(|| {
            let refusals = Arc::clone(self);
            tokio::spawn(async move {
                tokio::time::sleep(WINDOW).await;
                refusals.flush().await;
            });
            Window::default()
        });
        if let Some(again) = window.again.get_mut(refusal) {
            *again += 1;
            return false;
        }
        if window.again.len() >= DISTINCT {
            window.others += 1;
            return false;
        }
        window.again.insert(refusal.clone(), 0);
        true
    }

    /// Ends the window: what was only counted gets its records.
    pub(crate) async fn flush(&self) {
        let window = self.window.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Window { again, others }) = window else { return };
        let mut again: Vec<_> = again.into_iter().filter(|(_, times)| *times > 0).collect();
        again.sort_by(|(a, _), (b, _)| (&a.principal, a.client).cmp(&(&b.principal, b.client)));
        for (refusal, times) in again {
            self.write(&refusal, Some(times)).await;
        }
        if others > 0 {
            let kind = ErrorKind::ResourceExhausted;
            let nobody = || NOBODY.to_owned();
            let several = Refusal {
                what: What::Anything,
                authentication: nobody(),
                kind,
                limit: None,
                principal: nobody(),
                client: None,
            };
            self.write(&several, Some(others)).await;
        }
    }

    async fn write(&self, refusal: &Refusal, times: Option<u64>) {
        let kind = refusal.kind.as_str();
        let times = times.map(|times| format!(", {times} times more within {} s", WINDOW.as_secs()));
        let record = Begin {
            query_id: Uuid::new_v4().simple().to_string(),
            principal: refusal.principal.clone(),
            actor: None,
            groups: Vec::new(),
            client: refusal.client.map(|client| client.to_string()),
            authentication: refusal.authentication.clone(),
            credential: None,
            domains: None,
            break_glass: None,
            purpose: None,
            statement: refusal.what.statement().to_owned(),
            tables: Vec::new(),
            policy_version: String::new(),
            decision: Decision::Error,
            reason: Some(format!("{kind}{}", times.unwrap_or_default())),
        };
        match self.journal.begin(record).await {
            Ok(entry) => {
                let status = if refusal.what == What::Query { Status::Error } else { Status::Denied };
                entry.complete(Outcome { error_kind: Some(kind.to_owned()), ..Outcome::of(status) });
            }
            // It was refused, so nothing has left; the journal's own state is the next query's error.
            Err(error) => tracing::error!(%error, "a refusal could not be recorded"),
        }
    }
}
