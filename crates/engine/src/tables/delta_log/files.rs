//! The files of a version of a Delta table.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use deltalake::kernel::LogicalFileView;
use futures::TryStreamExt;
use object_store::path::Path;
use serde_json::Value;

use super::{DeltaTable, diagnosis, types, vector};
use crate::tables::bind::Column;
use crate::tables::fault::Fault;
use crate::tables::plan::{Bounds, FilePlan, Layout, PlannedFile, RawFile};
use crate::tables::store::TableRoot;

/// Fewer files than this are not worth another thread.
const LEAST_SHARE: usize = 256;

/// All files of the version.
pub(in crate::tables) async fn plan(table: &DeltaTable, columns: &[Column]) -> Result<FilePlan, Fault> {
    match planned(table, columns).await {
        Err(fault) => Err(diagnosis::explained(fault, &table.root).await),
        planned => planned,
    }
}

async fn planned(table: &DeltaTable, columns: &[Column]) -> Result<FilePlan, Fault> {
    let physical = physical_names(table);
    let partitioned_by = table.snapshot.metadata().partition_columns();
    let partitioned: Vec<&String> =
        partitioned_by.iter().map(|name| physical.get(name.as_str()).unwrap_or(name)).collect();
    let is_constant = |column: &Column| column.origin.names.first().is_some_and(|name| partitioned.contains(&name));
    let constants: BTreeSet<usize> =
        columns.iter().enumerate().filter(|(_, column)| is_constant(column)).map(|(at, _)| at).collect();
    let layout = Layout::new(columns, &constants, false, table.identity().identity());
    let failed = |error: deltalake::DeltaTableError| Fault::delta(&table.root.root.connection, &error);
    let views: Vec<LogicalFileView> =
        table.snapshot.file_views(table.log.as_ref(), None).try_collect().await.map_err(failed)?;
    let planner = Planner { root: table.root.clone(), columns: columns.to_vec(), constants, layout: layout.clone() };
    Ok(FilePlan::new(vec![layout], planner.files(views).await?, Vec::new()))
}

/// Physical names of the top-level columns, by their names.
fn physical_names(table: &DeltaTable) -> HashMap<String, String> {
    types::fields(&table.snapshot.schema(), table.identity())
        .into_iter()
        .filter_map(|field| Some((field.name, field.physical.into_iter().next()?)))
        .collect()
}

struct Planner {
    root: TableRoot,
    columns: Vec<Column>,
    constants: BTreeSet<usize>,
    layout: Layout,
}

impl Planner {
    /// All files, planned by as many threads as there are cores: their statistics are texts, which take their time.
    async fn files(self, mut views: Vec<LogicalFileView>) -> Result<Vec<PlannedFile>, Fault> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let share = views.len().div_ceil(threads).max(LEAST_SHARE);
        let planner = Arc::new(self);
        let mut tasks = Vec::with_capacity(threads);
        while !views.is_empty() {
            let (planner, part) = (Arc::clone(&planner), views.split_off(views.len().saturating_sub(share)));
            tasks.push(tokio::task::spawn_blocking(move || {
                part.iter().map(|view| planner.file(view)).collect::<Result<Vec<_>, Fault>>()
            }));
        }
        let mut files = Vec::new();
        for part in futures::future::join_all(tasks).await {
            files.extend(part.map_err(|_| Fault::Internal("a log was not planned to its end".into()))??);
        }
        Ok(files)
    }

    fn file(&self, view: &LogicalFileView) -> Result<PlannedFile, Fault> {
        let broken = |what: &str| Fault::Corrupt(format!("a file of its log has no valid {what}"));
        let stats: Value = match view.stats() {
            Some(text) => serde_json::from_str(&text).map_err(|_| broken("statistics"))?,
            None => Value::Null,
        };
        let rows =
            stats.get("numRecords").and_then(Value::as_u64).or_else(|| view.num_records().map(|rows| rows as u64));
        let deletes = match view.deletion_vector_descriptor() {
            Some(descriptor) => vec![Arc::new(vector::source(&self.root, &descriptor)?)],
            None => Vec::new(),
        };
        if !deletes.is_empty() && rows.is_none() {
            return Err(broken("number of rows, which its deletion vector needs"));
        }
        let raw = RawFile {
            path: self.path(view)?,
            size: u64::try_from(view.size()).map_err(|_| broken("size"))?,
            stamp: u64::try_from(view.modification_time()).unwrap_or(0) << 16,
            rows,
            bounds: self.bounds(&stats),
            constants: self.constants(view)?,
            first_row: None,
            sequence: 0,
            partition: 0,
            deletes,
            uri: Arc::from(""),
            parts: Vec::new(),
        };
        raw.planned(0, &self.layout)
    }

    fn path(&self, view: &LogicalFileView) -> Result<Path, Fault> {
        let path = view.path();
        match path.contains("://") || path.starts_with('/') {
            true => self.root.locate(&path),
            false => self.root.below(&path),
        }
    }

    fn bounds(&self, stats: &Value) -> BTreeMap<usize, Bounds> {
        let columns = self.columns.iter().enumerate().filter(|(at, _)| !self.constants.contains(at));
        columns
            .filter(|(_, column)| !column.field.data_type().is_nested())
            .filter_map(|(at, column)| {
                Some((at, types::bounds(stats, column.origin.names.first()?, column.field.data_type())))
            })
            .collect()
    }

    fn constants(&self, view: &LogicalFileView) -> Result<BTreeMap<usize, datafusion::common::ScalarValue>, Fault> {
        if self.constants.is_empty() {
            return Ok(BTreeMap::new());
        }
        let values = view.partition_values_map();
        self.constants
            .iter()
            .map(|at| {
                let column = self.columns.get(*at).ok_or_else(|| Fault::Internal("no such column".into()))?;
                let text = column.origin.names.first().and_then(|name| values.get(name)).and_then(Option::as_deref);
                let value = types::partition_value(text, column.field.data_type()).ok_or_else(|| {
                    Fault::Corrupt(format!("a partition value of `{}` is not of its type", column.field.name()))
                })?;
                Ok((*at, value))
            })
            .collect()
    }
}
