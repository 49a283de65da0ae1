//! Which predicates may be evaluated on rows that the row filter hides.
//!
//! An allow-list. A predicate crosses the barrier only if it is *total* (no input makes it fail), *deterministic* and *built in*,
//! because whatever fails, or can be watched, on a hidden row betrays that row. Everything that is not named here stays above.
//!
//! | form | why it cannot fail |
//! |---|---|
//! | a clear column alone, of a total type | reads a value |
//! | boolean literal | a constant |
//! | `=`, `<>`, `<`, `<=`, `>`, `>=`, `IS [NOT] DISTINCT FROM` of a clear column with a literal or a clear column of the *same* type | Arrow's comparison kernels are total on equal types; no cast is left to fail (type coercion has run) |
//! | `BETWEEN` two literals of the column's type | two of the above |
//! | `IN` a list of literals of the column's type | a set lookup |
//! | `LIKE`, `NOT LIKE` a literal pattern without ESCAPE, at most [`MAX_PATTERN`] bytes | matching is total; the bound keeps the pattern below the size at which its compilation may fail |
//! | `IS [NOT] NULL` of a clear column, `IS [NOT] TRUE/FALSE/UNKNOWN`, `NOT`, `AND`, `OR` of the above | three-valued logic is total |
//! | a dynamic filter all of whose inputs are clear columns | its producers (TopK, hash join, min/max) compare those columns with values of the same type or look them up |
//!
//! Not here, on purpose: casts (fail), arithmetic (overflow, division), functions (anything), `ILIKE` and regular expressions (case folding
//! and compilation), nested types, predicates without a column (`random() >= 0`), masked columns (the raw value is not the user's).

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Schema};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{Expr, Operator};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions as physical;
use datafusion::physical_expr::utils::collect_columns;

/// The longest LIKE pattern, in bytes, that may cross.
pub const MAX_PATTERN: usize = 256;

/// Types whose comparison kernels are total. Nested types are not: their comparison goes through row formats and casts.
fn is_total(data_type: &DataType) -> bool {
    use DataType::*;
    matches!(
        data_type,
        Boolean
            | Int8
            | Int16
            | Int32
            | Int64
            | UInt8
            | UInt16
            | UInt32
            | UInt64
            | Float32
            | Float64
            | Date32
            | Date64
            | Time32(_)
            | Time64(_)
            | Timestamp(_, _)
            | Decimal32(_, _)
            | Decimal64(_, _)
            | Decimal128(_, _)
            | Decimal256(_, _)
            | Utf8
            | LargeUtf8
            | Utf8View
            | Binary
            | LargeBinary
            | BinaryView
            | FixedSizeBinary(_)
    )
}

fn is_comparison(op: Operator) -> bool {
    use Operator::*;
    matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom)
}

fn is_short_pattern(value: &ScalarValue, column: &DataType) -> bool {
    match value {
        ScalarValue::Utf8(Some(s)) | ScalarValue::LargeUtf8(Some(s)) | ScalarValue::Utf8View(Some(s)) => {
            value.data_type() == *column && s.len() <= MAX_PATTERN
        }
        _ => false,
    }
}

/// Whether a logical predicate may cross. `clear` holds the columns that may be looked at below the barrier: what is masked is absent.
pub fn crosses(predicate: &Expr, clear: &Schema) -> bool {
    !predicate.column_refs().is_empty() && logical(predicate, clear)
}

fn column(expr: &Expr, clear: &Schema) -> Option<DataType> {
    let Expr::Column(column) = expr else { return None };
    let field = clear.field_with_name(&column.name).ok()?;
    is_total(field.data_type()).then(|| field.data_type().clone())
}

fn operand(expr: &Expr, clear: &Schema) -> Option<DataType> {
    match expr {
        Expr::Literal(value, _) => Some(value.data_type()),
        _ => column(expr, clear),
    }
}

fn is_literal_of(expr: &Expr, data_type: &DataType) -> bool {
    matches!(expr, Expr::Literal(value, _) if value.data_type() == *data_type)
}

