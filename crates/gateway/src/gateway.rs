//! The gateway as the crates above see it.

mod health;
mod open;
mod reload;
mod subject;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use datafusion::arrow::record_batch::RecordBatch;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use portcullis_audit::Journal;
use portcullis_contract::Finding;
use portcullis_engine::{Engine, Guards, collecting};
use portcullis_govern::{AsOf, Defaults, Statements, UTC};

use crate::access::{self, AccessReport};
use crate::clock::Clock;
use crate::config::{Config, Limits};
use crate::describe::{self, Described};
use crate::error::GatewayError;
use crate::identity::Identity;
use crate::login::Logins;
use crate::metrics::Metrics;
use crate::page::Page;
use crate::pipeline;
use crate::refusals::Refusals;
use crate::session::Session;
use crate::signer::Signer;
use crate::standing::Standing;
use crate::state::{Current, Parts, State};
use crate::stream::QueryStream;
use crate::tables::{self, VisibleTable};
use crate::turns::Turns;

pub use health::Ready;
pub(crate) use subject::principal;

/// What a call comes to. Boxed, so that the crates above compile without looking into the engine's futures again.
type Answer<'a, T> = BoxFuture<'a, Result<T, GatewayError>>;

/// How long queries may take to end that are stopped at the shutdown.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// The gateway over one mesh directory.
pub struct Gateway {
    mesh_dir: PathBuf,
    config: Config,
    parts: Parts,
    current: Arc<Current>,
    pub(crate) statements: Statements,
    /// `portcullis.toml` as it was read last. One reload at a time: what was read earlier must not come into force later.
    reloading: Mutex<Config>,
    /// The limits of single statements as they are now; what all share is as it was at the start.
    limits: RwLock<Arc<Limits>>,
    pub(crate) clock: Clock,
    pub(crate) logins: Logins,
    pub(crate) identity: Identity,
    pub(crate) page: Option<Page>,
    pub(crate) signer: Signer,
    turns: Turns,
    metrics: Arc<Metrics>,
    /// Whether the time of `limits.drain` is over.
    ended: tokio::sync::watch::Sender<bool>,
    engine: Arc<Engine>,
    journal: Journal,
    pub(crate) refusals: Arc<Refusals>,
}

impl Gateway {
    /// Opens a mesh directory: contracts, policies, users, keys, the audit journal. No table is touched.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` with all findings if the policies do not compile; with a message if keys, journal or limits
    /// cannot be used as configured.
    pub async fn open(mesh_dir: &Path, config: Config) -> Result<Arc<Gateway>, GatewayError> {
        Gateway::open_guarded(mesh_dir, config, Guards::default()).await
    }

    /// A gateway that lacks a guard, for the tests that must notice it. Not in release builds.
    ///
    /// # Errors
    ///
    /// As [`Gateway::open`].
    #[doc(hidden)]
    #[cfg(debug_assertions)]
    pub async fn open_weakened(mesh_dir: &Path, config: Config, guards: Guards) -> Result<Arc<Gateway>, GatewayError> {
        Gateway::open_guarded(mesh_dir, config, guards).await
    }

