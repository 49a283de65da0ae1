//! What one governed scan may show, in the engine's own terms.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Schema, SchemaRef};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, Result, ScalarValue, plan_err};
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{Expr, ExprSchemable, lit};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;

use crate::Guards;

/// One column of the view that a principal has of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct ScanColumn {
    /// The name in the view.
    pub name: String,
    /// What is shown: a column of the base table as it is, or a mask over it.
    pub expr: Expr,
}

impl ScanColumn {
    /// The NULL that is shown of every row; `None` where what is shown hangs on the row.
    pub(crate) fn null(&self) -> Option<&ScalarValue> {
        match &self.expr {
            Expr::Literal(value, _) if value.is_null() => Some(value),
            _ => None,
        }
    }

    /// The base column that is shown as it is; `None` where a mask stands before it.
    pub fn clear(&self) -> Option<&str> {
        match &self.expr {
            Expr::Column(column) => Some(&column.name),
            _ => None,
        }
    }
}

/// A governed scan: a base table's schema, the filter that its rows must pass, and the columns that are shown of them.
///
/// Both are coerced and simplified here, once, so that everything later works on the same expressions.
#[derive(Debug, Clone)]
pub struct GovernedScan {
    id: usize,
    table: String,
    base: SchemaRef,
    filter: Option<Expr>,
    columns: Vec<ScanColumn>,
    view: SchemaRef,
    clear: Schema,
    at_least: Option<u64>,
    visible: Option<usize>,
    guards: Guards,
}

impl GovernedScan {
    /// Expressions are unqualified and over `base`.
    ///
    /// # Errors
    /// When an expression does not fit `base`, the filter is no predicate, or a mask changes its column's type.
    pub fn try_new(
        id: usize,
        table: impl Into<String>,
        base: SchemaRef,
        filter: Option<&Expr>,
        columns: impl IntoIterator<Item = ScanColumn>,
    ) -> Result<Self> {
        let table = table.into();
        let schema = Arc::new(DFSchema::try_from(Arc::clone(&base))?);
        let simplifier = ExprSimplifier::new(SimplifyContext::builder().with_schema(Arc::clone(&schema)).build());
        let settle = |expr: Expr| match expr {
            Expr::Column(_) => Ok(expr),
            _ => simplifier.simplify(simplifier.coerce(expr, &schema)?),
        };
        let filter = filter.map(|filter| settle(filter.clone())).transpose()?;
        if let Some(filter) = &filter
            && type_of(filter, &schema)? != DataType::Boolean
        {
            return plan_err!("the row filter of `{table}` is not a predicate");
        }
        // TRUE hides nothing: such a table is scanned as if it had no filter.
        let filter = filter.filter(|filter| *filter != lit(true));
        let mut settled = Vec::new();
        let mut fields = Vec::new();
        let mut clear = Vec::new();
        for column in columns {
            let field = base.field_with_name(&column.name)?;
            let column = ScanColumn { expr: settle(column.expr)?, ..column };
            match column.clear() {
                Some(name) if name == column.name => clear.push(field.clone()),
                Some(_) => return plan_err!("column `{}` of `{table}` shows another column", column.name),
                None => {}
            }
            if type_of(&column.expr, &schema)? != *field.data_type() {
                return plan_err!("the mask on column `{}` of `{table}` does not keep its type", column.name);
            }
            fields.push(field.clone().with_nullable(true));
            settled.push(column);
        }
        let (view, clear) = (Arc::new(Schema::new(fields)), Schema::new(clear));
        let (at_least, visible, guards) = (None, None, Guards::default());
        Ok(Self { id, table, base, filter, columns: settled, view, clear, at_least, visible, guards })
    }

    /// The same scan, of which only aggregates over groups of at least so many entities may be seen.
    ///
    /// Then every row counts as one that may be hidden: it gets a filter that all rows pass, for where there is a filter nothing above
    /// the barrier is told of the files and the statistics of the rows below it.
    #[must_use]
    pub fn aggregates_of(self, at_least: Option<u64>) -> Self {
        let filter = self.filter.or_else(|| at_least.map(|_| lit(true)));
        Self { at_least, filter, ..self }
    }

    /// How many entities a group must have, where only aggregates may be seen.
    pub fn at_least(&self) -> Option<u64> {
        self.at_least
    }

    /// The same scan, of which so many rows were seen once.
    #[must_use]
    pub(crate) fn expecting(&self, rows: usize) -> Self {
        Self { visible: Some(rows), ..self.clone() }
    }

    /// How many rows were seen once, where some are hidden.
    pub(crate) fn visible(&self) -> Option<usize> {
        self.visible
    }

    /// With these guards before it.
    #[must_use]
    pub(crate) fn guarded(self, guards: Guards) -> Self {
        Self { guards, ..self }
    }

    pub(crate) fn guards(&self) -> &Guards {
        &self.guards
    }

    /// The scan's number within its plan.
    pub fn id(&self) -> usize {
        self.id
    }

    /// `domain.table`.
    pub fn table(&self) -> &str {
        &self.table
    }

    /// Every declared column of the table.
    pub fn base(&self) -> &SchemaRef {
        &self.base
    }

    /// The predicate that a row must pass; `None` shows every row.
    pub fn filter(&self) -> Option<&Expr> {
        self.filter.as_ref()
    }

    /// The view's columns.
    pub fn columns(&self) -> &[ScanColumn] {
        &self.columns
    }

    /// The view's schema.
    pub fn view(&self) -> &SchemaRef {
        &self.view
    }

    /// The columns that the view shows as they are: what predicates may look at below the barrier.
    pub fn clear(&self) -> &Schema {
        &self.clear
    }
}

fn type_of(expr: &Expr, schema: &DFSchema) -> Result<DataType> {
    expr.get_type(schema)
}

/// The same expression without table names before its columns.
pub(super) fn unqualified(expr: Expr) -> Result<Expr> {
    Ok(expr
        .transform(|expr| {
            Ok(match expr {
                Expr::Column(column) => Transformed::yes(Expr::Column(Column::new_unqualified(column.name))),
                other => Transformed::no(other),
            })
        })?
        .data)
}
