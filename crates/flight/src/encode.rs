//! Rows on their way out: batches to `FlightData`, one message at a time, as fast as the client takes them.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use arrow::array::Array;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use arrow_flight::{FlightData, SchemaAsIpc};
use arrow_ipc::CompressionType;
use arrow_ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteContext, IpcWriteOptions};
use futures::Stream;
use futures::stream::BoxStream;
use portcullis_gateway::Stopwatch;
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};

use crate::status;

/// Wanted size of a message. Clients refuse messages above 4 MiB by gRPC's default; a batch may hold any number of rows.
const MESSAGE_BYTES: usize = 2 << 20;

/// The header by which a client asks for compressed record batches: `lz4`, `zstd` or `none`.
const COMPRESSION: &str = "x-portcullis-compression";

/// How batches are written, as the client asks for it.
pub(crate) fn options(metadata: &MetadataMap) -> Result<IpcWriteOptions, Status> {
    let Some(value) = metadata.get(COMPRESSION) else { return Ok(IpcWriteOptions::default()) };
    let compression = match value.to_str().unwrap_or_default() {
        "none" => None,
        "lz4" => Some(CompressionType::LZ4_FRAME),
        "zstd" => Some(CompressionType::ZSTD),
        other => {
            return Err(status::invalid(format!(
                "unknown compression `{other}` in the header `{COMPRESSION}`: use lz4, zstd or none"
            )));
        }
    };
    IpcWriteOptions::default()
        .try_with_compression(compression)
        .map_err(|error| status::internal("setting the compression", error))
}

/// Batches of one schema as a stream of `FlightData`: the schema first, whether or not a batch follows. At most one
/// batch is held, and a message is encoded when it is asked for, so a slow client slows the query down instead of
/// filling memory; dropping it drops the query.
pub(crate) struct Encoder {
    batches: BoxStream<'static, Result<RecordBatch, Status>>,
    options: IpcWriteOptions,
    dictionaries: DictionaryTracker,
    context: IpcWriteContext,
    ready: VecDeque<FlightData>,
    slices: Slices,
    /// What is sent if the stream ends without a row, for clients that learn the columns from a batch.
    empty: Option<RecordBatch>,
    done: bool,
}

impl Encoder {
    /// An encoder for batches that all have this schema.
    pub(crate) fn new(
        schema: SchemaRef,
        batches: BoxStream<'static, Result<RecordBatch, Status>>,
        options: IpcWriteOptions,
    ) -> Encoder {
        let first = FlightData::from(SchemaAsIpc::new(&schema, &options));
        Encoder {
            batches,
            options,
            dictionaries: DictionaryTracker::new(false),
            context: IpcWriteContext::default(),
            ready: VecDeque::from([first]),
            slices: Slices::default(),
            empty: (!schema.fields().is_empty()).then(|| RecordBatch::new_empty(schema)),
            done: false,
        }
    }

    fn encode(&mut self, batch: &RecordBatch) -> Result<(), ArrowError> {
        let mut clock = Stopwatch::start();
        let (dictionaries, data) =
            IpcDataGenerator::default().encode(batch, &mut self.dictionaries, &self.options, &mut self.context)?;
        self.ready.extend(dictionaries.into_iter().map(FlightData::from));
        self.ready.push_back(data.into());
        clock.stage("encode");
        Ok(())
    }
}

impl Stream for Encoder {
    type Item = Result<FlightData, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(message) = self.ready.pop_front() {
                return Poll::Ready(Some(Ok(message)));
            }
            if let Some(slice) = self.slices.next() {
                self.empty = None;
                if let Err(error) = self.encode(&slice) {
                    self.slices = Slices::default();
                    self.done = true;
                    return Poll::Ready(Some(Err(status::internal("encoding a batch", error))));
                }
                continue;
            }
            if self.done {
                return Poll::Ready(None);
            }
            match ready!(self.batches.as_mut().poll_next(context)) {
                Some(Ok(batch)) => self.slices = Slices::of(batch),
                Some(Err(status)) => {
                    self.done = true;
                    if status.code() == Code::Internal {
                        tracing::error!(message = status.message(), "a query failed while it was streaming");
                    }
                    return Poll::Ready(Some(Err(status)));
                }
                None => {
                    self.done = true;
                    self.slices.rest = self.empty.take();
                }
            }
        }
    }
}

/// A batch in pieces of about [`MESSAGE_BYTES`].
#[derive(Default)]
struct Slices {
    rest: Option<RecordBatch>,
    rows: usize,
}

impl Slices {
    fn of(batch: RecordBatch) -> Slices {
        let rows = rows_per_message(&batch);
        Slices { rest: (batch.num_rows() > 0).then_some(batch), rows }
    }
}

impl Iterator for Slices {
    type Item = RecordBatch;

    fn next(&mut self) -> Option<RecordBatch> {
        let rest = self.rest.take()?;
        let total = rest.num_rows();
        if total <= self.rows {
            return Some(rest);
        }
        self.rest = Some(rest.slice(self.rows, total - self.rows));
        Some(rest.slice(0, self.rows))
    }
}

/// How many rows of this batch make a message. Sizes are of the rows in the batch, not of the buffers they lie in.
fn rows_per_message(batch: &RecordBatch) -> usize {
    let size = |array: &dyn Array| array.to_data().get_slice_memory_size().unwrap_or(array.get_buffer_memory_size());
    let bytes: usize = batch.columns().iter().map(|column| size(column.as_ref())).sum();
    let messages = bytes.div_ceil(MESSAGE_BYTES).max(1);
    batch.num_rows().div_ceil(messages).max(1)
}
