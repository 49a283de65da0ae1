//! A set of policies that was accepted as a whole, and its answers.

mod named;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use cedar_policy::pst::Clause;
use cedar_policy::{Authorizer, Effect, PolicySet, Schema, Validator};
use portcullis_contract::{Catalogue, Finding, Position, SourceFile, Table};

use super::cache::Key;
use super::cedar_schema;
use super::check::Checker;
use super::closed::{Closed, close};
use super::compiled::CompiledTable;
use super::decide::{Asker, Rules, undecided};
use super::decision::{Access, TableAction, TableDecision};
use super::load::{self, LoadedPolicy};
use super::missing::{Ghosts, Missing};
use super::slice::IndexedPolicy;
use super::subject::{Principal, Subject};
use super::vocabulary::{SYSTEM_DOMAIN, SYSTEM_TABLES, Vocabulary};
use super::{entities, vocabulary_file};
use crate::memo::{CacheUse, Lookups, Memo};

/// Decisions kept in each of the memory's two generations.
const CACHED_DECISIONS: usize = 2048;

/// The texts that a snapshot is made from.
#[derive(Debug, Clone, Default)]
pub struct PolicySources {
    /// `policies/**/*.cedar`, in any order.
    pub policies: Vec<SourceFile>,
    /// `policies/vocabulary.yaml`.
    pub vocabulary: Option<SourceFile>,
}

/// An accepted set of policies.
#[derive(Debug)]
pub struct Compiled {
    /// The snapshot.
    pub snapshot: PolicySnapshot,
    /// What does not refuse the set: policies that name what a withheld contract would have been, and, as errors, those
    /// that are closed.
    pub warnings: Vec<Finding>,
}

/// A policy, for lists and reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyInfo {
    /// Its `@id`.
    pub id: String,
    /// `permit` or `forbid`.
    pub effect: &'static str,
    /// Where it stands.
    pub position: Position,
    /// Its text, without the comments before it.
    pub text: String,
}

/// Policies, vocabulary and contracts of one instant. Immutable: a changed file makes a new snapshot.
pub struct PolicySnapshot {
    catalogue: Arc<Catalogue>,
    version: String,
    vocabulary: Vocabulary,
    schema_text: String,
    schema: Schema,
    tables: BTreeMap<String, CompiledTable>,
    policies: Vec<IndexedPolicy>,
    infos: Vec<PolicyInfo>,
    authorizer: Authorizer,
    decisions: Memo<Key, Arc<TableDecision>>,
}

impl fmt::Debug for PolicySnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let policies = self.policies.len();
        f.debug_struct("PolicySnapshot").field("version", &self.version).field("policies", &policies).finish()
    }
}

impl PolicySnapshot {
    /// Compiles and checks a whole set.
    ///
    /// # Errors
    /// All findings of level error, when there is one: a set is accepted whole or not at all.
    pub fn compile(catalogue: Arc<Catalogue>, sources: &PolicySources) -> Result<Compiled, Vec<Finding>> {
        let tables = catalogue.tables().cloned().collect();
        PolicySnapshot::compile_for(catalogue, tables, sources)
    }

