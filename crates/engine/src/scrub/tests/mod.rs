mod arrays;
mod equality;

use std::sync::Arc;

use arrow_flight::encode::FlightDataEncoderBuilder;
use datafusion::arrow::array::*;
use datafusion::arrow::compute::kernels::zip::zip;
use datafusion::arrow::compute::{BatchCoalescer, cast, concat_batches, filter_record_batch, not, nullif};
use datafusion::arrow::datatypes::*;
use datafusion::arrow::ipc::CompressionType;
use datafusion::arrow::ipc::writer::{IpcWriteOptions, StreamWriter};
use datafusion::common::utils::memory::get_record_batch_memory_size;
use futures::TryStreamExt;

use super::{compact, scrub, unsupported, wire_schema};
use arrays::{ROWS, Values, mix};

fn scrubbed(batch: &RecordBatch) -> RecordBatch {
    scrub(batch, &wire_schema(&batch.schema())).unwrap()
}

async fn flight(batch: &RecordBatch) -> Vec<u8> {
    let encoder = FlightDataEncoderBuilder::new().with_max_flight_data_size(1 << 30);
    let messages: Vec<_> = encoder.build(futures::stream::iter([Ok(batch.clone())])).try_collect().await.unwrap();
    messages.iter().flat_map(|message| [&message.data_header[..], &message.data_body[..]].concat()).collect()
}

fn ipc(batch: &RecordBatch, compression: Option<CompressionType>) -> Vec<u8> {
    let options = IpcWriteOptions::default().try_with_compression(compression).unwrap();
    let mut writer = StreamWriter::try_new_with_options(Vec::new(), &batch.schema(), options).unwrap();
    writer.write(batch).unwrap();
    writer.into_inner().unwrap()
}

fn has_needle(bytes: &[u8]) -> bool {
    bytes.windows(4).any(|window| window == b"NEED")
}

fn columns(batch: &RecordBatch) -> impl Iterator<Item = RecordBatch> + '_ {
    (0..batch.num_columns()).map(|i| batch.project(&[i]).unwrap())
}

type Pipeline = fn(&RecordBatch, &BooleanArray) -> Option<RecordBatch>;

fn each(batch: &RecordBatch, change: impl Fn(&ArrayRef) -> Option<ArrayRef>) -> Option<RecordBatch> {
    let columns = batch.columns().iter().map(change).collect::<Option<Vec<_>>>()?;
    RecordBatch::try_new(batch.schema(), columns).ok()
}

/// The ways in which rows and values get hidden. `None`: not for this type.
const PIPELINES: [(&str, Pipeline); 5] = [
    ("filter", |batch, keep| filter_record_batch(batch, keep).ok()),
    ("slice", |batch, keep| {
        let start = (0..ROWS).find(|i| keep.value(*i))?;
        let end = (start..ROWS).find(|i| !keep.value(*i)).unwrap_or(ROWS);
        Some(batch.slice(start, end - start))
    }),
    ("nullif", |batch, keep| each(batch, |column| nullif(column, &not(keep).unwrap()).ok())),
    ("case", |batch, keep| {
        each(batch, |column| {
            let null = new_null_array(column.data_type(), 1);
            zip(keep, column, &Scalar::new(null)).ok()
        })
    }),
    ("coalesced filter", |batch, keep| {
        let mut coalescer = BatchCoalescer::new(batch.schema(), ROWS);
        coalescer.push_batch_with_filter(batch.clone(), keep).ok()?;
        coalescer.finish_buffered_batch().ok()?;
        coalescer.next_completed_batch()
    }),
];

