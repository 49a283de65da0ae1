//! Which files can hold a row that a filter keeps, judged by their statistics.
//!
//! A filter is evaluated over sets: for each part of it, which of true, false and null can come out for some row of the
//! file. Whatever is not understood can be anything, so a file is dropped only on proof, below a `NOT` too. Filters are
//! taken apart once; each of their parts is asked of all files together.

mod known;

use std::cmp::Ordering;

use datafusion::arrow::datatypes::Schema;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::{BinaryExpr, InList, Like, ScalarFunction};
use datafusion::logical_expr::{Expr, Operator};

pub(super) use known::{Facts, Known, order};

use self::known::Nulls;
use super::iceberg_log::bucket;

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

    /// Of each file, whether some row of it may pass all filters.
    pub(super) fn kept(&self, known: &Known) -> Vec<bool> {
        let mut kept = vec![true; known.files()];
        for test in &self.tests {
            for (kept, outcomes) in kept.iter_mut().zip(test.of(known)) {
                *kept &= outcomes.yes;
            }
        }
        kept
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
    /// What can come out, of each file.
    fn of(&self, known: &Known) -> Vec<Outcomes> {
        match self {
            Test::Is(outcomes) => vec![*outcomes; known.files()],
            Test::Not(inner) => changed(inner.of(known), Outcomes::negated),
            Test::And(left, right) => both(left.of(known), right.of(known), Outcomes::and),
            Test::Or(left, right) => both(left.of(known), right.of(known), Outcomes::or),
            Test::IsTrue(inner) => {
                changed(inner.of(known), |of| Outcomes { yes: of.yes, no: of.no || of.null, null: false })
            }
            Test::IsNull(at) => is_null_of(*at, known),
            Test::Compare(at, op, value) => compare(*at, *op, value, known),
            Test::In(at, values) => {
                let none = vec![Outcomes { yes: false, no: true, null: false }; known.files()];
                values.iter().fold(none, |any, value| match value.is_null() {
                    true => changed(any, |any| any.or(NULL)),
                    false => both(any, compare(*at, Operator::Eq, value, known), Outcomes::or),
                })
            }
            Test::Prefix(at, prefix) => has_prefix(*at, prefix, known),
        }
    }
}

fn changed(mut outcomes: Vec<Outcomes>, change: impl Fn(Outcomes) -> Outcomes) -> Vec<Outcomes> {
    outcomes.iter_mut().for_each(|one| *one = change(*one));
    outcomes
}

fn both(
    mut left: Vec<Outcomes>,
    right: Vec<Outcomes>,
    together: impl Fn(Outcomes, Outcomes) -> Outcomes,
) -> Vec<Outcomes> {
    left.iter_mut().zip(right).for_each(|(left, right)| *left = together(*left, right));
    left
}

fn is_null_of(at: usize, known: &Known) -> Vec<Outcomes> {
    let of = |nulls: Nulls| Outcomes { yes: nulls != Nulls::None, no: nulls != Nulls::All, null: false };
    match known.column(at) {
        Some(column) => column.nulls.iter().map(|nulls| of(*nulls)).collect(),
        None => vec![of(Nulls::Some); known.files()],
    }
}

fn compare(at: usize, op: Operator, value: &ScalarValue, known: &Known) -> Vec<Outcomes> {
    let Some(column) = known.column(at) else { return vec![ANY; known.files()] };
    let (low, high) = (column.low.against(value, known.files()), column.high.against(value, known.files()));
    let sides = low.into_iter().zip(high);
    let mut outcomes: Vec<Outcomes> = column
        .nulls
        .iter()
        .zip(sides)
        .map(|(nulls, (low, high))| match nulls {
            Nulls::All => NULL,
            _ => compared(op, low, high, *nulls != Nulls::None),
        })
        .collect();
    // A partition may not admit a value that is within the bounds.
    for (file, part) in &column.parts {
        match (outcomes.get_mut(*file), op) {
            (Some(of), Operator::Eq) => of.yes &= part.admits(value),
            (Some(of), Operator::NotEq) => of.no &= part.admits(value),
            _ => {}
        }
    }
    outcomes
}

/// By how the lowest and the highest possible value compare with a literal; none where that is not known.
fn compared(op: Operator, low: Option<Ordering>, high: Option<Ordering>, null: bool) -> Outcomes {
    use Ordering::{Equal, Greater, Less};
    let equal = Outcomes {
        yes: low != Some(Greater) && high != Some(Less),
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
fn has_prefix(at: usize, prefix: &str, known: &Known) -> Vec<Outcomes> {
    let Some(column) = known.column(at) else { return vec![ANY; known.files()] };
    let asked = prefix.as_bytes();
    let above = column.low.texts(known.files(), |low| low > asked && !low.starts_with(asked));
    let below = column.high.texts(known.files(), |high| high < asked);
    let mut outcomes: Vec<Outcomes> = column
        .nulls
        .iter()
        .zip(above.into_iter().zip(below))
        .map(|(nulls, (above, below))| match nulls {
            Nulls::All => NULL,
            _ => Outcomes { yes: !above && !below, no: true, null: *nulls != Nulls::None },
        })
        .collect();
    for (file, part) in &column.parts {
        if let Some(of) = outcomes.get_mut(*file) {
            of.yes &= part.admits_prefix(prefix);
        }
    }
    outcomes
}

#[cfg(test)]
mod tests;