    /// [`PolicySnapshot::compile`], for some tables.
    pub(crate) fn compile_for(
        catalogue: Arc<Catalogue>,
        tables: Vec<Arc<Table>>,
        sources: &PolicySources,
    ) -> Result<Compiled, Vec<Finding>> {
        let vocabulary = vocabulary_file::read(sources.vocabulary.as_ref())?;
        let tables = cedar_schema::policy_tables(tables.iter())?;
        let (loaded, mut findings) = with_clauses(load::parse(&sources.policies)?);
        let missing = Missing::new(&catalogue);
        let parsed = loaded.iter().map(|(policy, clauses)| (&policy.policy, clauses.as_slice()));
        let schema_text = cedar_schema::generate(&tables, &vocabulary, &Ghosts::of(missing, &tables, parsed));
        let (schema, _) = Schema::from_cedarschema_str(&schema_text).map_err(|e| {
            let message = format!("the generated Cedar schema is not valid: {e}");
            let hint = "column, tag or attribute names may be unusable in Cedar";
            vec![Finding::error("policy-schema", Position::file("policies/vocabulary.yaml"), message).with_hint(hint)]
        })?;
        let checker = Checker { tables: &tables, vocabulary: &vocabulary, schema: &schema, missing };
        let validator = load::validator(&schema);
        let mut policies = Vec::new();
        let mut infos = Vec::new();
        let mut warnings = Vec::new();
        for (policy, clauses) in loaded {
            let Examined { fatal, odd, closed } = examine(&policy, &clauses, &validator, &checker);
            findings.extend(fatal);
            warnings.extend(odd);
            let effect = if policy.policy.effect() == Effect::Permit { "permit" } else { "forbid" };
            let position = policy.place.position();
            infos.push(PolicyInfo { id: policy.id.clone(), effect, position, text: policy.place.text() });
            policies.extend(match closed {
                None => Some(IndexedPolicy::new(policy.id, policy.policy, &clauses)),
                Some(Closed::Everything(closed)) => Some(IndexedPolicy::new(policy.id, *closed, &[])),
                Some(Closed::Nothing) => None,
            });
        }
        let mut compiled = BTreeMap::new();
        for (id, table) in tables {
            let file = table.table.contract.file.clone();
            match CompiledTable::new(table) {
                Ok(table) => drop(compiled.insert(id, table)),
                Err(reason) => findings.push(Finding::error("policy-schema", Position::file(file), reason)),
            }
        }
        if !findings.is_empty() {
            return Err(findings);
        }
        policies.sort_by(|a, b| a.id.cmp(&b.id));
        infos.sort_by(|a, b| a.id.cmp(&b.id));
        let version = version(&catalogue, sources);
        warnings.extend(contract_warnings(&catalogue, &vocabulary, &infos));
        let (authorizer, decisions) = (Authorizer::new(), Memo::new(CACHED_DECISIONS));
        let snapshot = PolicySnapshot {
            catalogue,
            version,
            vocabulary,
            schema_text,
            schema,
            tables: compiled,
            policies,
            infos,
            authorizer,
            decisions,
        };
        Ok(Compiled { snapshot, warnings })
    }

    /// Names this snapshot: the same policies, vocabulary and contracts have the same version.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The contracts that the policies were checked against.
    pub fn catalogue(&self) -> &Arc<Catalogue> {
        &self.catalogue
    }

    /// The words that policies may use.
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// The Cedar schema's text, for editors and Cedar's own tools.
    pub fn cedar_schema(&self) -> &str {
        &self.schema_text
    }

    /// The schema itself, for Cedar's own tools.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The policies in force whose scope covers an action, for Cedar's own tools.
    ///
    /// # Errors
    /// When two of them have one id.
    pub fn policies_about(&self, action: &str) -> Result<PolicySet, String> {
        let covering = self.policies.iter().filter(|policy| policy.covers_action(action));
        PolicySet::from_policies(covering.map(|policy| policy.policy.clone())).map_err(|error| error.to_string())
    }

    /// All policies, in order of their ids.
    pub fn policies(&self) -> &[PolicyInfo] {
        &self.infos
    }

    /// Whether a principal's groups and attributes are known.
    ///
    /// # Errors
    /// One message for each group or attribute that is not.
    pub fn check_principal(&self, principal: &Principal) -> Result<(), Vec<String>> {
        let unknown = principal.groups.iter().filter(|group| !self.vocabulary.groups.contains_key(*group));
        let mut wrong: Vec<String> =
            unknown.map(|group| format!("group `{group}` is not in policies/vocabulary.yaml")).collect();
        let attributes = principal.attributes.iter();
        wrong.extend(attributes.filter_map(|(name, value)| self.vocabulary.check_attribute(name, value).err()));
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
    }

