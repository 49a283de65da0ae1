//! Reading conditions without evaluating them.

use cedar_policy::pst::{Clause, Expr as Cedar, Literal, Var};

/// An expression and everything inside it.
pub(crate) fn subexpressions(e: &Cedar) -> impl Iterator<Item = &Cedar> {
    let mut open = vec![e];
    std::iter::from_fn(move || {
        let e = open.pop()?;
        let at = open.len();
        open.extend(children(e));
        // The first child is visited first.
        if let Some(new) = open.get_mut(at..) {
            new.reverse();
        }
        Some(e)
    })
}

fn children(e: &Cedar) -> Vec<&Cedar> {
    match e {
        Cedar::UnaryOp { expr, .. }
        | Cedar::GetAttr { expr, .. }
        | Cedar::HasAttr { expr, .. }
        | Cedar::Like { expr, .. } => vec![expr],
        Cedar::BinaryOp { left, right, .. } => vec![left, right],
        Cedar::Is { expr, in_expr, .. } => std::iter::once(expr).chain(in_expr).map(AsRef::as_ref).collect(),
        Cedar::IfThenElse { cond, then_expr, else_expr } => vec![cond, then_expr, else_expr],
        Cedar::Set(items) => items.iter().map(AsRef::as_ref).collect(),
        Cedar::Record(items) => items.values().map(AsRef::as_ref).collect(),
        _ => Vec::new(),
    }
}

/// Whether an expression reads the row in any way.
pub(crate) fn mentions_row(e: &Cedar) -> bool {
    subexpressions(e).any(super::translate::is_row)
}

/// What a decision depends on besides principal and resource attributes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Reads {
    /// The instant: answers must not be kept.
    pub(crate) time: bool,
    /// A column's name or identity: columns that are otherwise alike may differ.
    pub(crate) column_identity: bool,
    /// A group, other than by the scope.
    pub(crate) groups: bool,
}

impl Reads {
    /// What a policy's conditions read.
    pub(crate) fn of(clauses: &[Clause]) -> Reads {
        let mut reads = Reads::default();
        for clause in clauses {
            let (Clause::When(e) | Clause::Unless(e)) = clause;
            // Every use of `context` other than one attribute that is not the time may lead to the time.
            let mut contexts = 0_usize;
            let mut harmless = 0_usize;
            for inner in subexpressions(e) {
                match inner {
                    Cedar::Var(Var::Context) => contexts += 1,
                    Cedar::GetAttr { expr, attr } if matches!(expr.as_ref(), Cedar::Var(Var::Context)) => {
                        harmless += usize::from(attr != "now");
                    }
                    Cedar::HasAttr { expr, .. } if matches!(expr.as_ref(), Cedar::Var(Var::Context)) => harmless += 1,
                    Cedar::GetAttr { expr, attr } if matches!(expr.as_ref(), Cedar::Var(Var::Resource)) => {
                        reads.column_identity |= attr == "name";
                    }
                    Cedar::Literal(Literal::EntityUID(uid)) => {
                        let kind = uid.ty.to_string();
                        reads.column_identity |= kind == "Column";
                        reads.groups |= kind == "Group";
                    }
                    _ => {}
                }
            }
            reads.time |= contexts > harmless;
        }
        reads
    }
}
