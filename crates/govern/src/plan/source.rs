//! What a scan in a plan stands for: names and decisions, nothing that could be executed.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::Column;
use datafusion::logical_expr::{Expr, TableSource, TableType};
use portcullis_contract::Table;

use super::versions::ResolvedVersion;
use crate::mask::{Masks, is_mask_call};
use crate::policy::{ColumnDecision, Disclosure, TableDecision};

/// A governed scan of one table: what the engine binds to data.
///
/// Its schema is the subject's view: columns that are not denied, masked ones included, in the contract's order. How
/// the view is made from [`ScanSource::base_schema`] is [`ScanSource::filter`] first and then [`ScanSource::columns`],
/// both behind the engine's barrier: a plan has no way to the raw columns. DataFusion cannot execute it.
pub struct ScanSource {
    id: usize,
    table: Arc<Table>,
    decision: Arc<TableDecision>,
    version: Option<Arc<ResolvedVersion>>,
    base: SchemaRef,
    view: SchemaRef,
    columns: Vec<ViewColumn>,
}

/// A column of a subject's view.
#[derive(Debug, Clone, PartialEq)]
pub struct ViewColumn {
    /// Its name, in the contract and in the view.
    pub name: String,
    /// What is shown of it: the raw column, or a mask of it, over [`ScanSource::base_schema`] without qualifiers.
    /// Total, and of the raw column's type.
    pub expr: Expr,
    /// The level that `expr` implements.
    pub disclosure: Disclosure,
}

impl ScanSource {
    pub(crate) fn new(
        id: usize,
        table: Arc<Table>,
        decision: Arc<TableDecision>,
        version: Option<Arc<ResolvedVersion>>,
        masks: &Masks,
    ) -> Self {
        let base = crate::schema::arrow_schema(&table);
        let view = schema_at(&table, &decision, version.as_deref());
        let columns = columns_at(&decision, version.as_deref()).map(|column| {
            let raw = Expr::Column(Column::new_unqualified(&column.name));
            let expr = match masks.for_disclosure(column.disclosure) {
                None => raw,
                Some(mask) => mask.call(vec![raw]),
            };
            ViewColumn { name: column.name.clone(), expr, disclosure: column.disclosure }
        });
        let columns = columns.collect();
        ScanSource { id, table, decision, version, base, view, columns }
    }

    /// Number of this scan within its plan, from 0.
    pub fn id(&self) -> usize {
        self.id
    }

    /// The table scanned.
    pub fn table(&self) -> &Arc<Table> {
        &self.table
    }

    /// What was decided about the table for the subject of the plan.
    pub fn decision(&self) -> &Arc<TableDecision> {
        &self.decision
    }

    /// The version of the table that is to be read; `None` for the newest.
    pub fn version(&self) -> Option<&Arc<ResolvedVersion>> {
        self.version.as_ref()
    }

    /// All declared columns, raw: [`crate::schema::arrow_schema`]. Those that an earlier version does not have are NULL
    /// there, and not in the view.
    pub fn base_schema(&self) -> SchemaRef {
        Arc::clone(&self.base)
    }

    /// Which rows, over the raw columns without qualifiers; `None` for all of them.
    pub fn filter(&self) -> Option<&Expr> {
        self.decision.filter.expr.as_ref()
    }

    /// The view's columns, in its order.
    pub fn columns(&self) -> &[ViewColumn] {
        &self.columns
    }

    /// Whether there are rows or values of the table that the subject does not see.
    pub(crate) fn hides(&self) -> bool {
        self.filter().is_some()
            || self.columns.len() < self.base.fields().len()
            || self.columns.iter().any(|column| column.disclosure != Disclosure::Clear)
    }

    /// Whether both scans show the same rows and values: of one table in one version, by one decision.
    pub fn shows_the_same(&self, other: &ScanSource) -> bool {
        self.table.name == other.table.name
            && self.version == other.version
            && self.base == other.base
            && self.columns == other.columns
            && self.filter() == other.filter()
            && self.decision.aggregation == other.decision.aggregation
    }

    /// Whether the scan shows what was decided and nothing else.
    pub(crate) fn is_faithful(&self) -> bool {
        let decision = &self.decision;
        let allowed = decision.discover.allowed && decision.query.allowed && decision.undecided.is_none();
        let shown: Vec<_> = columns_at(decision, self.version.as_deref()).collect();
        let shows = |(decided, column): (&&ColumnDecision, &ViewColumn)| {
            decided.name == column.name
                && match decided.disclosure {
                    // What a plan may do with a join-only column is checked before its scans are made.
                    Disclosure::Clear | Disclosure::JoinOnly => {
                        matches!(&column.expr, Expr::Column(raw) if raw.name == column.name)
                    }
                    level => is_mask_call(&column.expr, level, &column.name),
                }
        };
        allowed
            && decision.table == self.table.name
            && shown.len() == self.columns.len()
            && shown.len() == self.view.fields().len()
            && shown.iter().zip(&self.columns).all(shows)
    }
}

impl TableSource for ScanSource {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.view)
    }
}

impl fmt::Debug for ScanSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScanSource").field("id", &self.id).field("table", &self.table.name).finish_non_exhaustive()
    }
}

/// A table as the subject sees it, while SQL is planned: replaced before the plan leaves this crate.
pub(crate) enum ViewSource {
    /// A data product: only columns that are not denied.
    Product {
        table: Arc<Table>,
        decision: Arc<TableDecision>,
        version: Option<Arc<ResolvedVersion>>,
        schema: SchemaRef,
    },
    /// A table of `system` or `information_schema`, whose rows are made when the plan is governed.
    System { domain: String, name: String, schema: SchemaRef },
}

impl ViewSource {
    /// A table at a version, or at its newest.
    pub(crate) fn product(
        table: Arc<Table>,
        decision: Arc<TableDecision>,
        version: Option<Arc<ResolvedVersion>>,
    ) -> Self {
        let schema = schema_at(&table, &decision, version.as_deref());
        ViewSource::Product { table, decision, version, schema }
    }
}

impl TableSource for ViewSource {
    fn schema(&self) -> SchemaRef {
        match self {
            ViewSource::Product { schema, .. } | ViewSource::System { schema, .. } => Arc::clone(schema),
        }
    }

    fn table_type(&self) -> TableType {
        match self {
            ViewSource::Product { .. } => TableType::Base,
            ViewSource::System { .. } => TableType::View,
        }
    }
}

/// Columns that exist for the subject in a version, with what is shown of each, in the contract's order.
pub(crate) fn columns_at<'a>(
    decision: &'a TableDecision,
    version: Option<&'a ResolvedVersion>,
) -> impl Iterator<Item = &'a ColumnDecision> {
    let exists = move |name: &str| version.is_none_or(|version| version.columns.contains(name));
    decision.columns.iter().filter(move |column| column.disclosure != Disclosure::Denied && exists(&column.name))
}

/// The schema of a table as the subject sees it: masks keep types, denied columns are absent.
pub fn visible_schema(table: &Table, decision: &TableDecision) -> SchemaRef {
    schema_at(table, decision, None)
}

fn schema_at(table: &Table, decision: &TableDecision, version: Option<&ResolvedVersion>) -> SchemaRef {
    let full = crate::schema::arrow_schema(table);
    let columns = columns_at(decision, version);
    let fields: Vec<_> = columns.filter_map(|column| full.field_with_name(&column.name).ok().cloned()).collect();
    Arc::new(Schema::new(fields))
}
