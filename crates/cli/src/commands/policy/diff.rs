//! `portcullis policy diff`: what another set of policies changes, and in which direction.

use std::path::{Path, PathBuf};

use portcullis_gateway::{Change, Direction, PolicySet, Proved};
use serde::Serialize;
use tempfile::TempDir;

use super::git;
use crate::args::{DiffArgs, FailOn, ListFormat};
use crate::mesh::Failure;
use crate::{FAILED, OK, Streams};

pub async fn run(mesh: &Path, args: &DiffArgs, streams: &mut Streams<'_>) -> Result<u8, Failure> {
    let (old, new) = (Side::of(mesh, &args.old)?, Side::of(mesh, &args.new)?);
    let changes = portcullis_gateway::policy_diff(&old.set, &new.set)?;
    let proved = match &args.prove {
        Some(solver) => Some(portcullis_gateway::policy_proof(&old.set, &new.set, solver).await?),
        None => None,
    };
    match args.format {
        ListFormat::Table => {
            write!(streams.out, "{}", crate::output::printable(&text(&changes)))?;
            let proof = proved.as_deref().map(proof).unwrap_or_default();
            write!(streams.out, "{}", crate::output::printable(&proof))?;
        }
        ListFormat::Json => {
            json(&changes, streams)?;
            json(proved.as_deref().unwrap_or_default(), streams)?;
        }
    }
    // What may show more, or cannot be told, counts as loosened.
    let fails = |change: &Change| match args.fail_on {
        None => false,
        Some(FailOn::Loosened) => change.direction != Direction::Tightened,
        Some(FailOn::Any) => true,
    };
    let fails_proof = |proved: &Proved| match args.fail_on {
        None => false,
        Some(FailOn::Loosened) => proved.may_gain(),
        Some(FailOn::Any) => !proved.is_same(),
    };
    let failed = changes.iter().any(fails) || proved.iter().flatten().any(fails_proof);
    Ok(if failed { FAILED } else { OK })
}

fn json<T: Serialize>(items: &[T], streams: &mut Streams<'_>) -> Result<(), Failure> {
    for item in items {
        let line = serde_json::to_string(item).map_err(|error| Failure::failed(error.to_string()))?;
        writeln!(streams.out, "{line}")?;
    }
    Ok(())
}

/// A set of policies, and the directory that a revision was written to for it.
pub struct Side {
    pub set: PolicySet,
    _directory: Option<TempDir>,
}

impl Side {
    /// `git:REVISION`, a mesh directory, or a directory of policies for the mesh.
    pub fn of(mesh: &Path, named: &str) -> Result<Side, Failure> {
        if let Some(revision) = named.strip_prefix("git:") {
            let directory = git::export(mesh, revision)?;
            return Ok(Side { set: PolicySet::of_mesh(directory.path()), _directory: Some(directory) });
        }
        let path = PathBuf::from(named);
        let set = if path.join(portcullis_gateway::config::FILE).is_file() {
            PolicySet::of_mesh(&path)
        } else if path.is_dir() {
            PolicySet::in_mesh(mesh, &std::path::absolute(&path)?)
        } else {
            let hint = "name a mesh directory, a directory of policies, or git:REVISION";
            return Err(Failure::usage(format!("there is no directory `{named}`"), hint));
        };
        Ok(Side { set, _directory: None })
    }
}

fn text(changes: &[Change]) -> String {
    let mut lines = Vec::new();
    let mut table = "";
    for change in changes {
        if change.table != table {
            table = &change.table;
            lines.push(table.to_owned());
        }
        lines.push(format!("  {:10} {}: {} → {}", change.direction.as_str(), change.what, change.old, change.new));
        lines.push(format!("             for {}", change.who.join(", ")));
        for (row, what) in [(&change.gained, "shown only then"), (&change.lost, "shown only now")] {
            lines.extend(row.as_ref().map(|row| format!("             {what}, synthetic row: {row}")));
        }
        if !change.complete {
            lines.push("             not every kind of row could be tried".to_owned());
        }
    }
    let count = |direction| changes.iter().filter(|change| change.direction == direction).count();
    let counts = [Direction::Tightened, Direction::Loosened, Direction::Changed]
        .map(|direction| format!("{} {direction}", count(direction)));
    lines.push(format!("{} changes: {}\n", changes.len(), counts.join(", ")));
    lines.join("\n")
}

fn proof(proved: &[Proved]) -> String {
    let mut lines = vec!["for any user, row and circumstance, as policies alone have it:".to_owned()];
    for kind in proved.iter().filter(|kind| !kind.is_same()) {
        lines.push(format!("  {} on {}", kind.action, kind.resource));
        let told =
            [("allowed only then", &kind.gained), ("allowed only now", &kind.lost), ("not proved", &kind.undecided)];
        lines.extend(told.into_iter().filter_map(|(what, of)| Some(format!("    {what}: {}", of.as_ref()?))));
    }
    let same = proved.iter().filter(|kind| kind.is_same()).count();
    lines.push(format!("  proved the same: {same} of {} kinds of request\n", proved.len()));
    lines.join("\n")
}
