//! Which files can hold a row that a filter keeps, judged by their statistics.
//!
//! A filter is evaluated over sets: for each part of it, which of true, false and null can come out for some row of the
//! file. Whatever is not understood can be anything, so a file is dropped only on proof, below a `NOT` too.

use std::cmp::Ordering;

use datafusion::arrow::datatypes::Schema;
use datafusion::common::{ColumnStatistics, ScalarValue, Statistics};
use datafusion::logical_expr::expr::{BinaryExpr, InList, Like, ScalarFunction};
use datafusion::logical_expr::{Expr, Operator};

use super::iceberg_log::bucket;

/// What is known of one file.
pub(super) struct Facts<'a> {
    /// Columns of the table.
    pub(super) schema: &'a Schema,
    /// Statistics; bounds hold all values, and null counts are at least the true ones, whatever their precision says.
    pub(super) statistics: &'a Statistics,
    /// Position in the statistics of each column of the schema.
    pub(super) columns: &'a [usize],
    /// Rows of the file before deletes.
    pub(super) rows: Option<u64>,
    /// What its partition says beside bounds.
    pub(super) parts: &'a [(usize, Part)],
}

/// What the partition of a file says of a column's values, none of which is null.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    /// Their hash, modulo `count`, is `number`.
    Bucket {
        /// Buckets.
        count: u32,
        /// The one of the file.
        number: i32,
    },
    /// They begin with this.
    Prefix(String),
}

impl Part {
    /// Whether `value` may be among the values.
    fn admits(&self, value: &ScalarValue) -> bool {
        match self {
            Part::Bucket { count, number } => bucket(value, *count).is_none_or(|found| found == *number),
            Part::Prefix(prefix) => value.try_as_str().flatten().is_none_or(|text| text.starts_with(prefix)),
        }
    }

    /// Whether some value may begin with `asked`.
    fn admits_prefix(&self, asked: &str) -> bool {
        match self {
            Part::Bucket { .. } => true,
            Part::Prefix(prefix) => prefix.starts_with(asked) || asked.starts_with(prefix),
        }
    }
}

/// The outcomes that an expression can have over a file's rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Outcomes {
    yes: bool,
    no: bool,
    null: bool,
}

const ANY: Outcomes = Outcomes { yes: true, no: true, null: true };
const NULL: Outcomes = Outcomes { yes: false, no: false, null: true };

impl Outcomes {
    fn negated(self) -> Self {
        Outcomes { yes: self.no, no: self.yes, null: self.null }
    }

    fn and(self, other: Self) -> Self {
        Outcomes {
            yes: self.yes && other.yes,
            no: self.no || other.no,
            null: (self.null && (other.null || other.yes)) || (other.null && self.yes),
        }
    }

    fn or(self, other: Self) -> Self {
        self.negated().and(other.negated()).negated()
    }
}

/// Whether some row of the file may pass all `filters`.
pub(super) fn may_match(filters: &[Expr], facts: &Facts<'_>) -> bool {
    filters.iter().all(|filter| evaluate(filter, facts).yes)
}

fn evaluate(expr: &Expr, facts: &Facts<'_>) -> Outcomes {
    match expr {
        Expr::Alias(alias) => evaluate(&alias.expr, facts),
        Expr::Literal(ScalarValue::Boolean(Some(value)), _) => Outcomes { yes: *value, no: !*value, null: false },
        Expr::Literal(value, _) if value.is_null() => NULL,
        Expr::Not(inner) => evaluate(inner, facts).negated(),
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
            evaluate(left, facts).and(evaluate(right, facts))
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
            evaluate(left, facts).or(evaluate(right, facts))
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => match (&**left, &**right) {
            (Expr::Column(column), Expr::Literal(value, _)) => compare_column(&column.name, *op, value, facts),
            (Expr::Literal(value, _), Expr::Column(column)) => {
                op.swap().map_or(ANY, |op| compare_column(&column.name, op, value, facts))
            }
            _ => ANY,
        },
        Expr::Between(between) => {
            let (Expr::Column(column), Expr::Literal(low, _), Expr::Literal(high, _)) =
                (&*between.expr, &*between.low, &*between.high)
            else {
                return ANY;
            };
            let inside = compare_column(&column.name, Operator::GtEq, low, facts).and(compare_column(
                &column.name,
                Operator::LtEq,
                high,
                facts,
            ));
            if between.negated { inside.negated() } else { inside }
        }
        Expr::InList(list) => in_list(list, facts),
        Expr::IsNull(inner) => is_null(inner, facts),
        Expr::IsNotNull(inner) => is_null(inner, facts).negated(),
        Expr::IsTrue(inner) => total(evaluate(inner, facts)),
        Expr::IsNotTrue(inner) => total(evaluate(inner, facts)).negated(),
        Expr::IsFalse(inner) => total(evaluate(inner, facts).negated()),
        Expr::IsNotFalse(inner) => total(evaluate(inner, facts).negated()).negated(),
        Expr::Like(like) => evaluate_like(like, facts),
        Expr::ScalarFunction(function) => starts_with(function, facts),
        Expr::Column(column) => compare_column(&column.name, Operator::Eq, &ScalarValue::Boolean(Some(true)), facts),
        _ => ANY,
    }
}

