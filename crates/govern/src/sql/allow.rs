//! The allow-list: what is not named here is refused.

use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::common::format::{ExplainFormat, ExplainStatementOptions};
use datafusion::sql::parser::{ExplainStatement, Statement as DfStatement};
use datafusion::sql::sqlparser::ast::{
    self, ObjectName, ObjectNamePart, Query, Select, SetExpr, Statement as Ast, TableFactor, Visit, Visitor,
};
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use super::{
    AsOf, Defaults, ExplainKind, Setting, Source, Statement, StatementKind, UTC, Written, as_of, expansion, show,
};
use crate::error::GovernError;
use crate::plan::TABLE_FUNCTIONS;

/// The greatest number of tables after FROM and JOIN.
const MAX_RELATIONS: usize = 256;

pub(super) fn statement(statement: Ast, defaults: &Defaults) -> Result<Statement, GovernError> {
    match &statement {
        Ast::Query(query) => {
            check_query(query)?;
            let statement = Arc::new(statement);
            let written = Written { prefix: "", statement: Arc::clone(&statement) };
            Ok(Statement {
                kind: StatementKind::Query,
                query: Some(statement),
                written,
                subject: None,
                defaults: Defaults::default(),
                source: Source::default(),
            })
        }
        Ast::Set(set) => {
            let kind = StatementKind::Set(setting(set, &defaults.time_zone)?);
            Ok(Statement {
                kind,
                query: None,
                written: Written { prefix: "", statement: Arc::new(statement) },
                subject: None,
                defaults: Defaults::default(),
                source: Source::default(),
            })
        }
        Ast::ShowTables { .. }
        | Ast::ShowSchemas { .. }
        | Ast::ShowDatabases { .. }
        | Ast::ShowColumns { .. }
        | Ast::ExplainTable { .. } => show::statement(statement, defaults),
        Ast::Explain { .. } => {
            Err(GovernError::refused("DESCRIBE of a query", "describe a table, or use EXPLAIN for the plan of a query"))
        }
        other => Err(refused(other)),
    }
}

pub(super) fn explain(explain: ExplainStatement) -> Result<Statement, GovernError> {
    let ExplainStatement { options, statement } = explain;
    let ExplainStatementOptions { analyze, verbose, format, analyze_level, analyze_categories, show_statistics } =
        options;
    if analyze_level.is_some() || analyze_categories.is_some() {
        return Err(GovernError::refused(
            "EXPLAIN ANALYZE with options",
            "it shows rows, and nothing else to choose from",
        ));
    }
    if show_statistics.is_some() {
        return Err(GovernError::refused("EXPLAIN with COSTS", "statistics of tables are not shown"));
    }
    if format.is_some_and(|format| format != ExplainFormat::Indent) {
        return Err(GovernError::refused("EXPLAIN with FORMAT", "plans are shown as indented text"));
    }
    let kind = match (analyze, verbose) {
        (true, _) => ExplainKind::Analyze,
        (false, true) => ExplainKind::Verbose,
        (false, false) => ExplainKind::Plain,
    };
    let query = explained(*statement, "EXPLAIN")?;
    let prefix = if analyze { "EXPLAIN ANALYZE " } else { "EXPLAIN " };
    let written = Written { prefix, statement: Arc::clone(&query) };
    Ok(Statement {
        kind: StatementKind::Explain(kind),
        query: Some(query),
        written,
        subject: None,
        defaults: Defaults::default(),
        source: Source::default(),
    })
}

/// What stands after `EXPLAIN ACCESS`.
pub(super) fn explain_access(statement: DfStatement) -> Result<Statement, GovernError> {
    let query = explained(statement, "EXPLAIN ACCESS")?;
    let written = Written { prefix: "EXPLAIN ACCESS ", statement: Arc::clone(&query) };
    let statement = Statement {
        kind: StatementKind::ExplainAccess,
        query: Some(query),
        written,
        subject: None,
        defaults: Defaults::default(),
        source: Source::default(),
    };
    if statement.versions().is_empty() {
        return Ok(statement);
    }
    // To find a version, tables would have to be read.
    let hint = "leave the version out: access is that of now, whatever version is read";
    Err(GovernError::refused("EXPLAIN ACCESS of a version of a table", hint))
}

