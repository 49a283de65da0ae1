//! A governed table as DataFusion sees it.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{Result, plan_err};
use datafusion::datasource::{TableType, provider_as_source};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, TableProviderFilterPushDown, UNNAMED_TABLE};
use datafusion::physical_plan::ExecutionPlan;

use super::leakproof;
use super::node::BarrierExec;
use super::scan::{GovernedScan, unqualified};
use crate::exec::redact;

/// The view that one principal has of a pinned table.
///
/// It has no statistics and no logical plan of its own: nothing can be answered from, or inlined past, the barrier.
#[derive(Debug)]
pub struct BarrierTable {
    base: Arc<dyn TableProvider>,
    scan: Arc<GovernedScan>,
}

impl BarrierTable {
    /// # Errors
    /// When `base` does not offer exactly the columns and types that `scan` was decided on.
    pub fn try_new(base: Arc<dyn TableProvider>, scan: Arc<GovernedScan>) -> Result<Self> {
        let offered = base.schema();
        let same = offered.fields().len() == scan.base().fields().len()
            && offered
                .fields()
                .iter()
                .zip(scan.base().fields())
                .all(|(a, b)| a.name() == b.name() && a.data_type() == b.data_type());
        if !same {
            return plan_err!("table `{}` does not offer the columns that its contract declares", scan.table());
        }
        Ok(Self { base, scan })
    }

    /// The same view, of which so many rows are expected to be seen.
    #[must_use]
    pub(crate) fn expecting(&self, rows: usize) -> Self {
        Self { base: Arc::clone(&self.base), scan: Arc::new(self.scan.expecting(rows)) }
    }

    /// What the table may show.
    pub fn governed(&self) -> &Arc<GovernedScan> {
        &self.scan
    }

    /// The view as a plan that optimisers look into: what there would be without a barrier.
    pub(crate) fn exposed(&self) -> Result<LogicalPlan> {
        let base = LogicalPlanBuilder::scan(UNNAMED_TABLE, provider_as_source(Arc::clone(&self.base)), None)?;
        let rows = match self.scan.filter() {
            Some(filter) => base.filter(filter.clone())?,
            None => base,
        };
        rows.project(self.scan.columns().iter().map(|column| column.expr.clone().alias(&column.name)))?.build()
    }

    /// Indices of the base columns that the shown columns and the filter read.
    fn needed(&self, shown: &[usize], crossed: &[Expr]) -> Result<Vec<usize>> {
        let mut needed = BTreeSet::new();
        let columns = self.scan.columns();
        let exprs = shown.iter().filter_map(|i| columns.get(*i)).map(|column| &column.expr);
        for expr in exprs.chain(self.scan.filter()).chain(crossed) {
            for column in expr.column_refs() {
                needed.insert(self.scan.base().index_of(&column.name)?);
            }
        }
        Ok(needed.into_iter().collect())
    }
}

#[async_trait]
impl TableProvider for BarrierTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(self.scan.view())
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        // Where rows are hidden, the barrier evaluates what crosses: which of the visible rows are pruned below would follow from the
        // hidden ones beside them, and what stands above would see it. Elsewhere it is evaluated above, until the scan takes it over.
        let crossing = match self.scan.filter() {
            Some(_) => TableProviderFilterPushDown::Exact,
            None => TableProviderFilterPushDown::Inexact,
        };
        Ok(filters
            .iter()
            .map(|filter| match leakproof::crosses(filter, self.scan.clear()) {
                true => crossing.clone(),
                false => TableProviderFilterPushDown::Unsupported,
            })
            .collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let shown = projection.cloned().unwrap_or_else(|| (0..self.scan.columns().len()).collect());
        let crossing = filters.iter().filter(|filter| leakproof::crosses(filter, self.scan.clear()));
        let crossing = crossing.map(|filter| unqualified(filter.clone())).collect::<Result<Vec<_>>>()?;
        let crossed = if self.scan.filter().is_some() { crossing.as_slice() } else { &[] };
        let needed = self.needed(&shown, crossed)?;
        let decided = self.scan.filter().map(split_conjunction).unwrap_or_default();
        let down: Vec<Expr> = decided.into_iter().chain(&crossing).cloned().collect();
        // A limit counts rows that the principal sees: it may go below only where every row is seen.
        let limit = limit.filter(|_| self.scan.filter().is_none());
        let input = self.base.scan(state, Some(&needed), &down, limit).await;
        let barrier =
            input.and_then(|input| BarrierExec::try_new(Arc::clone(&self.scan), &shown, crossed, input, state));
        let barrier = barrier.map_err(|error| {
            redact::log(state.config(), &error);
            redact::seal_below(&self.scan, &error)
        })?;
        Ok(Arc::new(barrier))
    }
}
