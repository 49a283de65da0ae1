//! Where conditions are evaluated: while pages are read, or above the scan.
//!
//! While pages are read, the other columns are read for the rows alone that are left (late materialisation), and each condition is a
//! pass of its own, with a selection of rows. That pays where much is left to read, where few rows are looked for, and for keys that
//! joins find while the query runs. Where little is left to read, the selections cost more than they spare.
//!
//! Columns and forms of conditions decide, not statistics: what is hidden shapes no plan.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Schema};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::expressions::{BinaryExpr, Column, InListExpr, LikeExpr, Literal};
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_expr::{DynamicFilterTracking, PhysicalExpr, split_conjunction};

/// So many columns of fixed width beside those of the conditions are little to read.
const LITTLE: usize = 3;

/// Whether conditions over the columns of `schema` are better evaluated above a scan that reads the columns `read` of it.
pub(super) fn is_better_above(filters: &[Arc<dyn PhysicalExpr>], read: &[usize], schema: &Schema) -> Result<bool> {
    for condition in filters.iter().flat_map(split_conjunction) {
        if DynamicFilterTracking::classify(condition).contains_dynamic_filter() || looks_up(condition, schema)? {
            return Ok(false);
        }
    }
    let compared: BTreeSet<usize> = filters.iter().flat_map(collect_columns).map(|column| column.index()).collect();
    let left: Vec<&usize> = read.iter().filter(|at| !compared.contains(at)).collect();
    let is_narrow = |at: &&usize| {
        let kind = schema.fields().get(**at).map(|field| field.data_type());
        kind.is_some_and(|kind| kind.is_primitive() || matches!(kind, DataType::Boolean))
    };
    Ok(!filters.is_empty() && left.len() <= LITTLE && left.iter().all(is_narrow))
}

/// Whether a condition looks for single values (of a text, one; of anything else, any number of them), or into texts, which had to be
/// handed on to be looked into above.
fn looks_up(condition: &Arc<dyn PhysicalExpr>, schema: &Schema) -> Result<bool> {
    let mut found = is_equality(condition);
    condition.apply(|part| {
        found |= part.is::<LikeExpr>();
        let listed = part.downcast_ref::<InListExpr>().is_some_and(|list| !list.negated());
        if listed || is_equality(part) {
            found |= collect_columns(part).iter().any(|column| !is_text(column, schema));
        }
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}

/// `column = value`.
fn is_equality(part: &Arc<dyn PhysicalExpr>) -> bool {
    part.downcast_ref::<BinaryExpr>().is_some_and(|binary| {
        let sides = [binary.left(), binary.right()];
        *binary.op() == Operator::Eq && sides.iter().any(|side| side.downcast_ref::<Literal>().is_some())
    })
}

fn is_text(column: &Column, schema: &Schema) -> bool {
    schema.fields().get(column.index()).is_some_and(|field| field.data_type().is_string())
}

#[cfg(test)]
mod tests;