fn logical(expr: &Expr, clear: &Schema) -> bool {
    match expr {
        Expr::Literal(ScalarValue::Boolean(_), _) => true,
        Expr::Column(_) => column(expr, clear) == Some(DataType::Boolean),
        Expr::Not(inner)
        | Expr::IsTrue(inner)
        | Expr::IsFalse(inner)
        | Expr::IsUnknown(inner)
        | Expr::IsNotTrue(inner)
        | Expr::IsNotFalse(inner)
        | Expr::IsNotUnknown(inner) => logical(inner, clear),
        Expr::IsNull(inner) | Expr::IsNotNull(inner) => match inner.as_ref() {
            Expr::Column(c) => clear.field_with_name(&c.name).is_ok(),
            _ => logical(inner, clear),
        },
        Expr::BinaryExpr(b) if matches!(b.op, Operator::And | Operator::Or) => {
            logical(&b.left, clear) && logical(&b.right, clear)
        }
        Expr::BinaryExpr(b) if is_comparison(b.op) => {
            let (left, right) = (operand(&b.left, clear), operand(&b.right, clear));
            left.is_some() && left == right && left.as_ref().is_some_and(is_total)
        }
        Expr::Between(b) => {
            column(&b.expr, clear).is_some_and(|t| is_literal_of(&b.low, &t) && is_literal_of(&b.high, &t))
        }
        Expr::InList(l) => column(&l.expr, clear).is_some_and(|t| l.list.iter().all(|v| is_literal_of(v, &t))),
        Expr::Like(l) if !l.case_insensitive && l.escape_char.is_none() => {
            match (column(&l.expr, clear), &*l.pattern) {
                (Some(t), Expr::Literal(pattern, _)) => is_short_pattern(pattern, &t),
                _ => false,
            }
        }
        _ => false,
    }
}

/// Whether a physical predicate over `schema` may cross; `is_clear` says which of its columns may be looked at below the barrier.
pub fn crosses_physical(predicate: &Arc<dyn PhysicalExpr>, schema: &Schema, is_clear: &dyn Fn(usize) -> bool) -> bool {
    !collect_columns(predicate).is_empty() && Physical { schema, is_clear }.total(predicate)
}

struct Physical<'a> {
    schema: &'a Schema,
    is_clear: &'a dyn Fn(usize) -> bool,
}

impl Physical<'_> {
    /// The type of a clear column, whatever that type is.
    fn any_column(&self, expr: &Arc<dyn PhysicalExpr>) -> Option<DataType> {
        let column = expr.downcast_ref::<physical::Column>()?;
        let field = self.schema.fields().get(column.index())?;
        (field.name() == column.name() && (self.is_clear)(column.index())).then(|| field.data_type().clone())
    }

    fn column(&self, expr: &Arc<dyn PhysicalExpr>) -> Option<DataType> {
        self.any_column(expr).filter(is_total)
    }

    fn operand(&self, expr: &Arc<dyn PhysicalExpr>) -> Option<DataType> {
        literal(expr).map(ScalarValue::data_type).or_else(|| self.column(expr))
    }

    fn is_null_test(&self, arg: &Arc<dyn PhysicalExpr>) -> bool {
        self.any_column(arg).is_some() || (!arg.is::<physical::Column>() && self.total(arg))
    }

    fn total(&self, expr: &Arc<dyn PhysicalExpr>) -> bool {
        if let Some(dynamic) = expr.downcast_ref::<physical::DynamicFilterPhysicalExpr>() {
            // A projection on the way down rewrites the inputs: a join on CAST(x) arrives with an input that is no column.
            let inputs = dynamic.children();
            return !inputs.is_empty() && inputs.iter().all(|input| self.column(input).is_some());
        }
        if let Some(value) = literal(expr) {
            return matches!(value, ScalarValue::Boolean(_));
        }
        if expr.is::<physical::Column>() {
            return self.column(expr) == Some(DataType::Boolean);
        }
        if let Some(not) = expr.downcast_ref::<physical::NotExpr>() {
            return self.total(not.arg());
        }
        if let Some(test) = expr.downcast_ref::<physical::IsNullExpr>() {
            return self.is_null_test(test.arg());
        }
        if let Some(test) = expr.downcast_ref::<physical::IsNotNullExpr>() {
            return self.is_null_test(test.arg());
        }
        if let Some(binary) = expr.downcast_ref::<physical::BinaryExpr>() {
            return self.binary(binary);
        }
        if let Some(list) = expr.downcast_ref::<physical::InListExpr>() {
            return self.column(list.expr()).is_some_and(|t| {
                list.list().iter().all(|item| literal(item).is_some_and(|value| value.data_type() == t))
            });
        }
        if let Some(like) = expr.downcast_ref::<physical::LikeExpr>() {
            return !like.case_insensitive()
                && self
                    .column(like.expr())
                    .is_some_and(|t| literal(like.pattern()).is_some_and(|pattern| is_short_pattern(pattern, &t)));
        }
        false
    }

    fn binary(&self, binary: &physical::BinaryExpr) -> bool {
        match binary.op() {
            Operator::And | Operator::Or => self.total(binary.left()) && self.total(binary.right()),
            op if is_comparison(*op) => {
                let (left, right) = (self.operand(binary.left()), self.operand(binary.right()));
                left.is_some() && left == right && left.as_ref().is_some_and(is_total)
            }
            _ => false,
        }
    }
}

fn literal(expr: &Arc<dyn PhysicalExpr>) -> Option<&ScalarValue> {
    expr.downcast_ref::<physical::Literal>().map(physical::Literal::value)
}