    /// Whether a subject may discover or query a table: `domain.table`, or one of [`SYSTEM_TABLES`]. Whatever is
    /// unknown is denied.
    pub fn may(&self, subject: &Subject, action: TableAction, resource: &str) -> Access {
        if let Some(table) = self.tables.get(resource) {
            let decision = self.decide(subject, &table.policy_table.table);
            return match action {
                TableAction::Discover => decision.discover.clone(),
                TableAction::Query => decision.query.clone(),
                TableAction::BreakGlass => decision.break_glass.clone().unwrap_or_default(),
                TableAction::ViewNotice => decision.notice.clone(),
                TableAction::AggregateOnly => {
                    Access { allowed: decision.aggregation.is_some(), ..decision.query.clone() }
                }
            };
        }
        let system = resource.split_once('.');
        if !system.is_some_and(|(domain, table)| domain == SYSTEM_DOMAIN && SYSTEM_TABLES.contains(&table)) {
            return Access::default();
        }
        let ask = || Asker::new(self.rules(), subject)?.access(action, &entities::system_table(resource)?);
        ask().unwrap_or_default()
    }

    /// Whether a subject may act for a user: only where a policy names the action `impersonate`. What cannot be decided is
    /// denied.
    pub fn may_impersonate(&self, subject: &Subject, user: &Principal) -> Access {
        Asker::new(self.rules(), subject).and_then(|mut asker| asker.impersonate(user)).unwrap_or_default()
    }

    /// The classes of limits that a subject may have, in order: only those that a policy with the action `useLimits` gives. What
    /// cannot be decided gives none.
    pub fn limits(&self, subject: &Subject) -> Vec<String> {
        if self.vocabulary.limits.is_empty() {
            return Vec::new();
        }
        Asker::new(self.rules(), subject).and_then(|mut asker| asker.limits()).unwrap_or_default()
    }

    /// Everything about one table for one subject. Never fails: what cannot be decided is denied, with the reason.
    pub fn decide(&self, subject: &Subject, table: &Table) -> Arc<TableDecision> {
        let id = table.name.to_string();
        let known = self.tables.get(&id).filter(|known| same_table(&known.policy_table.table, table));
        let Some(known) = known else {
            return Arc::new(undecided(
                table,
                format!("table `{id}` is not the one that the policies were checked for"),
            ));
        };
        let key = Key::new(&id, subject);
        if let Some(decision) = self.decisions.get(&key) {
            return decision;
        }
        let mut asker = match Asker::new(self.rules(), subject) {
            Ok(asker) => asker,
            Err(reason) => return Arc::new(undecided(table, reason)),
        };
        let decision = Arc::new(asker.decide(known));
        // What failed may have failed before the policies that read the time were reached.
        if !asker.reads_time && decision.undecided.is_none() {
            self.decisions.insert(key, decision.clone(), 1);
        }
        decision
    }

    fn rules(&self) -> Rules<'_> {
        Rules {
            schema: &self.schema,
            vocabulary: &self.vocabulary,
            policies: &self.policies,
            authorizer: &self.authorizer,
        }
    }

    /// The same snapshot, whose looked-up decisions are counted here.
    #[must_use]
    pub fn counted_by(self, lookups: Arc<Lookups>) -> PolicySnapshot {
        PolicySnapshot { decisions: self.decisions.counted_by(lookups), ..self }
    }

    /// How its memory of decisions is used.
    pub fn decisions(&self) -> CacheUse {
        self.decisions.usage("decisions", false)
    }
}

fn same_table(known: &Arc<Table>, asked: &Table) -> bool {
    Arc::ptr_eq(&known.contract, &asked.contract) || known.contract == asked.contract
}

/// Policies with their conditions.
fn with_clauses(loaded: Vec<LoadedPolicy>) -> (Vec<(LoadedPolicy, Vec<Clause>)>, Vec<Finding>) {
    let mut findings = Vec::new();
    let mut policies = Vec::with_capacity(loaded.len());
    for policy in loaded {
        match policy.policy.to_pst() {
            Ok(pst) => {
                let clauses = pst.body().clauses().clone();
                policies.push((policy, clauses));
            }
            Err(e) => findings.push(Finding::error("policy-invalid", policy.place.position(), e.to_string())),
        }
    }
    (policies, findings)
}

