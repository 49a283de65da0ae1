use std::collections::BTreeMap;
use std::fs::File;

use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::datasource::object_store::ObjectStoreUrl;
use datafusion::datasource::physical_plan::{FileSource, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::expressions::{BinaryExpr, Column, lit};
use datafusion::physical_plan::{ExecutionPlan, collect};
use datafusion::prelude::{SessionConfig, SessionContext};
use parquet::arrow::ArrowWriter;
use tempfile::TempDir;

use super::*;
use crate::tables::source::TableSource;

fn schema() -> Arc<Schema> {
    Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, true), Field::new("of", DataType::Int64, true)]))
}

fn scan_of(files: Vec<PartitionedFile>, partitions: usize) -> SharedScan {
    let source: Arc<dyn FileSource> = Arc::new(ParquetSource::new(schema()).with_pushdown_filters(true));
    let shell = FileScanConfigBuilder::new(ObjectStoreUrl::local_filesystem(), TableSource::wrap(source));
    SharedScan::new(shell, files.into_iter().map(SharedFile::from).collect(), partitions)
}

fn scan(sizes: &[u64], partitions: usize) -> SharedScan {
    let files = sizes.iter().enumerate().map(|(at, size)| PartitionedFile::new(format!("{at:05}.parquet"), *size));
    scan_of(files.collect(), partitions)
}

/// How many bytes of each file a scan reads, and in how many groups.
fn read(source: &dyn DataSource) -> (BTreeMap<String, u64>, usize) {
    let whole = source.downcast_ref::<SharedScan>().map(|scan| scan.with_files(None));
    let whole = whole.or_else(|| source.downcast_ref::<FileScanConfig>().cloned()).unwrap();
    let mut bytes = BTreeMap::new();
    for file in whole.file_groups.iter().flat_map(|group| group.iter()) {
        *bytes.entry(file.path().to_string()).or_default() += file.effective_size();
    }
    assert_eq!(source.output_partitioning().partition_count(), whole.file_groups.len());
    (bytes, whole.file_groups.len())
}

#[test]
fn whatever_is_changed_about_a_scan_it_reads_the_same_files() {
    let even = vec![30 << 20; 100];
    let uneven = vec![900 << 20, 1 << 20, 1 << 20];
    for sizes in [even, uneven, vec![1; 7], vec![40 << 20]] {
        let scan = scan(&sizes, 4);
        let (all, _) = read(&scan);
        assert_eq!(all.values().copied().collect::<Vec<u64>>(), sizes);
        let above = Arc::new(BinaryExpr::new(Arc::new(Column::new("id", 0)), Operator::Gt, lit(5i64)));
        let filtered = scan.try_pushdown_filters(vec![above], &ConfigOptions::default()).unwrap().updated_node.unwrap();
        let projection = ProjectionExprs::from_indices(&[1], &schema());
        let narrow = scan.try_swapping_with_projection(&projection).unwrap().unwrap();
        assert_eq!(narrow.eq_properties().schema().fields().len(), 1);
        let limited = scan.with_fetch(Some(3)).unwrap();
        assert_eq!(limited.fetch(), Some(3));
        let ordered = scan.with_preserve_order(true).unwrap();
        for changed in [&filtered, &narrow, &limited, &ordered] {
            assert!(changed.downcast_ref::<SharedScan>().is_some(), "{changed:?} has files of its own");
            assert_eq!(read(changed.as_ref()), read(&scan), "{sizes:?}");
            if let Some(split) = changed.repartitioned(4, 10 << 20, None).unwrap() {
                assert_eq!(read(split.as_ref()).0, all, "{sizes:?}");
            }
        }
    }
}

#[test]
fn large_files_are_split_and_many_small_ones_are_not() {
    let split = |sizes: &[u64], partitions| scan(sizes, 4).repartitioned(partitions, 10 << 20, None).unwrap();
    assert!(split(&[30 << 20; 100], 4).is_none());
    assert_eq!(read(split(&[30 << 20; 100], 8).unwrap().as_ref()).1, 8);
    let mut one_is_large = vec![1 << 20; 100];
    one_is_large.push(800 << 20);
    assert_eq!(read(split(&one_is_large, 4).unwrap().as_ref()).1, 4);
    // Without a list that the partitions share, the bytes of each count.
    let ordered = scan(&[30 << 20; 102], 4).with_preserve_order(true).unwrap();
    assert!(ordered.repartitioned(4, 10 << 20, None).unwrap().is_some());
}

#[test]
fn groups_differ_by_one_file_at_most() {
    for (files, partitions, expected) in
        [(5, 4, vec![2, 1, 1, 1]), (3, 4, vec![1, 1, 1]), (8, 4, vec![2, 2, 2, 2]), (9, 1, vec![9]), (0, 4, vec![0])]
    {
        let groups = scan(&vec![1; files], partitions).groups;
        assert_eq!(groups.iter().map(Vec::len).collect::<Vec<_>>(), expected);
    }
}

#[tokio::test]
async fn every_row_is_read_once_whether_or_not_partitions_share_files() {
    let place = TempDir::new().unwrap();
    let files = (0..10i64).map(|file| {
        let path = place.path().join(format!("{file}.parquet"));
        let column = |values: Vec<i64>| Arc::new(Int64Array::from(values)) as ArrayRef;
        let rows = file * 10..file * 10 + 10;
        let batch = RecordBatch::try_new(schema(), vec![column(rows.collect()), column(vec![file; 10])]).unwrap();
        let mut writer = ArrowWriter::try_new(File::create(&path).unwrap(), schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        PartitionedFile::from_path(path.display().to_string()).unwrap()
    });
    let files: Vec<PartitionedFile> = files.collect();
    for (shares, in_order) in [(true, false), (false, false), (true, true)] {
        let mut config = SessionConfig::new();
        config.options_mut().execution.enable_file_stream_work_stealing = shares;
        let scan = scan_of(files.clone(), 3).with_preserve_order(in_order).unwrap();
        let plan = Arc::new(DataSourceExec::new(scan)) as Arc<dyn ExecutionPlan>;
        let ctx = SessionContext::new_with_config(config);
        let batches = collect(plan, ctx.task_ctx()).await.unwrap();
        let ids = batches.iter().flat_map(|batch| {
            let ids = batch.column(0).as_any().downcast_ref::<Int64Array>().unwrap();
            ids.values().to_vec()
        });
        let mut ids: Vec<i64> = ids.collect();
        ids.sort_unstable();
        assert_eq!(ids, (0..100).collect::<Vec<i64>>(), "shares {shares}, in order {in_order}");
    }
}
