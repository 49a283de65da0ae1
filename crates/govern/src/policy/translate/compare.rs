//! A column against a constant, in the column's own type.
//!
//! The column is never cast: a cast would cost pruning, and could fail. So the constant is brought to the column's grid
//! (integers, hundredths, days, nanoseconds…). Where it lies between two points of the grid, or beyond the type's
//! range, the comparison is rewritten: `x < 1.005` on hundredths is `x <= 1.00`.

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::{Column, ScalarValue};
use datafusion::logical_expr::{Expr, Operator, binary_expr, cast, lit};

use super::constant::Constant;
use super::{Untranslatable, no_row};
use crate::policy::columns::RowColumn;

/// The expression for a column: by exact name, without SQL's folding or splitting.
pub(crate) fn column(c: &RowColumn) -> Expr {
    Expr::Column(Column::new_unqualified(&c.name))
}

/// Where a constant lies on a column's grid.
enum Place {
    /// On a point.
    At(ScalarValue),
    /// Above this point and below the next.
    Above(ScalarValue),
    /// Below every value of the type.
    BelowAll,
    /// Above every value of the type.
    AboveAll,
}

/// `c op constant`: TRUE iff Cedar's comparison is true.
pub(crate) fn compare(c: &RowColumn, op: Operator, constant: &Constant) -> Result<Expr, Untranslatable> {
    let place = match constant {
        Constant::Error => return Ok(no_row()),
        Constant::Bool(_) | Constant::String(_) => Place::At(exact(&c.arrow, constant)?),
        _ => place(&c.arrow, constant)?,
    };
    let always = || column(c).is_not_null();
    Ok(match (place, op) {
        (Place::At(value), _) => binary_expr(column(c), op, lit(value)),
        (Place::Above(_) | Place::BelowAll | Place::AboveAll, Operator::Eq) => no_row(),
        (Place::Above(_) | Place::BelowAll | Place::AboveAll, Operator::NotEq) => always(),
        (Place::Above(value), Operator::Lt | Operator::LtEq) => binary_expr(column(c), Operator::LtEq, lit(value)),
        (Place::Above(value), Operator::Gt | Operator::GtEq) => binary_expr(column(c), Operator::Gt, lit(value)),
        (Place::AboveAll, Operator::Lt | Operator::LtEq) | (Place::BelowAll, Operator::Gt | Operator::GtEq) => always(),
        (Place::AboveAll, Operator::Gt | Operator::GtEq) | (Place::BelowAll, Operator::Lt | Operator::LtEq) => no_row(),
        (_, op) => return Err(Untranslatable(format!("operator `{op}` on column `{}`", c.name))),
    })
}

/// `[constants].contains(c)`, or its negation.
pub(crate) fn member(c: &RowColumn, constants: &[Constant], negated: bool) -> Result<Expr, Untranslatable> {
    let mut list = Vec::new();
    for constant in constants {
        let at = match constant {
            Constant::Bool(_) | Constant::String(_) => Some(exact(&c.arrow, constant)?),
            _ => match place(&c.arrow, constant)? {
                Place::At(value) => Some(value),
                _ => None,
            },
        };
        if let Some(value) = at.map(lit).filter(|value| !list.contains(value)) {
            list.push(value);
        }
    }
    let one = if negated { Operator::NotEq } else { Operator::Eq };
    Ok(match (list.len(), negated) {
        (0, false) => no_row(),
        (0, true) => column(c).is_not_null(),
        (1, _) => binary_expr(column(c), one, list.remove(0)),
        _ => column(c).in_list(list, negated),
    })
}

/// The literal for an element of a list column; `None` if no element can be equal to it.
pub(crate) fn element(c: &RowColumn, constant: &Constant) -> Result<Option<ScalarValue>, Untranslatable> {
    let (DataType::List(item) | DataType::LargeList(item) | DataType::ListView(item)) = &c.arrow else {
        return Err(Untranslatable(format!("column `{}` is no list", c.name)));
    };
    Ok(match constant {
        Constant::Bool(_) | Constant::String(_) => Some(exact(item.data_type(), constant)?),
        _ => match place(item.data_type(), constant)? {
            Place::At(value) => Some(value),
            _ => None,
        },
    })
}

