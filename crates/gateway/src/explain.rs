//! The answer to `EXPLAIN`: plans as rows, without anything of what is below a barrier.

use std::sync::Arc;

use datafusion::arrow::array::StringArray;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::record_batch::RecordBatch;

use crate::error::GatewayError;

/// `plan_type` and `plan`, as DataFusion names them.
pub(crate) fn schema() -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    Arc::new(Schema::new(vec![text("plan_type"), text("plan")]))
}

pub(crate) fn batch(logical: &str, physical: &str) -> Result<RecordBatch, GatewayError> {
    let types = StringArray::from(vec!["logical_plan", "physical_plan"]);
    let plans = StringArray::from(vec![logical, physical]);
    RecordBatch::try_new(schema(), vec![Arc::new(types), Arc::new(plans)])
        .map_err(|error| GatewayError::internal(error.to_string()))
}
