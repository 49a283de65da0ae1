//! The answer to `EXPLAIN`: plans as rows, without anything of what is below a barrier.

use std::sync::Arc;

use datafusion::arrow::array::StringArray;
use datafusion::arrow::record_batch::RecordBatch;
use portcullis_govern::schema::explain_schema;

use crate::error::GatewayError;

pub(crate) fn batch(logical: &str, physical: &str) -> Result<RecordBatch, GatewayError> {
    let types = StringArray::from(vec!["logical_plan", "physical_plan"]);
    let plans = StringArray::from(vec![logical, physical]);
    RecordBatch::try_new(explain_schema(), vec![Arc::new(types), Arc::new(plans)])
        .map_err(|error| GatewayError::internal(error.to_string()))
}
