//! The answer to "may this principal do this, and what would it see", without running anything.

use portcullis_govern::explain::{Audience, explain_access, would_grant};
use portcullis_govern::policy::SYSTEM_DOMAIN;
use portcullis_govern::policy::matrix::aggregates;
use portcullis_govern::sql::Statement;
use portcullis_govern::{Subject, TableDecision, Verdict};
use serde::Serialize;

use crate::state::State;

/// What was decided about a statement, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AccessReport {
    /// The statement with its literals taken out.
    pub statement: String,
    /// The principal.
    pub principal: String,
    /// The purpose it was asked with.
    pub purpose: Option<String>,
    /// `permitted`, `denied` or `undecided`.
    pub decision: String,
    /// Why, where it is not permitted.
    pub reason: Option<String>,
    /// The version of the policies.
    pub policy_version: String,
    /// The tables, in order of name.
    pub tables: Vec<TableReport>,
}

/// What was decided about one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TableReport {
    /// `domain.table`.
    pub name: String,
    /// The contract's file.
    pub contract: String,
    /// The contract's version.
    pub version: String,
    /// Whether the principal may know of it, and by which policies.
    pub discover: bool,
    /// The policies that decided `discover`.
    pub discover_policies: Vec<String>,
    /// Whether the principal may query it.
    pub query: bool,
    /// The policies that decided `query`.
    pub query_policies: Vec<String>,
    /// What the contract asks for and does not get, where policies would permit.
    pub unmet: Option<String>,
    /// Whether the glass is broken; None where the session does not ask for it.
    pub break_glass: Option<bool>,
    /// The policies that decided that.
    pub break_glass_policies: Vec<String>,
    /// Whether the principal is told of what is held back.
    pub notice: bool,
    /// The smallest group, where only aggregates may be seen.
    pub aggregates: Option<String>,
    /// What would let it be queried, where it may not: the action, and purposes and groups that have it.
    pub would_grant_query: Option<String>,
    /// The row filter as an expression over the table's columns; None: all rows.
    pub filter: Option<String>,
    /// The policies that permit rows.
    pub filter_permits: Vec<String>,
    /// The policies that forbid rows.
    pub filter_forbids: Vec<String>,
    /// What would show more rows, where not all are shown.
    pub would_grant_rows: Option<String>,
    /// The columns, in the contract's order; denied ones too.
    pub columns: Vec<ColumnReport>,
    /// Why the policies could not be decided, which denies.
    pub undecided: Option<String>,
}

/// What was decided about one column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ColumnReport {
    /// The column's name.
    pub name: String,
    /// The type by the contract.
    pub data_type: String,
    /// `clear`, `partial`, `bucket`, `hash`, `redact`, `null`, `join-only` or `denied`.
    pub disclosure: String,
    /// The policies that allow this disclosure.
    pub policies: Vec<String>,
    /// The policies that forbid more.
    pub forbidden_by: Vec<String>,
    /// The contract's own masking, where that decided.
    pub contract_masking: Option<String>,
    /// What would show more of it, where it is not clear.
    pub would_grant: Option<String>,
    /// Where the contract declares the column: `file:line:column`.
    pub position: String,
}

/// What was decided about a statement, for who looks after the mesh: tables that the subject may not discover too.
pub(crate) fn report(state: &State, subject: &Subject, statement: &Statement, verdict: &Verdict) -> AccessReport {
    let decision = verdict.decision();
    let named = explain_access(&state.snapshot, statement, subject, Audience::Operator);
    let mut names: Vec<String> = decision.tables.iter().map(|decided| decided.table.to_string()).collect();
    names.extend(named.tables.into_iter().map(|table| table.table));
    names.extend(decision.system_tables.iter().map(|name| format!("{SYSTEM_DOMAIN}.{name}")));
    names.sort();
    names.dedup();
    AccessReport {
        statement: statement.redacted(),
        principal: subject.principal.id.clone(),
        purpose: subject.context.purpose.clone(),
        decision: match verdict {
            Verdict::Permit(..) => "permitted",
            Verdict::Deny(_) => "denied",
            Verdict::Undecided(_) => "undecided",
        }
        .to_owned(),
        reason: decision.reason.as_ref().map(ToString::to_string),
        policy_version: decision.policy_version.clone(),
        tables: names.iter().filter_map(|name| table(state, subject, name)).collect(),
    }
}

/// What is decided about one table, by its name (`domain.table`), whether the subject may discover it or not.
fn table(state: &State, subject: &Subject, name: &str) -> Option<TableReport> {
    let (domain, short) = name.split_once('.')?;
    if domain == SYSTEM_DOMAIN {
        return system(state, subject, short);
    }
    let table = state.snapshot.catalogue().resolve(domain, short)?;
    of_decision(state, subject, &state.snapshot.decide(subject, table))
}

fn of_decision(state: &State, subject: &Subject, decision: &TableDecision) -> Option<TableReport> {
    let grants = would_grant(&state.snapshot, subject, decision, Audience::Operator);
    let table = state.snapshot.catalogue().resolve(&decision.table.domain, &decision.table.table)?;
    let columns = decision.columns.iter().zip(grants.columns).filter_map(|(column, would_grant)| {
        let field = table.field(&column.name)?;
        Some(ColumnReport {
            name: column.name.clone(),
            data_type: field.data_type.to_string(),
            disclosure: column.disclosure.as_str().to_owned(),
            policies: column.policies.to_vec(),
            forbidden_by: column.forbidden_by.to_vec(),
            contract_masking: column.contract_masking.map(|masking| masking.as_str().to_owned()),
            would_grant,
            position: field.position.to_string(),
        })
    });
    Some(TableReport {
        name: table.name.to_string(),
        contract: table.contract.file.to_string(),
        version: table.contract.version.to_string(),
        discover: decision.discover.allowed,
        discover_policies: decision.discover.policies.clone(),
        query: decision.query.allowed,
        query_policies: decision.query.policies.clone(),
        unmet: decision.query.unmet.as_ref().map(ToString::to_string),
        break_glass: decision.break_glass.as_ref().map(|access| access.allowed),
        break_glass_policies: decision.break_glass.iter().flat_map(|access| access.policies.clone()).collect(),
        notice: decision.notice.allowed,
        aggregates: decision.aggregation.as_ref().map(aggregates),
        would_grant_query: grants.query,
        filter: decision.filter.expr.is_some().then(|| decision.filter.text()),
        filter_permits: decision.filter.permits.clone(),
        filter_forbids: decision.filter.forbids.clone(),
        would_grant_rows: grants.rows,
        columns: columns.collect(),
        undecided: decision.undecided.clone(),
    })
}

/// A table of `system` has no contract, no row filter and no masks: its rows are made for the subject.
fn system(state: &State, subject: &Subject, name: &str) -> Option<TableReport> {
    let decision = state.snapshot.decide_named(subject, &format!("{SYSTEM_DOMAIN}.{name}"))?;
    let grants = would_grant(&state.snapshot, subject, &decision, Audience::Operator);
    Some(TableReport {
        name: decision.table.to_string(),
        contract: String::new(),
        version: String::new(),
        discover: decision.discover.allowed,
        discover_policies: decision.discover.policies.clone(),
        query: decision.query.allowed,
        query_policies: decision.query.policies.clone(),
        unmet: None,
        break_glass: None,
        break_glass_policies: Vec::new(),
        notice: false,
        aggregates: None,
        would_grant_query: grants.query,
        filter: None,
        filter_permits: Vec::new(),
        filter_forbids: Vec::new(),
        would_grant_rows: None,
        columns: Vec::new(),
        undecided: decision.undecided.clone(),
    })
}
