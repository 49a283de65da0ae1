//! `portcullis audit`: who asked what, when, and what came of it.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray, UInt64Array};
use portcullis_audit::{Entry, Query, search};

use crate::args::{AuditArgs, ListFormat};
use crate::mesh::{Failure, configuration};
use crate::output::table;
use crate::{FAILED, OK, Streams};

/// A statement in a table is cut to so many characters; `-f json` has it whole.
const STATEMENT_CHARS: usize = 80;

/// A date or an instant, as milliseconds since 1970.
pub fn instant(text: &str) -> Result<i64, String> {
    let full = if text.len() == "2026-11-01".len() { format!("{text}T00:00:00Z") } else { text.to_string() };
    let at: Result<jiff::Timestamp, _> = full.parse();
    at.map(|at| at.as_millisecond()).map_err(|_| format!("write 2026-11-01 or 2026-11-01T12:00:00Z, not `{text}`"))
}

pub fn run(mesh: &Path, args: &AuditArgs, streams: &mut Streams<'_>) -> Result<u8, Failure> {
    let config = configuration(mesh)?;
    let query = Query {
        principal: args.user.clone(),
        table: args.table.clone(),
        since_ms: args.since,
        until_ms: args.until,
        status: args.status,
        text: args.text.clone(),
        limit: Some(args.limit),
        ..Query::default()
    };
    let directory = mesh.join(&config.audit.dir);
    let found = search(&directory, &query).map_err(|error| Failure::failed(error.to_string()))?;
    let (mut entries, mut damaged) = (Vec::new(), false);
    for entry in found {
        match entry {
            Ok(entry) => entries.push(entry),
            Err(error) => {
                damaged = true;
                writeln!(streams.err, "error: {error}")?;
            }
        }
    }
    match args.format {
        ListFormat::Json => {
            for entry in &entries {
                let line = serde_json::to_string(entry).map_err(|error| Failure::failed(error.to_string()))?;
                writeln!(streams.out, "{line}")?;
            }
        }
        ListFormat::Table => {
            let batch = columns(&entries)?;
            writeln!(streams.out, "{}", table(&batch.schema(), std::slice::from_ref(&batch))?)?;
            writeln!(streams.out, "{} entries", entries.len())?;
        }
    }
    Ok(if damaged { FAILED } else { OK })
}

fn columns(entries: &[Entry]) -> Result<RecordBatch, Failure> {
    let text = |pick: fn(&Entry) -> String| -> ArrayRef {
        Arc::new(entries.iter().map(|entry| Some(pick(entry))).collect::<StringArray>())
    };
    let number =
        |pick: fn(&Entry) -> Option<u64>| -> ArrayRef { Arc::new(entries.iter().map(pick).collect::<UInt64Array>()) };
    Ok(RecordBatch::try_from_iter([
        ("at", text(|entry| entry.at.clone())),
        ("user", text(|entry| entry.begin.principal.clone())),
        ("purpose", text(|entry| entry.begin.purpose.clone().unwrap_or_default())),
        ("outcome", text(|entry| entry.status.to_string())),
        ("rows", number(|entry| entry.rows)),
        ("ms", number(|entry| entry.duration_ms)),
        ("tables", text(tables)),
        ("statement", text(|entry| shortened(&entry.begin.statement))),
    ])?)
}

fn tables(entry: &Entry) -> String {
    let named = entry.begin.tables.iter().map(|table| match &table.snapshot {
        Some(snapshot) => format!("{}@{snapshot}", table.name),
        None => table.name.clone(),
    });
    named.collect::<Vec<_>>().join(" ")
}

fn shortened(statement: &str) -> String {
    let line = statement.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(STATEMENT_CHARS) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => line,
    }
}
