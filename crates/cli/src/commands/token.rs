//! `portcullis token`: personal access tokens.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use portcullis_gateway::{Config, NewToken, PersonalToken};
use serde_json::json;

use crate::args::{ListFormat, TokenArgs, TokenCommand};
use crate::mesh::{Failure, configuration};
use crate::output::table;
use crate::{OK, Streams};

pub fn run(mesh: &Path, command: TokenCommand, streams: &mut Streams<'_>) -> Result<u8, Failure> {
    let config = configuration(mesh)?;
    match command {
        TokenCommand::Create(args) => create(mesh, &config, args, streams),
        TokenCommand::List { user, format } => list(mesh, &config, user.as_deref(), format, streams),
        TokenCommand::Revoke { ids, user } => revoke(mesh, &config, &ids, user.as_deref(), streams),
    }
}

fn create(mesh: &Path, config: &Config, args: TokenArgs, streams: &mut Streams<'_>) -> Result<u8, Failure> {
    let domains: BTreeSet<String> = match args.all_domains {
        true => ["*".to_owned()].into(),
        false => args.domains.into_iter().collect(),
    };
    let new = NewToken { user: args.user, name: args.name, domains, lifetime: args.expires };
    let (made, token) = portcullis_gateway::create_personal_token(mesh, config, new)?;
    writeln!(streams.out, "{token}")?;
    writeln!(
        streams.err,
        "token {} of {} for {}, until {}: keep it, it is not shown again",
        made.id,
        made.user,
        domains_of(&made),
        made.expires
    )?;
    Ok(OK)
}

fn list(
    mesh: &Path,
    config: &Config,
    user: Option<&str>,
    format: ListFormat,
    streams: &mut Streams<'_>,
) -> Result<u8, Failure> {
    let mut tokens = portcullis_gateway::personal_tokens(mesh, config)?;
    tokens.retain(|token| user.is_none_or(|user| token.user == user));
    let now_ms = jiff::Timestamp::now().as_millisecond();
    match format {
        ListFormat::Json => {
            for token in &tokens {
                let line = json!({
                    "id": token.id, "user": token.user, "name": token.name, "domains": token.domains,
                    "created": token.created.to_string(), "expires": token.expires.to_string(),
                    "revoked": token.revoked.map(|at| at.to_string()), "state": state(token, now_ms),
                });
                writeln!(streams.out, "{line}")?;
            }
        }
        ListFormat::Table => {
            let text = |pick: &dyn Fn(&PersonalToken) -> String| -> ArrayRef {
                Arc::new(tokens.iter().map(|token| Some(pick(token))).collect::<StringArray>())
            };
            let batch = RecordBatch::try_from_iter([
                ("id", text(&|token| token.id.clone())),
                ("user", text(&|token| token.user.clone())),
                ("name", text(&|token| token.name.clone())),
                ("domains", text(&domains_of)),
                ("created", text(&|token| token.created.to_string())),
                ("expires", text(&|token| token.expires.to_string())),
                ("state", text(&|token| state(token, now_ms).to_owned())),
            ])?;
            writeln!(streams.out, "{}", table(&batch.schema(), std::slice::from_ref(&batch))?)?;
            writeln!(streams.out, "{} tokens", tokens.len())?;
        }
    }
    Ok(OK)
}

fn revoke(
    mesh: &Path,
    config: &Config,
    ids: &[String],
    user: Option<&str>,
    streams: &mut Streams<'_>,
) -> Result<u8, Failure> {
    let known = portcullis_gateway::personal_tokens(mesh, config)?;
    if let Some(unknown) = ids.iter().find(|id| !known.iter().any(|token| token.id == **id)) {
        let message = format!("there is no token `{unknown}`, and none was revoked (hint: `portcullis token list`)");
        return Err(Failure::failed(message));
    }
    let picked = |token: &PersonalToken| ids.contains(&token.id) || user == Some(token.user.as_str());
    for token in portcullis_gateway::revoke_personal_tokens(mesh, config, picked)? {
        writeln!(streams.out, "revoked {} of {}", token.id, token.user)?;
    }
    Ok(OK)
}

fn domains_of(token: &PersonalToken) -> String {
    Vec::from_iter(token.domains.iter().cloned()).join(", ")
}

fn state(token: &PersonalToken, now_ms: i64) -> &'static str {
    match token.revoked {
        Some(_) => "revoked",
        None if token.expires.ms() <= now_ms => "expired",
        None => "valid",
    }
}
