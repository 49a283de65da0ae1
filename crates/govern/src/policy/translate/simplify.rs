//! AND and OR that leave out what says nothing.

use std::collections::HashSet;

use datafusion::common::ScalarValue;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, lit};

/// The predicate that keeps every row.
pub(crate) fn all_rows() -> Expr {
    lit(true)
}

/// The predicate that keeps no row.
pub(crate) fn no_row() -> Expr {
    lit(false)
}

/// Whether a predicate is the constant TRUE.
pub(crate) fn is_all_rows(e: &Expr) -> bool {
    matches!(e, Expr::Literal(ScalarValue::Boolean(Some(true)), _))
}

fn is_no_row(e: &Expr) -> bool {
    matches!(e, Expr::Literal(ScalarValue::Boolean(Some(false)), _))
}

/// `l AND r`.
pub(crate) fn and(l: Expr, r: Expr) -> Expr {
    if is_all_rows(&l) || l == r {
        return r;
    }
    if is_all_rows(&r) {
        return l;
    }
    if is_no_row(&l) || is_no_row(&r) {
        return no_row();
    }
    // `x IS NOT NULL AND x = 1`: the comparison says both.
    if matches!(&r, Expr::IsNotNull(c) if not_null(&l).contains(c.as_ref())) {
        return l;
    }
    match without(&l, &not_null(&r)) {
        Some(l) => l.and(r),
        None => r,
    }
}

/// A conjunction without what it says about columns that are known not to be NULL.
fn without(e: &Expr, known: &HashSet<&Expr>) -> Option<Expr> {
    match e {
        Expr::IsNotNull(c) if known.contains(c.as_ref()) => None,
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
            match (without(left, known), without(right, known)) {
                (Some(l), Some(r)) => Some(l.and(r)),
                (one, other) => one.or(other),
            }
        }
        _ => Some(e.clone()),
    }
}

/// `l OR r`.
pub(crate) fn or(l: Expr, r: Expr) -> Expr {
    if is_no_row(&l) || l == r {
        return r;
    }
    if is_no_row(&r) {
        return l;
    }
    if is_all_rows(&l) || is_all_rows(&r) {
        return all_rows();
    }
    l.or(r)
}

/// Columns that cannot be NULL where `e` is TRUE.
fn not_null(e: &Expr) -> HashSet<&Expr> {
    match e {
        Expr::Column(_) => [e].into(),
        Expr::IsNotNull(inner) | Expr::Not(inner) if matches!(inner.as_ref(), Expr::Column(_)) => {
            [inner.as_ref()].into()
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
            not_null(left).union(&not_null(right)).copied().collect()
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
            not_null(left).intersection(&not_null(right)).copied().collect()
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_comparison(*op) => {
            [left, right].into_iter().map(|side| uncast(side)).filter(|side| matches!(side, Expr::Column(_))).collect()
        }
        Expr::InList(list) => [list.expr.as_ref()].into(),
        Expr::Like(like) => [like.expr.as_ref()].into(),
        // The one function in filters: `array_has` finds nothing in a list that is not there.
        Expr::ScalarFunction(call) => call.args.iter().take(1).collect(),
        _ => HashSet::new(),
    }
}

fn is_comparison(op: Operator) -> bool {
    use Operator::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
    matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq)
}

/// What is widened: the cast of a NULL is NULL.
fn uncast(e: &Expr) -> &Expr {
    match e {
        Expr::Cast(cast) => &cast.expr,
        _ => e,
    }
}
