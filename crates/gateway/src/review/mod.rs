//! Policies under review, for who writes them: what is wrong with them, who sees what, what another set would change.
//! Mesh directories are read, nothing is opened, written or served.

mod prove;
mod simulate;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use portcullis_contract::Finding;
use portcullis_govern::policy::review::{self, Change};
use portcullis_govern::policy::{matrix, tests as policy_tests};
use portcullis_govern::{PolicySnapshot, Principal};

use crate::clock::Clock;
use crate::config::Config;
use crate::error::GatewayError;
use crate::mesh::{self, Mesh};
use crate::state;

pub use prove::{Proved, policy_proof};
pub use simulate::{Basis, Considered, Effect, Simulation, simulate};

/// Which policies, over which contracts and users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicySet {
    /// A mesh directory.
    pub mesh: PathBuf,
    /// A directory of policies that takes the place of the mesh's own. Without a `vocabulary.yaml` in it, the mesh's
    /// vocabulary holds.
    pub policies: Option<PathBuf>,
}

impl PolicySet {
    /// The policies of a mesh directory.
    pub fn of_mesh(mesh: &Path) -> PolicySet {
        PolicySet { mesh: mesh.to_owned(), policies: None }
    }

    /// A directory of policies over a mesh's contracts and users.
    pub fn in_mesh(mesh: &Path, policies: &Path) -> PolicySet {
        PolicySet { mesh: mesh.to_owned(), policies: Some(policies.to_owned()) }
    }

    fn read(&self) -> Result<(Config, Mesh), GatewayError> {
        let mut config = Config::load(&self.mesh)?;
        let Some(policies) = &self.policies else {
            let mesh = mesh::read(&self.mesh, &config);
            return Ok((config, mesh));
        };
        if !policies.is_dir() {
            return Err(GatewayError::invalid(format!("`{}` is not a directory of policies", policies.display())));
        }
        let own = mesh::read(&self.mesh, &config).policies.vocabulary;
        config.catalogue.policies.clone_from(policies);
        let mut mesh = mesh::read(&self.mesh, &config);
        mesh.policies.vocabulary = mesh.policies.vocabulary.or(own);
        Ok((config, mesh))
    }

    fn compile(&self) -> Result<Compiled, GatewayError> {
        let (config, mesh) = self.read()?;
        let built = state::compile(&mesh);
        let Some(snapshot) = built.snapshot else {
            let shown = self.policies.as_ref().unwrap_or(&self.mesh).display();
            let errors: Vec<Finding> = built.findings.into_iter().filter(Finding::is_error).collect();
            let message = format!("the policies of `{shown}` do not compile ({} errors)", errors.len());
            return Err(GatewayError::invalid(message).with_findings(errors));
        };
        let (users, _) = state::users(&mesh, &snapshot);
        let users = users.unwrap_or_default().into_principals().collect();
        Ok(Compiled { config, snapshot: Arc::new(snapshot), users })
    }
}

/// A set that compiles, with the users whom it is about.
struct Compiled {
    config: Config,
    snapshot: Arc<PolicySnapshot>,
    users: Vec<Principal>,
}

impl Compiled {
    fn side(&self) -> review::Side<'_> {
        review::Side { snapshot: &self.snapshot, users: &self.users }
    }
}

/// What is wrong or odd with policies, their vocabulary and their tests, policies without effect included. Findings
/// about contracts and users are left out, unless without them nothing can be said about policies.
///
/// # Errors
///
/// `InvalidArgument` if the configuration cannot be read.
pub fn policy_check(mesh_dir: &Path) -> Result<Vec<Finding>, GatewayError> {
    let (config, mesh) = PolicySet::of_mesh(mesh_dir).read()?;
    let directory = mesh::relative(&config.catalogue.policies);
    let built = state::compile(&mesh);
    let about_policies = |finding: &Finding| {
        let below = finding.position.file.strip_prefix(&directory).is_some_and(|rest| rest.starts_with('/'));
        below || finding.code.starts_with("policy-") || finding.code.starts_with("vocabulary-")
    };
    let mut findings: Vec<Finding> = built.findings.into_iter().filter(about_policies).collect();
    let Some(snapshot) = built.snapshot else { return Ok(findings) };
    let (users, of_users) = state::users(&mesh, &snapshot);
    findings.extend(of_users.into_iter().filter(Finding::is_error));
    let principals: Vec<Principal> = users.unwrap_or_default().into_principals().collect();
    let by_id = principals.iter().map(|principal| (principal.id.clone(), principal.clone())).collect();
    findings.extend(policy_tests::run(&snapshot, &by_id, &mesh.policy_tests).all_findings());
    let others = !config.identity.issuers.is_empty();
    findings.extend(review::idle(&snapshot, &principals, others, Clock::system().now_ms()));
    Ok(findings)
}

/// Who sees what: every user and every group, for every table and purpose.
///
/// # Errors
///
/// `InvalidArgument` with all findings if the policies do not compile.
pub fn policy_matrix(mesh_dir: &Path) -> Result<String, GatewayError> {
    let compiled = PolicySet::of_mesh(mesh_dir).compile()?;
    Ok(matrix::matrix(&compiled.snapshot, &compiled.users, Clock::system().now_ms()))
}

/// What `new` would change: for every user and group of either set, in order of table.
///
/// # Errors
///
/// `InvalidArgument` with all findings if one of the sets does not compile.
pub fn policy_diff(old: &PolicySet, new: &PolicySet) -> Result<Vec<Change>, GatewayError> {
    let (old, new) = (old.compile()?, new.compile()?);
    Ok(review::changes(old.side(), new.side(), Clock::system().now_ms()))
}
