//! `portcullis policy simulate`: changed policies, tried out on the journal's statements.

use std::path::Path;

use portcullis_audit::Query;
use portcullis_gateway::{Basis, Considered, Effect, Simulation};

use super::diff::Side;
use crate::args::{ListFormat, SimulateArgs};
use crate::mesh::Failure;
use crate::{FAILED, OK, Streams};

pub fn run(mesh: &Path, args: &SimulateArgs, streams: &mut Streams<'_>) -> Result<u8, Failure> {
    let mut side = Side::of(mesh, &args.policies)?;
    if side.set.policies.is_none() {
        // Contracts, users and the journal are this mesh's.
        let policies = portcullis_gateway::Config::load(&side.set.mesh)?.catalogue.policies;
        side.set.policies = Some(std::path::absolute(side.set.mesh.join(policies))?);
    }
    side.set.mesh = mesh.to_owned();
    let query =
        Query { principal: args.user.clone(), since_ms: args.since, limit: Some(args.last), ..Query::default() };
    let simulation = portcullis_gateway::simulate(&side.set, &query)?;
    for damaged in &simulation.damaged {
        writeln!(streams.err, "error: {damaged}")?;
    }
    match args.format {
        ListFormat::Table => write!(streams.out, "{}", crate::output::printable(&text(&simulation)))?,
        ListFormat::Json => {
            for statement in &simulation.statements {
                let line = serde_json::to_string(statement).map_err(|error| Failure::failed(error.to_string()))?;
                writeln!(streams.out, "{line}")?;
            }
        }
    }
    Ok(if simulation.damaged.is_empty() { OK } else { FAILED })
}

/// What changes, what cannot be told, and how many of each.
fn text(simulation: &Simulation) -> String {
    let statements = &simulation.statements;
    let mut lines = Vec::new();
    for statement in statements.iter().filter(|statement| statement.effect != Effect::Same) {
        lines.extend(about(statement));
    }
    let counts = Effect::ALL.map(|effect| {
        let count = statements.iter().filter(|statement| statement.effect == effect).count();
        format!("{count} {}", effect.as_str())
    });
    lines.push(format!("{} statements: {}\n", statements.len(), counts.join(", ")));
    lines.join("\n")
}

fn about(statement: &Considered) -> Vec<String> {
    let purpose = statement.purpose.as_ref().map(|purpose| format!(" for {purpose}")).unwrap_or_default();
    let basis = match statement.basis {
        Basis::Plan => "",
        Basis::Record => " (by what was recorded)",
    };
    let head = format!("{} {}{purpose}: {}{basis}", statement.at, statement.principal, statement.effect.as_str());
    let details = statement.details.iter().map(|detail| format!("  {detail}"));
    [head, format!("  {}", statement.statement)].into_iter().chain(details).collect()
}
