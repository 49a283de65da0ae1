//! A changed set of policies, tried out on the statements of the audit journal: what each of them would come to under
//! the policies of today, and under the changed ones. Nothing is executed.
//!
//! The journal has statements without their literals. Where such a statement still plans, with parameters of inferred
//! types in the literals' places, both sets decide about its plan; where it does not, about the tables and columns that
//! the journal recorded. Users are those of today, at the recorded time, with the recorded purpose, address and login.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use datafusion::arrow::datatypes::Schema;
use datafusion::arrow::record_batch::RecordBatch;
use portcullis_audit::{Decision as Recorded, Entry, Query, search};
use portcullis_contract::{Catalogue, Table};
use portcullis_govern::policy::matrix::aggregates;
use portcullis_govern::policy::review::{Direction, compare_rows};
use portcullis_govern::sql::{self, StatementKind};
use portcullis_govern::{
    Decision, Disclosure, MaskKey, ParseLimits, Planner, PolicySnapshot, Principal, Reason, ReasonKind, RequestContext,
    Subject, SystemTable, SystemTables, TableDecision, Verdict,
};
use serde::Serialize;

use super::{Compiled, PolicySet};
use crate::error::GatewayError;
use crate::system::{Surroundings, SystemData};

/// Tables of which everybody may query the part that there is for them.
const METADATA: &str = "information_schema.";
const NOT_COMPARED: &str =
    "rows of `system` and `information_schema` are not compared; policy diff says what may be discovered";

/// What came of a simulation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Simulation {
    /// Every statement that was looked at, newest first.
    pub statements: Vec<Considered>,
    /// Lines of the journal that cannot be read.
    pub damaged: Vec<String>,
}

/// A statement of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Considered {
    /// Its id in the journal.
    pub query_id: String,
    /// When it began.
    pub at: String,
    /// Who asked.
    pub principal: String,
    /// For which purpose.
    pub purpose: Option<String>,
    /// The statement without its literals.
    pub statement: String,
    /// What the changed policies would do to it.
    pub effect: Effect,
    /// What would be otherwise, a line each; or why nothing can be said.
    pub details: Vec<String>,
    /// What it was decided by.
    pub basis: Basis,
}

/// What changed policies would do to a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// It runs today, and would not.
    Refused,
    /// It does not run today, and would.
    Permitted,
    /// It would run with other rows or other columns.
    Different,
    /// Nothing changes.
    Same,
    /// Nobody can tell.
    Unknown,
}

impl Effect {
    /// All of them.
    pub const ALL: [Effect; 5] = [Effect::Refused, Effect::Permitted, Effect::Different, Effect::Same, Effect::Unknown];

    /// The word in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Effect::Refused => "refused",
            Effect::Permitted => "permitted",
            Effect::Different => "different",
            Effect::Same => "same",
            Effect::Unknown => "not decided",
        }
    }
}

/// What a statement was decided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// Its plan, made again from the recorded text.
    Plan,
    /// The tables and columns that the journal recorded.
    Record,
}

/// Tries `policies` on the newest entries of the mesh's journal that `query` asks for.
///
/// # Errors
///
/// `InvalidArgument` with all findings if one of the sets does not compile, or if the journal cannot be read.
pub fn simulate(policies: &PolicySet, query: &Query) -> Result<Simulation, GatewayError> {
    let today = Side::new(PolicySet::of_mesh(&policies.mesh).compile()?, &policies.mesh);
    let changed = Side::new(policies.compile()?, &policies.mesh);
    let directory = policies.mesh.join(&today.set.config.audit.dir);
    let found = search(&directory, query).map_err(|error| GatewayError::invalid(error.to_string()))?;
    let mut simulation = Simulation::default();
    for entry in found {
        match entry {
            Ok(entry) => simulation.statements.push(consider(&entry, &today, &changed)),
            Err(error) => simulation.damaged.push(error.to_string()),
        }
    }
    Ok(simulation)
}

/// One set of policies, ready to decide.
struct Side {
    set: Compiled,
    users: BTreeMap<String, Principal>,
    planner: Planner,
}

impl Side {
    fn new(set: Compiled, mesh: &std::path::Path) -> Side {
        let audit_dir = mesh.join(&set.config.audit.dir);
        let surroundings = Surroundings { audit_dir, access_log_rows: 0 };
        let system = SystemData::new(Arc::clone(&set.snapshot), Arc::default(), surroundings);
        // Nothing is executed, so the key hides nothing.
        let planner = Planner::new(Arc::clone(&set.snapshot), MaskKey::new(&[0; 32]), Arc::new(Empty(system)));
        let users = set.users.iter().map(|user| (user.id.clone(), user.clone())).collect();
        Side { set, users, planner }
    }

