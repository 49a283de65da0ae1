//! The file source of table scans: DataFusion's Parquet source, in a type of our own.
//!
//! Of our own, since DataFusion's serialisation of a Parquet scan drops row selections and column adapters without a
//! word: a plan with this source refuses to be serialised until a codec carries them.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::datatypes::Schema;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileOpener, FileScanConfig, FileSource, ParquetSource};
use datafusion::error::Result;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::projection::ProjectionExprs;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::filter_pushdown::{FilterPushdownPropagation, PushedDown};
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion::physical_plan::{DisplayFormatType, SortOrderPushdownResult};
use datafusion_datasource::TableSchema;
use datafusion_datasource::morsel::Morselizer;
use object_store::ObjectStore;

use super::late::is_better_above;
use super::named::Naming;

/// A Parquet source whose files carry deletes and whose columns are found by identity.
#[derive(Clone)]
pub(super) struct TableSource {
    inner: Arc<dyn FileSource>,
}

impl TableSource {
    /// Around DataFusion's.
    pub(super) fn wrap(inner: Arc<dyn FileSource>) -> Arc<dyn FileSource> {
        Arc::new(Self { inner })
    }
}

/// Nested columns are reshaped for each file, so a reader cannot evaluate filters on them: it would skip them silently.
fn touches_nested(filter: &Arc<dyn PhysicalExpr>, schema: &Schema) -> Result<bool> {
    let mut nested = false;
    filter.apply(|expr| {
        if let Some(column) = expr.downcast_ref::<Column>() {
            nested |= schema.field_with_name(column.name()).is_ok_and(|field| field.data_type().is_nested());
        }
        Ok(if nested { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(nested)
}

/// The source, evaluating its conditions while it reads pages.
fn while_reading(source: &Arc<dyn FileSource>) -> Arc<dyn FileSource> {
    match source.downcast_ref::<ParquetSource>() {
        Some(parquet) => Arc::new(parquet.clone().with_pushdown_filters(true)),
        None => Arc::clone(source),
    }
}

impl FileSource for TableSource {
    fn create_file_opener(
        &self,
        store: Arc<dyn ObjectStore>,
        config: &FileScanConfig,
        partition: usize,
    ) -> Result<Arc<dyn FileOpener>> {
        self.inner.create_file_opener(store, config, partition)
    }

    fn create_morselizer(
        &self,
        store: Arc<dyn ObjectStore>,
        config: &FileScanConfig,
        partition: usize,
    ) -> Result<Box<dyn Morselizer>> {
        Ok(Box::new(Naming(self.inner.create_morselizer(store, config, partition)?)))
    }

    fn table_schema(&self) -> &TableSchema {
        self.inner.table_schema()
    }

    fn with_batch_size(&self, batch_size: usize) -> Arc<dyn FileSource> {
        Self::wrap(self.inner.with_batch_size(batch_size))
    }

    fn filter(&self) -> Option<Arc<dyn PhysicalExpr>> {
        self.inner.filter()
    }

    fn projection(&self) -> Option<&ProjectionExprs> {
        self.inner.projection()
    }

    fn metrics(&self) -> &ExecutionPlanMetricsSet {
        self.inner.metrics()
    }

    fn file_type(&self) -> &str {
        "table"
    }

    fn fmt_extra(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt_extra(format, f)
    }

    fn supports_repartitioning(&self) -> bool {
        self.inner.supports_repartitioning()
    }

    fn try_pushdown_filters(
        &self,
        filters: Vec<Arc<dyn PhysicalExpr>>,
        config: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn FileSource>>> {
        let schema = self.inner.table_schema().table_schema();
        let refused = filters.iter().map(|filter| touches_nested(filter, schema)).collect::<Result<Vec<_>>>()?;
        let offered = filters.iter().zip(&refused).filter(|(_, refused)| !**refused);
        let offered: Vec<_> = offered.map(|(filter, _)| Arc::clone(filter)).collect();
        let read = self.inner.projection().map(ProjectionExprs::column_indices);
        let read = read.unwrap_or_else(|| (0..schema.fields().len()).collect());
        // What stays above is still what row groups and pages are pruned by.
        let inner = match is_better_above(&offered, &read, schema)? {
            true => Arc::clone(&self.inner),
            false => while_reading(&self.inner),
        };
        let answer = inner.try_pushdown_filters(offered, config)?;
        let mut answers = answer.filters.into_iter();
        let filters = refused
            .into_iter()
            .map(|refused| if refused { PushedDown::No } else { answers.next().unwrap_or(PushedDown::No) })
            .collect();
        Ok(FilterPushdownPropagation { filters, updated_node: answer.updated_node.map(Self::wrap) })
    }

    fn try_pushdown_sort(
        &self,
        order: &[PhysicalSortExpr],
        properties: &EquivalenceProperties,
    ) -> Result<SortOrderPushdownResult<Arc<dyn FileSource>>> {
        Ok(match self.inner.try_pushdown_sort(order, properties)? {
            SortOrderPushdownResult::Exact { inner } => SortOrderPushdownResult::Exact { inner: Self::wrap(inner) },
            SortOrderPushdownResult::Inexact { inner } => SortOrderPushdownResult::Inexact { inner: Self::wrap(inner) },
            SortOrderPushdownResult::Unsupported => SortOrderPushdownResult::Unsupported,
        })
    }

    fn reorder_files(&self, files: Vec<PartitionedFile>) -> Vec<PartitionedFile> {
        self.inner.reorder_files(files)
    }

    fn try_pushdown_projection(&self, projection: &ProjectionExprs) -> Result<Option<Arc<dyn FileSource>>> {
        Ok(self.inner.try_pushdown_projection(projection)?.map(Self::wrap))
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.inner.apply_expressions(f)
    }
}
