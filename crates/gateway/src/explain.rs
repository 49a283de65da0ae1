//! The answer to `EXPLAIN`: plans as rows, without anything of what is below a barrier.

use std::sync::Arc;

use datafusion::arrow::array::StringArray;
use datafusion::arrow::record_batch::RecordBatch;
use portcullis_govern::schema::explain_schema;

use crate::error::GatewayError;

/// The answer to `EXPLAIN`.
pub(crate) fn plans(logical: &str, physical: &str) -> Result<RecordBatch, GatewayError> {
    batch(vec!["logical_plan", "physical_plan"], vec![logical, physical])
}

/// The answer to `EXPLAIN ANALYZE`.
pub(crate) fn analyzed(plan: &str) -> Result<RecordBatch, GatewayError> {
    batch(vec!["Plan with Metrics"], vec![plan])
}

fn batch(types: Vec<&str>, plans: Vec<&str>) -> Result<RecordBatch, GatewayError> {
    let (types, plans) = (StringArray::from(types), StringArray::from(plans));
    RecordBatch::try_new(explain_schema(), vec![Arc::new(types), Arc::new(plans)])
        .map_err(|error| GatewayError::internal(error.to_string()))
}
