//! The file of personal access tokens: read with the rest of the mesh, changed by the command line only.

use std::collections::BTreeSet;
use std::fs::{self, File as Opened};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use portcullis_contract::SourceFile;

use super::{ALL_DOMAINS, File, Instant, PersonalToken, Source};
use crate::clock::Clock;
use crate::config::{Config, Span};
use crate::error::{ErrorKind as Kind, GatewayError};
use crate::keys::{make_dir, write_private};
use crate::{mesh, state};

/// Longest name of a token.
const LONGEST_NAME: usize = 100;

/// A token that is asked for.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// Whose it is to be: a user of the users file.
    pub user: String,
    /// What it is for.
    pub name: String,
    /// The domains that it is to be good for; `*` is all of them.
    pub domains: BTreeSet<String>,
    /// How long it is to be valid.
    pub lifetime: Span,
}

/// Makes a token: its entry, and the token itself, which is nowhere else.
///
/// # Errors
///
/// `NotFound` if there is no such user or domain, `InvalidArgument` if it would live too long or the mesh cannot be used.
pub fn create_personal_token(
    mesh_dir: &Path,
    config: &Config,
    new: NewToken,
) -> Result<(PersonalToken, String), GatewayError> {
    check(mesh_dir, config, &new)?;
    let now_ms = Clock::system().now_ms();
    let lifetime = i64::try_from(new.lifetime.duration().as_millis()).unwrap_or(i64::MAX);
    let made = PersonalToken::new(new.user, new.name, new.domains, now_ms, now_ms.saturating_add(lifetime))?;
    let entry = made.0.clone();
    change(mesh_dir, config, |file| file.tokens.push(entry))?;
    Ok(made)
}

/// All tokens that there are or were, in the order in which they were made.
///
/// # Errors
///
/// `InvalidArgument`, if the file cannot be read.
pub fn personal_tokens(mesh_dir: &Path, config: &Config) -> Result<Vec<PersonalToken>, GatewayError> {
    Ok(load(mesh_dir, config)?.tokens)
}

/// Revokes the tokens that are picked, and returns them. Those that are revoked already stay as they are.
///
/// # Errors
///
/// `InvalidArgument`, if the file cannot be read or written.
pub fn revoke_personal_tokens(
    mesh_dir: &Path,
    config: &Config,
    pick: impl Fn(&PersonalToken) -> bool,
) -> Result<Vec<PersonalToken>, GatewayError> {
    let now = Instant::from_ms(Clock::system().now_ms());
    let mut revoked = Vec::new();
    change(mesh_dir, config, |file| {
        for token in file.tokens.iter_mut().filter(|token| token.revoked.is_none() && pick(token)) {
            token.revoked = Some(now);
            revoked.push(token.clone());
        }
    })?;
    Ok(revoked)
}

/// A file's text; None where there is no file. One that others may write is not read: they could have made tokens, or taken
/// back what was revoked.
pub(crate) fn read(mesh_dir: &Path, file: &Path) -> Option<Source> {
    let (path, file) = (mesh::relative(file), mesh_dir.join(file));
    match mesh::read_text(&file) {
        Ok(text) if is_private(&file) => Some(Ok(SourceFile { path, text })),
        Ok(_) => Some(Err((path, "may be written by others than its owner (`chmod go-w` mends it)".to_owned()))),
        Err(_) if !file.exists() => None,
        Err(reason) => Some(Err((path, format!("cannot be read ({reason})")))),
    }
}

#[cfg(unix)]
fn is_private(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o022 == 0)
}

#[cfg(not(unix))]
fn is_private(_: &Path) -> bool {
    true
}

fn load(mesh_dir: &Path, config: &Config) -> Result<File, GatewayError> {
    let source = match read(mesh_dir, &config.identity.tokens) {
        None => return Ok(File::default()),
        Some(source) => source,
    };
    let file = source.map_err(|(path, reason)| GatewayError::invalid(format!("`{path}` {reason}")))?;
    File::parse(&file).map_err(|finding| GatewayError::invalid(finding.to_string()))
}

/// Changes the file, one process at a time; readers find what was there before, or all of what is there then.
fn change(mesh_dir: &Path, config: &Config, change: impl FnOnce(&mut File)) -> Result<(), GatewayError> {
    let path = mesh_dir.join(&config.identity.tokens);
    let failed = |error: std::io::Error| GatewayError::invalid(format!("cannot write `{}`: {error}", path.display()));
    make_dir(path.parent().unwrap_or(Path::new("."))).map_err(failed)?;
    let lock = Opened::create(beside(&path, "lock")).map_err(failed)?;
    lock.lock().map_err(failed)?;
    let mut file = load(mesh_dir, config)?;
    change(&mut file);
    let text = serde_json::to_string_pretty(&file).map_err(|error| GatewayError::internal(error.to_string()))?;
    let aside = beside(&path, "new");
    match fs::remove_file(&aside) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    write_private(&aside, (text + "\n").as_bytes()).and_then(|()| fs::rename(&aside, &path)).map_err(failed)
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}

fn check(mesh_dir: &Path, config: &Config, new: &NewToken) -> Result<(), GatewayError> {
    let longest = config.identity.personal_token_lifetime;
    if new.lifetime > longest || new.lifetime.duration().is_zero() {
        let message = format!(
            "a personal access token lives longer than 0s, and {longest} at most (`identity.personal_token_lifetime`)"
        );
        return Err(GatewayError::invalid(message));
    }
    if new.name.chars().count() > LONGEST_NAME || new.name.chars().any(char::is_control) {
        let message = format!("a token's name has at most {LONGEST_NAME} characters, and no control characters");
        return Err(GatewayError::invalid(message));
    }
    if new.domains.is_empty() {
        return Err(GatewayError::invalid("a personal access token without a domain is good for nothing: name one"));
    }
    let mesh = mesh::read(mesh_dir, config);
    let snapshot = state::compile(&mesh).snapshot;
    let snapshot = snapshot.ok_or_else(|| {
        GatewayError::invalid("the policies do not compile: mend them, `portcullis check` lists what is wrong")
    })?;
    let users = state::users(&mesh, &snapshot).0.unwrap_or_default();
    if users.get(&new.user).is_none() {
        let message = format!("there is no user `{}` in `{}`", new.user, config.identity.users.display());
        return Err(GatewayError::new(Kind::NotFound, message));
    }
    let domains: BTreeSet<String> =
        snapshot.resources().filter_map(|name| Some(name.split_once('.')?.0.to_owned())).collect();
    match new.domains.iter().find(|domain| *domain != ALL_DOMAINS && !domains.contains(*domain)) {
        None => Ok(()),
        Some(unknown) => {
            let known = domains.into_iter().collect::<Vec<_>>().join(", ");
            Err(GatewayError::new(Kind::NotFound, format!("there is no domain `{unknown}`: there are {known}")))
        }
    }
}
