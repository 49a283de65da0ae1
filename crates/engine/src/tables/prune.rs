//! Which files can hold a row that a filter keeps, judged by their statistics.
//!
//! A filter is evaluated over sets: for each part of it, which of true, false and null can come out for some row of the
//! file. Whatever is not understood can be anything, so a file is dropped only on proof, below a `NOT` too. Filters are
//! taken apart once, and asked of each file.

use std::cmp::Ordering;

use datafusion::arrow::datatypes::Schema;
use datafusion::common::{ColumnStatistics, ScalarValue, Statistics};
use datafusion::logical_expr::expr::{BinaryExpr, InList, Like, ScalarFunction};
use datafusion::logical_expr::{Expr, Operator};

use super::iceberg_log::bucket;

/// What is known of one file.
pub(super) struct Facts<'a> {
    /// Statistics; bounds hold all values, and null counts are at least the true ones, whatever their precision says.
    pub(super) statistics: &'a Statistics,
    /// Position in the statistics of each column of the table.
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

/// Filters, as questions about files.
pub(super) struct Pruner {
    tests: Vec<Test>,
}

/// A part of a filter; columns are those of the table.
enum Test {
    /// The same for every file.
    Is(Outcomes),
    Not(Box<Test>),
    And(Box<Test>, Box<Test>),
    Or(Box<Test>, Box<Test>),
    /// Whether it is true, which never is null.
    IsTrue(Box<Test>),
    IsNull(usize),
    Compare(usize, Operator, ScalarValue),
    In(usize, Vec<ScalarValue>),
    Prefix(usize, String),
}

impl Pruner {
    /// Of a table with the columns of `schema`.
    pub(super) fn new(filters: &[Expr], schema: &Schema) -> Self {
        Self { tests: filters.iter().map(|filter| test(filter, schema)).collect() }
    }

    /// Whether some row of the file may pass all filters.
    pub(super) fn keeps(&self, facts: &Facts<'_>) -> bool {
        self.tests.iter().all(|test| test.of(facts).yes)
    }
}

fn test(expr: &Expr, schema: &Schema) -> Test {
    let inner = |expr: &Expr| Box::new(test(expr, schema));
    match expr {
        Expr::Alias(alias) => test(&alias.expr, schema),
        Expr::Literal(ScalarValue::Boolean(Some(value)), _) => {
            Test::Is(Outcomes { yes: *value, no: !*value, null: false })
        }
        Expr::Literal(value, _) if value.is_null() => Test::Is(NULL),
        Expr::Not(of) => Test::Not(inner(of)),
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => Test::And(inner(left), inner(right)),
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => Test::Or(inner(left), inner(right)),
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => match (&**left, &**right) {
            (Expr::Column(_), Expr::Literal(value, _)) => comparison(left, *op, value, schema),
            (Expr::Literal(value, _), Expr::Column(_)) => {
                op.swap().map_or(Test::Is(ANY), |op| comparison(right, op, value, schema))
            }
            _ => Test::Is(ANY),
        },
        Expr::Between(between) => {
            let (Expr::Literal(low, _), Expr::Literal(high, _)) = (&*between.low, &*between.high) else {
                return Test::Is(ANY);
            };
            let side = |op, value| Box::new(comparison(&between.expr, op, value, schema));
            not_if(between.negated, Test::And(side(Operator::GtEq, low), side(Operator::LtEq, high)))
        }
        Expr::InList(list) => not_if(list.negated, in_list(list, schema)),
        Expr::IsNull(of) => is_null(of, schema),
        Expr::IsNotNull(of) => Test::Not(Box::new(is_null(of, schema))),
        Expr::IsTrue(of) => Test::IsTrue(inner(of)),
        Expr::IsNotTrue(of) => Test::Not(Box::new(Test::IsTrue(inner(of)))),
        Expr::IsFalse(of) => Test::IsTrue(Box::new(Test::Not(inner(of)))),
        Expr::IsNotFalse(of) => Test::Not(Box::new(Test::IsTrue(Box::new(Test::Not(inner(of)))))),
        Expr::Like(of) => not_if(of.negated, like(of, schema)),
        Expr::ScalarFunction(function) => starts_with(function, schema),
        Expr::Column(_) => comparison(expr, Operator::Eq, &ScalarValue::Boolean(Some(true)), schema),
        _ => Test::Is(ANY),
    }
}

fn not_if(negated: bool, test: Test) -> Test {
    if negated { Test::Not(Box::new(test)) } else { test }
}

/// The place of a column in the schema.
fn place(expr: &Expr, schema: &Schema) -> Option<usize> {
    match expr {
        Expr::Column(column) => schema.index_of(&column.name).ok(),
        _ => None,
    }
}

fn comparison(column: &Expr, op: Operator, value: &ScalarValue, schema: &Schema) -> Test {
    let is_comparison =
        matches!(op, Operator::Eq | Operator::NotEq | Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq);
    match place(column, schema) {
        _ if !is_comparison => Test::Is(ANY),
        _ if value.is_null() && matches!(column, Expr::Column(_)) => Test::Is(NULL),
        Some(at) => Test::Compare(at, op, value.clone()),
        None => Test::Is(ANY),
    }
}

fn in_list(list: &InList, schema: &Schema) -> Test {
    let value = |item: &Expr| match item {
        Expr::Literal(value, _) => Some(value.clone()),
        _ => None,
    };
    let values: Option<Vec<ScalarValue>> = list.list.iter().map(value).collect();
    match (place(&list.expr, schema), values) {
        (Some(at), Some(values)) => Test::In(at, values),
        _ => Test::Is(ANY),
    }
}

