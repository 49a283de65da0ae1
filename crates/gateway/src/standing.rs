//! Whether what a statement was permitted still stands while its rows are on their way.

use std::sync::Arc;
use std::time::Duration;

use datafusion::common::ParamValues;
use portcullis_engine::Engine;
use portcullis_govern::sql::Statement;
use portcullis_govern::{Decision, Subject, Verdict};
use tokio::sync::watch;

use crate::error::{ErrorKind, GatewayError};
use crate::gateway;
use crate::pipeline;
use crate::session::Session;
use crate::state::Current;

/// A permitted statement, to be judged again when policies, contracts or users change.
pub(crate) struct Standing {
    current: Arc<Current>,
    engine: Arc<Engine>,
    /// Changes since the state was taken that the statement was judged by.
    changes: watch::Receiver<u64>,
    /// How long after a change it is judged again.
    grace: Duration,
}

impl Standing {
    /// To be made before the state is taken that the statement is judged by: no change falls between.
    pub(crate) fn new(current: &Arc<Current>, engine: &Arc<Engine>, grace: Duration) -> Standing {
        Standing { current: Arc::clone(current), engine: Arc::clone(engine), changes: current.changes(), grace }
    }

    /// Ends, with the reason, when the statement would be answered otherwise now. Never, if nothing changes that.
    pub(crate) async fn revoked(
        mut self,
        statement: Statement,
        session: Session,
        subject: Subject,
        values: Option<ParamValues>,
        decision: Decision,
    ) -> GatewayError {
        let mut vouched = session.vouched();
        while changed(&mut self.changes, vouched.as_mut()).await {
            tokio::time::sleep(self.grace).await;
            // What came meanwhile is judged as well.
            self.changes.borrow_and_update();
            if let Some(vouched) = &mut vouched {
                vouched.borrow_and_update();
            }
            if !self.stands(&statement, &session, &subject, values.clone(), &decision).await {
                let message = "the query was stopped: policies, contracts or users changed while it ran, and it would not \
                               be answered like this any more; run it again";
                return GatewayError::new(ErrorKind::PermissionDenied, message);
            }
        }
        // Nobody is left who could change anything.
        std::future::pending().await
    }

    async fn stands(
        &self,
        statement: &Statement,
        session: &Session,
        subject: &Subject,
        values: Option<ParamValues>,
        decision: &Decision,
    ) -> bool {
        let state = self.current.get();
        let Ok(principal) = gateway::principal(&state, session, &subject.context) else { return false };
        // The circumstances are those of the beginning: only what was changed counts, not that time goes by.
        let now = Subject { principal, context: subject.context.clone() };
        match pipeline::govern(&self.engine, &state, statement, &now, values).await {
            Ok(Verdict::Permit(_, again)) => {
                again.tables.len() == decision.tables.len()
                    && again.tables.iter().zip(&decision.tables).all(|(now, then)| now.shows_the_same(then))
            }
            _ => false,
        }
    }
}

/// Waits until one of both has changed. False if neither can any more.
async fn changed(mesh: &mut watch::Receiver<u64>, vouched: Option<&mut watch::Receiver<u64>>) -> bool {
    let vouched = async {
        match vouched {
            Some(vouched) => vouched.changed().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        changed = mesh.changed() => changed.is_ok(),
        Ok(()) = vouched => true,
    }
}
