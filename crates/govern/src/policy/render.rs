//! Row filters as stable text, for people, policy tests and the matrix.

use datafusion::arrow::temporal_conversions::{date32_to_datetime, timestamp_ns_to_datetime, timestamp_us_to_datetime};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{Expr, Operator};

/// `all rows`, `no rows`, or the predicate.
pub(crate) fn filter(filter: Option<&Expr>) -> String {
    match filter {
        None => "all rows".to_owned(),
        Some(Expr::Literal(ScalarValue::Boolean(Some(false)), _)) => "no rows".to_owned(),
        Some(e) => expression(e),
    }
}

fn expression(e: &Expr) -> String {
    match e {
        Expr::Column(c) => identifier(&c.name),
        Expr::Literal(value, _) => literal(value),
        Expr::Not(inner) => format!("NOT {}", nested(inner)),
        Expr::IsNull(inner) => format!("{} IS NULL", nested(inner)),
        Expr::IsNotNull(inner) => format!("{} IS NOT NULL", nested(inner)),
        Expr::BinaryExpr(b) => {
            let side = |inner: &Expr| match inner {
                // AND and OR need no parentheses inside their like.
                Expr::BinaryExpr(i) if i.op == b.op && matches!(b.op, Operator::And | Operator::Or) => {
                    expression(inner)
                }
                _ => nested_in(inner, b.op),
            };
            let op = if b.op == Operator::NotEq { "<>".to_owned() } else { b.op.to_string() };
            format!("{} {op} {}", side(&b.left), side(&b.right))
        }
        Expr::InList(list) => {
            let items: Vec<String> = list.list.iter().map(expression).collect();
            let not = if list.negated { "NOT " } else { "" };
            format!("{} {not}IN ({})", nested(&list.expr), items.join(", "))
        }
        Expr::Like(like) => {
            let not = if like.negated { "NOT " } else { "" };
            format!("{} {not}LIKE {}", nested(&like.expr), expression(&like.pattern))
        }
        Expr::Cast(cast) => expression(&cast.expr),
        Expr::ScalarFunction(call) => {
            let arguments: Vec<String> = call.args.iter().map(expression).collect();
            format!("{}({})", call.name(), arguments.join(", "))
        }
        other => other.to_string(),
    }
}

/// An operand of a comparison or connective.
fn nested_in(e: &Expr, op: Operator) -> String {
    match e {
        Expr::BinaryExpr(b) if matches!(b.op, Operator::And | Operator::Or) => format!("({})", expression(e)),
        _ if matches!(op, Operator::And | Operator::Or) => expression(e),
        _ => nested(e),
    }
}

fn nested(e: &Expr) -> String {
    match e {
        Expr::Column(_) | Expr::Literal(..) | Expr::ScalarFunction(_) | Expr::Cast(_) => expression(e),
        _ => format!("({})", expression(e)),
    }
}

/// A name as it is written in SQL.
pub(crate) fn identifier(name: &str) -> String {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let bare = name.chars().all(plain) && !name.starts_with(|c: char| c.is_ascii_digit()) && !name.is_empty();
    if bare { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

/// A value as it is written in filters.
pub(crate) fn literal(value: &ScalarValue) -> String {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
    match value {
        ScalarValue::Utf8View(Some(s)) | ScalarValue::Utf8(Some(s)) | ScalarValue::LargeUtf8(Some(s)) => quoted(s),
        ScalarValue::Boolean(Some(b)) => b.to_string().to_uppercase(),
        ScalarValue::Decimal128(Some(n), _, scale) => decimal(*n, u32::from(scale.unsigned_abs())),
        ScalarValue::Date32(Some(days)) => match date32_to_datetime(*days) {
            Some(day) => quoted(&day.format("%Y-%m-%d").to_string()),
            None => format!("day {days}"),
        },
        ScalarValue::TimestampMicrosecond(Some(us), _) => match timestamp_us_to_datetime(*us) {
            Some(instant) => quoted(&instant.format("%Y-%m-%dT%H:%M:%S%.fZ").to_string()),
            None => format!("microsecond {us}"),
        },
        ScalarValue::TimestampNanosecond(Some(ns), _) => match timestamp_ns_to_datetime(*ns) {
            Some(instant) => quoted(&instant.format("%Y-%m-%dT%H:%M:%S%.fZ").to_string()),
            None => format!("nanosecond {ns}"),
        },
        other => other.to_string(),
    }
}

fn decimal(unscaled: i128, scale: u32) -> String {
    let sign = if unscaled < 0 { "-" } else { "" };
    let power = 10_u128.saturating_pow(scale);
    let (whole, rest) = (unscaled.unsigned_abs() / power, unscaled.unsigned_abs() % power);
    if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{rest:0width$}", width = scale as usize) }
}
