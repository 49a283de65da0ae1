//! The rows of a query on their way out: counted, and the audit entry closed however the stream ends.

use std::pin::Pin;
use std::task::{Context, Poll};

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::RecordBatch;
use futures::Stream;

use crate::error::GatewayError;

type Batches = Pin<Box<dyn Stream<Item = Result<RecordBatch, GatewayError>> + Send>>;

/// Governed, scrubbed batches. Dropping it stops the work and is recorded as `cancelled`.
pub struct QueryStream {
    query_id: String,
    schema: SchemaRef,
    batches: Batches,
}

impl QueryStream {
    /// The schema that every batch has, as on the wire.
    pub fn schema(&self) -> SchemaRef {
        SchemaRef::clone(&self.schema)
    }

    /// The id under which the audit journal has this query.
    pub fn query_id(&self) -> &str {
        &self.query_id
    }
}

impl Stream for QueryStream {
    type Item = Result<RecordBatch, GatewayError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.batches.as_mut().poll_next(context)
    }
}
