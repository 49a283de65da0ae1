//! From text to one statement of a known kind: parsed, bounded, allow-listed.

mod allow;
mod as_of;
mod bounds;
mod expansion;
mod known;
mod redact;
mod session;
mod show;

#[cfg(test)]
mod doors;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::{Arc, OnceLock};

use datafusion::sql::parser::{DFParserBuilder, Statement as DfStatement};
use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::tokenizer::TokenWithSpan;

use crate::error::GovernError;
use crate::stack::deep;

pub use as_of::AsOf;
pub use bounds::ParseLimits;
pub use known::Statements;
pub use redact::{REDACTED, without_quoted_names};
pub use session::{Defaults, UTC};

/// One statement that may be planned. Made by [`parse`] only.
#[derive(Debug, Clone)]
pub struct Statement {
    kind: StatementKind,
    /// What the subject wrote, as it was parsed.
    written: Written,
    /// What is planned: the query itself, or the query that a `SHOW` stands for.
    query: Option<Arc<ast::Statement>>,
    /// A table that must exist for the statement to mean anything.
    subject: Option<ast::ObjectName>,
    defaults: Defaults,
    source: Source,
}

/// What a statement was parsed from. With what its session says it is all that is in the statement.
#[derive(Debug, Clone, Default)]
struct Source {
    text: Arc<str>,
    /// Bytes of the statement, by estimate.
    weight: usize,
    /// Its text without literals, once that was asked for.
    redacted: Arc<OnceLock<String>>,
}

impl Source {
    fn new(text: &str, tokens: usize) -> Source {
        Source { text: text.into(), weight: WEIGHT + tokens * TOKEN + text.len() * TEXTS, redacted: Arc::default() }
    }
}

/// What a statement weighs, each of its tokens, and how often it holds its text.
const WEIGHT: usize = 1_000;
const TOKEN: usize = 400;
const TEXTS: usize = 4;

/// A statement, and the words before it.
#[derive(Debug, Clone)]
struct Written {
    prefix: &'static str,
    statement: Arc<ast::Statement>,
}

/// The kinds of statements that are served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StatementKind {
    /// `SELECT`, `WITH`, `VALUES`, set operations.
    Query,
    /// `EXPLAIN` of a query.
    Explain(ExplainKind),
    /// `EXPLAIN ACCESS` of a query: what its subject may see of its tables, and why.
    ExplainAccess,
    /// `SHOW TABLES`.
    ShowTables,
    /// `SHOW SCHEMAS`.
    ShowSchemas,
    /// `SHOW COLUMNS`.
    ShowColumns,
    /// `DESCRIBE` of a table.
    Describe,
    /// A setting of the session, for the caller to apply: not planned.
    Set(Setting),
}

impl StatementKind {
    /// The kind in a word, for logs and audit.
    pub fn as_str(&self) -> &'static str {
        match self {
            StatementKind::Query => "query",
            StatementKind::Explain(_) => "explain",
            StatementKind::ExplainAccess => "explain-access",
            StatementKind::ShowTables => "show-tables",
            StatementKind::ShowSchemas => "show-schemas",
            StatementKind::ShowColumns => "show-columns",
            StatementKind::Describe => "describe",
            StatementKind::Set(_) => "set",
        }
    }
}

/// How much an `EXPLAIN` wants to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ExplainKind {
    /// `EXPLAIN`.
    Plain,
    /// `EXPLAIN VERBOSE`.
    Verbose,
    /// `EXPLAIN ANALYZE`: the query is run, and its rows are counted.
    Analyze,
}

/// A session's setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Setting {
    /// `SET TIME ZONE 'Europe/Vienna'`; `None` for `DEFAULT` and `LOCAL`.
    TimeZone(Option<String>),
    /// `SET schema = 'orders'`; `None` for `DEFAULT`.
    Schema(Option<String>),
    /// `SET purpose = 'fraud'`; `None` for `DEFAULT`.
    Purpose(Option<String>),
    /// `SET break_glass = 'reason'`; `None` for `DEFAULT`, which ends it.
    BreakGlass(Option<String>),
    /// `SET on_behalf_of = 'ana'`: for whom is asked; `None` for `DEFAULT`, which is who has logged in.
    OnBehalfOf(Option<String>),
    /// `SET as_of = TIMESTAMP '2026-11-21 15:00:00'`, in microseconds since 1970; `None` for `DEFAULT`, which is now.
    AsOf(Option<i64>),
}

/// Parses one statement of a session that has set nothing.
///
/// # Errors
///
/// As [`parse_in`].
pub fn parse(sql: &str, limits: &ParseLimits) -> Result<Statement, GovernError> {
    parse_in(sql, limits, &Defaults::default())
}

/// Parses one statement, with what its session says of names and times that do not say it themselves.
///
/// `?` becomes `$1`, `$2`, … in the order of the text. What is too large, too deep, not one statement, or of a kind that
/// is not served is refused in time proportional to [`ParseLimits`], whatever its size.
///
/// # Errors
///
/// What is wrong with the statement, or that it is not served.
pub fn parse_in(sql: &str, limits: &ParseLimits, defaults: &Defaults) -> Result<Statement, GovernError> {
    let tokens = bounds::tokens(sql, limits)?;
    let source = Source::new(sql, tokens.len());
    let statement = deep(|| parse_tokens(tokens, limits, defaults))?;
    Ok(Statement { source, ..statement })
}

