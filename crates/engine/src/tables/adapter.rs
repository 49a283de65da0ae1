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
use super::plan::POSITION;
use super::reshape::{Reshape, Shape, is_finer};
use crate::EngineError;

/// By what the columns of data files are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Identity {
    /// By field id; by name in files that have no ids at all.
    Id,
    /// By field id. Files that have none are not read: a name may have belonged to another column.
    IdOnly,
    /// By name.
    Name,
}

impl Identity {
    /// The index of the field that `origin` names.
    pub(super) fn find(self, fields: &Fields, origin: &Origin) -> Option<usize> {
        let id_of = |at: usize| fields.get(at).and_then(|field| field.metadata().get(PARQUET_FIELD_ID_META_KEY));
        if self != Identity::Name
            && let Some(id) = origin.id
            && (self == Identity::IdOnly || has_ids(fields))
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

fn has_ids(fields: &Fields) -> bool {
    fields.iter().any(|field| field.metadata().contains_key(PARQUET_FIELD_ID_META_KEY))
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
        if self.identity == Identity::IdOnly && !has_ids(physical.fields()) {
            let kind = "a data file has no field ids, and its table no `schema.name-mapping.default`";
            return Err(DataFusionError::External(Box::new(EngineError::Execution { kind })));
        }
        let mut resolved = HashMap::with_capacity(logical.fields().len());
        for field in logical.fields() {
            if field.name() == POSITION {
                resolved.insert(field.name().clone(), Arc::new(ColumnExpr::new_with_schema(POSITION, &physical)?) as _);
                continue;
            }
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
    let reshaped = target.is_nested()
        || found.data_type().is_nested()
        || target.is_floating()
        || is_finer(found.data_type(), target);
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
    use datafusion::physical_expr_adapter::PhysicalExprAdapterFactory;
    use parquet::arrow::PARQUET_FIELD_ID_META_KEY;

    use super::{ColumnAdapterFactory, Identity};
    use crate::tables::bind::{Column, Origin};

    fn file(id: Option<&str>) -> SchemaRef {
        let field = Field::new("email", DataType::Utf8View, true);
        let metadata = id.map(|id| (PARQUET_FIELD_ID_META_KEY.to_owned(), id.to_owned()));
        Arc::new(Schema::new(vec![field.with_metadata(metadata.into_iter().collect())]))
    }

    #[test]
    fn a_name_of_today_does_not_find_a_column_of_then() {
        let origin = Origin { id: Some(7), names: vec!["email".into()], children: Vec::new(), default: None };
        for (identity, id, expect) in [
            (Identity::IdOnly, Some("7"), Some(0)),
            (Identity::IdOnly, Some("3"), None),
            (Identity::IdOnly, None, None),
            (Identity::Id, Some("3"), None),
            (Identity::Id, None, Some(0)),
            (Identity::Name, Some("3"), Some(0)),
        ] {
            assert_eq!(identity.find(file(id).fields(), &origin), expect, "{identity:?} {id:?}");
        }
        let field = Arc::new(Field::new("email", DataType::Utf8View, true));
        let column = Column { field: Arc::clone(&field), origin, metadata: None };
        let logical = Arc::new(Schema::new(vec![field]));
        let factory = ColumnAdapterFactory::new([column], Identity::IdOnly);
        assert!(factory.create(Arc::clone(&logical), file(Some("3"))).is_ok());
        let error = factory.create(logical, file(None)).unwrap_err();
        assert!(error.to_string().contains("a data file has no field ids"), "{error}");
    }
}
