//! Bound parameters: one row of a batch, its columns in the order of the placeholders.

use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::metadata::ScalarAndMetadata;
use datafusion::common::{ParamValues, ScalarValue};

use crate::error::GatewayError;

/// The values of the batch's one row. A batch without columns binds nothing.
pub(crate) fn values(batch: Option<&RecordBatch>) -> Result<Option<ParamValues>, GatewayError> {
    let Some(batch) = batch.filter(|batch| batch.num_columns() > 0) else { return Ok(None) };
    if batch.num_rows() != 1 {
        let message = format!("parameters need exactly 1 row, not {}: execute once for each row", batch.num_rows());
        return Err(GatewayError::invalid(message));
    }
    let values = batch.columns().iter().map(|column| ScalarValue::try_from_array(column, 0));
    let values = values.map(|value| value.map(|value| ScalarAndMetadata::new(value, None)));
    let values: Vec<_> = values.collect::<Result<_, _>>().map_err(|error| {
        GatewayError::invalid(format!("a parameter's type is not supported: {}", error.strip_backtrace()))
    })?;
    Ok(Some(ParamValues::List(values)))
}
