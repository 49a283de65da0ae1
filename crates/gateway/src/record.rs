//! From a query and what was decided about it to its record in the audit journal.

use portcullis_audit::{Begin, ColumnAccess, Decision as Decided, TableAccess};
use portcullis_contract::{Catalogue, TableName};
use portcullis_govern::{Decision, Disclosure, Subject, TableDecision};

use crate::session::Session;

/// What a record says of who asks, before anything is known of the statement.
pub(crate) fn begin(query_id: &str, session: &Session, subject: &Subject, policy_version: &str) -> Begin {
    Begin {
        query_id: query_id.to_owned(),
        principal: subject.principal.id.clone(),
        actor: subject.context.actor.clone(),
        groups: subject.principal.groups.iter().cloned().collect(),
        client: session.client().map(|client| client.to_string()),
        authentication: session.authentication().to_owned(),
        credential: session.credential().map(str::to_owned),
        domains: subject.context.domains.clone(),
        purpose: subject.context.purpose.clone(),
        break_glass: subject.context.break_glass.clone(),
        statement: String::new(),
        tables: Vec::new(),
        policy_version: policy_version.to_owned(),
        decision: Decided::Error,
        reason: None,
    }
}

/// Adds what was decided: for each table the columns that the answer depends on, with their masks, and the policies.
pub(crate) fn decided(
    mut record: Begin,
    outcome: Decided,
    decision: &Decision,
    catalogue: &Catalogue,
    snapshots: &[(TableName, String)],
) -> Begin {
    let mut tables: Vec<TableAccess> =
        decision.tables.iter().flat_map(|table| product(table, decision, catalogue, snapshots)).collect();
    tables.extend(decision.system_tables.iter().map(|name| TableAccess {
        name: system_name(name),
        contract_version: None,
        snapshot: None,
        filtered: false,
        aggregates_of: None,
        break_glass: false,
        columns: Vec::new(),
        policies: Vec::new(),
    }));
    tables.sort_by(|one, other| (&one.name, &one.snapshot).cmp(&(&other.name, &other.snapshot)));
    tables.dedup_by(|one, other| (&one.name, &one.snapshot) == (&other.name, &other.snapshot));
    record.tables = tables;
    record.decision = outcome;
    // The message may quote the statement; the kind does not.
    record.reason = decision.reason.as_ref().map(|reason| reason.kind.as_str().to_owned());
    record
}

fn system_name(name: &str) -> String {
    if name.contains('.') { name.to_owned() } else { format!("system.{name}") }
}

/// One access for each snapshot of the table that was pinned, or one without a snapshot.
fn product(
    table: &TableDecision,
    decision: &Decision,
    catalogue: &Catalogue,
    snapshots: &[(TableName, String)],
) -> Vec<TableAccess> {
    let uses = decision.columns.iter().filter(|used| used.table == table.table);
    let columns: Vec<ColumnAccess> = uses
        .filter(|used| used.disclosure != Disclosure::Denied)
        .map(|used| ColumnAccess { name: used.column.clone(), mask: used.disclosure.as_str().to_owned() })
        .collect();
    let used_columns = table.columns.iter().filter(|column| columns.iter().any(|used| used.name == column.name));
    let mut policies: Vec<String> = table.discover.policies.iter().chain(&table.query.policies).cloned().collect();
    policies.extend(table.break_glass.iter().flat_map(|access| access.policies.iter().cloned()));
    policies.extend(table.filter.permits.iter().chain(&table.filter.forbids).cloned());
    policies.extend(used_columns.flat_map(|column| column.policies.iter().chain(column.forbidden_by.iter())).cloned());
    policies.sort();
    policies.dedup();
    let contract = catalogue.resolve(&table.table.domain, &table.table.table).map(|found| &found.contract);
    let access = |snapshot: Option<&String>| TableAccess {
        name: table.table.to_string(),
        contract_version: contract.map(|contract| contract.version.to_string()),
        snapshot: snapshot.cloned(),
        filtered: table.filter.expr.is_some(),
        aggregates_of: table.aggregation.as_ref().map(|limit| limit.at_least),
        break_glass: table.break_glass.as_ref().is_some_and(|access| access.allowed),
        columns: columns.clone(),
        policies: policies.clone(),
    };
    let pinned: Vec<_> = snapshots.iter().filter(|(name, _)| *name == table.table).collect();
    match pinned.is_empty() {
        true => vec![access(None)],
        false => pinned.into_iter().map(|(_, snapshot)| access(Some(snapshot))).collect(),
    }
}
