//! What becomes of a statement before anything of the data is touched: parse → versions → govern.

use std::sync::Arc;

use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::ParamValues;
use futures::future::join_all;
use portcullis_audit::Decision as Decided;
use portcullis_engine::{Engine, EngineError, Stopwatch};
use portcullis_govern::sql::{Setting, Statement, StatementKind};
use portcullis_govern::{Decision, GovernedPlan, Subject, Verdict, Versions};
use tokio::sync::Semaphore;

use super::Query;
use crate::error::GatewayError;
use crate::parameters;
use crate::settings;
use crate::state::State;

/// Statements that read files while they are planned, at the same time: describing takes no turn, and there may be hundreds of threads
/// that block.
static READERS: Semaphore = Semaphore::const_new(4);

/// A statement that is not refused.
pub(crate) enum Judged<'a> {
    /// It sets an option, if that may be set.
    Setting(Query<'a>, Setting),
    /// It may be planned like this.
    Permitted(Query<'a>, Box<Planned>),
}

/// A statement, and what was decided about it.
pub(crate) struct Planned {
    pub statement: Statement,
    pub values: Option<ParamValues>,
    pub plan: Box<GovernedPlan>,
    pub decision: Decision,
}

impl<'a> Query<'a> {
    /// Parses and governs. Nothing of the data is touched, and what is refused has its record.
    pub(crate) async fn judge(
        mut self,
        subject: &Subject,
        sql: &str,
        bound: Option<RecordBatch>,
    ) -> Result<Judged<'a>, GatewayError> {
        let (gateway, state) = (self.gateway, self.state);
        let mut clock = Stopwatch::start();
        let (who, limits, defaults) = (&subject.principal.id, &self.limits.parse, gateway.defaults(self.session));
        let statement = match gateway.statements.parse(who, sql, limits, &defaults) {
            Ok(statement) => statement,
            Err(error) => return self.refuse_unparsed(error.into()).await,
        };
        self.record.statement = statement.redacted();
        clock.stage("parse");
        let checked = settings::purpose_known(state, subject).and_then(|()| parameters::values(bound.as_ref()));
        let values = match checked {
            Ok(values) => values,
            Err(error) => return self.refuse(error).await,
        };
        if let StatementKind::Set(setting) = statement.kind() {
            let setting = setting.clone();
            return Ok(Judged::Setting(self, setting));
        }
        let verdict = govern(gateway.engine(), state, &statement, subject, values.clone()).await;
        clock.stage("govern");
        match verdict {
            Ok(Verdict::Permit(plan, decision)) => {
                Ok(Judged::Permitted(self, Box::new(Planned { statement, values, plan, decision })))
            }
            Ok(Verdict::Deny(decision)) => self.refuse_decided(Decided::Denied, &decision).await,
            Ok(Verdict::Undecided(decision)) => self.refuse_decided(Decided::Undecided, &decision).await,
            Err(error) => self.refuse(error).await,
        }
    }
}

/// Governs a statement, once it is known which versions of tables it means. Tables of `system` may read files for their
/// rows, so such statements leave the async threads.
pub(crate) async fn govern(
    engine: &Engine,
    state: &Arc<State>,
    statement: &Statement,
    subject: &Subject,
    values: Option<ParamValues>,
) -> Result<Verdict, GatewayError> {
    if values.is_none()
        && let Some(known) = state.planner.known(statement, subject)
    {
        return Ok(known);
    }
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
    values: Option<ParamValues>,
    versions: Versions,
) -> Result<Verdict, GatewayError> {
    let reads_files = statement.tables().iter().any(|name| name.to_lowercase().contains("access_log"));
    if !reads_files {
        return Ok(state.planner.govern_at(statement, subject, values, &versions));
    }
    let _turn = READERS.acquire().await.map_err(|_| GatewayError::internal("nobody may read"))?;
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
