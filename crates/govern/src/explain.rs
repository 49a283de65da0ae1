//! Why a subject sees what it sees: access, filter and masks of each table of a statement, with the policies and the
//! contract lines behind them. Never a value of the data.

use std::fmt;

use portcullis_contract::{Aggregation, Masking, Position, Table};

use crate::plan::CATALOGUE;
use crate::policy::matrix::aggregates;
use crate::policy::{Access, ColumnDecision, Disclosure, PolicySnapshot, Subject, TableDecision};
use crate::sql::Statement;

/// Whom a report is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// The subject itself: what it may not discover is not there.
    Subject,
    /// Whoever runs the gateway: hidden tables and denied columns are listed as such.
    Operator,
}

/// What one subject may do with the tables of one statement.
#[derive(Debug, Clone, PartialEq)]
pub struct AccessReport {
    /// Id of the principal.
    pub principal: String,
    /// The purpose declared, if any.
    pub purpose: Option<String>,
    /// The policy snapshot that was asked.
    pub policy_version: String,
    /// Tables of the mesh that the statement names, by name.
    pub tables: Vec<TableReport>,
    /// Names with a domain that are no table, or none for this audience.
    pub not_found: Vec<String>,
}

/// What a subject may do with one table.
#[derive(Debug, Clone, PartialEq)]
pub struct TableReport {
    /// `domain.table`.
    pub table: String,
    /// Where the contract is.
    pub contract: String,
    /// Whether the table exists for the subject.
    pub discover: Access,
    /// Whether it may be queried.
    pub query: Access,
    /// Whether the glass is broken; `None` where the session does not ask for it.
    pub break_glass: Option<Access>,
    /// Whether the subject is told of what is held back.
    pub notice: Access,
    /// The row filter as text: `all rows`, `no rows`, or a condition.
    pub filter: String,
    /// The smallest group, where only aggregates may be seen.
    pub aggregation: Option<Aggregation>,
    /// Policies that let rows through.
    pub filter_permits: Vec<String>,
    /// Policies that hold rows back.
    pub filter_forbids: Vec<String>,
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
    /// The contract's ceiling where it decided, with its place.
    pub contract: Option<(Masking, Position)>,
}

/// Reports to the subject itself.
pub fn explain_access(snapshot: &PolicySnapshot, statement: &Statement, subject: &Subject) -> AccessReport {
    explain_access_to(snapshot, statement, subject, Audience::Subject)
}

/// Reports to `audience`.
pub fn explain_access_to(
    snapshot: &PolicySnapshot,
    statement: &Statement,
    subject: &Subject,
    audience: Audience,
) -> AccessReport {
    let mut report = AccessReport {
        principal: subject.principal.id.clone(),
        purpose: subject.context.purpose.clone(),
        policy_version: snapshot.version().to_string(),
        tables: Vec::new(),
        not_found: Vec::new(),
    };
    for parts in statement.relations() {
        let (domain, name) = match parts.as_slice() {
            [domain, name] => (domain, name),
            [catalogue, domain, name] if catalogue == CATALOGUE => (domain, name),
            // A name without a domain is a common table expression, or nothing.
            _ => continue,
        };
        let found = snapshot.catalogue().resolve(domain, name).map(|table| (table, snapshot.decide(subject, table)));
        match found {
            Some((table, decision)) if decision.discover.allowed || audience == Audience::Operator => {
                report.tables.push(table_report(table, &decision, audience));
            }
            _ => report.not_found.push(format!("{domain}.{name}")),
        }
    }
    report.tables.sort_by(|a, b| a.table.cmp(&b.table));
    report.tables.dedup_by(|a, b| a.table == b.table);
    report
}

fn table_report(table: &Table, decision: &TableDecision, audience: Audience) -> TableReport {
    let shown = |column: &&ColumnDecision| audience == Audience::Operator || column.disclosure != Disclosure::Denied;
    TableReport {
        table: table.name.to_string(),
        contract: format!("{}:{}", table.port.position.file, table.port.position.line),
        discover: decision.discover.clone(),
        query: decision.query.clone(),
        break_glass: decision.break_glass.clone(),
        notice: decision.notice.clone(),
        filter: decision.filter.text(),
        aggregation: decision.aggregation.clone(),
        filter_permits: decision.filter.permits.clone(),
        filter_forbids: decision.filter.forbids.clone(),
        columns: decision.columns.iter().filter(shown).map(|column| column_report(table, column)).collect(),
        undecided: decision.undecided.clone(),
    }
}

fn column_report(table: &Table, column: &ColumnDecision) -> ColumnReport {
    let position = || table.field(&column.name).map(|field| field.position.clone());
    ColumnReport {
        column: column.name.clone(),
        disclosure: column.disclosure,
        policies: column.policies.clone(),
        forbidden_by: column.forbidden_by.clone(),
        contract: column.contract_masking.and_then(|masking| Some((masking, position()?))),
    }
}

impl fmt::Display for AccessReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "principal {}", self.principal)?;
        if let Some(purpose) = &self.purpose {
            write!(f, " for {purpose}")?;
        }
        writeln!(f, ", policies {}", self.policy_version)?;
        for table in &self.tables {
            write!(f, "\n{table}")?;
        }
        for name in &self.not_found {
            writeln!(f, "\n{name}: not found")?;
        }
        Ok(())
    }
}

impl fmt::Display for TableReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} ({})", self.table, self.contract)?;
        if let Some(why) = &self.undecided {
            writeln!(f, "  undecided, so denied: {why}")?;
        }
        writeln!(f, "  discover: {}", access(&self.discover))?;
        writeln!(f, "  query:    {}", access(&self.query))?;
        if let Some(broken) = &self.break_glass {
            writeln!(f, "  break-glass: {}", access(broken))?;
        }
        if self.notice.allowed {
            writeln!(f, "  notices:  {}", access(&self.notice))?;
        }
        let why = because(&[("by", &self.filter_permits), ("held back by", &self.filter_forbids)]);
        writeln!(f, "  rows:     {}{why}", self.filter)?;
        if let Some(limit) = &self.aggregation {
            writeln!(f, "  shown as: {}", aggregates(limit))?;
        }
        let width = self.columns.iter().map(|column| column.column.len()).max().unwrap_or_default();
        for column in &self.columns {
            writeln!(f, "  {:width$}  {column}", column.column)?;
        }
        Ok(())
    }
}

impl fmt::Display for ColumnReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = because(&[("by", &self.policies), ("no more because of", &self.forbidden_by)]);
        write!(f, "{:9}{why}", self.disclosure.as_str())?;
        match &self.contract {
            Some((masking, place)) => {
                write!(f, " (contract {}:{} masks it: {})", place.file, place.line, masking.as_str())
            }
            None => Ok(()),
        }
    }
}

fn access(access: &Access) -> String {
    let answer = if access.allowed { "yes" } else { "no" };
    let why = because(&[("by", &access.policies)]);
    match &access.unmet {
        None => format!("{answer}{why}"),
        Some(unmet) => format!("{answer}{why} ({unmet})"),
    }
}

fn because(reasons: &[(&str, &Vec<String>)]) -> String {
    let given = reasons.iter().filter(|(_, ids)| !ids.is_empty());
    given.map(|(word, ids)| format!(" {word} {}", ids.join(", "))).collect::<Vec<_>>().join(",")
}
