//! What queries are planned against: catalogue, policies and users of one moment. Compiled aside, swapped as one.

use std::sync::{Arc, PoisonError, RwLock};

use portcullis_contract::{Catalogue, Finding, Level, Position};
use portcullis_govern::{Lookups, MaskKey, Planner, PolicySnapshot, PolicySources, Principal, SystemTables};
use tokio::sync::watch;

use crate::certificates::Revoked;
use crate::config::Certificates;
use crate::mesh::Mesh;
use crate::personal::PersonalTokens;
use crate::system::{Surroundings, SystemData};
use crate::users::Users;

/// One consistent view of the mesh. A query keeps the one it began with.
pub(crate) struct State {
    pub snapshot: Arc<PolicySnapshot>,
    pub users: Arc<Users>,
    pub tokens: Arc<PersonalTokens>,
    pub revoked: Arc<Revoked>,
    pub planner: Planner,
    pub system: Arc<SystemData>,
    pub findings: Arc<Vec<Finding>>,
}

impl State {
    pub(crate) fn principal(&self, user: &str) -> Option<&Principal> {
        self.users.get(user).map(|user| &user.principal)
    }
}

/// The current state, for any number of readers.
pub(crate) struct Current {
    state: RwLock<Arc<State>>,
    changes: watch::Sender<u64>,
}

impl Current {
    pub(crate) fn new(state: State) -> Current {
        Current { state: RwLock::new(Arc::new(state)), changes: watch::Sender::new(0) }
    }

    pub(crate) fn get(&self) -> Arc<State> {
        Arc::clone(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Tells of every change from now on.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn set(&self, state: State) {
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(state);
    }

    /// Takes up what is in the mesh directory now. Policies that do not compile leave the policies and contracts as
    /// they were; users are taken up in any case, so that removing one is felt whatever else is broken.
    pub(crate) fn reload(&self, mesh: &Mesh, parts: &Parts) -> Reload {
        let before = self.get();
        let built = compile(mesh);
        let (snapshot, mut findings, kept) = match built.snapshot {
            Some(snapshot) => (Arc::new(snapshot.counted_by(Arc::clone(&parts.decisions))), built.findings, false),
            None => (Arc::clone(&before.snapshot), built.findings, true),
        };
        if kept {
            let position = Position::file("policies");
            let message = format!(
                "the policies do not compile, so those of before (version `{}`) stay in force, with their contracts",
                snapshot.version()
            );
            findings.push(Finding::error("mesh-not-reloaded", position, message));
        }
        let (users, user_findings) = users(mesh, &snapshot);
        let users = users.map_or_else(|| Arc::clone(&before.users), Arc::new);
        findings.extend(user_findings);
        // A file that cannot be read closes: what was revoked in it must not live on.
        let credentials = Credentials::read(mesh, parts, &mut findings);
        let changed = before.snapshot.version() != snapshot.version()
            || before.snapshot.catalogue().fingerprint() != snapshot.catalogue().fingerprint()
            || before.users != users
            || *before.tokens != credentials.tokens
            || *before.revoked != credentials.revoked;
        let version = snapshot.version().to_owned();
        log(&findings);
        self.set(State::assemble(snapshot, users, credentials, findings, parts));
        if changed {
            self.changes.send_modify(|changes| *changes += 1);
        }
        Reload { changed, kept, version }
    }
}

/// What came of a reload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reload {
    /// Whether anything in force is different now.
    pub changed: bool,
    /// Whether the policies were refused, and those of before kept.
    pub kept: bool,
    pub version: String,
}

/// What every state is made with.
pub(crate) struct Parts {
    pub mask_key: MaskKey,
    pub surroundings: Surroundings,
    pub certificates: Certificates,
    /// How often a decision was known, from the start of the process.
    pub decisions: Arc<Lookups>,
    /// How often a plan was.
    pub plans: Arc<Lookups>,
}

/// What is good, and what is not any more, beside passwords.
struct Credentials {
    tokens: PersonalTokens,
    revoked: Revoked,
}

impl Credentials {
    fn read(mesh: &Mesh, parts: &Parts, findings: &mut Vec<Finding>) -> Credentials {
        let (tokens, of_tokens) = PersonalTokens::read(mesh.tokens.as_ref());
        let (revoked, of_certificates) = Revoked::read(&parts.certificates, mesh.revoked.as_ref());
        findings.extend(of_tokens.into_iter().chain(of_certificates));
        Credentials { tokens, revoked }
    }
}

impl State {
    /// The first state. Nothing is served with policies that do not compile.
    ///
    /// # Errors
    ///
    /// All findings, if one of them keeps the policies from being compiled.
    pub(crate) fn first(mesh: &Mesh, parts: &Parts) -> Result<State, Vec<Finding>> {
        let built = compile(mesh);
        let mut findings = built.findings;
        let Some(snapshot) = built.snapshot.filter(|_| !mesh.policies_unlisted) else { return Err(findings) };
        let snapshot = Arc::new(snapshot.counted_by(Arc::clone(&parts.decisions)));
        let (users, user_findings) = users(mesh, &snapshot);
        findings.extend(user_findings);
        let credentials = Credentials::read(mesh, parts, &mut findings);
        log(&findings);
        Ok(State::assemble(snapshot, Arc::new(users.unwrap_or_default()), credentials, findings, parts))
    }