    /// Who asked, as of today. Whom only an identity provider knows is taken as recorded, if providers give no attributes:
    /// the journal holds groups alone.
    fn principal(&self, entry: &Entry) -> Option<Principal> {
        let begin = &entry.begin;
        if begin.authentication != "oidc" {
            return self.users.get(&begin.principal).cloned();
        }
        let attributes = self.set.config.identity.issuers.iter().any(|issuer| !issuer.attributes.is_empty());
        let groups = begin.groups.iter().cloned().collect();
        (!attributes).then(|| Principal { id: begin.principal.clone(), groups, attributes: BTreeMap::new() })
    }

    fn snapshot(&self) -> &PolicySnapshot {
        &self.set.snapshot
    }

    fn catalogue(&self) -> &Catalogue {
        self.snapshot().catalogue()
    }
}

/// The tables of `system` without their rows.
struct Empty(SystemData);

impl SystemTables for Empty {
    fn tables(&self) -> &[SystemTable] {
        self.0.tables()
    }

    fn batches(&self, name: &str, _subject: &Subject) -> RecordBatch {
        let table = self.0.tables().iter().find(|table| table.name == name);
        RecordBatch::new_empty(table.map_or_else(|| Arc::new(Schema::empty()), |table| Arc::clone(&table.schema)))
    }
}

/// What is said about one statement.
struct Said {
    effect: Effect,
    details: Vec<String>,
    basis: Basis,
}

impl Said {
    fn unknown(why: &str) -> Said {
        Said { effect: Effect::Unknown, details: vec![why.to_owned()], basis: Basis::Record }
    }
}

fn consider(entry: &Entry, today: &Side, changed: &Side) -> Considered {
    let said = decide(entry, today, changed);
    let begin = &entry.begin;
    Considered {
        query_id: begin.query_id.clone(),
        at: entry.at.clone(),
        principal: begin.principal.clone(),
        purpose: begin.purpose.clone(),
        statement: begin.statement.clone(),
        effect: said.effect,
        details: said.details,
        basis: said.basis,
    }
}

fn decide(entry: &Entry, today: &Side, changed: &Side) -> Said {
    let begin = &entry.begin;
    let (Some(now), Some(then)) = (today.principal(entry), changed.principal(entry)) else {
        return Said::unknown("who asked is not in users.yaml, or has attributes that the journal does not hold");
    };
    let client = begin.client.as_ref().and_then(|client| client.parse::<SocketAddr>().ok());
    let context = RequestContext {
        purpose: begin.purpose.clone(),
        client_address: client.map(|client| client.ip().to_canonical()),
        authentication: begin.authentication.clone(),
        actor: begin.actor.clone(),
        domains: begin.domains.clone(),
        break_glass: begin.break_glass.clone(),
        now_ms: entry.at_ms,
    };
    let subjects = [now, then].map(|principal| Subject { principal, context: context.clone() });
    let planned = sql::parse(&begin.statement, &ParseLimits::default()).ok();
    let Some(statement) = planned else { return by_record(entry, &subjects, today, changed) };
    if let StatementKind::Set(_) = statement.kind() {
        return Said { effect: Effect::Same, details: Vec::new(), basis: Basis::Plan };
    }
    let [now, then] = &subjects;
    let [before, after] =
        [(today, now), (changed, then)].map(|(side, subject)| side.planner.govern(&statement, subject, None));
    by_plan(entry, &before, &after, today, changed).unwrap_or_else(|| by_record(entry, &subjects, today, changed))
}

/// What two verdicts come to; `None` where the recorded text cannot be planned as the statement was.
fn by_plan(entry: &Entry, before: &Verdict, after: &Verdict, today: &Side, changed: &Side) -> Option<Said> {
    let said = |effect, details| Some(Said { effect, details, basis: Basis::Plan });
    match (refusal(before), refusal(after)) {
        (None, None) => {
            let (before, after) = (before.decision(), after.decision());
            if !before.system_tables.is_empty() {
                return said(Effect::Unknown, vec![NOT_COMPARED.to_owned()]);
            }
            let details = differences(before, after, today, changed);
            said(if details.is_empty() { Effect::Same } else { Effect::Different }, details)
        }
        (None, Some(reason)) => said(Effect::Refused, vec![reason.message.clone()]),
        (Some(reason), None) => said(Effect::Permitted, vec![format!("today: {}", reason.message)]),
        // What ran once and cannot be planned without its literals, or is refused by now, is decided by its record.
        (Some(_), Some(_)) if entry.begin.decision == Recorded::Permitted => None,
        (Some(_), Some(_)) => said(Effect::Same, Vec::new()),
    }
}

