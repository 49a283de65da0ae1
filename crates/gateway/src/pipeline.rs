//! The path of a query, from top to bottom: turn → subject → parse → versions → govern → prepare → execute → audit.begin
//! → stream. Describing a statement goes from the subject to govern, without a turn.
//!
//! What the order is for: snapshots are pinned before the audit record names them; the first batches are computed while
//! the record is on its way to the disk, and nobody can take one before it is there: the stream is made from the entry. A
//! statement that is refused, at whatever stage, has its record before its error is returned. The scrubbing of what leaves
//! is part of the engine's stream, and the record's end is written by the stream's end, error or drop.

mod judge;

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::arrow::record_batch::RecordBatch;
use futures::{StreamExt, stream};
use portcullis_audit::{Begin, Decision as Decided, Outcome, Status};
use portcullis_engine::{Stopwatch, stages};
use portcullis_govern::schema::explain_schema;
use portcullis_govern::sql::{Setting, without_quoted_names};
use portcullis_govern::{Decision, ExplainKind, GovernedPlan, Subject, notices};
use uuid::Uuid;

use crate::error::{ErrorKind, GatewayError};
use crate::explain;
use crate::gateway::Gateway;
use crate::limits::OwnLimits;
use crate::metrics::{Ended, Metrics};
use crate::record;
use crate::refusals::{Refusal, What};
use crate::session::Session;
use crate::settings;
use crate::state::State;
use crate::stream::{Batches, QueryStream, Revoked, Start};
use crate::turns::Turn;

pub(crate) use judge::{Judged, Planned, govern};

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
    let (query, subject) = Query::new(gateway, session, &state).await?;
    query.began();
    let (query, planned) = match query.judge(&subject, sql, bound).await? {
        Judged::Setting(query, setting) => return query.set(&setting, &subject, turn).await,
        Judged::Permitted(query, planned) => (query, *planned),
    };
    gateway.metrics().decided("permitted");
    let Planned { statement, values, plan, decision } = planned;
    if !plan.parameters().is_empty() {
        let message = format!("the statement has {} parameters, and none were bound", plan.parameters().len());
        return query.refuse(GatewayError::invalid(message)).await;
    }
    let revoked = Box::pin(standing.revoked(statement, session.clone(), subject, values, decision.clone()));
    query.execute(&plan, &decision, turn, revoked).await
}

/// Waits for a turn, by who asks and all the groups that they are in at this moment.
async fn turn(gateway: &Gateway, session: &Session) -> Result<Turn, (What, GatewayError)> {
    let state = gateway.state();
    let subject = gateway.subject(&state, session).map_err(|error| (What::Token, error))?;
    let groups = state.snapshot.vocabulary().memberships(&subject.principal.groups);
    let own = gateway.limits(&state, &subject);
    gateway.turns().take(&subject.principal.id, &groups, &own).await.map_err(|error| (What::Query, error))
}

/// Refuses what did not come to a query.
async fn refused<T>(gateway: &Gateway, session: &Session, what: What, error: GatewayError) -> Result<T, GatewayError> {
    gateway
        .refusals
        .note(Refusal::new(what, session.authentication(), &error, Some(session.user()), session.client()))
        .await;
    Err(error)
}

/// One statement on its way.
pub(crate) struct Query<'a> {
    gateway: &'a Gateway,
    session: &'a Session,
    state: &'a Arc<State>,
    limits: OwnLimits,
    /// The audit record, as far as it is known.
    record: Begin,
}

impl<'a> Query<'a> {
    /// A query of whoever has the session now.
    pub(crate) async fn new(
        gateway: &'a Gateway,
        session: &'a Session,
        state: &'a Arc<State>,
    ) -> Result<(Query<'a>, Subject), GatewayError> {
        let subject = match gateway.subject(state, session) {
            Ok(subject) => subject,
            Err(error) => return refused(gateway, session, What::Token, error).await,
        };
        let id = Uuid::new_v4().simple().to_string();
        let record = record::begin(&id, session, &subject, state.snapshot.version());
        let limits = gateway.limits(state, &subject);
        Ok((Query { gateway, session, state, limits, record }, subject))
    }

    fn began(&self) {
        let Begin { query_id, principal, purpose, .. } = &self.record;
        tracing::info!(query = %query_id, %principal, ?purpose, "query began");
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
            Ok(bound) => bound.within(self.limits.of_engine()),
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
        let runs = plan.explain_text().is_none() || plan.explains() == Some(ExplainKind::Analyze);
        let operators = Some(bound.operators()).filter(|_| runs);
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
        let start = Start::new(self.gateway, &self.limits, schema, batches, turn);
        let trace = self.session.trace();
        let start = Start { notices: notices(decision), revoked, domains, trace, operators, ..start };
        Ok(QueryStream::new(start, entry))
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
    async fn set(self, setting: &Setting, subject: &Subject, turn: Turn) -> Result<QueryStream, GatewayError> {
        let kept = settings::kept(self.session);
        let Query { gateway, session, limits, mut record, .. } = self.settable(setting, subject, kept).await?;
        record.decision = Decided::Permitted;
        let entry = gateway.journal().begin(record).await?;
        settings::apply(session, setting, gateway.after(gateway.config().identity.break_glass));
        let start = Start::new(gateway, &limits, settings::schema(), Box::pin(stream::empty()), turn);
        Ok(QueryStream::new(Start { trace: session.trace(), ..start }, entry))
    }

    /// Refuses an option that this subject cannot set to this value, or for another reason.
    pub(crate) async fn settable(
        mut self,
        setting: &Setting,
        subject: &Subject,
        otherwise: Result<(), GatewayError>,
    ) -> Result<Query<'a>, GatewayError> {
        if let Setting::BreakGlass(Some(reason)) = setting {
            self.record.break_glass = Some(reason.clone());
        }
        match otherwise.and_then(|()| settings::check(self.state, self.session, subject, setting)) {
            Ok(()) => Ok(self),
            Err(error) if error.kind == ErrorKind::PermissionDenied => self.refuse_as(Decided::Denied, error).await,
            Err(error) => self.refuse(error).await,
        }
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
        if decision == Decided::Error {
            self.record.statement = without_quoted_names(&self.record.statement);
        }
        let id = self.record.query_id.clone();
        let entry = self.gateway.journal().begin(self.record).await?;
        let denied = matches!(decision, Decided::Denied | Decided::Undecided);
        let status = if denied { Status::Denied } else { Status::Error };
        tracing::info!(query = %id, ?status, error = error.kind.as_str(), "query refused");
        entry.complete(Outcome { error_kind: Some(error.kind.as_str().to_owned()), ..Outcome::of(status) });
        let stages = stages();
        let trace = self.session.trace();
        let (rows, bytes, operators) = (0, 0, None);
        let ended = Ended { query_id: &id, status, error: Some(&error), rows, bytes, stages, trace, operators };
        self.gateway.metrics().ended(ended);
        Err(GatewayError { query_id: Some(id.into()), ..error })
    }
}
