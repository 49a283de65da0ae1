//! All contracts and connections together: which tables are served under which names.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::connection::Connection;
use crate::finding::{Finding, SourceFile};
use crate::model::{Contract, Table};

/// The tables, contracts, connections and findings of a mesh directory. Immutable.
#[derive(Debug, Clone, Default)]
pub struct Catalogue {
    tables: Vec<Arc<Table>>,
    names: BTreeMap<(String, String), Arc<Table>>,
    contracts: Vec<Arc<Contract>>,
    connections: BTreeMap<String, Arc<Connection>>,
    findings: Vec<Finding>,
    fingerprint: String,
}

impl Catalogue {
    /// Reads contracts and connections. What is wrong is in [`Catalogue::findings`]; a contract with errors is
    /// withheld, and only it.
    pub fn build(_contracts: &[SourceFile], _connections: Option<&SourceFile>) -> Catalogue {
        Catalogue::default()
    }

    /// The tables served, sorted by name.
    pub fn tables(&self) -> impl Iterator<Item = &Arc<Table>> {
        self.tables.iter()
    }

    /// The table of this name or alias. Names are compared exactly: mangled names are lower case.
    pub fn resolve(&self, domain: &str, table: &str) -> Option<&Arc<Table>> {
        self.names.get(&(domain.to_owned(), table.to_owned()))
    }

    /// The contracts without errors, sorted by file.
    pub fn contracts(&self) -> &[Arc<Contract>] {
        &self.contracts
    }

    /// The connections without errors, sorted by name.
    pub fn connections(&self) -> impl Iterator<Item = &Arc<Connection>> {
        self.connections.values()
    }

    /// What is wrong, sorted by place.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// A text that changes whenever one of the files does.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }
}
