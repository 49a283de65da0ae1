//! Time travel: `… VERSION AS OF …` and `… TIMESTAMP AS OF …` after a table's name.
//!
//! The parser's dialect knows none of these clauses. They are taken out of the tokens before it runs, and then given
//! to the table whose name stood right before them; a clause that no table takes is refused, never dropped. Times without
//! a zone are in the session's, as everywhere in a statement. What stands without a clause is of the session's time
//! (`SET as_of`), where it has one.

use std::collections::HashMap;
use std::fmt;
use std::ops::ControlFlow;

use datafusion::arrow::array::timezone::Tz;
use datafusion::arrow::compute::kernels::cast_utils::string_to_datetime;
use datafusion::arrow::temporal_conversions::timestamp_us_to_datetime;
use datafusion::sql::parser::Statement as DfStatement;
use datafusion::sql::sqlparser::ast::{
    DataType, Expr, ObjectName, ObjectNamePart, Statement as Ast, TableFactor, TableVersion, TypedString, Value, Visit,
    VisitMut, Visitor, VisitorMut,
};
use datafusion::sql::sqlparser::tokenizer::{Span, Token, TokenWithSpan};

use crate::error::GovernError;

/// The greatest number of clauses in a statement.
const MAX_CLAUSES: usize = 64;

/// Which version of a table a statement asks for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AsOf {
    /// An Iceberg snapshot id or a Delta version.
    Version(u64),
    /// An Iceberg branch or tag.
    Reference(String),
    /// The version that was current at this time, in microseconds since 1970.
    Time(i64),
}

impl fmt::Display for AsOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AsOf::Version(number) => write!(f, "version {number}"),
            AsOf::Reference(name) => write!(f, "branch or tag `{name}`"),
            AsOf::Time(micros) => match timestamp_us_to_datetime(*micros) {
                Some(time) => write!(f, "{time}Z"),
                None => write!(f, "{micros} µs"),
            },
        }
    }
}

impl AsOf {
    /// Whether a clause in the tree asks for this, in this time zone.
    pub(crate) fn is(&self, clause: &TableVersion, zone: &str) -> bool {
        AsOf::read(clause, zone).is_ok_and(|asked| asked == *self)
    }

    /// What a clause in the tree asks for; times without a zone are in this one.
    pub(super) fn read(clause: &TableVersion, zone: &str) -> Result<AsOf, GovernError> {
        match clause {
            TableVersion::VersionAsOf(Expr::Value(value)) => match &value.value {
                Value::Number(digits, _) => digits.parse().map(AsOf::Version).map_err(|_| version_literal()),
                Value::SingleQuotedString(name) if !name.is_empty() => Ok(AsOf::Reference(name.clone())),
                _ => Err(version_literal()),
            },
            TableVersion::TimestampAsOf(literal) => match literal {
                Expr::Value(value) => time(&value.value, zone),
                Expr::TypedString(typed) => time(&typed.value.value, zone),
                _ => Err(time_literal()),
            },
            _ => Err(version_literal()),
        }
    }
}

fn version_literal() -> GovernError {
    GovernError::refused(
        "this VERSION AS OF",
        "write the number of a snapshot or version, or the name of a branch or tag as a text",
    )
}

fn time_literal() -> GovernError {
    let hint = "write a time as a text such as '2026-11-21 15:00:00', or as TIMESTAMP '…' or DATE '…'; without a zone it is the session's";
    GovernError::refused("this TIMESTAMP AS OF", hint)
}

fn time(value: &Value, zone: &str) -> Result<AsOf, GovernError> {
    micros(value, zone).map(AsOf::Time).ok_or_else(time_literal)
}

/// A time as a text, in microseconds since 1970.
fn micros(value: &Value, zone: &str) -> Option<i64> {
    let Value::SingleQuotedString(text) = value else { return None };
    let zone: Tz = zone.parse().ok()?;
    Some(string_to_datetime(&zone, text.trim()).ok()?.timestamp_micros())
}