    fn assemble(
        snapshot: Arc<PolicySnapshot>,
        users: Arc<Users>,
        credentials: Credentials,
        findings: Vec<Finding>,
        parts: &Parts,
    ) -> State {
        let findings = Arc::new(findings);
        let system =
            Arc::new(SystemData::new(Arc::clone(&snapshot), Arc::clone(&findings), parts.surroundings.clone()));
        let tables: Arc<dyn SystemTables> = Arc::clone(&system) as Arc<dyn SystemTables>;
        let planner = Planner::new(Arc::clone(&snapshot), parts.mask_key.clone(), tables);
        let planner = planner.counted_by(Arc::clone(&parts.plans));
        let Credentials { tokens, revoked } = credentials;
        State { snapshot, users, tokens: Arc::new(tokens), revoked: Arc::new(revoked), planner, system, findings }
    }
}

/// Contracts and policies put together.
pub(crate) struct Built {
    /// None if the policies do not compile.
    pub snapshot: Option<PolicySnapshot>,
    pub findings: Vec<Finding>,
}

/// Builds the catalogue and compiles the policies. CPU work without any I/O.
pub(crate) fn compile(mesh: &Mesh) -> Built {
    let catalogue =
        Arc::new(Catalogue::build_with(&mesh.contracts, mesh.connections.as_ref(), &mesh.unreadable_contracts));
    let mut findings = mesh.findings.clone();
    findings.extend(catalogue.findings().iter().cloned());
    // A policy that cannot be read may be the one that forbids; without a list of them, nothing is permitted.
    findings.extend(mesh.policy_findings.iter().cloned());
    if !mesh.policy_findings.is_empty() && !mesh.policies_unlisted {
        return Built { snapshot: None, findings };
    }
    let none = PolicySources::default();
    match PolicySnapshot::compile(catalogue, if mesh.policies_unlisted { &none } else { &mesh.policies }) {
        Ok(compiled) => {
            findings.extend(compiled.warnings);
            Built { snapshot: Some(compiled.snapshot), findings }
        }
        Err(errors) => {
            findings.extend(errors);
            Built { snapshot: None, findings }
        }
    }
}

/// The users, or None where the file is there but nothing of it can be trusted. No file: no users.
pub(crate) fn users(mesh: &Mesh, snapshot: &PolicySnapshot) -> (Option<Users>, Vec<Finding>) {
    match &mesh.users {
        Some(source) => Users::parse(source, snapshot),
        None if mesh.users_unreadable => (None, Vec::new()),
        None => {
            let message = format!("there is no users file `{}`, so nobody can log in", mesh.users_path);
            let position = Position::file(mesh.users_path.as_str());
            (Some(Users::default()), vec![Finding::error("users-missing", position, message)])
        }
    }
}

fn log(findings: &[Finding]) {
    for finding in findings {
        match finding.level {
            Level::Error => tracing::error!("{finding}"),
            Level::Warning => tracing::warn!("{finding}"),
            Level::Info => tracing::debug!("{finding}"),
        }
    }
}
