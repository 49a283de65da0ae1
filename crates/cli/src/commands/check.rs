//! `portcullis check`: everything that is wrong in a mesh directory.

use std::path::Path;

use portcullis_contract::{Finding, Level};

use crate::args::{CheckArgs, ListFormat};
use crate::mesh::{Failure, configuration};
use crate::{FAILED, OK, Streams};

pub fn run(mesh: &Path, args: &CheckArgs, streams: &mut Streams<'_>) -> Result<u8, Failure> {
    configuration(mesh)?;
    print(&portcullis_gateway::check(mesh), args.format, streams)
}

/// Prints findings and says whether one of them is an error.
pub fn print(findings: &[Finding], format: ListFormat, streams: &mut Streams<'_>) -> Result<u8, Failure> {
    for finding in findings {
        match format {
            ListFormat::Table => writeln!(streams.out, "{finding}")?,
            ListFormat::Json => writeln!(streams.out, "{}", json(finding))?,
        }
    }
    let errors = findings.iter().filter(|finding| finding.is_error()).count();
    if format == ListFormat::Table {
        let warnings = findings.iter().filter(|finding| finding.level == Level::Warning).count();
        writeln!(streams.out, "{errors} errors, {warnings} warnings, {} findings in all", findings.len())?;
    }
    Ok(if errors == 0 { OK } else { FAILED })
}

fn json(finding: &Finding) -> serde_json::Value {
    serde_json::json!({
        "level": finding.level.as_str(),
        "code": finding.code,
        "file": &*finding.position.file,
        "line": finding.position.line,
        "column": finding.position.column,
        "message": finding.message,
        "hint": finding.hint,
    })
}
