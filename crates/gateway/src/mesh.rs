//! The files of a mesh directory, read and nothing more.

use std::fs;
use std::io::{ErrorKind, Read};
use std::path::Path;

use portcullis_contract::{Finding, Position, SourceFile};
use portcullis_govern::PolicySources;

use crate::config::Config;
use crate::personal;

/// Longest file that is read; manifests and policies are far shorter.
const LONGEST: u64 = 4 << 20;
/// Deepest nesting of directories, so that a link to a parent comes to an end.
const DEEPEST: usize = 16;

/// What a mesh directory holds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Mesh {
    pub contracts: Vec<SourceFile>,
    pub connections: Option<SourceFile>,
    /// Files and directories of contracts that could not be read.
    pub unreadable_contracts: Vec<String>,
    pub policies: PolicySources,
    pub policy_tests: Vec<SourceFile>,
    pub users: Option<SourceFile>,
    pub users_path: String,
    /// The users file is there, but cannot be read.
    pub users_unreadable: bool,
    /// The file of personal access tokens, where there is one.
    pub tokens: Option<personal::Source>,
    /// The file of revoked certificates, where one is configured and there.
    pub revoked: Option<personal::Source>,
    /// Files that could not be read. Those of policies must not be passed over: one of them may be a forbid.
    pub findings: Vec<Finding>,
    pub policy_findings: Vec<Finding>,
    /// The directory of policies is there, and cannot be listed: which policies there are, nobody can say.
    pub policies_unlisted: bool,
}

/// Reads the files. A directory that is not there is empty, and then there is nothing to permit anything.
pub(crate) fn read(mesh_dir: &Path, config: &Config) -> Mesh {
    let mut mesh = Mesh::default();
    let mut catalogs = Walk::new(mesh_dir);
    catalogs.dir(&config.catalogue.catalogs, &["yaml", "yml"], DEEPEST);
    mesh.findings = catalogs.findings;
    let connections = relative(&config.catalogue.catalogs.join("connections.yaml"));
    mesh.unreadable_contracts = mesh.findings.iter().map(|f| f.position.file.to_string()).collect();
    mesh.unreadable_contracts.retain(|path| *path != connections);
    for file in catalogs.files {
        if file.path == connections { mesh.connections = Some(file) } else { mesh.contracts.push(file) }
    }

    let mut policies = Walk::new(mesh_dir);
    policies.dir(&config.catalogue.policies, &["cedar", "yaml", "yml"], DEEPEST);
    let root = relative(&config.catalogue.policies);
    mesh.policies_unlisted = policies.findings.iter().any(|finding| *finding.position.file == root);
    mesh.policy_findings = policies.findings;
    let vocabulary = relative(&config.catalogue.policies.join("vocabulary.yaml"));
    let tests = relative(&config.catalogue.policies.join("tests")) + "/";
    for file in policies.files {
        if file.path == vocabulary {
            mesh.policies.vocabulary = Some(file);
        } else if file.path.ends_with(".cedar") {
            mesh.policies.policies.push(file);
        } else if file.path.starts_with(&tests) {
            mesh.policy_tests.push(file);
        }
    }

    let mut users = Walk::new(mesh_dir);
    if mesh_dir.join(&config.identity.users).exists() {
        users.file(&config.identity.users);
    }
    mesh.users = users.files.pop();
    mesh.users_path = relative(&config.identity.users);
    mesh.users_unreadable = !users.findings.is_empty();
    mesh.findings.extend(users.findings);
    mesh.tokens = personal::read(mesh_dir, &config.identity.tokens);
    let revoked = config.identity.certificates.revoked.as_ref();
    mesh.revoked = revoked.and_then(|path| personal::read(mesh_dir, path));
    mesh
}

struct Walk<'a> {
    mesh_dir: &'a Path,
    files: Vec<SourceFile>,
    findings: Vec<Finding>,
}

impl<'a> Walk<'a> {
    fn new(mesh_dir: &'a Path) -> Walk<'a> {
        Walk { mesh_dir, files: Vec::new(), findings: Vec::new() }
    }

    /// All files with one of these endings below `dir`, in order of name; hidden ones and editors' copies are not
    /// meant.
    fn dir(&mut self, dir: &Path, endings: &[&str], depth: usize) {
        let entries = match fs::read_dir(self.mesh_dir.join(dir)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return,
            Err(error) => return self.unreadable(dir, &error.to_string()),
        };
        let mut names = Vec::new();
        for entry in entries {
            match entry {
                Ok(entry) => names.push(entry.file_name()),
                Err(error) => self.unreadable(dir, &error.to_string()),
            }
        }
        names.sort();
        for name in names {
            let path = dir.join(&name);
            let hidden = name.to_string_lossy().starts_with('.');
            let wanted = path.extension().is_some_and(|found| endings.iter().any(|ending| found == *ending));
            if hidden {
                continue;
            }
            if self.mesh_dir.join(&path).is_dir() {
                if depth == 0 {
                    self.unreadable(&path, "directories are nested too deeply");
                } else {
                    self.dir(&path, endings, depth - 1);
                }
            } else if wanted {
                self.file(&path);
            }
        }
    }

    fn file(&mut self, path: &Path) {
        match read_text(&self.mesh_dir.join(path)) {
            Ok(text) => self.files.push(SourceFile { path: relative(path), text }),
            Err(reason) => self.unreadable(path, &reason),
        }
    }

    fn unreadable(&mut self, path: &Path, reason: &str) {
        let position = Position::file(relative(path));
        self.findings.push(Finding::error("mesh-unreadable", position, format!("cannot be read: {reason}")));
    }
}

pub(crate) fn read_text(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    let file = fs::File::open(path).map_err(|error| error.to_string())?;
    file.take(LONGEST + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
    if text.len() as u64 > LONGEST {
        return Err(format!("longer than {} MiB", LONGEST >> 20));
    }
    Ok(text)
}

/// With `/` between its parts on every system.
pub(crate) fn relative(path: &Path) -> String {
    let parts: Vec<_> = path.components().map(|part| part.as_os_str().to_string_lossy()).collect();
    parts.join("/").replacen("//", "/", 1)
}
