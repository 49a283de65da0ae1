//! `portcullis explain`: which rows and columns a user would see, and which policies and contract lines say so.

use std::path::Path;

use portcullis_gateway::{AccessReport, ColumnReport, TableReport};

use super::query::statement;
use crate::args::{ExplainArgs, ListFormat};
use crate::mesh::{Failure, asking, open_mesh};
use crate::{FAILED, OK, Streams};

pub async fn run(mesh: &Path, args: &ExplainArgs, streams: &mut Streams<'_>) -> Result<u8, Failure> {
    let sql = statement(&args.asking)?;
    let gateway = open_mesh(mesh).await?;
    let session = asking(&gateway, &args.asking).await?;
    let report = gateway.explain_access(&session, &sql).await;
    gateway.shutdown().await;
    let report = report?;
    match args.format {
        ListFormat::Table => write!(streams.out, "{}", text(&report))?,
        ListFormat::Json => {
            let line = serde_json::to_string(&report).map_err(|error| Failure::failed(error.to_string()))?;
            writeln!(streams.out, "{line}")?;
        }
    }
    Ok(if report.decision == "permitted" { OK } else { FAILED })
}

/// The report as text; never a value, since the report has none.
pub fn text(report: &AccessReport) -> String {
    let purpose = report.purpose.as_ref().map(|purpose| format!(" for purpose {purpose}")).unwrap_or_default();
    let reason = report.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    let mut lines = vec![
        format!("{}{purpose}: {}{reason}", report.principal, report.decision),
        format!("statement: {}", report.statement),
        format!("policies: {}", report.policy_version),
    ];
    for table in &report.tables {
        table_lines(table, &mut lines);
    }
    lines.push(String::new());
    crate::output::printable(&lines.join("\n"))
}

fn by(ids: &[String]) -> String {
    if ids.is_empty() { String::new() } else { format!("  by {}", ids.join(", ")) }
}

fn table_lines(table: &TableReport, lines: &mut Vec<String>) {
    let yes_no = |yes| if yes { "yes" } else { "no" };
    lines.push(String::new());
    lines.push(format!("{}  (contract {}, version {})", table.name, table.contract, table.version));
    if let Some(reason) = &table.undecided {
        lines.push(format!("  undecided, so no rows: {reason}"));
    }
    lines.push(format!("  discover: {}{}", yes_no(table.discover), by(&table.discover_policies)));
    let unmet = table.unmet.as_ref().map(|unmet| format!("  {unmet}")).unwrap_or_default();
    lines.push(format!("  query:    {}{}{unmet}", yes_no(table.query), by(&table.query_policies)));
    lines.extend(more(&table.would_grant_query, "            more with"));
    if let Some(broken) = table.break_glass {
        lines.push(format!("  break-glass: {}{}", yes_no(broken), by(&table.break_glass_policies)));
    }
    if table.notice {
        lines.push("  notices:  yes".to_owned());
    }
    let filter = table.filter.as_deref().unwrap_or("all rows");
    lines.push(format!("  rows:     {filter}{}", by(&table.filter_permits)));
    if !table.filter_forbids.is_empty() {
        lines.push(format!("            without those forbidden{}", by(&table.filter_forbids)));
    }
    lines.extend(table.aggregates.iter().map(|limit| format!("  shown as: {limit}")));
    lines.extend(more(&table.would_grant_rows, "            more with"));
    let width = table.columns.iter().map(|column| column.name.len()).max().unwrap_or(0);
    for column in &table.columns {
        lines.push(column_line(column, width));
        lines.extend(more(&column.would_grant, &format!("  {:width$}  more with", "")));
    }
}

/// What would grant more.
fn more(would_grant: &Option<String>, head: &str) -> Option<String> {
    would_grant.as_ref().map(|what| format!("{head} {what}"))
}

fn column_line(column: &ColumnReport, width: usize) -> String {
    let contract = match &column.contract_masking {
        Some(masking) => format!("  contract masking {masking} ({})", column.position),
        None => String::new(),
    };
    let forbidden = match column.forbidden_by.is_empty() {
        true => String::new(),
        false => format!("  more forbidden by {}", column.forbidden_by.join(", ")),
    };
    format!("  {:width$}  {:9}{}{forbidden}{contract}", column.name, column.disclosure, by(&column.policies))
}