/// The time of a `SET as_of`, in microseconds since 1970; `None` for DEFAULT, which is now.
pub(super) fn setting(value: &Expr, zone: &str) -> Result<Option<i64>, GovernError> {
    let time = match value {
        Expr::Identifier(name) if name.quote_style.is_none() && name.value.eq_ignore_ascii_case("DEFAULT") => {
            return Ok(None);
        }
        Expr::Value(value) => micros(&value.value, zone),
        Expr::TypedString(typed) if matches!(typed.data_type, DataType::Date | DataType::Timestamp(..)) => {
            micros(&typed.value.value, zone)
        }
        _ => None,
    };
    time.map(Some).ok_or_else(|| GovernError::Value {
        message:
            "that is no time for `SET as_of`: write a text such as '2026-11-21 15:00:00', TIMESTAMP '…' or DATE '…' \
                  (without a zone it is the session's), or DEFAULT for now"
                .to_owned(),
    })
}

/// A clause, by where the name before it stands.
pub(super) type Clauses = HashMap<Span, TableVersion>;

/// Takes the clauses out of the tokens.
pub(super) fn lift(tokens: Vec<TokenWithSpan>, zone: &str) -> Result<(Vec<TokenWithSpan>, Clauses), GovernError> {
    let all: Vec<(usize, &TokenWithSpan)> =
        tokens.iter().enumerate().filter(|(_, token)| !matches!(token.token, Token::Whitespace(_))).collect();
    let mut clauses = Clauses::new();
    let mut taken = vec![false; tokens.len()];
    let mut before: Option<&TokenWithSpan> = None;
    let mut rest = all.as_slice();
    while let Some(((_, first), after)) = rest.split_first() {
        let Some((length, clause)) = clause(rest, zone)? else {
            (before, rest) = (Some(*first), after);
            continue;
        };
        let Some(name) = before.filter(|token| matches!(token.token, Token::Word(_))) else { return Err(misplaced()) };
        if clauses.len() == MAX_CLAUSES {
            let what = format!("a statement with more than {MAX_CLAUSES} versions of tables");
            return Err(GovernError::refused(what, "ask for fewer versions at a time"));
        }
        clauses.insert(name.span, clause);
        let (own, after) = rest.split_at_checked(length).unwrap_or((rest, &[]));
        for (at, token) in own {
            before = Some(*token);
            if let Some(taken) = taken.get_mut(*at) {
                *taken = true;
            }
        }
        rest = after;
    }
    let kept = tokens.into_iter().zip(taken).filter(|(_, taken)| !taken).map(|(token, _)| token);
    Ok((kept.collect(), clauses))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Version,
    Time,
}

/// The clause that begins here, with the number of its tokens.
fn clause(rest: &[(usize, &TokenWithSpan)], zone: &str) -> Result<Option<(usize, TableVersion)>, GovernError> {
    let token = |at: usize| rest.get(at).map(|(_, token)| &token.token);
    let is = |at: usize, word: &str| token(at).is_some_and(|token| is_word(token, word));
    let begin = usize::from(is(0, "FOR"));
    let kind = match begin {
        _ if is(begin, "VERSION") => Kind::Version,
        _ if is(begin, "TIMESTAMP") => Kind::Time,
        1 if is(begin, "SYSTEM_VERSION") => Kind::Version,
        1 if is(begin, "SYSTEM_TIME") => Kind::Time,
        _ => return Ok(None),
    };
    if !(is(begin + 1, "AS") && is(begin + 2, "OF")) {
        return Ok(None);
    }
    let at = begin + 3;
    let literal = match (token(at), token(at + 1)) {
        (Some(Token::Number(digits, long)), _) => Some((1, plain(Value::Number(digits.clone(), *long)))),
        (Some(Token::SingleQuotedString(text)), _) => Some((1, plain(Value::SingleQuotedString(text.clone())))),
        (Some(word), Some(Token::SingleQuotedString(text))) if is_word(word, "DATE") => {
            Some((2, typed(DataType::Date, text)))
        }
        (Some(word), Some(Token::SingleQuotedString(text))) if is_word(word, "TIMESTAMP") => {
            let kind = DataType::Timestamp(None, datafusion::sql::sqlparser::ast::TimezoneInfo::None);
            Some((2, typed(kind, text)))
        }
        // `version AS of` is a column or table with an alias too; not before these, nor after FOR.
        (Some(Token::Placeholder(_) | Token::Minus | Token::Plus), _) => None,
        _ if begin == 1 => None,
        _ => return Ok(None),
    };
    let Some((length, literal)) = literal else {
        let hint = "write a literal there: neither parameters nor expressions choose a version";
        return Err(GovernError::refused("AS OF anything but a literal", hint));
    };
    let version = match kind {
        Kind::Version => TableVersion::VersionAsOf(literal),
        Kind::Time => TableVersion::TimestampAsOf(literal),
    };
    AsOf::read(&version, zone)?;
    Ok(Some((at + length, version)))
}

