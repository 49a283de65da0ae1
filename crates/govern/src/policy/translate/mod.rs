//! Residuals of row policies into SQL predicates, exactly.
//!
//! Two functions, never SQL's NOT over a translated part: T(e) is TRUE iff Cedar evaluates `e` to true, F(e) is TRUE iff
//! Cedar evaluates it to false. A NULL column is a missing attribute: reading it is an error, which makes neither TRUE.
//! They are composed with AND and OR only, so that a NULL inside never turns into TRUE.
//!
//! | Cedar | T | F |
//! |---|---|---|
//! | `a && b` | T(a) ∧ T(b) | F(a) ∨ (T(a) ∧ F(b)) |
//! | `a \|\| b` | T(a) ∨ (F(a) ∧ T(b)) | F(a) ∧ F(b) |
//! | `!a` | F(a) | T(a) |
//! | `if c then a else b` | (T(c) ∧ T(a)) ∨ (F(c) ∧ T(b)) | the same with F(a), F(b) |
//! | `has x` | `x IS NOT NULL` | `x IS NULL` |
//! | comparison, `like`, `contains` | the operator | the inverse operator |
//! | an error | FALSE | FALSE |

mod compare;
mod constant;
mod simplify;

use std::collections::BTreeSet;

use cedar_policy::pst::{BinaryOp as B, Expr as Cedar, Literal, PatternElem, UnaryOp as U};
use datafusion::functions_nested::expr_fn::array_has;
use datafusion::logical_expr::{Expr, Like, Operator, binary_expr, lit};

use self::compare::{column, compare, element, member};
use self::constant::{Constant, constant};
pub(crate) use self::simplify::{all_rows, and, is_all_rows, no_row, or};
use super::columns::{CedarType, RowColumn, RowColumns, comparable};

/// A residual that has no translation. The caller denies; loading refuses the policies that could lead here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Untranslatable(pub(crate) String);

type Translated = Result<Expr, Untranslatable>;
/// Columns proved not NULL at this place.
type Known = BTreeSet<String>;

/// The id of the row that stands for all rows.
pub(crate) const ANY_ROW: &str = "?row";

/// T(e) or, when `truth` is false, F(e).
pub(crate) fn translate(e: &Cedar, truth: bool, columns: &RowColumns) -> Translated {
    Translator { columns }.either(e, truth, &Known::new())
}

/// Whether an expression is the row itself.
pub(crate) fn is_row(e: &Cedar) -> bool {
    match e {
        Cedar::Var(cedar_policy::pst::Var::Resource) => true,
        Cedar::Literal(Literal::EntityUID(uid)) => uid.eid == ANY_ROW,
        _ => false,
    }
}

/// The column name, if an expression is an attribute of the row.
pub(crate) fn row_attribute(e: &Cedar) -> Option<&str> {
    match e {
        Cedar::GetAttr { expr, attr } if is_row(expr) => Some(attr.as_str()),
        _ => None,
    }
}

/// One side of a comparison.
enum Operand<'a> {
    Column(&'a RowColumn),
    Constant(Constant),
}

struct Translator<'a> {
    columns: &'a RowColumns,
}

impl<'a> Translator<'a> {
    fn either(&self, e: &Cedar, truth: bool, known: &Known) -> Translated {
        match e {
            Cedar::Literal(Literal::Bool(b)) => Ok(if *b == truth { all_rows() } else { no_row() }),
            Cedar::ResidualError => Ok(no_row()),
            Cedar::GetAttr { .. } => {
                let c = column(self.column_of(e).ok_or_else(|| unsupported(e))?);
                Ok(if truth { c } else { Expr::Not(Box::new(c)) })
            }
            Cedar::UnaryOp { op: U::Not, expr } => self.either(expr, !truth, known),
            Cedar::HasAttr { expr, attrs } if is_row(expr) && attrs.tail.is_empty() => self.has(&attrs.head, truth),
            Cedar::BinaryOp { op: op @ (B::And | B::Or), left, right } => {
                self.connective(*op == B::And, left, right, truth, known)
            }
            Cedar::IfThenElse { cond, then_expr, else_expr } => {
                let then_known = self.with(known, cond, true);
                let else_known = self.with(known, cond, false);
                let yes = and(self.either(cond, true, known)?, self.either(then_expr, truth, &then_known)?);
                let no = and(self.either(cond, false, known)?, self.either(else_expr, truth, &else_known)?);
                Ok(or(yes, no))
            }
            Cedar::Like { expr, pattern } => self.like(expr, pattern, truth),
            Cedar::BinaryOp { op: op @ (B::Eq | B::NotEq), left, right }
                if self.is_boolean(left) || self.is_boolean(right) =>
            {
                let same = truth == (*op == B::Eq);
                let both = and(self.either(left, true, known)?, self.either(right, same, known)?);
                let neither = and(self.either(left, false, known)?, self.either(right, !same, known)?);
                Ok(or(both, neither))
            }
            Cedar::BinaryOp { op: B::Contains, left, right } => self.contains(left, right, truth),
            Cedar::BinaryOp { op: op @ (B::ContainsAny | B::ContainsAll), left, right } => {
                self.contains_several(*op == B::ContainsAny, left, right, truth)
            }
            Cedar::BinaryOp { op, left, right } => {
                let op = operator(*op, truth).ok_or_else(|| unsupported(e))?;
                self.comparison(op, left, right)
            }
            _ => Err(unsupported(e)),
        }
    }

