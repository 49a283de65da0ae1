//! Why a subject sees what it sees: access, filter and masks of each table of a statement, with the policies and the
//! contract lines behind them, and what would grant more. Never a value of the data.

mod grants;

#[cfg(test)]
mod tests;

use portcullis_contract::{Aggregation, Masking, Position, Table};

use crate::plan::{CATALOGUE, INFORMATION_SCHEMA};
use crate::policy::{Access, ColumnDecision, Disclosure, PolicySnapshot, Subject, TableAction, TableDecision};
use crate::sql::Statement;

use grants::Grants;
pub use grants::WouldGrant;

/// Whoever may discover this table may know which policies there are, what they say, and which groups.
const POLICIES: &str = "system.policies";

/// Whom a report is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// The subject itself: what it may not discover is not there, and unless it may discover `system.policies`, policies
    /// and groups have no names and filters no text.
    Subject,
    /// Whoever runs the gateway: hidden tables and denied columns are listed as such.
    Operator,
}

/// What one subject may do with the tables of one statement.
#[derive(Debug, Clone, PartialEq)]
pub struct AccessReport {
    /// Tables that the statement names, by name.
    pub tables: Vec<TableReport>,
    /// Names with a domain that are no table, or none for this audience.
    pub not_found: Vec<String>,
}

/// What a subject may do with one table.
#[derive(Debug, Clone, PartialEq)]
pub struct TableReport {
    /// `domain.table`.
    pub table: String,
    /// Where the contract is; empty for tables of `system`.
    pub contract: String,
    /// Whether the table exists for the subject.
    pub discover: Access,
    /// Whether it may be queried.
    pub query: Access,
    /// Whether the glass is broken; `None` where the session does not ask for it.
    pub break_glass: Option<Access>,
    /// Whether the subject is told of what is held back.
    pub notice: Access,
    /// What would let it be queried, where it may not.
    pub would_grant_query: Option<String>,
    /// The row filter as text: `all rows`, `no rows`, or a condition; `filtered` where it may not be told.
    pub filter: String,
    /// The smallest group, where only aggregates may be seen.
    pub aggregation: Option<Aggregation>,
    /// Policies that let rows through.
    pub filter_permits: Vec<String>,
    /// Policies that hold rows back.
    pub filter_forbids: Vec<String>,
    /// What would show more rows, where not all are.
    pub would_grant_rows: Option<String>,
    /// Columns in the contract's order.
    pub columns: Vec<ColumnReport>,
    /// Why nothing could be decided, if so.
    pub undecided: Option<String>,
}

/// What a subject sees of one column.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnReport {
    /// Name.
    pub column: String,
    /// What is shown.
    pub disclosure: Disclosure,
    /// Policies that granted it.
    pub policies: Vec<String>,
    /// Policies that forbid more.
    pub forbidden_by: Vec<String>,
    /// The contract's ceiling where it decided.
    pub contract: Option<Masking>,
    /// Where the contract declares the column.
    pub position: Position,
    /// What would show more of it, where it is not clear.
    pub would_grant: Option<String>,
}

/// What would grant a subject more of a table than it has.
pub fn would_grant(
    snapshot: &PolicySnapshot,
    subject: &Subject,
    decision: &TableDecision,
    audience: Audience,
) -> WouldGrant {
    Grants::new(snapshot, subject, knows_policies(snapshot, subject, audience)).of(decision)
}

fn knows_policies(snapshot: &PolicySnapshot, subject: &Subject, audience: Audience) -> bool {
    audience == Audience::Operator || snapshot.may(subject, TableAction::Discover, POLICIES).allowed
}

/// Reports about a statement's tables.
pub fn explain_access(
    snapshot: &PolicySnapshot,
    statement: &Statement,
    subject: &Subject,
    audience: Audience,
) -> AccessReport {
    let knows_policies = knows_policies(snapshot, subject, audience);
    let grants = Grants::new(snapshot, subject, knows_policies);
    let mut report = AccessReport { tables: Vec::new(), not_found: Vec::new() };
    for parts in statement.relations() {
        let (domain, name) = match parts.as_slice() {
            [domain, name] => (domain, name),
            [catalogue, domain, name] if catalogue == CATALOGUE => (domain, name),
            // A name without a domain is a common table expression, or nothing.
            _ => continue,
        };
        if domain == INFORMATION_SCHEMA {
            continue;
        }
        let table = snapshot.catalogue().resolve(domain, name);
        let decision = match table {
            Some(table) => Some(snapshot.decide(subject, table)),
            None => snapshot.decide_named(subject, &format!("{domain}.{name}")),
        };
        match decision {
            Some(decision) if decision.discover.allowed || audience == Audience::Operator => {
                let mut found = table_report(table.map(AsRef::as_ref), &decision, &grants.of(&decision), audience);
                if !knows_policies {
                    found.withhold_policies();
                }
                report.tables.push(found);
            }
            _ => report.not_found.push(format!("{domain}.{name}")),
        }
    }
    report.tables.sort_by(|a, b| a.table.cmp(&b.table));
    report.tables.dedup_by(|a, b| a.table == b.table);
    report
}

fn table_report(
    table: Option<&Table>,
    decision: &TableDecision,
    grants: &WouldGrant,
    audience: Audience,
) -> TableReport {
    let place = |table: &Table| format!("{}:{}", table.port.position.file, table.port.position.line);
    let shown = |column: &ColumnDecision| audience == Audience::Operator || column.disclosure != Disclosure::Denied;
    let columns = decision.columns.iter().zip(&grants.columns).filter(|(column, _)| shown(column));
    TableReport {
        table: decision.table.to_string(),
        contract: table.map(place).unwrap_or_default(),
        discover: decision.discover.clone(),
        query: decision.query.clone(),
        break_glass: decision.break_glass.clone(),
        notice: decision.notice.clone(),
        would_grant_query: grants.query.clone(),
        filter: decision.filter.text(),
        aggregation: decision.aggregation.clone(),
        filter_permits: decision.filter.permits.clone(),
        filter_forbids: decision.filter.forbids.clone(),
        would_grant_rows: grants.rows.clone(),
        columns: columns.filter_map(|(column, more)| column_report(table?, column, more.clone())).collect(),
        undecided: decision.undecided.clone(),
    }
}

fn column_report(table: &Table, column: &ColumnDecision, would_grant: Option<String>) -> Option<ColumnReport> {
    Some(ColumnReport {
        column: column.name.clone(),
        disclosure: column.disclosure,
        policies: column.policies.to_vec(),
        forbidden_by: column.forbidden_by.to_vec(),
        contract: column.contract_masking,
        position: table.field(&column.name)?.position.clone(),
        would_grant,
    })
}

impl TableReport {
    /// Leaves out policies' names and what they say.
    fn withhold_policies(&mut self) {
        let ids =
            [&mut self.discover.policies, &mut self.query.policies, &mut self.filter_permits, &mut self.filter_forbids];
        let kinds = self.break_glass.iter_mut().chain([&mut self.notice]).map(|access| &mut access.policies);
        let of_columns = self.columns.iter_mut().flat_map(|column| [&mut column.policies, &mut column.forbidden_by]);
        ids.into_iter().chain(kinds).chain(of_columns).for_each(Vec::clear);
        if !matches!(self.filter.as_str(), "all rows" | "no rows") {
            self.filter = "filtered".to_owned();
        }
        self.undecided = self.undecided.take().map(|_| "no decision could be reached".to_owned());
    }
}