fn is_word(token: &Token, wanted: &str) -> bool {
    matches!(token, Token::Word(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(wanted))
}

fn plain(value: Value) -> Expr {
    Expr::Value(value.with_empty_span())
}

fn typed(data_type: DataType, text: &str) -> Expr {
    let value = Value::SingleQuotedString(text.to_owned()).with_empty_span();
    Expr::TypedString(TypedString { data_type, value, uses_odbc_syntax: false })
}

fn misplaced() -> GovernError {
    let hint = "write it right after the name of a table in FROM or JOIN, before its alias";
    GovernError::refused("AS OF in this place", hint)
}

/// Gives each clause to the table whose name ended right before it.
pub(super) fn place(statement: &mut DfStatement, clauses: Clauses) -> Result<(), GovernError> {
    if clauses.is_empty() {
        return Ok(());
    }
    match statement {
        DfStatement::Statement(statement) => {
            let mut places = Places { clauses };
            let _: ControlFlow<()> = statement.visit(&mut places);
            if places.clauses.is_empty() { Ok(()) } else { Err(misplaced()) }
        }
        DfStatement::Explain(explain) => place(&mut explain.statement, clauses),
        _ => Err(misplaced()),
    }
}

struct Places {
    clauses: Clauses,
}

impl VisitorMut for Places {
    type Break = ();

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table { name, version, .. } = factor
            && let Some(ObjectNamePart::Identifier(last)) = name.0.last()
            && let Some(clause) = self.clauses.remove(&last.span)
        {
            *version = Some(clause);
        }
        ControlFlow::Continue(())
    }
}

/// The tables of a statement that have such a clause. All of them could be read when they were taken out of the tokens.
pub(super) fn tables(statement: &Ast, zone: &str) -> Vec<(ObjectName, AsOf)> {
    let mut tables = Tables { zone, found: Vec::new() };
    let _: ControlFlow<()> = statement.visit(&mut tables);
    tables.found
}

struct Tables<'a> {
    zone: &'a str,
    found: Vec<(ObjectName, AsOf)>,
}

impl Visitor for Tables<'_> {
    type Break = ();

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table { name, version: Some(version), .. } = factor
            && let Ok(version) = AsOf::read(version, self.zone)
        {
            self.found.push((name.clone(), version));
        }
        ControlFlow::Continue(())
    }
}

/// The names after FROM and JOIN that have no such clause; those of common table expressions are among them.
pub(super) fn others(statement: &Ast) -> Vec<ObjectName> {
    let mut others = Others(Vec::new());
    let _: ControlFlow<()> = statement.visit(&mut others);
    others.0
}

struct Others(Vec<ObjectName>);

impl Visitor for Others {
    type Break = ();

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table { name, version: None, args: None, .. } = factor {
            self.0.push(name.clone());
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests;
