//! `portcullis policy`: test, format and show access policies.

use std::path::{Path, PathBuf};

use cedar_policy_formatter::{Config as FormatConfig, policies_str_to_pretty};
use portcullis_gateway::{Gateway, TableReport};

use crate::mesh::{Failure, configuration, open_mesh, session};
use crate::{FAILED, OK, Streams};

/// The tests in policies/tests.
pub fn test(mesh: &Path, streams: &mut Streams<'_>) -> Result<u8, Failure> {
    configuration(mesh)?;
    let tests = portcullis_gateway::policy_tests(mesh);
    for finding in &tests.findings {
        writeln!(streams.out, "{finding}")?;
    }
    writeln!(streams.out, "{} passed, {} failed", tests.passed, tests.failed)?;
    Ok(if tests.findings.iter().any(portcullis_contract::Finding::is_error) { FAILED } else { OK })
}

/// Formats every policy file; with `check` only says which are not.
pub fn format(mesh: &Path, check: bool, streams: &mut Streams<'_>) -> Result<u8, Failure> {
    let config = configuration(mesh)?;
    let mut files = Vec::new();
    policy_files(&mesh.join(&config.catalogue.policies), &mut files)?;
    files.sort();
    let mut code = OK;
    for path in files {
        let shown = path.strip_prefix(mesh).unwrap_or(&path).display().to_string();
        let text = std::fs::read_to_string(&path)?;
        let pretty = match policies_str_to_pretty(&text, &FormatConfig { line_width: 120, indent_width: 2 }) {
            Ok(pretty) => pretty,
            Err(error) => {
                writeln!(streams.err, "error: cannot format `{shown}`: {error} (hint: portcullis check says where)")?;
                code = FAILED;
                continue;
            }
        };
        if pretty == text {
            continue;
        }
        if check {
            writeln!(streams.out, "{shown}: not formatted")?;
            code = FAILED;
        } else {
            std::fs::write(&path, pretty)?;
            writeln!(streams.out, "{shown}: formatted")?;
        }
    }
    Ok(code)
}

fn policy_files(directory: &Path, files: &mut Vec<PathBuf>) -> Result<(), Failure> {
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            policy_files(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "cedar") {
            files.push(path);
        }
    }
    Ok(())
}

/// Who sees what, as text to be kept under review.
pub async fn matrix(mesh: &Path, streams: &mut Streams<'_>) -> Result<u8, Failure> {
    let gateway = open_mesh(mesh).await?;
    let text = matrix_text(&gateway);
    gateway.shutdown().await;
    write!(streams.out, "{}", text?)?;
    Ok(OK)
}

/// For each user and table a line, first without a purpose, then for each purpose that changes something.
fn matrix_text(gateway: &Gateway) -> Result<String, Failure> {
    let mut lines = Vec::new();
    for user in gateway.users() {
        lines.push(user.clone());
        for table in gateway.table_names() {
            let plain = cell(&gateway.explain_table(&session(gateway, &user, None)?, &table)?);
            lines.push(format!("  {table}: {plain}"));
            for purpose in gateway.purposes() {
                let with = cell(&gateway.explain_table(&session(gateway, &user, Some(&purpose))?, &table)?);
                if with != plain {
                    lines.push(format!("  {table} for {purpose}: {with}"));
                }
            }
            let broken = gateway.explain_table_behind_glass(&session(gateway, &user, None)?, &table)?;
            lines.extend(broken.map(|report| format!("  {table} with broken glass: {}", cell(&report))));
        }
        lines.push(String::new());
    }
    Ok(lines.join("\n"))
}

fn cell(table: &TableReport) -> String {
    if !table.discover {
        return "hidden".to_string();
    }
    if !table.query || table.undecided.is_some() {
        let unmet = table.unmet.as_ref().map(|unmet| format!(": {unmet}")).unwrap_or_default();
        return format!("may be discovered, no rows{unmet}");
    }
    if table.columns.is_empty() {
        return "may be queried".to_string();
    }
    let mut by_disclosure: Vec<(&str, Vec<&str>)> = Vec::new();
    for column in &table.columns {
        match by_disclosure.iter_mut().find(|(disclosure, _)| *disclosure == column.disclosure) {
            Some((_, names)) => names.push(&column.name),
            None => by_disclosure.push((&column.disclosure, vec![&column.name])),
        }
    }
    by_disclosure.sort_unstable();
    let columns: Vec<_> = by_disclosure.iter().map(|(level, names)| format!("{level} {}", names.join(" "))).collect();
    let rows = format!("rows where {}", table.filter.as_deref().unwrap_or("true"));
    let shown = table.aggregates.as_ref().map(|limit| format!("{limit} over ")).unwrap_or_default();
    let told = if table.notice { " | with notices" } else { "" };
    format!("{shown}{rows} | {}{told}", columns.join(" | "))
}
