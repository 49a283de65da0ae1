//! Expressions that cannot fail on any row, and are the same each time: what may be evaluated on rows that the subject
//! sees only as part of a group. An error, or a volatile function, would tell of a single row.
//!
//! An allow-list over analysed plans, in which type coercion has written out its casts.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::logical_expr::{Expr, ExprSchemable, Operator};

/// Parts of a date that every date has.
const DATE_PARTS: &[&str] = &["year", "quarter", "month", "week", "day", "hour", "minute", "dow", "doy"];

/// The longest LIKE pattern, in bytes: the compilation of a longer one may fail.
const MAX_PATTERN: usize = 256;

/// Whether a condition on rows is total: comparisons of columns and literals, and what logic makes of them.
pub(crate) fn is_condition(expr: &Expr, schema: &DFSchema) -> bool {
    let value = |expr: &Expr| is_value(expr, schema);
    match expr {
        Expr::Literal(..) | Expr::Column(_) => true,
        Expr::Not(inner)
        | Expr::IsTrue(inner)
        | Expr::IsFalse(inner)
        | Expr::IsUnknown(inner)
        | Expr::IsNotTrue(inner)
        | Expr::IsNotFalse(inner)
        | Expr::IsNotUnknown(inner) => is_condition(inner, schema),
        Expr::IsNull(inner) | Expr::IsNotNull(inner) => value(inner),
        Expr::BinaryExpr(binary) => match binary.op {
            Operator::And | Operator::Or => is_condition(&binary.left, schema) && is_condition(&binary.right, schema),
            Operator::Eq
            | Operator::NotEq
            | Operator::Lt
            | Operator::LtEq
            | Operator::Gt
            | Operator::GtEq
            | Operator::IsDistinctFrom
            | Operator::IsNotDistinctFrom => {
                value(&binary.left) && value(&binary.right) && same_type(&binary.left, &binary.right, schema)
            }
            _ => false,
        },
        Expr::Between(between) => {
            let bounds = [&between.low, &between.high];
            value(&between.expr) && bounds.iter().all(|b| value(b) && same_type(&between.expr, b, schema))
        }
        Expr::InList(list) => {
            let fits = |item: &Expr| is_constant(item) && same_type(&list.expr, item, schema);
            value(&list.expr) && list.list.iter().all(fits)
        }
        Expr::Like(like) => {
            let is_short = text(&like.pattern).is_some_and(|pattern| pattern.len() <= MAX_PATTERN);
            is_short && !like.case_insensitive && like.escape_char.is_none() && value(&like.expr)
        }
        _ => false,
    }
}

/// Whether an expression has a value for every row.
pub(crate) fn is_value(expr: &Expr, schema: &DFSchema) -> bool {
    match expr {
        Expr::Column(_) => true,
        Expr::Alias(alias) => is_value(&alias.expr, schema),
        Expr::Cast(cast) if !is_constant(expr) => {
            let from = cast.expr.get_type(schema);
            is_value(&cast.expr, schema) && from.is_ok_and(|from| widens(&from, cast.field.data_type()))
        }
        Expr::ScalarFunction(call) => match (call.func.name(), call.args.as_slice()) {
            ("lower" | "upper", [text]) => is_value(text, schema),
            ("date_part", [part, date]) => {
                let is_date = matches!(date.get_type(schema), Ok(DataType::Date32 | DataType::Timestamp(..)));
                text(part).is_some_and(|part| DATE_PARTS.contains(&part.to_lowercase().as_str()))
                    && is_date
                    && is_value(date, schema)
            }
            _ => false,
        },
        _ => is_constant(expr),
    }
}

/// A literal, or one that converts to the type asked for.
fn is_constant(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(..) => true,
        // One that does not would fail on the first row there is.
        Expr::Cast(cast) => match cast.expr.as_ref() {
            Expr::Literal(value, _) => value.cast_to(cast.field.data_type()).is_ok(),
            _ => false,
        },
        _ => false,
    }
}

/// A literal text, whatever kind of text the analyser has made of it.
fn text(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Literal(value, _) => value.try_as_str().flatten(),
        Expr::Cast(cast) if is_text(cast.field.data_type()) => text(&cast.expr),
        _ => None,
    }
}

fn same_type(left: &Expr, right: &Expr, schema: &DFSchema) -> bool {
    match (left.get_type(schema), right.get_type(schema)) {
        (Ok(left), Ok(right)) => left == right || (is_text(&left) && is_text(&right)),
        _ => false,
    }
}

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

/// Whether every value of one type has one in the other.
pub(crate) fn widens(from: &DataType, to: &DataType) -> bool {
    use DataType as T;
    match (from, to) {
        (from, to) if is_text(from) && is_text(to) => true,
        (T::Int8 | T::Int16 | T::Int32, T::Int64) | (T::Int8 | T::Int16, T::Int32) => true,
        (T::Int8 | T::Int16 | T::Int32 | T::Int64 | T::Float32 | T::Decimal128(..), T::Float64) => true,
        (T::Int32, T::Decimal128(precision, scale)) => *scale >= 0 && i16::from(*precision) - i16::from(*scale) >= 10,
        (T::Int64, T::Decimal128(precision, scale)) => *scale >= 0 && i16::from(*precision) - i16::from(*scale) >= 19,
        (T::Decimal128(p, s), T::Decimal128(q, t)) => {
            t >= s && i16::from(*q) - i16::from(*t) >= i16::from(*p) - i16::from(*s)
        }
        (from, to) => from == to,
    }
}