    fn connective(&self, is_and: bool, left: &Cedar, right: &Cedar, truth: bool, known: &Known) -> Translated {
        let right_known = self.with(known, left, is_and);
        if is_and == truth {
            return Ok(and(self.either(left, truth, known)?, self.either(right, truth, &right_known)?));
        }
        // The guard keeps the right side out where the left one errs; without a possible error it says nothing.
        let right = self.either(right, truth, &right_known)?;
        let guarded = if self.can_err(left, known) { and(self.either(left, !truth, known)?, right) } else { right };
        Ok(or(self.either(left, truth, known)?, guarded))
    }

    fn has(&self, name: &str, truth: bool) -> Translated {
        // Validation reaches `has` of a column that this table lacks only in a branch for another table.
        let Some(c) = self.columns.get(name) else { return Ok(if truth { no_row() } else { all_rows() }) };
        Ok(if truth { column(c).is_not_null() } else { column(c).is_null() })
    }

    fn like(&self, e: &Cedar, pattern: &[PatternElem], truth: bool) -> Translated {
        let c = match self.operand(e)? {
            Operand::Column(c) if c.cedar == CedarType::String => c,
            Operand::Constant(Constant::Error) => return Ok(no_row()),
            _ => return Err(unsupported(e)),
        };
        let plain: Option<String> = pattern.iter().map(character).collect();
        if let Some(text) = plain {
            let op = if truth { Operator::Eq } else { Operator::NotEq };
            return compare(c, op, &Constant::String(text));
        }
        let pattern = compare::text_like(c, &like_pattern(pattern))?;
        Ok(Expr::Like(Like::new(!truth, Box::new(column(c)), Box::new(pattern), None, false)))
    }

    fn contains(&self, set: &Cedar, item: &Cedar, truth: bool) -> Translated {
        match (self.operand(set)?, self.operand(item)?) {
            (Operand::Constant(Constant::Error), _) | (_, Operand::Constant(Constant::Error)) => Ok(no_row()),
            (Operand::Constant(Constant::Set(items)), Operand::Column(c)) => member(c, &items, !truth),
            (Operand::Column(c), Operand::Constant(item)) if c.cedar.is_set() => self.has_element(c, &item, truth),
            _ => Err(unsupported(set)),
        }
    }

    fn contains_several(&self, any: bool, set: &Cedar, items: &Cedar, truth: bool) -> Translated {
        let (c, items) = match (self.operand(set)?, self.operand(items)?) {
            (Operand::Constant(Constant::Error), _) | (_, Operand::Constant(Constant::Error)) => return Ok(no_row()),
            (Operand::Column(c), Operand::Constant(Constant::Set(items))) if c.cedar.is_set() => (c, items),
            (Operand::Constant(Constant::Set(items)), Operand::Column(c)) if any && c.cedar.is_set() => (c, items),
            _ => return Err(unsupported(set)),
        };
        // An empty set decides by itself, but reading the column must still not err.
        let mut whole = if any == truth { no_row() } else { column(c).is_not_null() };
        for (nth, item) in items.iter().enumerate() {
            let one = self.has_element(c, item, truth)?;
            whole = match (nth, any == truth) {
                (0, _) => one,
                (_, true) => or(whole, one),
                (_, false) => and(whole, one),
            };
        }
        Ok(whole)
    }

    fn has_element(&self, c: &RowColumn, item: &Constant, truth: bool) -> Translated {
        let found = match element(c, item)? {
            Some(value) => array_has(column(c), lit(value)),
            None => return Ok(if truth { no_row() } else { column(c).is_not_null() }),
        };
        Ok(if truth { found } else { and(column(c).is_not_null(), Expr::Not(Box::new(found))) })
    }

    fn comparison(&self, op: Operator, left: &Cedar, right: &Cedar) -> Translated {
        match (self.operand(left)?, self.operand(right)?) {
            (Operand::Constant(Constant::Error), _) | (_, Operand::Constant(Constant::Error)) => Ok(no_row()),
            (Operand::Column(c), Operand::Constant(value)) => compare(c, op, &value),
            (Operand::Constant(value), Operand::Column(c)) => {
                compare(c, op.swap().ok_or_else(|| unsupported(left))?, &value)
            }
            (Operand::Column(l), Operand::Column(r)) if comparable(l, r) && !l.cedar.is_set() => {
                let (l, r) = compare::aligned(l, r);
                Ok(binary_expr(l, op, r))
            }
            _ => Err(unsupported(left)),
        }
    }

