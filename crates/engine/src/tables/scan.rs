//! Execution plans over the files of a snapshot.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::Session;
use datafusion::common::config::TableParquetOptions;
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, JoinSide, JoinType, NullEquality, Statistics};
use datafusion::datasource::physical_plan::{FileScanConfigBuilder, FileSource, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{BinaryExpr, Column};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::joins::utils::{ColumnIndex, JoinFilter};
use datafusion::physical_plan::joins::{HashJoinExec, PartitionMode};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::union::UnionExec;

use super::lineage;
use super::plan::{EqualityDeletes, Layout, PARTITION, SEQUENCE};
use super::reader::Readers;
use super::shared::{SharedFile, SharedScan};
use super::source::TableSource;
use super::store::TableRoot;

/// Above this many files, statistics of columns are not merged for the plan.
const MERGED_FILES: usize = 512;

/// One scan of a table.
pub(super) struct Scan<'a> {
    /// Session that plans.
    pub(super) state: &'a dyn Session,
    /// The table's part of its store.
    pub(super) root: &'a TableRoot,
    /// Declared columns.
    pub(super) schema: &'a SchemaRef,
    /// Of which these are wanted.
    pub(super) wanted: &'a [usize],
    /// Rows that suffice.
    pub(super) limit: Option<usize>,
}

impl Scan<'_> {
    /// The wanted columns of `files`, without the rows that equality deletes remove.
    pub(super) fn of(
        &self,
        layout: &Layout,
        files: Vec<SharedFile>,
        deletes: &[EqualityDeletes],
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let position = |at: &usize| {
            layout.positions.get(*at).copied().ok_or_else(|| DataFusionError::Internal("no such column".to_owned()))
        };
        let wanted = self.wanted.iter().map(position).collect::<Result<Vec<_>>>()?;
        let made = self.wanted.iter().filter_map(|at| layout.made.get(at));
        let inputs = made.flat_map(|of| lineage::inputs(*of)).map(|name| layout.position_of(name));
        let inputs = inputs.collect::<Result<Vec<_>>>()?;
        if !layout.equality && inputs.is_empty() {
            return self.files(layout, files, wanted, self.limit);
        }
        let mut also = inputs;
        if layout.equality {
            let compared = deletes.iter().flat_map(|deletes| &deletes.columns);
            also.extend(compared.map(position).collect::<Result<Vec<_>>>()?);
            also.extend([layout.position_of(SEQUENCE)?, layout.position_of(PARTITION)?]);
        }
        let mut read = wanted;
        for at in also {
            if !read.contains(&at) {
                read.push(at);
            }
        }
        let limit = self.limit.filter(|_| !layout.equality);
        let mut plan = self.files(layout, files, read, limit)?;
        for deletes in deletes.iter().filter(|_| layout.equality) {
            plan = self.without(plan, deletes)?;
        }
        let schema = plan.schema();
        let kept = self.wanted.iter().enumerate().map(|(index, at)| {
            let field = self.schema.field(*at);
            let expression = match layout.made.get(at) {
                Some(of) => lineage::expression(*of, index, field, &schema)?,
                None => Arc::new(Column::new(field.name(), index)),
            };
            Ok((expression, field.name().clone()))
        });
        Ok(Arc::new(ProjectionExec::try_new(kept.collect::<Result<Vec<_>>>()?, plan)?))
    }

    fn files(
        &self,
        layout: &Layout,
        files: Vec<SharedFile>,
        columns: Vec<usize>,
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let (schema, files) = match columns.contains(&layout.schema.table_schema().fields().len()) {
            true => (layout.numbered(), files.into_iter().map(numbered).collect()),
            false => (layout.schema.clone(), files),
        };
        let statistics = merged(&files, schema.table_schema())?;
        let partitions = self.state.config().target_partitions().max(1);
        let mut options = TableParquetOptions {
            global: self.state.config_options().execution.parquet.clone(),
            ..TableParquetOptions::default()
        };
        // Else they are read as nanoseconds, of which 64 bits end in 2262.
        options.global.coerce_int96 = Some("us".to_owned());
        let root = &self.root.root;
        let readers = Readers::new(Arc::clone(&self.root.store), root.url.as_str(), root.footers.clone());
        let source: Arc<dyn FileSource> = Arc::new(
            ParquetSource::new(schema)
                .with_table_parquet_options(options)
                .with_parquet_file_reader_factory(Arc::new(readers)),
        );
        let config = FileScanConfigBuilder::new(self.root.root.url.clone(), TableSource::wrap(source))
            .with_statistics(statistics)
            .with_projection_indices(Some(columns))?
            .with_limit(limit)
            .with_expr_adapter(Some(Arc::clone(&layout.adapter) as _));
        Ok(DataSourceExec::from_data_source(SharedScan::new(config, files, partitions)))
    }

    /// `rows` without those that a delete names: equal in its columns (null equals null), and added before it.
    fn without(&self, rows: Arc<dyn ExecutionPlan>, deletes: &EqualityDeletes) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = deletes.layout.schema.table_schema();
        let all = (0..schema.fields().len()).collect();
        let removed = self.files(&deletes.layout, deletes.files.clone(), all, None)?;
        let (left, right) = (removed.schema(), rows.schema());
        let pair = |left_name: &str, right_name: &str| -> Result<(Arc<dyn PhysicalExpr>, Arc<dyn PhysicalExpr>)> {
            Ok((
                Arc::new(Column::new_with_schema(left_name, &left)?) as _,
                Arc::new(Column::new_with_schema(right_name, &right)?) as _,
            ))
        };
        let compared = schema.fields().iter().take(deletes.columns.len());
        let mut on = compared.map(|field| pair(field.name(), field.name())).collect::<Result<Vec<_>>>()?;
        if deletes.partitioned {
            on.push(pair(PARTITION, PARTITION)?);
        }
        let filter = later(left.index_of(SEQUENCE)?, right.index_of(SEQUENCE)?);
        Ok(Arc::new(HashJoinExec::try_new(
            removed,
            rows,
            on,
            Some(filter),
            &JoinType::RightAnti,
            None,
            PartitionMode::CollectLeft,
            NullEquality::NullEqualsNull,
            false,
        )?))
    }
}

