//! The rows and values that pass the barrier.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use datafusion::arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions};
use datafusion::arrow::compute::{and, filter_record_batch, prep_null_mask_filter};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::cast::as_boolean_array;
use datafusion::common::{DataFusionError, Result, internal_err};
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_plan::coalesce::PushBatchStatus;
use futures::{Stream, StreamExt};

use super::coalesce::Kept;
use super::frozen::FrozenFilters;
use super::pushdown::renumbered;
use super::scan::GovernedScan;
use crate::exec::Retains;
use crate::exec::redact;
use crate::scrub;

/// What a barrier evaluates.
pub(super) struct Admission {
    pub filter: Option<Arc<dyn PhysicalExpr>>,
    /// Predicates of the user's, evaluated on what the filter kept.
    pub crossed: Vec<Arc<dyn PhysicalExpr>>,
    pub frozen: FrozenFilters,
    pub outputs: Vec<Arc<dyn PhysicalExpr>>,
    /// Which of them to compact; those that are not named are left as they are.
    pub compact: Vec<bool>,
    pub schema: SchemaRef,
    pub fetch: Option<usize>,
    pub batch_size: usize,
    /// What errors from below are sealed by.
    pub scan: Arc<GovernedScan>,
    pub context: Arc<TaskContext>,
}

/// The stream of what passes.
pub(super) fn admit(mut admission: Admission, input: SendableRecordBatchStream) -> Result<SendableRecordBatchStream> {
    let below = input.schema();
    let config = admission.context.session_config();
    let retained = config.get_extension::<Retains>().is_some();
    let Some(filter) = admission.filter.take() else {
        let identity = admission.outputs.len() == below.fields().len()
            && admission
                .outputs
                .iter()
                .enumerate()
                .all(|(i, o)| o.downcast_ref::<Column>().is_some_and(|c| c.index() == i));
        let identity = identity && below == admission.schema;
        admission.compact = match retained {
            true => admission.outputs.iter().map(|output| !output.is::<Column>()).collect(),
            false => vec![],
        };
        return Ok(Box::pin(Unfiltered { input, identity, admission }));
    };
    // Of the rows kept, only what the outputs read is copied.
    let mut read: Vec<usize> = admission.outputs.iter().flat_map(collect_columns).map(|c| c.index()).collect();
    read.sort_unstable();
    read.dedup();
    for output in &mut admission.outputs {
        *output = renumbered(output, &|old| read.binary_search(&old).ok())?;
    }
    admission.compact = if retained { vec![true; admission.outputs.len()] } else { vec![] };
    let kept = Kept::new(Arc::new(below.project(&read)?), admission.batch_size, admission.fetch);
    Ok(Box::pin(Filtered { input: Some(input), settled: false, filter, read, kept, admission }))
}

impl Admission {
    /// An error of the input, without what it says of rows, values and files.
    fn sealed(&self, error: &DataFusionError) -> DataFusionError {
        redact::log(self.context.session_config(), error);
        redact::seal_below(&self.scan, error)
    }

    /// The columns shown of rows that were kept. Views and dictionaries share buffers with rows that were not and with values before
    /// their mask, and any buffer may be larger than its values. That is mended at the end, by scrubbing; but what is retained above
    /// may be written down before, and what it occupies decides how operators go about it.
    fn show(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        self.evaluate(batch).map_err(|error| self.sealed(&error))
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let rows = batch.num_rows();
        let columns = self
            .outputs
            .iter()
            .enumerate()
            .map(|(at, output)| {
                let shown = output.evaluate(batch)?.into_array(rows)?;
                match self.compact.get(at) {
                    Some(true) => Ok(scrub::compact(&shown)?),
                    _ => Ok(shown),
                }
            })
            .collect::<Result<Vec<ArrayRef>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?)
    }
}

struct Unfiltered {
    input: SendableRecordBatchStream,
    /// Everything is shown as it is.
    identity: bool,
    admission: Admission,
}

impl Stream for Unfiltered {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = ready!(self.input.poll_next_unpin(cx));
        Poll::Ready(next.map(|batch| match batch {
            Ok(batch) if self.identity => Ok(batch),
            Ok(batch) => self.admission.show(&batch),
            Err(error) => Err(self.admission.sealed(&error)),
        }))
    }
}

impl RecordBatchStream for Unfiltered {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.admission.schema)
    }
}

/// Which rows pass: NULL is not TRUE.
fn passing(filter: &Arc<dyn PhysicalExpr>, batch: &RecordBatch) -> Result<BooleanArray> {
    let verdict = filter.evaluate(batch)?.into_array(batch.num_rows())?;
    let verdict = as_boolean_array(&verdict)?;
    if verdict.len() != batch.num_rows() {
        return internal_err!("a row filter gave {} verdicts for {} rows", verdict.len(), batch.num_rows());
    }
    Ok(match verdict.null_count() {
        0 => verdict.clone(),
        _ => prep_null_mask_filter(verdict),
    })
}

struct Filtered {
    /// `None` once it ended or enough rows were kept.
    input: Option<SendableRecordBatchStream>,
    /// Whether filters that changed before the first row are settled.
    settled: bool,
    filter: Arc<dyn PhysicalExpr>,
    /// The input's columns that `kept` has.
    read: Vec<usize>,
    kept: Kept,
    admission: Admission,
}

impl Filtered {
    /// Takes the rows of `batch` that pass. Says whether more are wanted.
    fn take(&mut self, batch: &RecordBatch) -> Result<PushBatchStatus> {
        let mut verdict = passing(&self.filter, batch)?;
        for crossed in &self.admission.crossed {
            verdict = and(&verdict, &passing(crossed, batch)?)?;
        }
        let batch = batch.project(&self.read)?;
        let passed = verdict.true_count();
        match passed {
            0 => Ok(PushBatchStatus::Continue),
            all if all == batch.num_rows() => self.kept.push_batch(batch),
            _ => self.kept.push_batch(filter_record_batch(&batch, &verdict)?),
        }
    }

    fn settle(&mut self) -> Result<()> {
        self.settled = true;
        self.admission.crossed.extend(self.admission.frozen.settle()?);
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        self.input = None;
        self.kept.finish()
    }

    fn poll_batch(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<RecordBatch>>> {
        loop {
            if let Some(batch) = self.kept.next_completed_batch() {
                return Poll::Ready(Some(self.admission.show(&batch)));
            }
            if !self.settled
                && let Err(error) = self.settle()
            {
                self.input = None;
                return Poll::Ready(Some(Err(self.admission.sealed(&error))));
            }
            let Some(input) = &mut self.input else { return Poll::Ready(None) };
            if let Err(error) = self.admission.frozen.refresh() {
                self.input = None;
                return Poll::Ready(Some(Err(self.admission.sealed(&error))));
            }
            let step = match ready!(input.poll_next_unpin(cx)) {
                None => self.finish(),
                Some(Err(error)) => Err(error),
                Some(Ok(batch)) => match self.take(&batch) {
                    Ok(PushBatchStatus::Continue) => Ok(()),
                    Ok(PushBatchStatus::LimitReached) => self.finish(),
                    Err(error) => Err(error),
                },
            };
            if let Err(error) = step {
                self.input = None;
                return Poll::Ready(Some(Err(self.admission.sealed(&error))));
            }
        }
    }
}

impl Stream for Filtered {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_batch(cx)
    }
}

impl RecordBatchStream for Filtered {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.admission.schema)
    }
}