fn total(inner: Outcomes) -> Outcomes {
    Outcomes { yes: inner.yes, no: inner.no || inner.null, null: false }
}

fn in_list(list: &InList, facts: &Facts<'_>) -> Outcomes {
    let Expr::Column(column) = &*list.expr else { return ANY };
    let mut any = Outcomes { yes: false, no: true, null: false };
    for item in &list.list {
        let Expr::Literal(value, _) = item else { return ANY };
        any = any.or(compare_column(&column.name, Operator::Eq, value, facts));
    }
    if list.negated { any.negated() } else { any }
}

fn is_null(inner: &Expr, facts: &Facts<'_>) -> Outcomes {
    let Expr::Column(column) = inner else { return Outcomes { yes: true, no: true, null: false } };
    let nulls = Nulls::of(&column.name, facts);
    Outcomes { yes: nulls != Nulls::None, no: nulls != Nulls::All, null: false }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Nulls {
    None,
    Some,
    All,
}

impl Nulls {
    fn of(column: &str, facts: &Facts<'_>) -> Self {
        let Some(statistics) = statistics_of(column, facts) else { return Nulls::Some };
        match (statistics.null_count.get_value(), facts.rows) {
            (Some(0), _) => Nulls::None,
            (Some(nulls), Some(rows)) if u64::try_from(*nulls).is_ok_and(|nulls| nulls >= rows) => Nulls::All,
            _ => Nulls::Some,
        }
    }
}

fn statistics_of<'a>(column: &str, facts: &Facts<'a>) -> Option<&'a ColumnStatistics> {
    let index = facts.schema.index_of(column).ok()?;
    facts.statistics.column_statistics.get(*facts.columns.get(index)?)
}

/// What the file's partition says of a column.
fn parts_of<'a>(column: &str, facts: &Facts<'a>) -> impl Iterator<Item = &'a Part> {
    let index = facts.schema.index_of(column).ok();
    facts.parts.iter().filter(move |(at, _)| Some(*at) == index).map(|(_, part)| part)
}

/// Bounds and nulls of a column, unless all of its values are null.
fn bounds<'a>(
    column: &str,
    facts: &Facts<'a>,
) -> Result<(Option<&'a ScalarValue>, Option<&'a ScalarValue>, bool), Outcomes> {
    let nulls = Nulls::of(column, facts);
    if nulls == Nulls::All {
        return Err(NULL);
    }
    let Some(statistics) = statistics_of(column, facts) else { return Err(ANY) };
    let low = statistics.min_value.get_value().filter(|value| !value.is_null());
    let high = statistics.max_value.get_value().filter(|value| !value.is_null());
    Ok((low, high, nulls != Nulls::None))
}

fn compare_column(column: &str, op: Operator, value: &ScalarValue, facts: &Facts<'_>) -> Outcomes {
    use Ordering::{Equal, Greater, Less};
    let comparison =
        matches!(op, Operator::Eq | Operator::NotEq | Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq);
    if !comparison {
        return ANY;
    }
    if value.is_null() {
        return NULL;
    }
    let (low, high, null) = match bounds(column, facts) {
        Ok(bounds) => bounds,
        Err(outcomes) => return outcomes,
    };
    // How the lowest and the highest possible value compare with the literal; none where unknown.
    let low = low.and_then(|low| order(low, value));
    let high = high.and_then(|high| order(high, value));
    let equal = Outcomes {
        yes: low != Some(Greater) && high != Some(Less) && parts_of(column, facts).all(|part| part.admits(value)),
        no: !(low == Some(Equal) && high == Some(Equal)),
        null,
    };
    match op {
        Operator::Eq => equal,
        Operator::NotEq => equal.negated(),
        Operator::Lt => Outcomes { yes: matches!(low, None | Some(Less)), no: high != Some(Less), null },
        Operator::LtEq => Outcomes { yes: low != Some(Greater), no: matches!(high, None | Some(Greater)), null },
        Operator::Gt => Outcomes { yes: matches!(high, None | Some(Greater)), no: low != Some(Greater), null },
        Operator::GtEq => Outcomes { yes: high != Some(Less), no: matches!(low, None | Some(Less)), null },
        _ => ANY,
    }
}

