//! A scan of files that it shares with the table that is known.
//!
//! DataFusion's own has its files by value, and the optimiser copies the scan each time that it changes something about it:
//! of a table of ten thousand files, that is most of what planning costs. Here they are copied when they are read.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result, Statistics};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfig, FileScanConfigBuilder};
use datafusion::datasource::source::{DataSource, OpenArgs};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::projection::ProjectionExprs;
use datafusion::physical_expr::{EquivalenceProperties, LexOrdering, Partitioning, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::execution_plan::SchedulingType;
use datafusion::physical_plan::filter_pushdown::FilterPushdownPropagation;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion::physical_plan::{DisplayFormatType, SortOrderPushdownResult};

/// A file is small if the share of one partition is at least so many of it.
const SMALL: u64 = 4;

/// A file of a known table, with what is asked of all files for each query.
#[derive(Debug, Clone)]
pub(super) struct SharedFile {
    /// As DataFusion wants it, with statistics.
    pub(super) file: Arc<PartitionedFile>,
    /// Its rows.
    pub(super) rows: Precision<usize>,
    /// Its length in bytes.
    pub(super) size: u64,
}

impl From<PartitionedFile> for SharedFile {
    fn from(file: PartitionedFile) -> Self {
        let rows = file.statistics.as_ref().map_or(Precision::Absent, |statistics| statistics.num_rows);
        Self { rows, size: file.object_meta.size, file: Arc::new(file) }
    }
}

/// Files to read, in groups.
#[derive(Clone)]
pub(super) struct SharedScan {
    /// The scan, of as many groups, which are empty.
    shell: FileScanConfig,
    groups: Arc<Vec<Vec<SharedFile>>>,
    /// Whether all files are small, so that partitions that take the next of them from one list end together.
    even: bool,
}

impl fmt::Debug for SharedScan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "scan of {} files", self.files().count())
    }
}

impl SharedScan {
    /// A scan of `files` in at most so many groups.
    pub(super) fn new(shell: FileScanConfigBuilder, files: Vec<SharedFile>, partitions: usize) -> Self {
        let largest = files.iter().map(|file| file.size).max().unwrap_or(0);
        let total = files.iter().fold(0u64, |total, file| total.saturating_add(file.size));
        let groups = split(files, partitions);
        let even = largest.saturating_mul(SMALL).saturating_mul(groups.len() as u64) <= total;
        let shell = shell.with_file_groups(vec![FileGroup::default(); groups.len()]).build();
        Self { shell, groups: Arc::new(groups), even }
    }

    /// The files.
    pub(super) fn files(&self) -> impl Iterator<Item = &SharedFile> {
        self.groups.iter().flatten()
    }

    /// The same scan with another shell, which DataFusion made of ours.
    fn around(&self, shell: &Arc<dyn DataSource>) -> Result<Arc<dyn DataSource>> {
        match shell.downcast_ref::<FileScanConfig>() {
            Some(shell) => Ok(Arc::new(Self { shell: shell.clone(), ..self.clone() })),
            None => Err(DataFusionError::Internal("a scan became something else".to_owned())),
        }
    }

    /// The scan with the files of one group, or of all.
    fn with_files(&self, of: Option<usize>) -> FileScanConfig {
        let is_wanted = |group: usize| of.is_none_or(|of| of == group);
        let mut whole = self.shell.clone();
        for (at, (group, files)) in whole.file_groups.iter_mut().zip(self.groups.iter()).enumerate() {
            if is_wanted(at) {
                *group = files.iter().map(|file| file.file.as_ref().clone()).collect();
            }
        }
        whole
    }
}

/// As many groups as there may be, of as many files as the others or one less.
fn split(files: Vec<SharedFile>, partitions: usize) -> Vec<Vec<SharedFile>> {
    let count = files.len().min(partitions).max(1);
    let (each, more) = (files.len() / count, files.len() % count);
    let mut files = files.into_iter();
    (0..count).map(|at| files.by_ref().take(each + usize::from(at < more)).collect()).collect()
}

impl DataSource for SharedScan {
    fn open(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.open_with_args(OpenArgs::new(partition, context))
    }

    fn open_with_args(&self, args: OpenArgs) -> Result<SendableRecordBatchStream> {
        match args.sibling_state {
            // The files are in what the partitions share.
            Some(_) => self.shell.open_with_args(args),
            None => self.with_files(Some(args.partition)).open_with_args(args),
        }
    }

    fn create_sibling_state(&self, config: &ConfigOptions) -> Option<Arc<dyn Any + Send + Sync>> {
        self.shell.create_sibling_state(config)?;
        self.with_files(None).create_sibling_state(config)
    }

    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.with_files(None).fmt_as(format, f)
    }

    fn repartitioned(
        &self,
        partitions: usize,
        least_size: usize,
        order: Option<LexOrdering>,
    ) -> Result<Option<Arc<dyn DataSource>>> {
        if self.even && self.groups.len() >= partitions && order.is_none() && !self.shell.preserve_order {
            return Ok(None);
        }
        self.with_files(None).repartitioned(partitions, least_size, order)
    }

    fn output_partitioning(&self) -> Partitioning {
        self.shell.output_partitioning()
    }

    fn eq_properties(&self) -> EquivalenceProperties {
        self.shell.eq_properties()
    }

    fn scheduling_type(&self) -> SchedulingType {
        self.shell.scheduling_type()
    }

    fn partition_statistics(&self, partition: Option<usize>) -> Result<Arc<Statistics>> {
        self.shell.partition_statistics(partition)
    }

    fn with_fetch(&self, limit: Option<usize>) -> Option<Arc<dyn DataSource>> {
        self.around(&self.shell.with_fetch(limit)?).ok()
    }

    fn fetch(&self) -> Option<usize> {
        self.shell.fetch()
    }

    fn metrics(&self) -> ExecutionPlanMetricsSet {
        self.shell.metrics()
    }

    fn try_swapping_with_projection(&self, projection: &ProjectionExprs) -> Result<Option<Arc<dyn DataSource>>> {
        let swapped = self.shell.try_swapping_with_projection(projection)?;
        swapped.map(|shell| self.around(&shell)).transpose()
    }

    fn try_pushdown_filters(
        &self,
        filters: Vec<Arc<dyn PhysicalExpr>>,
        config: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn DataSource>>> {
        let FilterPushdownPropagation { filters, updated_node } = self.shell.try_pushdown_filters(filters, config)?;
        let updated_node = updated_node.map(|shell| self.around(&shell)).transpose()?;
        Ok(FilterPushdownPropagation { filters, updated_node })
    }

    /// Files are put into another order by their statistics.
    fn try_pushdown_sort(&self, order: &[PhysicalSortExpr]) -> Result<SortOrderPushdownResult<Arc<dyn DataSource>>> {
        self.with_files(None).try_pushdown_sort(order)
    }

    fn with_preserve_order(&self, preserve_order: bool) -> Option<Arc<dyn DataSource>> {
        self.around(&self.shell.with_preserve_order(preserve_order)?).ok()
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.shell.apply_expressions(f)
    }
}

#[cfg(test)]
mod tests;
