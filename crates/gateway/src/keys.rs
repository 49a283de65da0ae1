//! Keys: taken by reference, or generated once and kept where only the gateway can read them.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::rand::{SecureRandom, SystemRandom};

use crate::config::KeyRef;
use crate::error::GatewayError;

/// Shorter keys are refused: they can be guessed.
const SHORTEST: usize = 32;

/// The key of this name: from its reference, or from `<keys_dir>/<name>.key`, which is generated if it is not there.
pub(crate) fn load(
    name: &str,
    reference: Option<&KeyRef>,
    mesh_dir: &Path,
    keys_dir: &Path,
) -> Result<Vec<u8>, GatewayError> {
    let (from, key) = match reference {
        Some(reference) => referred(&format!("secrets.{name}"), reference, mesh_dir)?,
        None => {
            let path = mesh_dir.join(keys_dir).join(format!("{name}.key"));
            (format!("`{}`", path.display()), read_or_generate(&path)?)
        }
    };
    if key.len() < SHORTEST {
        let message = format!("`secrets.{name}`: {from} has {} bytes; a key needs at least {SHORTEST}", key.len());
        return Err(GatewayError::invalid(message));
    }
    Ok(key)
}

/// A secret that is not the gateway's own, so of any length.
pub(crate) fn secret(name: &str, reference: &KeyRef, mesh_dir: &Path) -> Result<Vec<u8>, GatewayError> {
    referred(name, reference, mesh_dir).map(|(_, secret)| secret)
}

/// What a reference leads to, and where that was.
fn referred(name: &str, reference: &KeyRef, mesh_dir: &Path) -> Result<(String, Vec<u8>), GatewayError> {
    match reference {
        KeyRef::Env(variable) => {
            let value = std::env::var(variable).map_err(|_| {
                GatewayError::invalid(format!("`{name}`: the environment variable `{variable}` is not set"))
            })?;
            Ok((format!("the environment variable `{variable}`"), value.into_bytes()))
        }
        KeyRef::File(file) => {
            let path = mesh_dir.join(file);
            Ok((format!("`{}`", path.display()), read(&path)?))
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, GatewayError> {
    fs::read(path).map(|bytes| bytes.trim_ascii_end().to_vec()).map_err(|error| failed("read the key", path, &error))
}

fn read_or_generate(path: &Path) -> Result<Vec<u8>, GatewayError> {
    if !path.exists() {
        generate(path)?;
    }
    read(path)
}

/// Writes the key aside and gives it its name last: no reader finds half a key, and of two writers one wins.
fn generate(path: &Path) -> Result<(), GatewayError> {
    let mut random = [0; 48];
    SystemRandom::new().fill(&mut random).map_err(|_| GatewayError::internal("the system gives no random numbers"))?;
    let dir = path.parent().map_or_else(PathBuf::new, Path::to_owned);
    let aside = path.with_extension(format!("{}.new", std::process::id()));
    let written = make_dir(&dir).and_then(|()| write_private(&aside, STANDARD.encode(random).as_bytes()));
    let named = written.and_then(|()| match fs::hard_link(&aside, path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        other => other,
    });
    // Whether it was linked or not, the second name is of no use.
    let _ = fs::remove_file(&aside);
    named.map_err(|error| failed("write the key", path, &error))
}

pub(crate) fn make_dir(dir: &Path) -> std::io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}

pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn failed(attempt: &str, path: &Path, error: &std::io::Error) -> GatewayError {
    GatewayError::invalid(format!("cannot {attempt} `{}`: {error}", path.display()))
}
