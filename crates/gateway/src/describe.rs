//! What a statement will return and which parameters it takes, without running it.

use std::sync::Arc;

use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::arrow::record_batch::RecordBatch;
use portcullis_engine::wire_schema;
use portcullis_govern::schema::explain_schema;
use portcullis_govern::{notices, parameter_schema};

use crate::error::GatewayError;
use crate::gateway::Gateway;
use crate::pipeline::{Judged, Planned, Query};
use crate::session::Session;
use crate::settings;

/// A planned statement.
#[derive(Debug, Clone)]
pub struct Described {
    /// The schema of the result, as on the wire: identical to that of every batch of [`crate::QueryStream`].
    pub schema: SchemaRef,
    /// One field for each parameter, in order, named `$1`, `$2`, …; empty if there are none.
    pub parameters: SchemaRef,
    /// Whether the statement only sets an option of the session and returns no rows.
    pub sets_option: bool,
    /// What the answer will not show, in words, where policies allow saying so.
    pub notices: Vec<String>,
}

/// Plans a statement. Nothing but metadata is touched, so that a statement that may run has no record before it does. What is refused
/// has its one: whoever is told of it does not run it.
pub(crate) async fn describe(
    gateway: &Gateway,
    session: &Session,
    sql: &str,
    bound: Option<RecordBatch>,
) -> Result<Described, GatewayError> {
    let state = gateway.state();
    let (query, subject) = Query::new(gateway, session, &state).await?;
    let Planned { plan, decision, .. } = match query.judge(&subject, sql, bound).await? {
        Judged::Setting(query, setting) => {
            query.settable(&setting, &subject, Ok(())).await?;
            let (schema, parameters) = (settings::schema(), Arc::new(Schema::empty()));
            return Ok(Described { schema, parameters, sets_option: true, notices: Vec::new() });
        }
        Judged::Permitted(_, planned) => *planned,
    };
    let schema = if plan.explains().is_some() { explain_schema() } else { wire_schema(&plan.schema()) };
    Ok(Described {
        schema,
        parameters: parameter_schema(plan.parameters()),
        sets_option: false,
        notices: notices(&decision),
    })
}