fn refusal(verdict: &Verdict) -> Option<Reason> {
    let unknown = || Reason { kind: ReasonKind::Undecided, message: "refused".to_owned() };
    match verdict {
        Verdict::Permit(..) => None,
        Verdict::Deny(decision) | Verdict::Undecided(decision) => Some(decision.reason.clone().unwrap_or_else(unknown)),
    }
}

/// Tables and columns that a permitted statement reads, and how they differ.
fn differences(before: &Decision, after: &Decision, today: &Side, changed: &Side) -> Vec<String> {
    let names: BTreeSet<_> = before.tables.iter().chain(&after.tables).map(|table| table.table.clone()).collect();
    let mut details = Vec::new();
    for name in names {
        let of = |decision: &Decision| decision.tables.iter().find(|table| table.table == name).cloned();
        let (Some(was), Some(is)) = (of(before), of(after)) else { continue };
        let used = before.columns.iter().chain(&after.columns).filter(|used| used.table == name);
        let used: BTreeSet<&str> = used.map(|used| used.column.as_str()).collect();
        let contracts = [today, changed].map(|side| side.catalogue().resolve(&name.domain, &name.table));
        table_differences(&was, &is, contracts, &used, &mut details);
    }
    details
}

fn table_differences(
    was: &TableDecision,
    is: &TableDecision,
    [old, new]: [Option<&Arc<Table>>; 2],
    used: &BTreeSet<&str>,
    details: &mut Vec<String>,
) {
    if let (Some(old), Some(new)) = (old, new)
        && let Some(change) = compare_rows((&was.filter, old), (&is.filter, new))
    {
        let way = match change.direction {
            Direction::Tightened => "fewer rows",
            Direction::Loosened => "more rows",
            Direction::Changed => "other rows",
        };
        details.push(format!("{}: {way}: {} → {}", was.table, was.filter.text(), is.filter.text()));
    }
    if was.aggregation != is.aggregation {
        let words = |decision: &TableDecision| decision.aggregation.as_ref().map_or("rows".to_owned(), aggregates);
        details.push(format!("{}: {} → {}", was.table, words(was), words(is)));
    }
    for column in used {
        let level = |decision: &TableDecision| {
            let found = decision.columns.iter().find(|decided| decided.name == *column);
            found.map_or(Disclosure::Denied, |decided| decided.disclosure)
        };
        let (was_shown, is_shown) = (level(was), level(is));
        if was_shown != is_shown {
            details.push(format!("{}.{column}: {was_shown} → {is_shown}", was.table));
        }
    }
}

/// Decides about what the journal recorded of a statement.
fn by_record(entry: &Entry, [now, then]: &[Subject; 2], today: &Side, changed: &Side) -> Said {
    let tables = &entry.begin.tables;
    if tables.is_empty() && entry.begin.decision == Recorded::Permitted {
        // It read nothing that anybody decides about.
        return Said { effect: Effect::Same, details: Vec::new(), basis: Basis::Record };
    }
    if tables.iter().any(|table| table.name.starts_with(METADATA)) {
        return Said::unknown(NOT_COMPARED);
    }
    if tables.is_empty() {
        return Said::unknown("its text cannot be planned without its literals, and no table was recorded");
    }
    let (mut lost, mut won, mut details) = (Vec::new(), Vec::new(), Vec::new());
    for table in tables {
        let decide = |side: &Side, subject| side.snapshot().decide_named(subject, &table.name);
        let (Some(was), Some(is)) = (decide(today, now), decide(changed, then)) else {
            return Said::unknown("a table that was recorded does not exist any more");
        };
        let may = |decision: &TableDecision| {
            decision.discover.allowed && decision.query.allowed && decision.undecided.is_none()
        };
        match (may(&was), may(&is)) {
            (true, false) => lost.push(format!("no access to `{}`", table.name)),
            (false, true) => won.push(format!("access to `{}`", table.name)),
            (false, false) => return Said { effect: Effect::Same, details: Vec::new(), basis: Basis::Record },
            (true, true) => {
                let used = table.columns.iter().map(|column| column.name.as_str()).collect();
                let contracts = [today, changed].map(|side| side.snapshot().table(&table.name));
                table_differences(&was, &is, contracts, &used, &mut details);
            }
        }
    }
    let (effect, details) = match (lost.is_empty(), won.is_empty(), details.is_empty()) {
        (false, _, _) => (Effect::Refused, lost),
        (true, false, _) => (Effect::Permitted, won),
        (true, true, false) => (Effect::Different, details),
        (true, true, true) => (Effect::Same, details),
    };
    Said { effect, details, basis: Basis::Record }
}