fn parse_tokens(
    mut tokens: Vec<TokenWithSpan>,
    limits: &ParseLimits,
    defaults: &Defaults,
) -> Result<Statement, GovernError> {
    // The parser knows no EXPLAIN ACCESS.
    let access = allow::access_prefix(&tokens);
    tokens.drain(..access.unwrap_or(0));
    let (tokens, clauses) = as_of::lift(tokens, &defaults.time_zone)?;
    let mut parser = DFParserBuilder::new(tokens)
        .with_dialect(&bounds::DIALECT)
        .with_recursion_limit(limits.max_depth.saturating_mul(2).max(1))
        .build()
        .map_err(syntax)?;
    let mut statements = parser.parse_statements().map_err(|error| bounds::parser_error(error, limits))?;
    let mut statement = match (statements.pop_front(), statements.len()) {
        (None, _) => return Err(GovernError::Empty),
        (Some(statement), 0) => statement,
        (Some(_), more) => return Err(GovernError::Multiple { count: more + 1 }),
    };
    as_of::place(&mut statement, clauses)?;
    let statement = match statement {
        statement if access.is_some() => allow::explain_access(statement),
        DfStatement::Statement(statement) => allow::statement(*statement, defaults),
        DfStatement::Explain(explain) => allow::explain(explain),
        DfStatement::CreateExternalTable(_) => Err(allow::read_only("CREATE EXTERNAL TABLE")),
        DfStatement::CopyTo(_) => Err(allow::read_only("COPY")),
        DfStatement::Reset(_) => Err(allow::settings("RESET")),
    }?;
    Ok(Statement { defaults: defaults.clone(), ..statement })
}

fn syntax(error: datafusion::common::DataFusionError) -> GovernError {
    GovernError::Syntax { message: error.find_root().message().into_owned() }
}

impl Statement {
    /// The time zone of its times without one: [`UTC`] unless its session has set another.
    pub fn time_zone(&self) -> &str {
        &self.defaults.time_zone
    }

    /// The domain of its tables without one.
    pub(crate) fn schema(&self) -> Option<&str> {
        self.defaults.schema.as_deref()
    }

    /// What kind of statement it is.
    pub fn kind(&self) -> &StatementKind {
        &self.kind
    }

    /// The statement without its literals: each is a `?`. Made from the syntax tree, checked on the text.
    pub fn redacted(&self) -> String {
        let redacted = || deep(|| redact::redacted(self.written.statement.as_ref(), self.written.prefix));
        self.source.redacted.get_or_init(redacted).clone()
    }

    /// The statement as it came.
    pub(crate) fn text(&self) -> &str {
        &self.source.text
    }

    /// What its session says of names and times.
    pub(crate) fn defaults(&self) -> &Defaults {
        &self.defaults
    }

    /// What it takes to remember it, in bytes, by estimate.
    pub(crate) fn weight(&self) -> usize {
        self.source.weight
    }

    /// Names after FROM and JOIN as they were written, sorted, each once: names of common table expressions included.
    pub fn tables(&self) -> Vec<String> {
        let mut names = BTreeSet::new();
        let _: ControlFlow<()> = deep(|| {
            ast::visit_relations(self.written.statement.as_ref(), |name| {
                names.insert(name.to_string());
                ControlFlow::Continue(())
            })
        });
        names.into_iter().collect()
    }

    /// The parts of each of those names as the planner reads them, sorted, each once; those without a domain with the
    /// session's, unless a common table expression has that name.
    pub(crate) fn relations(&self) -> Vec<Vec<String>> {
        let mut names = BTreeSet::new();
        let statement = self.written.statement.as_ref();
        let _: ControlFlow<()> = deep(|| {
            ast::visit_relations(statement, |name| {
                names.extend(show::names(name).ok());
                ControlFlow::Continue(())
            })
        });
        let Some(schema) = self.schema() else { return names.into_iter().collect() };
        let expressions = deep(|| session::expressions(statement));
        let located = |parts: Vec<String>| match parts.as_slice() {
            [name] if !expressions.contains(name) => vec![schema.to_owned(), name.clone()],
            _ => parts,
        };
        names.into_iter().map(located).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// The query to plan; none for settings.
    pub(crate) fn query(&self) -> Option<&ast::Statement> {
        self.query.as_deref()
    }

    /// The tables of that query whose version is asked for, with the version, in the order of the text.
    pub(crate) fn versions(&self) -> Vec<(ast::ObjectName, AsOf)> {
        self.query.as_deref().map(|query| deep(|| as_of::tables(query, self.time_zone()))).unwrap_or_default()
    }

    /// The time of the other tables, if that is not now. What tells of metadata or of access, tells of now.
    pub(crate) fn as_of(&self) -> Option<AsOf> {
        match self.kind {
            StatementKind::Query | StatementKind::Explain(_) => self.defaults.as_of.map(AsOf::Time),
            _ => None,
        }
    }

    /// The names of those, names of common table expressions included.
    pub(crate) fn unversioned(&self) -> Vec<ast::ObjectName> {
        self.query.as_deref().map(|query| deep(|| as_of::others(query))).unwrap_or_default()
    }

    /// The table that `DESCRIBE` or `SHOW COLUMNS` is about.
    pub(crate) fn described(&self) -> Option<&ast::ObjectName> {
        self.subject.as_ref()
    }
}
