//! From the subject's view of the mesh to governed scans: every table of the view becomes a [`ScanSource`] of the same
//! columns. A kind of plan node that is not known to be harmless ends it.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Result, internal_err};
use datafusion::datasource::{MemTable, provider_as_source};
use datafusion::logical_expr::logical_plan::TableScan;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};

use super::context::{MeshContext, refusal};
use super::information_schema::{self, INFORMATION_SCHEMA};
use super::nodes::Node;
use super::source::{ScanSource, ViewSource};
use super::verdict::ReasonKind;
use crate::mask::Masks;

/// Replaces every view in `plan`, subqueries of all kinds included.
pub(crate) fn govern(plan: LogicalPlan, context: &MeshContext<'_>, masks: &Masks) -> Result<Rewritten> {
    let mut rewriter = Rewriter { context, masks, scans: Vec::new(), system: HashMap::new() };
    let plan = plan.transform_up_with_subqueries(|node| rewriter.node(node))?.data;
    let mut system_tables: Vec<_> = rewriter.system.into_keys().collect();
    system_tables.sort();
    Ok(Rewritten { plan, scans: rewriter.scans, system_tables })
}

/// A plan without views.
pub(crate) struct Rewritten {
    pub(crate) plan: LogicalPlan,
    pub(crate) scans: Vec<Arc<ScanSource>>,
    /// `schema.table` of each table that the gateway made, sorted.
    pub(crate) system_tables: Vec<String>,
}

struct Rewriter<'a> {
    context: &'a MeshContext<'a>,
    masks: &'a Masks,
    scans: Vec<Arc<ScanSource>>,
    system: HashMap<String, RecordBatch>,
}

impl Rewriter<'_> {
    fn node(&mut self, node: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
        match (Node::of(&node), node) {
            (_, LogicalPlan::TableScan(scan)) => self.scan(scan),
            (Node::Query, node) => Ok(Transformed::no(node)),
            (Node::Scan | Node::Other(_), _) => {
                Err(refusal(ReasonKind::Undecided, "the statement needs an operation that cannot be governed"))
            }
        }
    }

    fn scan(&mut self, scan: TableScan) -> Result<Transformed<LogicalPlan>> {
        if scan.projection.is_some() || !scan.filters.is_empty() || scan.fetch.is_some() {
            return internal_err!("scan of `{}` was optimised before it was governed", scan.table_name);
        }
        match scan.source.downcast_ref::<ViewSource>() {
            Some(ViewSource::Product { table, decision, version, .. }) => {
                let (table, decision, version) = (Arc::clone(table), Arc::clone(decision), version.clone());
                let source = Arc::new(ScanSource::new(self.scans.len(), table, decision, version, self.masks));
                self.scans.push(Arc::clone(&source));
                Ok(Transformed::yes(LogicalPlan::TableScan(TableScan { source, ..scan })))
            }
            Some(ViewSource::System { domain, name, .. }) => {
                let batch = self.system_batch(domain, name)?;
                let table = MemTable::try_new(batch.schema(), vec![vec![batch]])?;
                let source = provider_as_source(Arc::new(table));
                Ok(Transformed::yes(LogicalPlanBuilder::scan(scan.table_name, source, None)?.build()?))
            }
            // Table functions and the work table of a recursive query; checked when the plan is finished.
            None => Ok(Transformed::no(LogicalPlan::TableScan(scan))),
        }
    }

    /// One batch for each table and plan, so that a self join sees one state.
    fn system_batch(&mut self, domain: &str, name: &str) -> Result<RecordBatch> {
        let key = format!("{domain}.{name}");
        if let Some(batch) = self.system.get(&key) {
            return Ok(batch.clone());
        }
        let batch = match domain {
            INFORMATION_SCHEMA => information_schema::batch(name, self.context)?,
            _ => self.context.system.batches(name, self.context.subject),
        };
        self.system.insert(key, batch.clone());
        Ok(batch)
    }
}
