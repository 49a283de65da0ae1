//! SHOW and DESCRIBE as queries over `information_schema`, so that they see what every query sees.

use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::sql::sqlparser::ast::{
    self, Ident, ObjectName, ObjectNamePart, ShowStatementFilter, ShowStatementFilterPosition, ShowStatementOptions,
    Statement as Ast,
};
use datafusion::sql::sqlparser::parser::Parser;

use super::bounds::DIALECT;
use super::{Defaults, Source, Statement, StatementKind, Written, allow};
use crate::error::GovernError;

pub(super) fn statement(statement: Ast, defaults: &Defaults) -> Result<Statement, GovernError> {
    let plain = |flags: &[bool]| match flags.contains(&true) {
        true => Err(GovernError::refused("SHOW with a modifier", "leave the modifier out")),
        false => Ok(()),
    };
    let (kind, sql, subject) = match &statement {
        Ast::ShowTables { terse, history, extended, full, external, show_options } => {
            plain(&[*terse, *history, *extended, *full, *external])?;
            (StatementKind::ShowTables, tables(show_options)?, None)
        }
        Ast::ShowSchemas { terse, history, show_options } | Ast::ShowDatabases { terse, history, show_options } => {
            plain(&[*terse, *history])?;
            (StatementKind::ShowSchemas, schemas(show_options)?, None)
        }
        Ast::ShowColumns { extended, full, show_options } => {
            plain(&[*extended, *full])?;
            let (sql, table) = columns(show_options, defaults)?;
            (StatementKind::ShowColumns, sql, Some(table))
        }
        Ast::ExplainTable { table_name, .. } => {
            let (schema, table) = schema_and_table(table_name, defaults)?;
            let sql = format!(
                "SELECT column_name, data_type, is_nullable FROM information_schema.columns \
                 WHERE table_schema = {} AND table_name = {} ORDER BY ordinal_position",
                literal(&schema),
                literal(&table)
            );
            (StatementKind::Describe, sql, Some(table_name.clone()))
        }
        _ => return Err(GovernError::refused("this SHOW", "SHOW knows TABLES, SCHEMAS and COLUMNS")),
    };
    let query = Parser::parse_sql(&DIALECT, &sql).ok().and_then(|mut parsed| parsed.pop());
    let Some(query) = query else { return Err(GovernError::Syntax { message: "unusual name in SHOW".into() }) };
    Ok(Statement {
        kind,
        query: Some(Arc::new(query)),
        written: Written { prefix: "", statement: Arc::new(statement) },
        subject,
        defaults: Defaults::default(),
        source: Source::default(),
    })
}

fn tables(options: &ShowStatementOptions) -> Result<String, GovernError> {
    let mut conditions = Vec::new();
    if let Some(schema) = parent(options)? {
        let name = match names(&schema)?.as_slice() {
            [schema] => schema.clone(),
            [catalogue, schema] if catalogue == crate::plan::CATALOGUE => schema.clone(),
            _ => return Err(GovernError::refused("SHOW TABLES in this place", "write SHOW TABLES FROM domain")),
        };
        conditions.push(format!("table_schema = {}", literal(&name)));
    }
    conditions.extend(filter(options, "table_name")?);
    Ok(format!(
        "SELECT table_catalog, table_schema, table_name, table_type FROM information_schema.tables {} \
         ORDER BY table_schema, table_name",
        clause(&conditions)
    ))
}

fn schemas(options: &ShowStatementOptions) -> Result<String, GovernError> {
    if parent(options)?.is_some_and(|name| name.to_string() != crate::plan::CATALOGUE) {
        return Err(GovernError::refused("SHOW SCHEMAS in this place", "there is one catalogue, `mesh`"));
    }
    let conditions = filter(options, "schema_name")?;
    Ok(format!(
        "SELECT catalog_name, schema_name FROM information_schema.schemata {} ORDER BY schema_name",
        clause(&conditions)
    ))
}

fn columns(options: &ShowStatementOptions, defaults: &Defaults) -> Result<(String, ObjectName), GovernError> {
    let Some(name) = parent(options)? else {
        return Err(GovernError::refused("SHOW COLUMNS without a table", "write SHOW COLUMNS FROM domain.table"));
    };
    let (schema, table) = schema_and_table(&name, defaults)?;
    let mut conditions =
        vec![format!("table_schema = {}", literal(&schema)), format!("table_name = {}", literal(&table))];
    conditions.extend(filter(options, "column_name")?);
    let sql = format!(
        "SELECT table_catalog, table_schema, table_name, column_name, data_type, is_nullable \
         FROM information_schema.columns {} ORDER BY ordinal_position",
        clause(&conditions)
    );
    Ok((sql, name))
}

/// What stands after IN or FROM. Options that would be ignored are refused.
fn parent(options: &ShowStatementOptions) -> Result<Option<ObjectName>, GovernError> {
    let ShowStatementOptions { show_in, starts_with, limit, limit_from, filter_position: _ } = options;
    if starts_with.is_some() || limit.is_some() || limit_from.is_some() {
        return Err(GovernError::refused("SHOW with STARTS WITH or LIMIT", "use LIKE, or query information_schema"));
    }
    Ok(show_in.as_ref().and_then(|place| place.parent_name.clone()))
}

fn filter(options: &ShowStatementOptions, column: &str) -> Result<Vec<String>, GovernError> {
    let filter = match &options.filter_position {
        None => return Ok(Vec::new()),
        Some(ShowStatementFilterPosition::Infix(filter) | ShowStatementFilterPosition::Suffix(filter)) => filter,
    };
    match filter {
        ShowStatementFilter::Like(pattern) => Ok(vec![format!("{column} LIKE {}", literal(pattern))]),
        ShowStatementFilter::ILike(pattern) => Ok(vec![format!("{column} ILIKE {}", literal(pattern))]),
        ShowStatementFilter::Where(_) | ShowStatementFilter::NoKeyword(_) => {
            Err(GovernError::refused("SHOW with WHERE", "use LIKE, or query information_schema"))
        }
    }
}

fn clause(conditions: &[String]) -> String {
    match conditions {
        [] => String::new(),
        _ => format!("WHERE {}", conditions.join(" AND ")),
    }
}

fn schema_and_table(name: &ObjectName, defaults: &Defaults) -> Result<(String, String), GovernError> {
    match names(name)?.as_slice() {
        [table] => Ok((defaults.schema.as_deref().unwrap_or_default().to_owned(), table.clone())),
        [schema, table] | [_, schema, table] => Ok((schema.clone(), table.clone())),
        _ => Err(GovernError::refused("a name of more than three parts", "write `domain.table`")),
    }
}

/// The parts of a name as the planner reads them: in lower case unless quoted.
pub(super) fn names(name: &ObjectName) -> Result<Vec<String>, GovernError> {
    if let ControlFlow::Break(error) = allow::check_name(name) {
        return Err(*error);
    }
    Ok(name.0.iter().filter_map(ObjectNamePart::as_ident).map(normal).collect())
}

pub(super) fn normal(ident: &Ident) -> String {
    match ident.quote_style {
        Some(_) => ident.value.clone(),
        None => ident.value.to_ascii_lowercase(),
    }
}

fn literal(text: &str) -> String {
    ast::Value::SingleQuotedString(text.to_string()).to_string()
}