/// How many tokens `EXPLAIN ACCESS` and what stands before it take, if the text begins so.
pub(super) fn access_prefix(tokens: &[TokenWithSpan]) -> Option<usize> {
    let mut words = tokens.iter().enumerate().filter(|(_, token)| !matches!(token.token, Token::Whitespace(_)));
    let mut next = |wanted: &str| {
        let (at, token) = words.next()?;
        let Token::Word(word) = &token.token else { return None };
        (word.quote_style.is_none() && word.value.eq_ignore_ascii_case(wanted)).then_some(at + 1)
    };
    next("EXPLAIN")?;
    next("ACCESS")
}

fn explained(statement: DfStatement, what: &str) -> Result<Arc<Ast>, GovernError> {
    match statement {
        DfStatement::Statement(inner) if matches!(*inner, Ast::Query(_)) => {
            if let Ast::Query(query) = inner.as_ref() {
                check_query(query)?;
            }
            Ok(Arc::new(*inner))
        }
        _ => {
            let what = format!("{what} of anything but a query");
            Err(GovernError::refused(what, "explain a SELECT, VALUES or WITH query"))
        }
    }
}

pub(super) fn read_only(what: &str) -> GovernError {
    GovernError::refused(what, "the gateway only reads; change data where its domain keeps it")
}

pub(super) fn settings(what: &str) -> GovernError {
    let hint = "the settings are `SET TIME ZONE '…'`, `SET schema = '…'`, `SET purpose = '…'`, `SET as_of = '…'`, \
                `SET break_glass = '…'` and `SET on_behalf_of = '…'`";
    GovernError::refused(what, hint)
}

fn setting(set: &ast::Set, zone: &str) -> Result<Setting, GovernError> {
    match set {
        ast::Set::SetTimeZone { value, .. } => Ok(Setting::TimeZone(text(value)?)),
        ast::Set::SingleAssignment { scope: None, hivevar: false, variable, values } => {
            let [value] = values.as_slice() else { return Err(settings("SET with several values")) };
            match variable.to_string().to_ascii_lowercase().as_str() {
                "schema" => Ok(Setting::Schema(text(value)?)),
                "purpose" => Ok(Setting::Purpose(text(value)?)),
                "break_glass" => Ok(Setting::BreakGlass(text(value)?)),
                "on_behalf_of" => Ok(Setting::OnBehalfOf(text(value)?)),
                "as_of" => Ok(Setting::AsOf(as_of::setting(value, zone)?)),
                "timezone" | "time_zone" => Ok(Setting::TimeZone(text(value)?)),
                _ => Err(settings(&format!("SET `{variable}`"))),
            }
        }
        _ => Err(settings("this SET")),
    }
}

/// The text of a setting's value; `None` for DEFAULT and LOCAL.
fn text(value: &ast::Expr) -> Result<Option<String>, GovernError> {
    match value {
        ast::Expr::Value(value) => match &value.value {
            ast::Value::SingleQuotedString(text) => Ok(Some(text.clone())),
            _ => Err(settings("SET to anything but a text")),
        },
        ast::Expr::Identifier(name) if name.quote_style.is_none() => {
            let word = name.value.to_ascii_uppercase();
            Ok(if word == "DEFAULT" || word == "LOCAL" { None } else { Some(name.value.clone()) })
        }
        ast::Expr::Identifier(name) => Ok(Some(name.value.clone())),
        _ => Err(settings("SET to anything but a text")),
    }
}