    /// The configuration it was opened with.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Plans a statement without running it, with `parameters` where they are bound already. Nothing of the data is
    /// touched, and the columns are the same, whatever is bound.
    ///
    /// # Errors
    ///
    /// What running it would fail with before it touches data.
    pub fn describe<'a>(
        &'a self,
        session: &'a Session,
        sql: &'a str,
        parameters: Option<RecordBatch>,
    ) -> Answer<'a, Described> {
        describe::describe(self, session, sql, parameters).boxed()
    }

    /// Runs a statement; `parameters` has one row, a column for each placeholder. The audit record is on the disk
    /// before this returns, whether it returns rows or an error.
    ///
    /// # Errors
    ///
    /// By kind: what is wrong with the statement, refused by policy, unavailable, or beyond a limit.
    pub fn query<'a>(
        &'a self,
        session: &'a Session,
        sql: &'a str,
        parameters: Option<RecordBatch>,
    ) -> Answer<'a, QueryStream> {
        collecting(pipeline::run(self, session, sql, parameters)).boxed()
    }

    /// The tables that the session's principal may discover, in order of name; tables of `system` among them.
    ///
    /// # Errors
    ///
    /// `Unauthenticated` if the user has been removed.
    pub fn visible_tables(&self, session: &Session) -> Result<Vec<VisibleTable>, GatewayError> {
        let state = self.state();
        let subject = self.subject(&state, session)?;
        Ok(tables::visible(&state, &subject))
    }

    /// What the session's principal may do with a statement's tables, and why. Nothing is executed.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` if the statement cannot be parsed, or asks for a version that a table does not have.
    pub async fn explain_access(&self, session: &Session, sql: &str) -> Result<AccessReport, GatewayError> {
        let state = self.state();
        let subject = self.subject(&state, session)?;
        let limits = self.limits(&state, &subject).parse;
        let statement = self.statements.parse(session.user(), sql, &limits, &self.defaults(session))?;
        let verdict = pipeline::govern(self.engine(), &state, &statement, &subject, None).await?;
        Ok(access::report(&state, &subject, &statement, &verdict))
    }

    /// The ids of all users, in order.
    pub fn users(&self) -> Vec<String> {
        self.state().users.ids().map(str::to_owned).collect()
    }

    /// The purposes that may be stated, in order.
    pub fn purposes(&self) -> Vec<String> {
        self.state().snapshot.vocabulary().purposes().map(str::to_owned).collect()
    }

    /// All tables as `domain.table`, whoever may discover them, in order; tables of `system` among them.
    pub fn table_names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.state().snapshot.resources().collect();
        names.sort();
        names
    }

    /// All findings of the mesh as it is loaded now.
    pub fn findings(&self) -> Vec<Finding> {
        self.state().findings.to_vec()
    }

    /// The version of the policies in force.
    pub fn policy_version(&self) -> String {
        self.state().snapshot.version().to_owned()
    }

    /// Sets an option of the session, as `SET name = 'value'` does, with its record in the journal; None is its default.
    ///
    /// # Errors
    ///
    /// What the statement fails with.
    pub async fn set_option(&self, session: &Session, name: &str, value: Option<&str>) -> Result<(), GatewayError> {
        let value = value.map_or("DEFAULT".to_owned(), |value| format!("'{}'", value.replace('\'', "''")));
        let mut ended = self.query(session, &format!("SET {name} = {value}"), None).await?;
        while let Some(batch) = ended.next().await {
            batch?;
        }
        Ok(())
    }

    /// What holds for the session's statements where they do not say otherwise: what is fixed for the call, else what was
    /// set.
    pub fn defaults(&self, session: &Session) -> Defaults {
        if let Some(fixed) = session.defaults() {
            return fixed.clone();
        }
        let set = session.options();
        Defaults {
            time_zone: set.time_zone.as_deref().unwrap_or(UTC).into(),
            schema: set.schema.map(Into::into),
            as_of: set.as_of,
        }
    }

    /// The time that the session has set for tables whose version is not asked for, as a text that can be set.
    pub fn as_of(&self, session: &Session) -> Option<String> {
        session.options().as_of.map(|time| AsOf::Time(time).to_string())
    }

    /// Why the session's glass is broken, while it is.
    pub fn break_glass(&self, session: &Session) -> Option<String> {
        let latest_ms = self.latest(self.config.identity.break_glass);
        session.options().reason(self.clock.now_ms(), latest_ms).map(str::to_owned)
    }

    /// Takes no more queries: the gateway is not ready any longer, and what runs goes on.
    pub fn close(&self) {
        self.turns.close();
    }

    /// Takes no more queries, waits for the running ones as long as `limits.drain` says, stops those that still run with an
    /// error, and closes the audit journal.
    pub async fn shutdown(&self) {
        let patience = self.config.limits.drain.duration();
        if !self.turns.drain(patience).await {
            tracing::warn!(
                ?patience,
                "queries were still running when the time of `limits.drain` was over; they are stopped"
            );
            self.ended.send_replace(true);
            if !self.turns.drain(LAST_WORDS).await {
                tracing::error!("queries could not be stopped; they are recorded as interrupted");
            }
        }
        self.refusals.flush().await;
        self.journal.close().await;
    }

    pub(crate) fn state(&self) -> Arc<State> {
        self.current.get()
    }

    /// To be taken before the state that a statement is judged by.
    pub(crate) fn standing(&self) -> Standing {
        Standing::new(&self.current, &self.engine, self.config.limits.revoke_within.duration())
    }

    /// What is counted.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    pub(crate) fn ended(&self) -> tokio::sync::watch::Receiver<bool> {
        self.ended.subscribe()
    }

    pub(crate) fn turns(&self) -> &Turns {
        &self.turns
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    pub(crate) fn journal(&self) -> &Journal {
        &self.journal
    }
}