fn is_null(inner: &Expr, schema: &Schema) -> Test {
    let either = Outcomes { yes: true, no: true, null: false };
    place(inner, schema).map_or(Test::Is(either), Test::IsNull)
}

fn like(like: &Like, schema: &Schema) -> Test {
    let (Expr::Column(_), Expr::Literal(pattern, _)) = (&*like.expr, &*like.pattern) else { return Test::Is(ANY) };
    if like.case_insensitive || like.escape_char.is_some() {
        return Test::Is(ANY);
    }
    if pattern.is_null() {
        return Test::Is(NULL);
    }
    let prefix = pattern.try_as_str().flatten().and_then(|pattern| pattern.split(['%', '_', '\\']).next());
    match (place(&like.expr, schema), prefix) {
        (Some(at), Some(prefix)) => Test::Prefix(at, prefix.to_owned()),
        _ => Test::Is(ANY),
    }
}

fn starts_with(function: &ScalarFunction, schema: &Schema) -> Test {
    let [column @ Expr::Column(_), Expr::Literal(prefix, _)] = function.args.as_slice() else { return Test::Is(ANY) };
    match (place(column, schema), prefix.try_as_str()) {
        (Some(at), Some(Some(prefix))) if function.name() == "starts_with" => Test::Prefix(at, prefix.to_owned()),
        _ => Test::Is(ANY),
    }
}

impl Test {
    fn of(&self, facts: &Facts<'_>) -> Outcomes {
        match self {
            Test::Is(outcomes) => *outcomes,
            Test::Not(inner) => inner.of(facts).negated(),
            Test::And(left, right) => left.of(facts).and(right.of(facts)),
            Test::Or(left, right) => left.of(facts).or(right.of(facts)),
            Test::IsTrue(inner) => {
                let inner = inner.of(facts);
                Outcomes { yes: inner.yes, no: inner.no || inner.null, null: false }
            }
            Test::IsNull(at) => {
                let nulls = Nulls::of(*at, facts);
                Outcomes { yes: nulls != Nulls::None, no: nulls != Nulls::All, null: false }
            }
            Test::Compare(at, op, value) => compare(*at, *op, value, facts),
            Test::In(at, values) => {
                let none = Outcomes { yes: false, no: true, null: false };
                let one = |value: &ScalarValue| match value.is_null() {
                    true => NULL,
                    false => compare(*at, Operator::Eq, value, facts),
                };
                values.iter().fold(none, |any, value| any.or(one(value)))
            }
            Test::Prefix(at, prefix) => has_prefix(*at, prefix, facts),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Nulls {
    None,
    Some,
    All,
}

impl Nulls {
    fn of(at: usize, facts: &Facts<'_>) -> Self {
        let Some(statistics) = statistics_of(at, facts) else { return Nulls::Some };
        match (statistics.null_count.get_value(), facts.rows) {
            (Some(0), _) => Nulls::None,
            (Some(nulls), Some(rows)) if u64::try_from(*nulls).is_ok_and(|nulls| nulls >= rows) => Nulls::All,
            _ => Nulls::Some,
        }
    }
}

fn statistics_of<'a>(at: usize, facts: &Facts<'a>) -> Option<&'a ColumnStatistics> {
    facts.statistics.column_statistics.get(*facts.columns.get(at)?)
}

/// What the file's partition says of a column.
fn parts_of<'a>(at: usize, facts: &Facts<'a>) -> impl Iterator<Item = &'a Part> {
    facts.parts.iter().filter(move |(of, _)| *of == at).map(|(_, part)| part)
}

/// Bounds and nulls of a column, unless all of its values are null.
fn bounds<'a>(
    at: usize,
    facts: &Facts<'a>,
) -> Result<(Option<&'a ScalarValue>, Option<&'a ScalarValue>, bool), Outcomes> {
    let nulls = Nulls::of(at, facts);
    if nulls == Nulls::All {
        return Err(NULL);
    }
    let Some(statistics) = statistics_of(at, facts) else { return Err(ANY) };
    let low = statistics.min_value.get_value().filter(|value| !value.is_null());
    let high = statistics.max_value.get_value().filter(|value| !value.is_null());
    Ok((low, high, nulls != Nulls::None))
}

fn compare(at: usize, op: Operator, value: &ScalarValue, facts: &Facts<'_>) -> Outcomes {
    use Ordering::{Equal, Greater, Less};
    let (low, high, null) = match bounds(at, facts) {
        Ok(bounds) => bounds,
        Err(outcomes) => return outcomes,
    };
    // How the lowest and the highest possible value compare with the literal; none where unknown.
    let low = low.and_then(|low| order(low, value));
    let high = high.and_then(|high| order(high, value));
    let equal = Outcomes {
        yes: low != Some(Greater) && high != Some(Less) && parts_of(at, facts).all(|part| part.admits(value)),
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

/// Whether a value may start with `prefix`; that one does not is always possible.
fn has_prefix(at: usize, prefix: &str, facts: &Facts<'_>) -> Outcomes {
    let (low, high, null) = match bounds(at, facts) {
        Ok(bounds) => bounds,
        Err(outcomes) => return outcomes,
    };
    let (low, high) =
        (low.and_then(ScalarValue::try_as_str).flatten(), high.and_then(ScalarValue::try_as_str).flatten());
    let below = high.is_some_and(|high| high < prefix);
    let above = low.is_some_and(|low| low > prefix && !low.starts_with(prefix));
    let elsewhere = !parts_of(at, facts).all(|part| part.admits_prefix(prefix));
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
        (S::TimestampNanosecond(Some(a), z), S::TimestampNanosecond(Some(b), y)) => {
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