/// The first words of a refused statement, and what to do.
fn refused(statement: &Ast) -> GovernError {
    let what = match statement {
        Ast::Insert(_) => "INSERT",
        Ast::Update(_) => "UPDATE",
        Ast::Delete(_) => "DELETE",
        Ast::Merge(_) => "MERGE",
        Ast::Truncate(_) => "TRUNCATE",
        Ast::Copy { .. } | Ast::CopyIntoSnowflake { .. } => "COPY",
        Ast::CreateTable(_) => "CREATE TABLE",
        Ast::CreateView(_) => "CREATE VIEW",
        Ast::Drop { .. } => "DROP",
        Ast::AlterTable(_) => "ALTER TABLE",
        Ast::Grant(_) => "GRANT",
        Ast::Revoke(_) => "REVOKE",
        Ast::Unload { .. } => "UNLOAD",
        Ast::ShowVariable { .. } | Ast::ShowVariables { .. } => {
            let hint = "SHOW knows TABLES, SCHEMAS and COLUMNS; other facts are in `information_schema` and `system`";
            return GovernError::refused("SHOW of a variable", hint);
        }
        Ast::ShowFunctions { .. } | Ast::ShowCreate { .. } | Ast::ShowViews { .. } | Ast::ShowCatalogs { .. } => {
            let hint = "SHOW knows TABLES, SCHEMAS and COLUMNS; other facts are in `information_schema` and `system`";
            return GovernError::refused("this SHOW", hint);
        }
        Ast::StartTransaction { .. } | Ast::Commit { .. } | Ast::Rollback { .. } | Ast::Savepoint { .. } => {
            return GovernError::refused("a transaction", "every query reads one snapshot of each table; just query");
        }
        Ast::Prepare { .. } | Ast::Execute { .. } | Ast::Deallocate { .. } => {
            return GovernError::refused("PREPARE in SQL", "use your client's prepared statements");
        }
        Ast::Use(_) => return GovernError::refused("USE", "write `domain.table`, or `SET schema = 'domain'`"),
        other => return first_word(other),
    };
    read_only(what)
}

/// Any other kind by the first word of its own rendering: a keyword, never a literal.
fn first_word(statement: &Ast) -> GovernError {
    let text = statement.to_string();
    let word: String = text.chars().take_while(char::is_ascii_alphabetic).take(24).collect();
    let word = if word.is_empty() { "this statement".to_string() } else { word.to_ascii_uppercase() };
    GovernError::refused(word, "the gateway serves queries, EXPLAIN, SHOW and DESCRIBE")
}

/// Refuses clauses of queries that write, lock, or would be silently ignored.
pub(super) fn check_query(query: &Query) -> Result<(), GovernError> {
    match query.visit(&mut Clauses { relations: 0 }) {
        ControlFlow::Continue(()) => expansion::check(query),
        ControlFlow::Break(error) => Err(*error),
    }
}

struct Clauses {
    relations: usize,
}

type Checked = ControlFlow<Box<GovernError>>;

fn refuse(what: impl Into<String>, hint: &str) -> Checked {
    ControlFlow::Break(Box::new(GovernError::refused(what, hint)))
}

const IGNORED: &str = "leave the clause out";

impl Visitor for Clauses {
    type Break = Box<GovernError>;

    fn pre_visit_query(&mut self, query: &Query) -> Checked {
        if !query.locks.is_empty() {
            return refuse("FOR UPDATE and FOR SHARE", "the gateway only reads, and locks nothing");
        }
        if query.for_clause.is_some() || query.format_clause.is_some() {
            return refuse("FOR XML, FOR JSON and FORMAT", "the client chooses the format of results");
        }
        if query.settings.is_some() {
            return refuse("SETTINGS", IGNORED);
        }
        if query.fetch.is_some() {
            return refuse("FETCH FIRST", "use LIMIT");
        }
        check_body(&query.body)
    }