/// A file of which the numbers of rows are read: nothing is known of them.
fn numbered(shared: SharedFile) -> SharedFile {
    let mut file = shared.file.as_ref().clone();
    file.statistics = file.statistics.as_deref().cloned().map(|mut statistics| {
        statistics.column_statistics.push(ColumnStatistics::new_unknown());
        Arc::new(statistics)
    });
    SharedFile { file: Arc::new(file), ..shared }
}

/// The delete's sequence number is above the row's.
fn later(left: usize, right: usize) -> JoinFilter {
    let sequence = |index| Arc::new(Column::new(SEQUENCE, index)) as Arc<dyn PhysicalExpr>;
    let expression = Arc::new(BinaryExpr::new(sequence(0), Operator::Gt, sequence(1)));
    let sides =
        vec![ColumnIndex { index: left, side: JoinSide::Left }, ColumnIndex { index: right, side: JoinSide::Right }];
    let field = || Field::new(SEQUENCE, DataType::Int64, true);
    JoinFilter::new(expression, sides, Arc::new(Schema::new(vec![field(), field()])))
}

/// Statistics of all files together.
fn merged(files: &[SharedFile], schema: &SchemaRef) -> Result<Statistics> {
    if files.len() <= MERGED_FILES {
        return Statistics::try_merge_iter(files.iter().filter_map(|file| file.file.statistics.as_deref()), schema);
    }
    let mut all = Statistics::new_unknown(schema);
    all.num_rows = files.iter().fold(Precision::Exact(0), |rows, file| rows.add(&file.rows));
    let bytes = files.iter().fold(0u64, |bytes, file| bytes.saturating_add(file.size));
    all.total_byte_size = usize::try_from(bytes).map_or(Precision::Absent, Precision::Inexact);
    Ok(all)
}

/// One plan for all.
pub(super) fn unite(mut plans: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
    match plans.pop() {
        Some(only) if plans.is_empty() => Ok(only),
        Some(last) => {
            plans.push(last);
            UnionExec::try_new(plans)
        }
        None => Err(DataFusionError::Internal("a scan of nothing".to_owned())),
    }
}
