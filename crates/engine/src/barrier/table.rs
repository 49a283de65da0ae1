//! A governed table as DataFusion sees it.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{Result, plan_err};
use datafusion::datasource::TableType;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
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

    /// What the table may show.
    pub fn governed(&self) -> &Arc<GovernedScan> {
        &self.scan
    }

    /// Indices of the base columns that the shown columns and the filter read.
    fn needed(&self, shown: &[usize]) -> Result<Vec<usize>> {
        let mut needed = BTreeSet::new();
        let columns = self.scan.columns();
        let exprs = shown.iter().filter_map(|i| columns.get(*i)).map(|column| &column.expr);
        for expr in exprs.chain(self.scan.filter()) {
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
        // Inexact: what may cross is evaluated above as well, until the physical scan takes it over.
        Ok(filters
            .iter()
            .map(|filter| match leakproof::crosses(filter, self.scan.clear()) {
                true => TableProviderFilterPushDown::Inexact,
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
        let needed = self.needed(&shown)?;
        let mut down: Vec<Expr> =
            self.scan.filter().map(split_conjunction).unwrap_or_default().into_iter().cloned().collect();
        for filter in filters.iter().filter(|filter| leakproof::crosses(filter, self.scan.clear())) {
            down.push(unqualified(filter.clone())?);
        }
        // A limit counts rows that the principal sees: it may go below only where every row is seen.
        let limit = limit.filter(|_| self.scan.filter().is_none());
        let input = self.base.scan(state, Some(&needed), &down, limit).await;
        let barrier = input.and_then(|input| BarrierExec::try_new(Arc::clone(&self.scan), &shown, input, state));
        let barrier = barrier.map_err(|error| {
            redact::log(state.config(), &error);
            redact::seal_below(self.scan.table(), &error)
        })?;
        Ok(Arc::new(barrier))
    }
}