    fn pre_visit_select(&mut self, select: &Select) -> Checked {
        if select.into.is_some() {
            return refuse("SELECT INTO", "the gateway only reads");
        }
        let odd = [
            ("TOP", select.top.is_some()),
            ("LATERAL VIEW", !select.lateral_views.is_empty()),
            ("PREWHERE", select.prewhere.is_some()),
            ("CONNECT BY", !select.connect_by.is_empty()),
            ("CLUSTER BY", !select.cluster_by.is_empty()),
            ("DISTRIBUTE BY", !select.distribute_by.is_empty()),
            ("SORT BY", !select.sort_by.is_empty()),
            ("AS STRUCT and AS VALUE", select.value_table_mode.is_some()),
            ("SELECT with a modifier", select.select_modifiers.is_some()),
        ];
        match odd.into_iter().find(|(_, used)| *used) {
            Some((what, _)) => refuse(what, IGNORED),
            None => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_statement(&mut self, _statement: &Ast) -> Checked {
        refuse("a statement within a query", "the gateway only reads")
    }

    fn pre_visit_relation(&mut self, name: &ObjectName) -> Checked {
        self.relations += 1;
        if self.relations > MAX_RELATIONS {
            return refuse(format!("a query over more than {MAX_RELATIONS} tables"), "use fewer tables");
        }
        check_name(name)
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> Checked {
        check_factor(factor)
    }
}

fn check_body(body: &SetExpr) -> Checked {
    match body {
        SetExpr::Select(_) | SetExpr::Query(_) | SetExpr::Values(_) => ControlFlow::Continue(()),
        SetExpr::SetOperation { left, right, .. } => {
            check_body(left)?;
            check_body(right)
        }
        SetExpr::Insert(_) => refuse("INSERT", "the gateway only reads"),
        SetExpr::Update(_) => refuse("UPDATE", "the gateway only reads"),
        SetExpr::Delete(_) => refuse("DELETE", "the gateway only reads"),
        SetExpr::Merge(_) => refuse("MERGE", "the gateway only reads"),
        SetExpr::Table(_) => refuse("TABLE", "use SELECT * FROM"),
    }
}

/// Names are identifiers: neither functions, nor texts that could be paths.
pub(super) fn check_name(name: &ObjectName) -> Checked {
    for part in &name.0 {
        match part {
            ObjectNamePart::Identifier(ident) if ident.quote_style == Some('\'') => {
                return refuse("a text in place of a table", "tables are named `domain.table`; files cannot be read");
            }
            ObjectNamePart::Identifier(_) => {}
            ObjectNamePart::Function(_) => return refuse("a computed table name", "tables are named `domain.table`"),
        }
    }
    ControlFlow::Continue(())
}

fn check_factor(factor: &TableFactor) -> Checked {
    match factor {
        TableFactor::Table {
            name,
            alias: _,
            args,
            with_hints,
            version,
            with_ordinality,
            partitions,
            json_path,
            sample,
            index_hints,
        } => {
            check_name(name)?;
            if let Some(version) = version {
                if args.is_some() {
                    return refuse("AS OF after a table function", "only tables have versions");
                }
                if let Err(error) = AsOf::read(version, UTC) {
                    return ControlFlow::Break(Box::new(error));
                }
            }
            if sample.is_some() {
                return refuse("TABLESAMPLE", IGNORED);
            }
            if !with_hints.is_empty() || !index_hints.is_empty() || !partitions.is_empty() || json_path.is_some() {
                return refuse("hints, partitions and paths of a table", IGNORED);
            }
            if *with_ordinality {
                return refuse("WITH ORDINALITY", IGNORED);
            }
            if args.is_some() { check_function(name) } else { ControlFlow::Continue(()) }
        }
        TableFactor::Derived { sample, .. } if sample.is_some() => refuse("TABLESAMPLE", IGNORED),
        TableFactor::Function { name, with_ordinality: false, .. } => check_function(name),
        TableFactor::Derived { .. } | TableFactor::NestedJoin { .. } | TableFactor::UNNEST { .. } => {
            ControlFlow::Continue(())
        }
        _ => refuse("this kind of table expression", "use tables, subqueries, joins, UNNEST or generate_series"),
    }
}

fn check_function(name: &ObjectName) -> Checked {
    let known = match name.0.as_slice() {
        [ObjectNamePart::Identifier(ident)] => TABLE_FUNCTIONS.contains(&ident.value.to_ascii_lowercase().as_str()),
        _ => false,
    };
    match known {
        true => ControlFlow::Continue(()),
        false => {
            refuse(format!("table function `{name}`"), "the table functions are generate_series, range and unnest")
        }
    }
}
