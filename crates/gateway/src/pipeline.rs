//! The path of a query, from top to bottom: turn → subject → parse → versions → govern → prepare → execute → audit.begin
//! → stream.
//!
//! What the order is for: snapshots are pinned before the audit record names them; the first batches are computed while
//! the record is on its way to the disk, and nobody can take one before it is there: the stream is made from the entry. A
//! statement that is refused, at whatever stage, has its record before its error is returned. The scrubbing of what leaves
//! is part of the engine's stream, and the record's end is written by the stream's end, error or drop.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::arrow::record_batch::RecordBatch;
use futures::future::join_all;
use futures::{StreamExt, stream};
use portcullis_audit::{Begin, Decision as Decided, Outcome, Status};
use portcullis_engine::{Engine, EngineError, Stopwatch, stages};
use portcullis_govern::schema::explain_schema;
use portcullis_govern::sql::{self, Setting, Statement, StatementKind};
use portcullis_govern::{Decision, ExplainKind, GovernedPlan, Subject, Verdict, Versions, notices};
use uuid::Uuid;

use crate::error::{ErrorKind, GatewayError};
use crate::explain;
use crate::gateway::Gateway;
use crate::metrics::{Ended, Metrics};
use crate::parameters;
use crate::record;
use crate::refusals::{Refusal, What};
use crate::session::Session;
use crate::settings;
use crate::state::State;
use crate::stream::{Batches, QueryStream, Revoked, Start};
use crate::turns::Turn;

/// What stands in the journal for a statement that could not be parsed: its literals cannot be told from the rest.
const UNPARSED: &str = "(not parsed)";

/// Runs one statement. A caller that goes away before there is a stream is counted as one that cancels.
pub(crate) async fn run(
    gateway: &Gateway,
    session: &Session,
    sql: &str,
    bound: Option<RecordBatch>,
) -> Result<QueryStream, GatewayError> {
    let abandoned = Abandoned { metrics: gateway.metrics(), came_to_an_end: false };
    abandoned.unless(begin(gateway, session, sql, bound)).await
}

/// Counts a query that is dropped before it has come to a stream or a refusal.
struct Abandoned<'a> {
    metrics: &'a Metrics,
    came_to_an_end: bool,
}

impl Abandoned<'_> {
    async fn unless<T>(mut self, work: impl Future<Output = T>) -> T {
        let done = work.await;
        self.came_to_an_end = true;
        done
    }
}

impl Drop for Abandoned<'_> {
    fn drop(&mut self) {
        if !self.came_to_an_end {
            self.metrics.abandoned();
        }
    }
}

async fn begin(
    gateway: &Gateway,
    session: &Session,
    sql: &str,
    bound: Option<RecordBatch>,
) -> Result<QueryStream, GatewayError> {
    let mut clock = Stopwatch::start();
    let turn = match turn(gateway, session).await {
        Ok(turn) => turn,
        Err((what, error)) => return refused(gateway, session, what, error).await,
    };
    clock.stage("queue");
    let standing = gateway.standing();
    let state = gateway.state();
    let subject = match gateway.subject(&state, session) {
        Ok(subject) => subject,
        Err(error) => return refused(gateway, session, What::Token, error).await,
    };
    let query = Query::new(gateway, session, &state, &subject);

    let statement = match sql::parse_in(sql, &gateway.parse_limits(), &gateway.defaults(session)) {
        Ok(statement) => statement,
        Err(error) => return query.refuse_unparsed(error.into()).await,
    };
    let query = query.of(&statement);
    clock.stage("parse");
    let checked = settings::purpose_known(&state, &subject).and_then(|()| parameters::values(bound.as_ref()));
    let values = match checked {
        Ok(values) => values,
        Err(error) => return query.refuse(error).await,
    };
    if let StatementKind::Set(setting) = statement.kind() {
        return query.set(setting, &subject, turn).await;
    }

    let verdict = govern(gateway.engine(), &state, &statement, &subject, values.clone()).await;
    clock.stage("govern");
    let (plan, decision) = match verdict {
        Ok(Verdict::Permit(plan, decision)) => {
            gateway.metrics().decided("permitted");
            (plan, decision)
        }
        Ok(Verdict::Deny(decision)) => return query.refuse_decided(Decided::Denied, &decision).await,
        Ok(Verdict::Undecided(decision)) => return query.refuse_decided(Decided::Undecided, &decision).await,
        Err(error) => return query.refuse(error).await,
    };
    if !plan.parameters().is_empty() {
        let message = format!("the statement has {} parameters, and none were bound", plan.parameters().len());
        return query.refuse(GatewayError::invalid(message)).await;
    }
    let revoked = Box::pin(standing.revoked(statement, session.clone(), subject.clone(), values, decision.clone()));
    query.execute(&plan, &decision, turn, revoked).await
}