    fn operand(&self, e: &Cedar) -> Result<Operand<'a>, Untranslatable> {
        match row_attribute(e) {
            Some(name) => match self.columns.get(name) {
                Some(c) => Ok(Operand::Column(c)),
                None => Err(Untranslatable(format!("column `{name}` cannot be read by policies"))),
            },
            None => constant(e).map(Operand::Constant),
        }
    }

    fn column_of(&self, e: &Cedar) -> Option<&'a RowColumn> {
        self.columns.get(row_attribute(e)?)
    }

    fn is_boolean(&self, e: &Cedar) -> bool {
        match e {
            Cedar::GetAttr { .. } => self.column_of(e).is_some_and(|c| c.cedar == CedarType::Bool),
            _ => is_boolean_form(e),
        }
    }

    /// `known`, and what `e` being `truth` proves.
    fn with(&self, known: &Known, e: &Cedar, truth: bool) -> Known {
        let mut known = known.clone();
        known.extend(proved(e, truth));
        known
    }

    /// Whether evaluating `e` may err, given the columns known not to be NULL.
    fn can_err(&self, e: &Cedar, known: &Known) -> bool {
        if let Some(name) = row_attribute(e) {
            return !known.contains(name);
        }
        match e {
            Cedar::Literal(_) | Cedar::HasAttr { .. } => false,
            Cedar::Set(items) => items.iter().any(|item| self.can_err(item, known)),
            Cedar::UnaryOp { op: U::Not | U::Decimal | U::Datetime | U::Duration, expr } => self.can_err(expr, known),
            Cedar::BinaryOp { op: op @ (B::And | B::Or), left, right } => {
                self.can_err(left, known) || self.can_err(right, &self.with(known, left, *op == B::And))
            }
            Cedar::BinaryOp { op, left, right } if operator(*op, true).is_some() || is_contains(*op) => {
                self.can_err(left, known) || self.can_err(right, known)
            }
            Cedar::Like { expr, .. } => self.can_err(expr, known),
            _ => true,
        }
    }
}

/// Columns that cannot be NULL where `e` evaluates to `truth`.
fn proved(e: &Cedar, truth: bool) -> Known {
    match e {
        Cedar::HasAttr { expr, attrs } if is_row(expr) && attrs.tail.is_empty() && truth => {
            [attrs.head.to_string()].into()
        }
        Cedar::UnaryOp { op: U::Not, expr } => proved(expr, !truth),
        Cedar::BinaryOp { op: op @ (B::And | B::Or), left, right } => {
            let (l, r) = (proved(left, truth), proved(right, truth));
            if (*op == B::And) == truth {
                l.union(&r).cloned().collect()
            } else {
                l.intersection(&r).cloned().collect()
            }
        }
        Cedar::BinaryOp { left, right, .. } => {
            [row_attribute(left), row_attribute(right)].into_iter().flatten().map(str::to_owned).collect()
        }
        Cedar::Like { expr, .. } => row_attribute(expr).into_iter().map(str::to_owned).collect(),
        _ => row_attribute(e).into_iter().map(str::to_owned).collect(),
    }
}

/// Whether an expression's form makes it a truth value.
pub(crate) fn is_boolean_form(e: &Cedar) -> bool {
    match e {
        Cedar::Literal(Literal::Bool(_)) | Cedar::HasAttr { .. } | Cedar::Like { .. } | Cedar::Is { .. } => true,
        Cedar::UnaryOp { op, .. } => matches!(op, U::Not | U::IsEmpty),
        Cedar::BinaryOp { op, .. } => {
            operator(*op, true).is_some() || is_contains(*op) || matches!(op, B::And | B::Or | B::In)
        }
        Cedar::IfThenElse { then_expr, else_expr, .. } => is_boolean_form(then_expr) || is_boolean_form(else_expr),
        _ => false,
    }
}

pub(crate) fn is_contains(op: B) -> bool {
    matches!(op, B::Contains | B::ContainsAny | B::ContainsAll)
}

/// SQL's operator for a Cedar comparison, or the inverse one.
pub(crate) fn operator(op: B, truth: bool) -> Option<Operator> {
    let op = match op {
        B::Eq => Operator::Eq,
        B::NotEq => Operator::NotEq,
        B::Less | B::DecimalLessThan => Operator::Lt,
        B::LessEq | B::DecimalLessEq => Operator::LtEq,
        B::Greater | B::DecimalGreater => Operator::Gt,
        B::GreaterEq | B::DecimalGreaterEq => Operator::GtEq,
        _ => return None,
    };
    if truth { Some(op) } else { op.negate() }
}

fn character(element: &PatternElem) -> Option<char> {
    match element {
        PatternElem::Char(c) => Some(*c),
        PatternElem::Wildcard => None,
    }
}

/// Cedar's pattern as SQL's, with `\` as the escape.
fn like_pattern(pattern: &[PatternElem]) -> String {
    let mut text = String::new();
    for element in pattern {
        match character(element) {
            None => text.push('%'),
            Some(c) => {
                if matches!(c, '%' | '_' | '\\') {
                    text.push('\\');
                }
                text.push(c);
            }
        }
    }
    text
}

fn unsupported(e: &Cedar) -> Untranslatable {
    Untranslatable(format!("no row filter can express `{e}`"))
}