/// The literal of a type where every constant is on the grid.
fn exact(data_type: &DataType, constant: &Constant) -> Result<ScalarValue, Untranslatable> {
    Ok(match (data_type, constant) {
        (DataType::Boolean, Constant::Bool(b)) => ScalarValue::Boolean(Some(*b)),
        (DataType::Utf8View, Constant::String(s)) => ScalarValue::Utf8View(Some(s.clone())),
        (DataType::Utf8, Constant::String(s)) => ScalarValue::Utf8(Some(s.clone())),
        (DataType::LargeUtf8, Constant::String(s)) => ScalarValue::LargeUtf8(Some(s.clone())),
        _ => return Err(mismatch(data_type, constant)),
    })
}

const MS_PER_DAY: i128 = 86_400_000;

/// Finds the place of a numeric or temporal constant.
fn place(data_type: &DataType, constant: &Constant) -> Result<Place, Untranslatable> {
    // value = numerator / divisor in the column's unit, and the type's least and greatest value.
    let (numerator, divisor, least, greatest) = match (data_type, constant) {
        (DataType::Int32, Constant::Long(n)) => (i128::from(*n), 1, i128::from(i32::MIN), i128::from(i32::MAX)),
        (DataType::Int64, Constant::Long(n)) => (i128::from(*n), 1, i128::from(i64::MIN), i128::from(i64::MAX)),
        (DataType::Decimal128(precision, scale @ 0..=4), Constant::Decimal(ten_thousandths)) => {
            let greatest = 10_i128.saturating_pow(u32::from(*precision)) - 1;
            let digits = 4 - u32::from(scale.unsigned_abs());
            (i128::from(*ten_thousandths), 10_i128.pow(digits), -greatest, greatest)
        }
        (DataType::Date32, Constant::Datetime(ms)) => {
            (i128::from(*ms), MS_PER_DAY, i128::from(i32::MIN), i128::from(i32::MAX))
        }
        (DataType::Timestamp(TimeUnit::Microsecond, _), Constant::Datetime(ms)) => {
            (i128::from(*ms) * 1000, 1, i128::from(i64::MIN), i128::from(i64::MAX))
        }
        (DataType::Timestamp(TimeUnit::Nanosecond, _), Constant::Datetime(ms)) => {
            (i128::from(*ms) * 1_000_000, 1, i128::from(i64::MIN), i128::from(i64::MAX))
        }
        _ => return Err(mismatch(data_type, constant)),
    };
    let floor = numerator.div_euclid(divisor);
    if floor < least {
        return Ok(Place::BelowAll);
    }
    if floor > greatest {
        return Ok(Place::AboveAll);
    }
    let value = literal(data_type, floor).ok_or_else(|| mismatch(data_type, constant))?;
    Ok(if numerator.rem_euclid(divisor) == 0 { Place::At(value) } else { Place::Above(value) })
}

/// The literal with this value in the type's unit.
fn literal(data_type: &DataType, value: i128) -> Option<ScalarValue> {
    Some(match data_type {
        DataType::Int32 => ScalarValue::Int32(Some(i32::try_from(value).ok()?)),
        DataType::Int64 => ScalarValue::Int64(Some(i64::try_from(value).ok()?)),
        DataType::Decimal128(precision, scale) => ScalarValue::Decimal128(Some(value), *precision, *scale),
        DataType::Date32 => ScalarValue::Date32(Some(i32::try_from(value).ok()?)),
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            ScalarValue::TimestampMicrosecond(Some(i64::try_from(value).ok()?), zone.clone())
        }
        DataType::Timestamp(TimeUnit::Nanosecond, zone) => {
            ScalarValue::TimestampNanosecond(Some(i64::try_from(value).ok()?), zone.clone())
        }
        _ => return None,
    })
}

fn mismatch(data_type: &DataType, constant: &Constant) -> Untranslatable {
    Untranslatable(format!("a column of type {data_type} cannot be compared with {constant:?}"))
}

/// The literal for a LIKE pattern, in the column's own text type.
pub(crate) fn text_like(c: &RowColumn, pattern: &str) -> Result<Expr, Untranslatable> {
    exact(&c.arrow, &Constant::String(pattern.to_owned())).map(lit)
}

/// Two comparable columns, widened to a common type. Widening never fails.
pub(crate) fn aligned(l: &RowColumn, r: &RowColumn) -> (Expr, Expr) {
    let target = match (&l.arrow, &r.arrow) {
        (a, b) if a == b => return (column(l), column(r)),
        // Both have at most fourteen digits before the point and four after it.
        (DataType::Decimal128(..), DataType::Decimal128(..)) => DataType::Decimal128(18, 4),
        _ => DataType::Int64,
    };
    let widen = |c: &RowColumn| if c.arrow == target { column(c) } else { cast(column(c), target.clone()) };
    (widen(l), widen(r))
}