#[tokio::test]
async fn bytes_depend_on_visible_values_only() {
    let (mut checked, mut leaky) = (0, 0);
    for percent in [1, 10, 50, 90, 99] {
        for scattered in [true, false] {
            let hidden = move |i: usize| match scattered {
                true => mix(i) % 100 >= percent,
                false => !(37..37 + ROWS * percent / 115).contains(&i),
            };
            let keep: BooleanArray = (0..ROWS).map(|i| Some(!hidden(i))).collect();
            let worlds = [0, 1].map(|world| Values { hidden: &hidden, world }.batch());
            for (name, pipeline) in PIPELINES {
                for (a, b) in columns(&worlds[0]).zip(columns(&worlds[1])) {
                    let (Some(a), Some(b)) = (pipeline(&a, &keep), pipeline(&b, &keep)) else { continue };
                    let case = format!("{name} {} {percent} {scattered}", a.schema().field(0).name());
                    let copy = |batch: &RecordBatch| concat_batches(&batch.schema(), [batch]).unwrap();
                    assert_eq!(copy(&a), copy(&b), "the worlds look alike: {case}");
                    leaky += usize::from(has_needle(&flight(&a).await));
                    // What is kept in its type, for operators that write it down.
                    let own = [&a, &b].map(|batch| each(batch, |column| compact(column).ok()).unwrap());
                    assert_eq!(copy(&own[0]), copy(&a), "compacting changes no value: {case}");
                    assert!(ipc(&own[0], None) == ipc(&own[1], None), "other bytes are written down: {case}");
                    assert!(!has_needle(&ipc(&own[0], None)), "a needle is written down: {case}");
                    // As much memory as the same values occupy that never had others beside them.
                    let clean = cast(scrubbed(&a).column(0), a.schema().field(0).data_type()).unwrap();
                    let clean = RecordBatch::try_new(a.schema(), vec![compact(&clean).unwrap()]).unwrap();
                    let occupied = [&own[0], &own[1], &clean].map(get_record_batch_memory_size);
                    assert!(occupied == [occupied[0]; 3], "{occupied:?} bytes are occupied: {case}");
                    let (a, b) = (scrubbed(&a), scrubbed(&b));
                    a.column(0).to_data().validate_full().unwrap();
                    let (x, y) = (flight(&a).await, flight(&b).await);
                    assert!(!has_needle(&x), "a needle: {case}");
                    assert!(x == y, "other bytes: {case}");
                    for compression in [None, Some(CompressionType::LZ4_FRAME)] {
                        assert!(ipc(&a, compression) == ipc(&b, compression), "other IPC bytes: {case}");
                    }
                    checked += 1;
                }
            }
        }
    }
    assert!(checked > 1_000, "{checked}");
    assert!(leaky > 100, "unscrubbed, needles are there: {leaky}");
}

#[test]
fn what_hides_nothing_is_not_copied() {
    let ints: ArrayRef = Arc::new(Int64Array::from_iter_values(0..100));
    let nullable: ArrayRef = Arc::new(Int64Array::from_iter((0..104).map(|i| (i % 3 == 0).then_some(i))));
    let texts: ArrayRef = Arc::new(StringArray::from_iter((0..104).map(|i| (i % 3 == 0).then(|| i.to_string()))));
    for array in [ints, nullable, texts] {
        let batch = RecordBatch::try_from_iter_with_nullable([("c", Arc::clone(&array), true)]).unwrap();
        let scrubbed = scrubbed(&batch);
        assert!(Arc::ptr_eq(scrubbed.column(0), &array), "{:?}", array.data_type());
    }
}

#[test]
fn the_wire_schema_is_that_of_every_batch() {
    let batch = Values { hidden: &|_| false, world: 1 }.batch();
    let schema = wire_schema(&batch.schema());
    assert_eq!(scrubbed(&batch).schema(), schema);
    assert_eq!(wire_schema(&schema), schema);
    assert_eq!(scrubbed(&scrubbed(&batch)), scrubbed(&batch));
    let text = format!("{schema:?}");
    for absent in ["Utf8View", "BinaryView", "ListView", "Dictionary"] {
        assert!(!text.contains(absent), "{text}");
    }
    let empty = RecordBatch::new_empty(batch.schema());
    assert_eq!(scrubbed(&empty).schema(), schema);
    let none = RecordBatch::try_new_with_options(
        Schema::empty().into(),
        vec![],
        &RecordBatchOptions::new().with_row_count(Some(3)),
    );
    assert_eq!(scrubbed(&none.unwrap()).num_rows(), 3);
}

#[test]
fn unions_and_runs_are_refused() {
    let runs = DataType::RunEndEncoded(
        Arc::new(Field::new("run_ends", DataType::Int32, false)),
        Arc::new(Field::new("values", DataType::Utf8, true)),
    );
    let fields = [(0, Arc::new(Field::new("a", DataType::Int32, true)))].into_iter().collect();
    let union = DataType::Union(fields, UnionMode::Sparse);
    let list = |t: &DataType| DataType::List(Arc::new(Field::new_list_field(t.clone(), true)));
    for refused in [runs.clone(), union.clone(), list(&runs), list(&list(&union))] {
        let schema = Schema::new(vec![Field::new("fine", DataType::Utf8, true), Field::new("c", refused, true)]);
        assert_eq!(unsupported(&schema).map(|field| field.name().as_str()), Some("c"));
        let batch = RecordBatch::new_empty(Arc::new(schema));
        if let Ok(rebuilt) = scrub(&batch, &wire_schema(&batch.schema())) {
            panic!("{rebuilt:?}");
        }
    }
    assert!(unsupported(&Values { hidden: &|_| false, world: 1 }.batch().schema()).is_none());
}
