//! What a statement will return and which parameters it takes, without running it.

use std::sync::Arc;

use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::arrow::record_batch::RecordBatch;
use portcullis_engine::wire_schema;
use portcullis_govern::schema::explain_schema;
use portcullis_govern::sql::{self, StatementKind};
use portcullis_govern::{Verdict, notices, parameter_schema};

use crate::error::GatewayError;
use crate::gateway::Gateway;
use crate::parameters;
use crate::pipeline;
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

/// Plans a statement. Nothing but metadata is touched, so nothing is audited; what may not be discovered is not found here either.
pub(crate) async fn describe(
    gateway: &Gateway,
    session: &Session,
    sql: &str,
    bound: Option<RecordBatch>,
) -> Result<Described, GatewayError> {
    let state = gateway.state();
    let subject = gateway.subject(&state, session)?;
    settings::purpose_known(&state, &subject)?;
    let statement = sql::parse_in(sql, &gateway.parse_limits(), &gateway.defaults(session))?;
    if let StatementKind::Set(setting) = statement.kind() {
        settings::check(&state, &subject, setting)?;
        let (schema, parameters) = (settings::schema(), Arc::new(Schema::empty()));
        return Ok(Described { schema, parameters, sets_option: true, notices: Vec::new() });
    }
    let values = parameters::values(bound.as_ref())?;
    let (plan, decision) = match pipeline::govern(gateway.engine(), &state, &statement, &subject, values).await? {
        Verdict::Permit(plan, decision) => (plan, decision),
        Verdict::Deny(decision) | Verdict::Undecided(decision) => return Err(GatewayError::from(&decision)),
    };
    let schema = if plan.explains().is_some() { explain_schema() } else { wire_schema(&plan.schema()) };
    Ok(Described {
        schema,
        parameters: parameter_schema(plan.parameters()),
        sets_option: false,
        notices: notices(&decision),
    })
}
