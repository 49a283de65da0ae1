//! The rows that were kept, in batches of one size.
//!
//! Where one batch ends and the next begins is visible: each is a message of its own. It must follow from the rows that are shown
//! alone. DataFusion's coalescer lets large batches pass as they are, and their sizes would say how many rows are hidden between.

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::compute::BatchCoalescer;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::Result;
use datafusion::physical_plan::coalesce::PushBatchStatus;

/// Batches of exactly `size` rows, but for the last.
pub(crate) struct Kept {
    batches: BatchCoalescer,
    size: usize,
    /// A batch of `size` rows that came when nothing was waiting: handed on as it is.
    whole: Option<RecordBatch>,
    /// Rows that are still wanted; `None`: all.
    wanted: Option<usize>,
}

impl Kept {
    pub fn new(schema: SchemaRef, size: usize, fetch: Option<usize>) -> Self {
        Self { batches: BatchCoalescer::new(schema, size), size, whole: None, wanted: fetch }
    }

    pub fn push_batch(&mut self, batch: RecordBatch) -> Result<PushBatchStatus> {
        let Some(wanted) = self.wanted else {
            self.push(batch)?;
            return Ok(PushBatchStatus::Continue);
        };
        let taken = batch.num_rows().min(wanted);
        self.push(batch.slice(0, taken))?;
        self.wanted = Some(wanted - taken);
        Ok(if taken == wanted { PushBatchStatus::LimitReached } else { PushBatchStatus::Continue })
    }

    fn push(&mut self, batch: RecordBatch) -> Result<()> {
        if batch.num_rows() == self.size && self.whole.is_none() && self.batches.is_empty() {
            self.whole = Some(batch);
            return Ok(());
        }
        Ok(self.batches.push_batch(batch)?)
    }

    pub fn finish(&mut self) -> Result<()> {
        Ok(self.batches.finish_buffered_batch()?)
    }

    pub fn next_completed_batch(&mut self) -> Option<RecordBatch> {
        self.whole.take().or_else(|| self.batches.next_completed_batch())
    }
}
