//! The gateway as the crates above see it.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use datafusion::arrow::record_batch::RecordBatch;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use portcullis_audit::{Journal, JournalOptions};
use portcullis_contract::Finding;
use portcullis_engine::{DataCache, Engine, EngineLimits, Guards, Tables, TablesOptions, collecting};
use portcullis_govern::{AsOf, Defaults, MaskKey, ParseLimits, Principal, RequestContext, Statements, Subject, UTC};

use crate::access::{self, AccessReport};
use crate::clock::Clock;
use crate::config::Config;
use crate::credentials::removed;
use crate::describe::{self, Described};
use crate::error::{ErrorKind, GatewayError};
use crate::identity::Identity;
use crate::login::Logins;
use crate::metrics::Metrics;
use crate::page::Page;
use crate::refusals::Refusals;
use crate::session::{Credential, Session};
use crate::signer::Signer;
use crate::standing::Standing;
use crate::state::{Current, Parts, Reload, State};
use crate::stream::QueryStream;
use crate::system::Surroundings;
use crate::tables::{self, VisibleTable};
use crate::turns::Turns;
use crate::watch::Marks;
use crate::{keys, mesh, pipeline, watch};

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
    /// One reload at a time: what was read earlier must not come into force later.
    reloading: Mutex<()>,
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

    async fn open_guarded(mesh_dir: &Path, config: Config, guards: Guards) -> Result<Arc<Gateway>, GatewayError> {
        let mesh_dir = mesh_dir.to_owned();
        let watched = config.catalogue.watch;
        // Before they are read: what changes from here on is noticed.
        let identity = &config.identity;
        let files = [&identity.users, &identity.tokens].into_iter().chain(&identity.certificates.revoked);
        let who = Marks::of(files.map(|path| mesh_dir.join(path)));
        let opened = tokio::task::spawn_blocking(move || Gateway::open_blocking(mesh_dir, config, guards)).await;
        let gateway = Arc::new(opened.map_err(|_| GatewayError::internal("the gateway could not be opened"))??);
        if watched {
            let catalogue = &gateway.config.catalogue;
            let dirs = [gateway.mesh_dir.join(&catalogue.catalogs), gateway.mesh_dir.join(&catalogue.policies)];
            watch::start(&gateway, &dirs, &gateway.mesh_dir.join(&gateway.config.identity.users))?;
            watch::look_again(&gateway, who);
        }
        Ok(gateway)
    }

    fn open_blocking(mesh_dir: PathBuf, config: Config, guards: Guards) -> Result<Gateway, GatewayError> {
        let secrets = &config.secrets;
        let key = |name, reference| keys::load(name, reference, &mesh_dir, &secrets.keys_dir);
        let accepted: Result<Vec<_>, _> =
            secrets.accepted_keys.iter().map(|reference| key("accepted_keys", Some(reference))).collect();
        let signer = Signer::new(&key("signing_key", secrets.signing_key.as_ref())?, &accepted?);
        tracing::info!(keys = ?signer.ids(), "seals are made with the first key, and accepted from all of them");
        let mask_key = MaskKey::new(&key("mask_key", secrets.mask_key.as_ref())?);
        let audit_dir = mesh_dir.join(&config.audit.dir);
        let surroundings =
            Surroundings { audit_dir: audit_dir.clone(), access_log_rows: config.audit.access_log_rows as usize };
        let certificates = config.identity.certificates.clone();
        let (decisions, plans) = Default::default();
        let parts = Parts { mask_key, surroundings, certificates, decisions, plans };
        let state = State::first(&mesh::read(&mesh_dir, &config), &parts).map_err(|findings| {
            let errors = findings.iter().filter(|finding| finding.is_error()).count();
            let message =
                format!("the policies do not compile ({errors} errors): mend them, `portcullis check` lists them");
            GatewayError::invalid(message).with_findings(findings)
        })?;
        let identity = Identity::new(&config.identity)?;
        let page = Page::open(&config.identity, &mesh_dir)?;
        let engine = Arc::new(engine(&mesh_dir, &config, guards)?);
        let options = JournalOptions {
            segment_bytes: config.audit.segment_size.bytes(),
            segment_age: config.audit.segment_age.duration(),
            ..JournalOptions::default()
        };
        let journal = Journal::open(&audit_dir, options).map_err(|error| {
            GatewayError::new(ErrorKind::Unavailable, format!("without an audit journal nothing is served: {error}"))
        })?;
        let metrics = Arc::new(Metrics::default());
        Ok(Gateway {
            logins: Logins::new(&config.identity),
            identity,
            page,
            turns: Turns::new(&config.limits),
            current: Arc::new(Current::new(state)),
            statements: Statements::new(parse_limits(&config)),
            reloading: Mutex::default(),
            clock: Clock::system(),
            mesh_dir,
            config,
            parts,
            signer,
            engine,
            refusals: Refusals::new(journal.clone(), Arc::clone(&metrics)),
            metrics,
            ended: tokio::sync::watch::Sender::new(false),
            journal,
        })
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
        let statement = self.statements.parse(session.user(), sql, &self.defaults(session))?;
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

    /// Takes up the mesh directory as it is now; [`Gateway::open`] does so by itself where `catalogue.watch` is on.
    /// Whether anything in force has changed. What is wrong is in [`Gateway::findings`].
    pub async fn reload(self: &Arc<Gateway>) -> bool {
        let gateway = Arc::clone(self);
        let reloaded = tokio::task::spawn_blocking(move || {
            let _turn = gateway.reloading.lock().unwrap_or_else(PoisonError::into_inner);
            gateway.current.reload(&mesh::read(&gateway.mesh_dir, &gateway.config), &gateway.parts)
        });
        match reloaded.await {
            Ok(Reload { kept: true, version, .. }) => {
                self.metrics.reloads_refused.add(1);
                tracing::error!(version, "the mesh was not reloaded: the policies do not compile");
                false
            }
            Ok(Reload { changed, version, .. }) => {
                tracing::info!(version, changed, "the mesh was reloaded");
                changed
            }
            Err(error) => {
                tracing::error!(%error, "reloading the mesh failed");
                false
            }
        }
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

    /// Who asks, with groups and attributes of this moment, and under which circumstances.
    pub(crate) fn subject(&self, state: &State, session: &Session) -> Result<Subject, GatewayError> {
        if session.expires_ms().is_some_and(|expires| expires <= self.clock.now_ms()) {
            return Err(GatewayError::unauthenticated("the token has expired: log in again"));
        }
        let context = RequestContext {
            break_glass: self.break_glass(session),
            purpose: session.options().purpose.or_else(|| session.purpose().map(str::to_owned)),
            client_address: session.client().map(|client| canonical(client.ip())),
            authentication: session.authentication().to_owned(),
            actor: session.actor().map(str::to_owned),
            domains: session.revocable().and_then(Credential::scope),
            now_ms: self.clock.now_ms(),
        };
        let principal = principal(state, session, &context)?;
        Ok(Subject { principal, context })
    }

    /// What is counted.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// All that is counted, in Prometheus' text format: no principal, no name of the mesh, no value.
    pub fn metrics_text(&self) -> String {
        let (running, waiting) = self.turns.counts();
        let state = self.state();
        let findings = state.findings.iter().filter(|finding| finding.is_error()).count();
        let products = state.snapshot.catalogue().tables().count();
        let mut caches = vec![self.statements.usage(), state.snapshot.decisions(), state.planner.plans()];
        caches.extend(self.engine.caches());
        let now = [
            ("queries_running", "Queries that run.", running.into()),
            ("queries_waiting", "Queries that wait for their turn.", waiting as u64),
            (
                "memory_reserved_bytes",
                "Memory that running queries hold for sorts, joins and aggregations.",
                self.engine.memory_reserved() as u64,
            ),
            ("products", "Tables of contracts that are served.", products as u64),
            ("findings_errors", "Findings of level error in the mesh as it is loaded.", findings as u64),
            ("ready", "Whether new queries are taken.", u64::from(self.ready() == Ready::Yes)),
        ];
        self.metrics.text(&now, &caches)
    }

    /// Whether new queries are taken.
    pub fn ready(&self) -> Ready {
        match (self.turns.is_open(), self.journal.is_sound()) {
            (false, _) => Ready::ShuttingDown,
            (_, false) => Ready::NoJournal,
            _ => Ready::Yes,
        }
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

/// Whether a gateway takes new queries, and why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ready {
    /// It does.
    Yes,
    /// It is shutting down.
    ShuttingDown,
    /// Its audit journal cannot be written.
    NoJournal,
}

/// Who asks, under these circumstances: as the users file has it now, or as the token of this call says, in the words of the
/// vocabulary of now.
pub(crate) fn principal(state: &State, session: &Session, context: &RequestContext) -> Result<Principal, GatewayError> {
    if let Some(acting) = session.acting() {
        return impersonated(state, session, acting, context);
    }
    match session.revocable() {
        Some(Credential::Token(token)) => state.tokens.stands(token)?,
        Some(Credential::Certificate(certificate)) => {
            certificate.is_vouched_for()?;
            state.revoked.accepts(certificate)?;
        }
        None => {}
    }
    own(state, session)?.ok_or_else(removed)
}

/// The session's principal by itself: none, if that is no user any more.
fn own(state: &State, session: &Session) -> Result<Option<Principal>, GatewayError> {
    let Some(claimed) = session.claimed_principal() else { return Ok(state.principal(session.user()).cloned()) };
    state.snapshot.check_principal(claimed).map_err(|reasons| {
        GatewayError::unauthenticated(format!("the token's principal is refused: {}", reasons.join("; ")))
    })?;
    Ok(Some(claimed.clone()))
}

/// The user for whom somebody acts, who may do so now. Whoever may not does not learn whether there is such a user.
fn impersonated(
    state: &State,
    session: &Session,
    acting: &Session,
    context: &RequestContext,
) -> Result<Principal, GatewayError> {
    let context = RequestContext { actor: None, break_glass: None, ..context.clone() };
    let actor = Subject { principal: principal(state, acting, &context)?, context };
    let user = own(state, session)?.filter(|user| state.snapshot.may_impersonate(&actor, user).allowed);
    user.ok_or_else(|| {
        let (actor, user) = (acting.user(), session.user());
        let message = format!("no policy lets `{actor}` act for a user `{user}`: that takes the action `impersonate`");
        GatewayError::new(ErrorKind::PermissionDenied, message)
    })
}

fn parse_limits(config: &Config) -> ParseLimits {
    let limits = &config.limits;
    ParseLimits {
        max_bytes: limits.statement.in_memory(),
        max_depth: limits.statement_depth as usize,
        ..ParseLimits::default()
    }
}

fn engine(mesh_dir: &Path, config: &Config, guards: Guards) -> Result<Engine, GatewayError> {
    let (limits, catalogue) = (&config.limits, &config.catalogue);
    let data_cache =
        config.cache.dir.as_ref().map(|dir| DataCache::open(&mesh_dir.join(dir), config.cache.size.bytes()));
    let data_cache = data_cache.transpose().map_err(|error| {
        GatewayError::invalid(format!("{}: `cache.dir` cannot be used: {error}", crate::config::FILE))
    })?;
    let tables = Tables::new(TablesOptions {
        data_cache,
        refresh_age: catalogue.refresh_age.duration(),
        cache_bytes: catalogue.cache.bytes(),
        ..TablesOptions::new(mesh_dir)
    });
    let defaults = EngineLimits::new(mesh_dir.join(&limits.spill_dir));
    let partitions = if limits.partitions == 0 { defaults.target_partitions } else { limits.partitions as usize };
    let limits = EngineLimits {
        memory_bytes: limits.memory.in_memory(),
        spill_bytes: limits.spill.bytes(),
        target_partitions: partitions,
        batch_size: limits.batch_rows as usize,
        concurrent_queries: limits.concurrent_queries as usize,
        queue_time: limits.queue_wait.duration(),
        wall_time: Some(limits.query_time.duration()),
        query_memory_bytes: limits.query_memory.in_memory(),
        rows: limits.rows,
        log_values: config.log.values,
        ..defaults
    };
    Ok(Engine::new(Arc::new(tables), limits, guards)?)
}

/// An IPv4 client of a listener for both is an IPv4 client to policies.
fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}