/// What came of looking at a policy.
#[derive(Default)]
struct Examined {
    /// What refuses the set.
    fatal: Vec<Finding>,
    /// What does not.
    odd: Vec<Finding>,
    /// How the policy is in force, where that is not as it is written.
    closed: Option<Closed>,
}

/// What is wrong with a policy, or odd.
fn examine(policy: &LoadedPolicy, clauses: &[Clause], validator: &Validator, checker: &Checker<'_>) -> Examined {
    let validity = load::validate(policy, validator);
    let is_impossible = !validity.findings.is_empty();
    if is_impossible && !validity.only_impossible {
        return Examined { fatal: validity.findings, ..Examined::default() };
    }
    let checked = checker.check(policy, clauses);
    let (mut fatal, mut odd): (Vec<_>, Vec<_>) = checked.findings.into_iter().partition(Finding::is_error);
    let explained = checked.gone.is_empty() && (!is_impossible || checked.may_be_idle);
    if explained && (fatal.is_empty() || !is_impossible) {
        return Examined { fatal, odd, closed: None };
    }
    let doubts = if is_impossible { validity.findings } else { checked.gone };
    let closed = close(policy, is_impossible).filter(|closed| fatal.is_empty() && is_valid(closed, policy, validator));
    match &closed {
        Some(closed) => odd.extend(doubts.into_iter().chain([closed.finding(policy)])),
        None if is_impossible => fatal = doubts,
        None => fatal.extend(doubts),
    }
    Examined { fatal, odd, closed }
}

/// Whether a policy is one in its closed form: what is wrong may stand in its scope.
fn is_valid(closed: &Closed, policy: &LoadedPolicy, validator: &Validator) -> bool {
    let Closed::Everything(closed) = closed else { return true };
    let closed = LoadedPolicy { policy: closed.as_ref().clone(), ..policy.clone() };
    load::validate(&closed, validator).findings.is_empty()
}

/// A digest of everything that decisions follow from.
fn version(catalogue: &Catalogue, sources: &PolicySources) -> String {
    let mut files: Vec<&SourceFile> = sources.policies.iter().chain(&sources.vocabulary).collect();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let mut hasher = blake3::Hasher::new();
    let mut add = |text: &str| {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    };
    add(catalogue.fingerprint());
    for file in files {
        add(&file.path);
        add(&file.text);
    }
    hasher.finalize().to_hex().chars().take(16).collect()
}

/// Contracts that name groups or policies which do not exist.
fn contract_warnings(catalogue: &Catalogue, vocabulary: &Vocabulary, policies: &[PolicyInfo]) -> Vec<Finding> {
    let mut warnings = Vec::new();
    for contract in catalogue.contracts() {
        let at = || Position::file(contract.file.clone());
        for role in contract.access.roles.iter().filter(|role| !vocabulary.groups.contains_key(*role)) {
            let message = format!("access.roles names `{role}`, which is no group: nobody is in it");
            let finding = Finding::warning("policy-unknown-role", at(), message);
            warnings.push(finding.with_hint("declare it in policies/vocabulary.yaml under `groups`"));
        }
        for purpose in contract.access.purposes.iter().filter(|purpose| !vocabulary.purposes.contains(*purpose)) {
            let message = format!("access.purposes names `{purpose}`, which is no purpose: nobody can declare it");
            let finding = Finding::warning("policy-unknown-purpose", at(), message);
            warnings.push(finding.with_hint("declare it in policies/vocabulary.yaml under `purposes`"));
        }
        for id in contract.access.policies.iter().filter(|id| !policies.iter().any(|p| &p.id == *id)) {
            let message = format!("access.policies names `{id}`, and no policy has this `@id`");
            warnings.push(Finding::warning("policy-unknown-id", at(), message));
        }
    }
    warnings
}
