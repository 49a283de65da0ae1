//! Metadata columns that are made of what files have written down, what is known of files, and the numbers of rows.

use std::sync::Arc;

use datafusion::arrow::datatypes::{Field, Schema};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{BinaryExpr, CaseExpr, CastExpr, Column, IsNullExpr, Literal};
use portcullis_contract::MetadataColumn;

use super::plan::{ADDED, FIRST_ROW, POSITION};

/// The columns of a scan that one is made of, beside itself.
pub(super) fn inputs(of: MetadataColumn) -> &'static [&'static str] {
    match of {
        MetadataColumn::File => &[],
        MetadataColumn::Position => &[POSITION],
        MetadataColumn::RowId => &[FIRST_ROW, POSITION],
        MetadataColumn::LastUpdated => &[FIRST_ROW, ADDED],
    }
}

/// The column `of`, over a scan of these columns, where the one at `stored` has what is written down. Where it is not, it
/// follows from the file; in files of before rows had ids, it is NULL.
pub(super) fn expression(
    of: MetadataColumn,
    stored: usize,
    field: &Field,
    scan: &Schema,
) -> Result<Arc<dyn PhysicalExpr>> {
    let column = |name| -> Result<Arc<dyn PhysicalExpr>> { Ok(Arc::new(Column::new_with_schema(name, scan)?)) };
    let stored = || Arc::new(Column::new(scan.field(stored).name(), stored)) as Arc<dyn PhysicalExpr>;
    let inherited = match of {
        MetadataColumn::File => return Ok(stored()),
        // The number has a name of Arrow's for its type, which is nobody's business.
        MetadataColumn::Position => {
            return Ok(Arc::new(CastExpr::new_with_target_field(stored(), Arc::new(field.clone()), None)));
        }
        MetadataColumn::RowId => {
            Arc::new(BinaryExpr::new(column(FIRST_ROW)?, Operator::Plus, column(POSITION)?)) as Arc<dyn PhysicalExpr>
        }
        MetadataColumn::LastUpdated => column(ADDED)?,
    };
    let is_null = |of| Arc::new(IsNullExpr::new(of)) as Arc<dyn PhysicalExpr>;
    let null = Arc::new(Literal::new(ScalarValue::Int64(None))) as Arc<dyn PhysicalExpr>;
    let cases = vec![(is_null(column(FIRST_ROW)?), null), (is_null(stored()), inherited)];
    Ok(Arc::new(CaseExpr::try_new(None, cases, Some(stored()))?))
}
