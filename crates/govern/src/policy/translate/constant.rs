//! Constants in residuals: what a policy's literals and the subject's attributes have become.

use cedar_policy::pst::{BinaryOp, Expr, Literal, UnaryOp};

use super::Untranslatable;

/// A concrete Cedar value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Constant {
    Bool(bool),
    Long(i64),
    String(String),
    /// In ten-thousandths.
    Decimal(i64),
    /// In milliseconds since the epoch.
    Datetime(i64),
    Set(Vec<Constant>),
    /// Evaluating it is an error: nothing compared with it is true or false.
    Error,
}

/// Reads a constant.
pub(crate) fn constant(e: &Expr) -> Result<Constant, Untranslatable> {
    Ok(match e {
        Expr::Literal(Literal::Bool(b)) => Constant::Bool(*b),
        Expr::Literal(Literal::Long(n)) => Constant::Long(*n),
        Expr::Literal(Literal::String(s)) => Constant::String(s.to_string()),
        Expr::ResidualError => Constant::Error,
        Expr::Set(items) => {
            let items = items.iter().map(|item| constant(item)).collect::<Result<Vec<_>, _>>()?;
            if items.contains(&Constant::Error) { Constant::Error } else { Constant::Set(items) }
        }
        Expr::UnaryOp { op: UnaryOp::Decimal, expr } => match expr.as_ref() {
            Expr::Literal(Literal::String(s)) => {
                Constant::Decimal(decimal(s).ok_or_else(|| unexpected("a decimal that is none", e))?)
            }
            _ => return Err(unexpected("a computed decimal", e)),
        },
        Expr::UnaryOp { op: UnaryOp::Datetime, .. } | Expr::BinaryOp { op: BinaryOp::Offset, .. } => {
            Constant::Datetime(datetime(e).ok_or_else(|| unexpected("a datetime that is none", e))?)
        }
        _ => return Err(unexpected("a value that is no constant", e)),
    })
}

fn unexpected(what: &str, e: &Expr) -> Untranslatable {
    Untranslatable(format!("{what}: `{e}`"))
}

/// `-12.5` in ten-thousandths; Cedar's grammar is an optional sign, digits, a point, one to four digits.
fn decimal(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.')?;
    if fraction.is_empty() || fraction.len() > 4 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let digits = format!("{whole}{fraction:0<4}");
    digits.parse().ok()
}

/// Milliseconds of `datetime("…")` or of `datetime("…").offset(duration("…"))`, as partial evaluation writes them.
fn datetime(e: &Expr) -> Option<i64> {
    match e {
        Expr::UnaryOp { op: UnaryOp::Datetime, expr } => match expr.as_ref() {
            Expr::Literal(Literal::String(s)) if s == "1970-01-01" => Some(0),
            Expr::Literal(Literal::String(_)) => evaluate_milliseconds(e),
            _ => None,
        },
        Expr::BinaryOp { op: BinaryOp::Offset, left, right } => {
            let Expr::UnaryOp { op: UnaryOp::Duration, expr } = right.as_ref() else { return None };
            let Expr::Literal(Literal::String(text)) = expr.as_ref() else { return None };
            match text.strip_suffix("ms").and_then(|ms| ms.parse::<i64>().ok()) {
                Some(ms) => datetime(left)?.checked_add(ms),
                None => evaluate_milliseconds(e),
            }
        }
        _ => None,
    }
}

/// Cedar's own reading of a constant datetime.
fn evaluate_milliseconds(e: &Expr) -> Option<i64> {
    use cedar_policy::{Context, Entities, EvalResult, Expression, Request};
    let text = format!("({e}).durationSince(datetime(\"1970-01-01\")).toMilliseconds()");
    let expression: Expression = text.parse().ok()?;
    let nobody = || "Nobody::\"\"".parse().ok();
    let request = Request::new(nobody()?, nobody()?, nobody()?, Context::empty(), None).ok()?;
    match cedar_policy::eval_expression(&request, &Entities::empty(), &expression).ok()? {
        EvalResult::Long(ms) => Some(ms),
        _ => None,
    }
}