/// Waits for a turn, by who asks and all the groups that they are in at this moment.
async fn turn(gateway: &Gateway, session: &Session) -> Result<Turn, (What, GatewayError)> {
    let state = gateway.state();
    let Subject { principal, .. } = gateway.subject(&state, session).map_err(|error| (What::Token, error))?;
    let groups = state.snapshot.vocabulary().memberships(&principal.groups);
    gateway.turns().take(&principal.id, &groups).await.map_err(|error| (What::Query, error))
}

/// Refuses what did not come to a query.
async fn refused<T>(gateway: &Gateway, session: &Session, what: What, error: GatewayError) -> Result<T, GatewayError> {
    gateway
        .refusals
        .note(Refusal::new(what, session.authentication(), &error, Some(session.user()), session.client()))
        .await;
    Err(error)
}

/// Governs a statement, once it is known which versions of tables it means. Tables of `system` may read files for their
/// rows, so such statements leave the async threads.
pub(crate) async fn govern(
    engine: &Engine,
    state: &Arc<State>,
    statement: &Statement,
    subject: &Subject,
    values: Option<datafusion::common::ParamValues>,
) -> Result<Verdict, GatewayError> {
    let (versions, missing) = match versions(engine, state, statement, subject).await {
        Ok(versions) => versions,
        Err(refused) => return Ok(*refused),
    };
    let verdict = govern_at(state, statement, subject, values, versions).await?;
    match (verdict, missing) {
        // It is missed: what is read needs it.
        (Verdict::Undecided(_), Some(missing)) => Err(missing.into()),
        (verdict, _) => Ok(verdict),
    }
}

async fn govern_at(
    state: &Arc<State>,
    statement: &Statement,
    subject: &Subject,
    values: Option<datafusion::common::ParamValues>,
    versions: Versions,
) -> Result<Verdict, GatewayError> {
    let reads_files = statement.tables().iter().any(|name| name.to_lowercase().contains("access_log"));
    if !reads_files {
        return Ok(state.planner.govern_at(statement, subject, values, &versions));
    }
    let (state, statement, subject) = (Arc::clone(state), statement.clone(), subject.clone());
    tokio::task::spawn_blocking(move || state.planner.govern_at(&statement, &subject, values, &versions))
        .await
        .map_err(|_| GatewayError::internal("the statement could not be planned"))
}

/// The versions that a statement means, looked up in tables that the subject may query and in no others, with why one of
/// them is not there, if so: the session's time may be asked for of a name that is none of a table. Or the verdict on one
/// that the subject may not query.
async fn versions(
    engine: &Engine,
    state: &State,
    statement: &Statement,
    subject: &Subject,
) -> Result<(Versions, Option<EngineError>), Box<Verdict>> {
    let asked = state.planner.versions(statement, subject)?;
    let find = asked.iter().map(async |asked| engine.resolve(&asked.table, &asked.as_of).await);
    let (mut versions, mut missing) = (Versions::default(), None);
    for (asked, found) in asked.iter().zip(join_all(find).await) {
        match found {
            Ok(found) => versions.insert(asked, found),
            Err(error) => missing = missing.or(Some(error)),
        }
    }
    Ok((versions, missing))
}

/// One statement on its way.
struct Query<'a> {
    gateway: &'a Gateway,
    session: &'a Session,
    state: &'a State,
    /// The audit record, as far as it is known.
    record: Begin,
}

impl<'a> Query<'a> {
    fn new(gateway: &'a Gateway, session: &'a Session, state: &'a State, subject: &Subject) -> Query<'a> {
        let id = Uuid::new_v4().simple().to_string();
        let record = record::begin(&id, session, subject, state.snapshot.version());
        tracing::info!(query = %id, principal = %subject.principal.id, purpose = ?subject.context.purpose, "query began");
        Query { gateway, session, state, record }
    }

    fn of(mut self, statement: &Statement) -> Query<'a> {
        self.record.statement = statement.redacted();
        self
    }

    /// Prepare, execute, audit, stream.
    async fn execute(
        mut self,
        plan: &GovernedPlan,
        decision: &Decision,
        turn: Turn,
        revoked: Revoked,
    ) -> Result<QueryStream, GatewayError> {
        let engine = self.gateway.engine();
        let bound = match engine.prepare(plan).await {
            Ok(bound) => bound,
            Err(error) => {
                // Permitted, but not run: the record keeps what was decided, its end says that it failed.
                self.record = self.decided(Decided::Permitted, decision, &[]);
                return self.refuse_as(Decided::Permitted, error.into()).await;
            }
        };
        self.record = self.decided(Decided::Permitted, decision, bound.snapshots());
        let domains = self.domains();
        let schema = if plan.explains().is_some() { explain_schema() } else { bound.schema() };

        if let Some(reason) =
            self.record.break_glass.as_ref().filter(|_| self.record.tables.iter().any(|t| t.break_glass))
        {
            let (query, principal) = (&self.record.query_id, &self.record.principal);
            tracing::warn!(%query, %principal, ?reason, "query behind broken glass");
        }
        let batches: Batches = match (plan.explains(), plan.explain_text()) {
            (Some(ExplainKind::Analyze), _) => {
                Box::pin(stream::once(async { explain::analyzed(&bound.analyze().await?) }))
            }
            (_, Some(text)) => Box::pin(stream::iter([explain::plans(text, &bound.explain())])),
            (_, None) => match bound.execute() {
                Ok(batches) => Box::pin(batches.map(|batch| batch.map_err(GatewayError::from))),
                Err(error) => return self.refuse_as(Decided::Permitted, error.into()).await,
            },
        };
        let mut clock = Stopwatch::start();
        let entry = self.gateway.journal().begin(self.record).await?;
        clock.stage("record");
        let start = Start::new(self.gateway, schema, batches, turn);
        let trace = self.session.trace();
        Ok(QueryStream::new(Start { notices: notices(decision), revoked, domains, trace, ..start }, entry))
    }

