//! Columns of a scan, found in each data file by identity rather than by position.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::datatypes::{Fields, SchemaRef};
use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::error::DataFusionError;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{CastExpr, Column as ColumnExpr, Literal};
use datafusion::physical_expr_adapter::{PhysicalExprAdapter, PhysicalExprAdapterFactory};
use parquet::arrow::PARQUET_FIELD_ID_META_KEY;

use super::bind::{Column, Origin};
use super::reshape::{Reshape, Shape};

/// By what the columns of data files are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Identity {
    /// By field id; by name in files that have no ids at all.
    Id,
    /// By name.
    Name,
}

impl Identity {
    /// The index of the field that `origin` names.
    pub(super) fn find(self, fields: &Fields, origin: &Origin) -> Option<usize> {
        let id_of = |at: usize| fields.get(at).and_then(|field| field.metadata().get(PARQUET_FIELD_ID_META_KEY));
        if self == Identity::Id
            && let Some(id) = origin.id
            && (0..fields.len()).any(|at| id_of(at).is_some())
        {
            let id = id.to_string();
            return (0..fields.len()).find(|at| id_of(*at) == Some(&id));
        }
        if let Some(at) = origin.names.iter().find_map(|name| fields.find(name)).map(|(at, _)| at) {
            return Some(at);
        }
        let is_similar = |name: &str| origin.names.iter().any(|wanted| wanted.eq_ignore_ascii_case(name));
        let mut similar = fields.iter().enumerate().filter(|(_, field)| is_similar(field.name()));
        match (similar.next(), similar.next()) {
            (Some((at, _)), None) => Some(at),
            _ => None,
        }
    }
}

/// Makes the adapter of each data file of a scan.
#[derive(Debug)]
pub(super) struct ColumnAdapterFactory {
    columns: HashMap<String, Column>,
    identity: Identity,
}

impl ColumnAdapterFactory {
    /// For a scan of these columns.
    pub(super) fn new(columns: impl IntoIterator<Item = Column>, identity: Identity) -> Self {
        let columns = columns.into_iter().map(|column| (column.field.name().clone(), column)).collect();
        Self { columns, identity }
    }
}

impl PhysicalExprAdapterFactory for ColumnAdapterFactory {
    fn create(&self, logical: SchemaRef, physical: SchemaRef) -> Result<Arc<dyn PhysicalExprAdapter>> {
        let mut resolved = HashMap::with_capacity(logical.fields().len());
        for field in logical.fields() {
            let column = self
                .columns
                .get(field.name())
                .ok_or_else(|| DataFusionError::Internal(format!("the scan has no column `{}`", field.name())))?;
            resolved.insert(field.name().clone(), resolve(column, &physical, self.identity)?);
        }
        Ok(Arc::new(ColumnAdapter { resolved }))
    }
}

/// A column as an expression over the file's own columns.
fn resolve(column: &Column, physical: &SchemaRef, identity: Identity) -> Result<Arc<dyn PhysicalExpr>> {
    let target = column.field.data_type();
    let Some(at) = identity.find(physical.fields(), &column.origin) else {
        return Ok(Arc::new(Literal::new(column.origin.missing(target)?)));
    };
    let found = physical.field(at);
    let source: Arc<dyn PhysicalExpr> = Arc::new(ColumnExpr::new(found.name(), at));
    // Parquet's bounds of floats leave NaN out, which comparisons do not: behind a reshaping, nothing is pruned by them.
    let reshaped = target.is_nested() || found.data_type().is_nested() || target.is_floating();
    if found.data_type() == target && !reshaped {
        return Ok(source);
    }
    if reshaped {
        let shape = Shape::new(found.data_type(), target, &column.origin, identity)?;
        return Ok(Arc::new(Reshape::new(source, shape, &column.field)));
    }
    Ok(Arc::new(CastExpr::new_with_target_field(source, Arc::clone(&column.field), None)))
}

#[derive(Debug)]
struct ColumnAdapter {
    resolved: HashMap<String, Arc<dyn PhysicalExpr>>,
}

impl PhysicalExprAdapter for ColumnAdapter {
    fn rewrite(&self, expr: Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>> {
        expr.transform_down(|expr| {
            let Some(column) = expr.downcast_ref::<ColumnExpr>() else { return Ok(Transformed::no(expr)) };
            let resolved = self
                .resolved
                .get(column.name())
                .ok_or_else(|| DataFusionError::Internal(format!("the scan has no column `{}`", column.name())))?;
            // What stands in for the column speaks of the file's columns, and must not be rewritten again.
            Ok(Transformed::new(Arc::clone(resolved), true, TreeNodeRecursion::Jump))
        })
        .data()
    }
}
