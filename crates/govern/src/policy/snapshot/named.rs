//! The same decisions about tables by their names, tables of `system` among them, and with other sets of policies: for
//! reviews, which ask what one policy does.

use std::sync::Arc;

use portcullis_contract::{Table, TableName};

use super::PolicySnapshot;
use crate::policy::decide::{Asker, Rules, undecided};
use crate::policy::decision::{RowFilter, TableAction, TableDecision};
use crate::policy::entities::{self, Reason};
use crate::policy::slice::IndexedPolicy;
use crate::policy::subject::Subject;
use crate::policy::vocabulary::{SYSTEM_DOMAIN, SYSTEM_TABLES};

impl PolicySnapshot {
    /// The names of all tables that decisions are made about, tables of `system` last.
    pub fn resources(&self) -> impl Iterator<Item = String> {
        let system = SYSTEM_TABLES.into_iter().map(|name| format!("{SYSTEM_DOMAIN}.{name}"));
        self.tables.keys().cloned().chain(system)
    }

    /// A table of the mesh by its name, `domain.table`.
    pub fn table(&self, name: &str) -> Option<&Arc<Table>> {
        self.tables.get(name).map(|known| &known.policy_table.table)
    }

    /// [`PolicySnapshot::decide`] by name. A table of `system` has no columns here, and all rows for who may query it:
    /// which rows those are is not for policies.
    pub fn decide_named(&self, subject: &Subject, name: &str) -> Option<Arc<TableDecision>> {
        match self.table(name) {
            Some(table) => Some(self.decide(subject, table)),
            None => self.decide_with(&self.policies, subject, name).map(Arc::new),
        }
    }

    /// [`PolicySnapshot::decide_named`] for a subject that nobody is: not remembered.
    pub(crate) fn decide_as_if(&self, subject: &Subject, name: &str) -> Option<TableDecision> {
        self.decide_with(&self.policies, subject, name)
    }

    /// The policies, ready to be decided with, in order of their ids.
    pub(crate) fn indexed(&self) -> &[IndexedPolicy] {
        &self.policies
    }

    /// What these policies would decide, if they were all.
    pub(crate) fn decide_with(
        &self,
        policies: &[IndexedPolicy],
        subject: &Subject,
        name: &str,
    ) -> Option<TableDecision> {
        let asker = Asker::new(Rules { policies, ..self.rules() }, subject);
        if let Some(known) = self.tables.get(name) {
            return Some(match asker {
                Ok(mut asker) => asker.decide(known),
                Err(reason) => undecided(&known.policy_table.table, reason),
            });
        }
        let (domain, table) = name.split_once('.').filter(|(d, t)| *d == SYSTEM_DOMAIN && SYSTEM_TABLES.contains(t))?;
        let table = TableName { domain: domain.to_owned(), table: table.to_owned() };
        Some(asker.and_then(|mut asker| system_decision(&mut asker, table.clone())).unwrap_or_else(|reason| {
            let nothing = TableDecision { undecided: Some(reason), ..open(table) };
            TableDecision { filter: RowFilter::nothing(), ..nothing }
        }))
    }

    /// Whether one policy says anything to a subject about a table: its scope and its conditions hold for the table,
    /// one of its columns, or some of its rows. What errs says something.
    pub(crate) fn reaches(&self, policy: &IndexedPolicy, subject: &Subject, name: &str) -> bool {
        let reached = || -> Result<bool, Reason> {
            let policies = std::slice::from_ref(policy);
            let mut asker = Asker::new(Rules { policies, ..self.rules() }, subject)?;
            match self.tables.get(name) {
                Some(table) => asker.reached(table),
                None => {
                    let entities = entities::system_table(name)?;
                    let mut says = |action| asker.access(action, &entities).map(|access| !access.policies.is_empty());
                    Ok(says(TableAction::Discover)? || says(TableAction::Query)?)
                }
            }
        };
        reached().unwrap_or(true)
    }
}

fn system_decision(asker: &mut Asker<'_>, table: TableName) -> Result<TableDecision, Reason> {
    let entities = entities::system_table(&table.to_string())?;
    let discover = asker.access(TableAction::Discover, &entities)?;
    let query = asker.access(TableAction::Query, &entities)?;
    let decision = TableDecision { discover, ..open(table) };
    let filter = if query.allowed { decision.filter } else { RowFilter::nothing() };
    Ok(TableDecision { query, filter, ..decision })
}

/// A table without columns about which nothing is decided yet.
fn open(table: TableName) -> TableDecision {
    TableDecision {
        table,
        discover: Default::default(),
        query: Default::default(),
        filter: RowFilter { expr: None, permits: Vec::new(), forbids: Vec::new() },
        aggregation: None,
        break_glass: None,
        notice: Default::default(),
        columns: Vec::new(),
        undecided: None,
    }
}