    /// The domains whose usage is counted with this query, if it is to be counted by domain at all.
    fn domains(&self) -> Vec<String> {
        if !self.gateway.config().telemetry.domains {
            return Vec::new();
        }
        let names = self.record.tables.iter().filter_map(|table| table.name.split_once('.'));
        let domains: BTreeSet<&str> = names.map(|(domain, _)| domain).collect();
        domains.into_iter().map(str::to_owned).collect()
    }

    /// Sets an option of the session. The answer has no columns and no rows.
    async fn set(mut self, setting: &Setting, subject: &Subject, turn: Turn) -> Result<QueryStream, GatewayError> {
        if let Setting::BreakGlass(Some(reason)) = setting {
            self.record.break_glass = Some(reason.clone());
        }
        let checked = settings::kept(self.session).and_then(|()| settings::check(self.state, subject, setting));
        if let Err(error) = checked {
            return match error.kind {
                ErrorKind::PermissionDenied => self.refuse_as(Decided::Denied, error).await,
                _ => self.refuse(error).await,
            };
        }
        self.record.decision = Decided::Permitted;
        let entry = self.gateway.journal().begin(self.record).await?;
        settings::apply(self.session, setting, self.gateway.after(self.gateway.config().identity.break_glass));
        let start = Start::new(self.gateway, settings::schema(), Box::pin(stream::empty()), turn);
        Ok(QueryStream::new(Start { trace: self.session.trace(), ..start }, entry))
    }

    fn decided(
        &self,
        outcome: Decided,
        decision: &Decision,
        snapshots: &[(portcullis_contract::TableName, String)],
    ) -> Begin {
        record::decided(self.record.clone(), outcome, decision, self.state.snapshot.catalogue(), snapshots)
    }

    async fn refuse_unparsed<T>(mut self, error: GatewayError) -> Result<T, GatewayError> {
        self.record.statement = UNPARSED.to_owned();
        self.refuse(error).await
    }

    /// Refuses what was wrong before anything could be decided.
    async fn refuse<T>(self, error: GatewayError) -> Result<T, GatewayError> {
        self.refuse_as(Decided::Error, error).await
    }

    /// Refuses what policy refuses, or cannot decide. An unknown name or type is the statement's fault, not a denial.
    async fn refuse_decided<T>(mut self, outcome: Decided, decision: &Decision) -> Result<T, GatewayError> {
        let error = GatewayError::from(decision);
        let wrong = matches!(error.kind, ErrorKind::InvalidArgument | ErrorKind::Unimplemented);
        let outcome = if wrong && outcome == Decided::Denied { Decided::Error } else { outcome };
        match outcome {
            Decided::Denied => self.gateway.metrics().decided("denied"),
            Decided::Undecided => self.gateway.metrics().decided("undecided"),
            _ => {}
        }
        self.record = self.decided(outcome, decision, &[]);
        self.refuse_as(outcome, error).await
    }

    /// The record comes first; if it cannot be written, that is the error, and the journal's fault is known.
    async fn refuse_as<T>(mut self, decision: Decided, error: GatewayError) -> Result<T, GatewayError> {
        self.record.decision = decision;
        let id = self.record.query_id.clone();
        let entry = self.gateway.journal().begin(self.record).await?;
        let denied = matches!(decision, Decided::Denied | Decided::Undecided);
        let status = if denied { Status::Denied } else { Status::Error };
        tracing::info!(query = %id, ?status, error = error.kind.as_str(), "query refused");
        entry.complete(Outcome { error_kind: Some(error.kind.as_str().to_owned()), ..Outcome::of(status) });
        let stages = stages();
        let trace = self.session.trace();
        let ended = Ended { query_id: &id, status, error: Some(&error), rows: 0, bytes: 0, stages, trace };
        self.gateway.metrics().ended(ended);
        Err(GatewayError { query_id: Some(id.into()), ..error })
    }
}
