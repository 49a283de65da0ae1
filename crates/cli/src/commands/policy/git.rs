//! A mesh directory as a git revision has it, in a temporary directory that goes with it. Reads the local repository
//! only: never a remote.

use std::path::{Component, Path};
use std::process::{Command, Stdio};

use portcullis_gateway::Config;
use tempfile::TempDir;

use crate::mesh::Failure;

/// Modes of files; links are not followed.
const FILES: [&str; 2] = ["100644", "100755"];

/// Writes configuration, contracts, policies and users of a revision into a new directory.
pub fn export(mesh: &Path, revision: &str) -> Result<TempDir, Failure> {
    let repository = Repository { mesh, revision };
    let commit = format!("{revision}^{{commit}}");
    let commit = repository.text(&["rev-parse", "--verify", "--quiet", "--end-of-options", &commit])?;
    let prefix = repository.text(&["rev-parse", "--show-prefix"])?;
    let directory = TempDir::new()?;
    let target = directory.path();
    let write = |path: &str, bytes: &[u8]| -> Result<(), Failure> {
        let path = target.join(path);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        Ok(std::fs::write(path, bytes)?)
    };
    let file = portcullis_gateway::config::FILE;
    write(file, &repository.bytes(&["cat-file", "blob", &format!("{commit}:{prefix}{file}")])?)?;
    let config = Config::load(target)?;
    let wanted = [&config.catalogue.catalogs, &config.catalogue.policies, &config.identity.users];
    let mut list = vec!["ls-tree".to_owned(), "-r".into(), "-z".into(), "--full-tree".into(), commit, "--".into()];
    for path in wanted {
        if !normal(path) {
            let message = format!("`{}` of portcullis.toml is outside of the mesh directory", path.display());
            return Err(Failure::failed(format!("{message}, so revision `{revision}` has it not")));
        }
        list.push(format!("{prefix}{}", path.display()));
    }
    let listed = repository.bytes(&list.iter().map(String::as_str).collect::<Vec<_>>())?;
    for line in String::from_utf8_lossy(&listed).split('\0') {
        let Some((about, path)) = line.split_once('\t') else { continue };
        let mut about = about.split(' ');
        let (Some(mode), Some(_), Some(id)) = (about.next(), about.next(), about.next()) else { continue };
        let Some(path) = path.strip_prefix(prefix.as_str()).filter(|path| normal(Path::new(path))) else { continue };
        let read = [".cedar", ".yaml", ".yml"].iter().any(|ending| path.ends_with(ending));
        if read && FILES.contains(&mode) {
            write(path, &repository.bytes(&["cat-file", "blob", id])?)?;
        }
    }
    Ok(directory)
}

/// Whether a path stays below the directory that it starts at.
fn normal(path: &Path) -> bool {
    path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}

struct Repository<'a> {
    mesh: &'a Path,
    revision: &'a str,
}

impl Repository<'_> {
    fn bytes(&self, arguments: &[&str]) -> Result<Vec<u8>, Failure> {
        let failed = |why: &str| {
            let why = why.trim().trim_start_matches("fatal: ").lines().next().unwrap_or_default();
            let place = format!("git cannot read `{}` in `{}`", self.revision, self.mesh.display());
            Failure::failed(if why.is_empty() {
                format!("{place}: no such revision")
            } else {
                format!("{place}: {why}")
            })
        };
        let mut git = Command::new("git");
        git.arg("-C").arg(self.mesh).arg("--no-pager").args(arguments).stdin(Stdio::null());
        // What a partial clone does not have stays missing.
        git.env("GIT_NO_LAZY_FETCH", "1").env("GIT_TERMINAL_PROMPT", "0").env("GIT_OPTIONAL_LOCKS", "0");
        let output = git.output().map_err(|error| failed(&error.to_string()))?;
        if output.status.success() { Ok(output.stdout) } else { Err(failed(&String::from_utf8_lossy(&output.stderr))) }
    }

    fn text(&self, arguments: &[&str]) -> Result<String, Failure> {
        Ok(String::from_utf8_lossy(&self.bytes(arguments)?).trim_end_matches('\n').to_owned())
    }
}