fn evaluate_like(like: &Like, facts: &Facts<'_>) -> Outcomes {
    let (Expr::Column(column), Expr::Literal(pattern, _)) = (&*like.expr, &*like.pattern) else { return ANY };
    if like.case_insensitive || like.escape_char.is_some() {
        return ANY;
    }
    if pattern.is_null() {
        return NULL;
    }
    let Some(pattern) = pattern.try_as_str().flatten() else { return ANY };
    let prefix = pattern.split(['%', '_', '\\']).next().unwrap_or_default();
    let outcomes = has_prefix(&column.name, prefix, facts);
    if like.negated { outcomes.negated() } else { outcomes }
}

fn starts_with(function: &ScalarFunction, facts: &Facts<'_>) -> Outcomes {
    let [Expr::Column(column), Expr::Literal(prefix, _)] = function.args.as_slice() else { return ANY };
    match prefix.try_as_str() {
        Some(Some(prefix)) if function.name() == "starts_with" => has_prefix(&column.name, prefix, facts),
        _ => ANY,
    }
}

/// Whether a value may start with `prefix`; that one does not is always possible.
fn has_prefix(column: &str, prefix: &str, facts: &Facts<'_>) -> Outcomes {
    let (low, high, null) = match bounds(column, facts) {
        Ok(bounds) => bounds,
        Err(outcomes) => return outcomes,
    };
    let text = |value: Option<&ScalarValue>| value.and_then(|v| v.try_as_str().flatten().map(str::to_owned));
    let below = text(high).is_some_and(|high| high.as_str() < prefix);
    let above = text(low).is_some_and(|low| low.as_str() > prefix && !low.starts_with(prefix));
    let elsewhere = !parts_of(column, facts).all(|part| part.admits_prefix(prefix));
    Outcomes { yes: !below && !above && !elsewhere, no: true, null }
}

/// The order of two values, where every way of comparing them that the engine may use agrees on it.
pub(super) fn order(left: &ScalarValue, right: &ScalarValue) -> Option<Ordering> {
    use ScalarValue as S;
    if let (Some(Some(left)), Some(Some(right))) = (left.try_as_str(), right.try_as_str()) {
        return Some(left.cmp(right));
    }
    match (left, right) {
        (S::Float32(Some(a)), S::Float32(Some(b))) => order_floats(f64::from(*a), f64::from(*b)),
        (S::Float64(Some(a)), S::Float64(Some(b))) => order_floats(*a, *b),
        (S::Decimal128(Some(a), _, s), S::Decimal128(Some(b), _, t)) => (s == t).then(|| a.cmp(b)),
        (S::TimestampMicrosecond(Some(a), z), S::TimestampMicrosecond(Some(b), y)) => {
            (z.is_some() == y.is_some()).then(|| a.cmp(b))
        }
        (S::Boolean(Some(a)), S::Boolean(Some(b))) => Some(a.cmp(b)),
        (S::Int32(Some(a)), S::Int32(Some(b))) | (S::Date32(Some(a)), S::Date32(Some(b))) => Some(a.cmp(b)),
        (S::Int64(Some(a)), S::Int64(Some(b))) | (S::Time64Microsecond(Some(a)), S::Time64Microsecond(Some(b))) => {
            Some(a.cmp(b))
        }
        (S::Binary(Some(a)) | S::BinaryView(Some(a)), S::Binary(Some(b)) | S::BinaryView(Some(b))) => Some(a.cmp(b)),
        (S::FixedSizeBinary(n, Some(a)), S::FixedSizeBinary(m, Some(b))) => (n == m).then(|| a.cmp(b)),
        _ => None,
    }
}

/// Zeros have two signs and NaN has no agreed place, so neither is ordered.
fn order_floats(a: f64, b: f64) -> Option<Ordering> {
    if a == 0.0 && b == 0.0 { None } else { a.partial_cmp(&b) }
}

#[cfg(test)]
mod tests;
