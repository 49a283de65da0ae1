//! All findings of a mesh directory, for `portcullis check` and `portcullis policy test`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use portcullis_contract::{Finding, Position};
use portcullis_govern::policy::tests::{self, Outcome, TestResult};
use portcullis_govern::{PolicySnapshot, Principal};

use crate::certificates::Revoked;
use crate::config::{self, Config};
use crate::identity;
use crate::mesh::{self, Mesh};
use crate::personal::PersonalTokens;
use crate::state;
use crate::users::Users;

/// What came of the policy tests of a mesh directory.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PolicyTests {
    /// One for each test that was run, in order of files and places.
    pub results: Vec<TestResult>,
    /// Whatever is wrong with the files, or kept tests from being run.
    pub findings: Vec<Finding>,
}

impl PolicyTests {
    /// How many tests had their expectations met.
    pub fn passed(&self) -> usize {
        self.results.iter().filter(|result| result.passed()).count()
    }

    /// How many tests had not.
    pub fn failed(&self) -> usize {
        self.results.len() - self.passed()
    }
}

/// Checks configuration, contracts, connections, policies, their tests, and users. Never touches a table.
pub fn check(mesh_dir: &Path) -> Vec<Finding> {
    let (config, mut findings) = configuration(mesh_dir);
    let Some(config) = config else { return findings };
    let mesh = mesh::read(mesh_dir, &config);
    let built = state::compile(&mesh);
    findings.extend(built.findings);
    if let Some(snapshot) = built.snapshot {
        let (users, user_findings) = state::users(&mesh, &snapshot);
        findings.extend(user_findings);
        findings.extend(PersonalTokens::read(mesh.tokens.as_ref()).1);
        findings.extend(Revoked::read(&config.identity.certificates, mesh.revoked.as_ref()).1);
        findings.extend(issuers(&config, &snapshot));
        findings.extend(run(&snapshot, users.unwrap_or_default(), &mesh).all_findings());
    }
    findings
}

/// Runs the policy tests.
pub fn policy_tests(mesh_dir: &Path) -> PolicyTests {
    let (config, findings) = configuration(mesh_dir);
    let Some(config) = config else { return PolicyTests { findings, ..PolicyTests::default() } };
    let mesh = mesh::read(mesh_dir, &config);
    let built = state::compile(&mesh);
    match built.snapshot {
        Some(snapshot) => {
            let (users, user_findings) = state::users(&mesh, &snapshot);
            let Outcome { results, findings } = run(&snapshot, users.unwrap_or_default(), &mesh);
            PolicyTests { results, findings: user_findings.into_iter().chain(findings).collect() }
        }
        None => PolicyTests { findings: built.findings, ..PolicyTests::default() },
    }
}

fn run(snapshot: &PolicySnapshot, users: Users, mesh: &Mesh) -> Outcome {
    let principals: BTreeMap<String, Principal> =
        users.into_principals().map(|principal| (principal.id.clone(), principal)).collect();
    tests::run(snapshot, &principals, &mesh.policy_tests)
}

/// Groups and attributes that the configuration names, and the vocabulary does not have.
fn issuers(config: &Config, snapshot: &PolicySnapshot) -> Vec<Finding> {
    let unknown = config.identity.issuers.iter().flat_map(|rules| identity::unknown_names(rules, snapshot));
    let known: BTreeSet<&str> = snapshot.vocabulary().groups().collect();
    let bounded = config.limits.groups.keys().filter(|group| !known.contains(group.as_str()));
    let bounded =
        bounded.map(|group| format!("`limits.groups`: the group `{group}` is not in policies/vocabulary.yaml"));
    let classes: BTreeSet<&str> = snapshot.vocabulary().limits().collect();
    let valued: BTreeSet<&str> = config.limits.classes.keys().map(String::as_str).collect();
    let unnamed = valued
        .difference(&classes)
        .map(|name| format!("`limits.classes.{name}`: `{name}` is not among the `limits` of policies/vocabulary.yaml"));
    let unvalued = classes.difference(&valued);
    let unvalued = unvalued.map(|name| format!("there is no `[limits.classes.{name}]`, which policies may give"));
    let bounded = bounded.chain(unnamed).chain(unvalued);
    let finding = |code| move |message| Finding::error(code, Position::file(config::FILE), message);
    unknown.map(finding("identity-unknown-name")).chain(bounded.map(finding("limits-unknown-name"))).collect()
}

fn configuration(mesh_dir: &Path) -> (Option<Config>, Vec<Finding>) {
    match Config::load(mesh_dir) {
        Ok(config) => (Some(config), Vec::new()),
        Err(error) => (None, vec![Finding::error("config", Position::file(config::FILE), error.message)]),
    }
}
