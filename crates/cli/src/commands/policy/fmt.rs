//! `portcullis policy fmt`: one layout for all policy files.

use std::path::{Path, PathBuf};

use cedar_policy_formatter::{Config as FormatConfig, policies_str_to_pretty};

use crate::mesh::{Failure, configuration};
use crate::{FAILED, OK, Streams};

/// Formats every policy file; with `check` only says which are not.
pub fn run(mesh: &Path, check: bool, streams: &mut Streams<'_>) -> Result<u8, Failure> {
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
