//! All contracts and connections together: which tables are served under which names.

mod names;
mod sources;
mod withheld;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::connection::{self, Connection};
use crate::finding::{Finding, SourceFile};
use crate::manifest;
use crate::model::{Contract, PortKind, Table, TableName};
use sources::Sources;
pub use withheld::Withheld;

/// The tables, contracts, connections and findings of a mesh directory. Immutable.
#[derive(Debug, Clone, Default)]
pub struct Catalogue {
    tables: BTreeMap<TableName, Arc<Table>>,
    aliases: BTreeMap<TableName, TableName>,
    contracts: Vec<Arc<Contract>>,
    connections: BTreeMap<String, Arc<Connection>>,
    withheld: Vec<Withheld>,
    findings: Vec<Finding>,
    fingerprint: String,
}

impl Catalogue {
    /// Reads contracts and connections. What is wrong is in [`Catalogue::findings`]; a contract with errors is
    /// withheld, and only it.
    pub fn build(contracts: &[SourceFile], connections: Option<&SourceFile>) -> Catalogue {
        Catalogue::build_with(contracts, connections, &[])
    }

    /// [`Catalogue::build`], where some files or directories of contracts are there but could not be read: whoever read
    /// them has reported that; here they count as withheld.
    pub fn build_with(contracts: &[SourceFile], connections: Option<&SourceFile>, unreadable: &[String]) -> Catalogue {
        let mut files: Vec<&SourceFile> = contracts.iter().collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let mut findings = Vec::new();
        let (entries, connection_findings) = connections.map(connection::read::read).unwrap_or_default();
        findings.extend(connection_findings);
        let sources = Sources::new(entries, connections.map(|file| file.path.as_str()));
        let mut read = Vec::with_capacity(files.len());
        let mut broken: Vec<Withheld> = unreadable.iter().map(|path| Withheld::unreadable(path)).collect();
        for file in &files {
            let (contract, own) = manifest::read(file);
            findings.extend(own);
            match contract {
                Some(contract) => read.push(Arc::new(contract)),
                None => broken.push(Withheld::of_text(file)),
            }
        }
        findings.extend(read.iter().filter_map(|contract| names::strange_directory(contract)));
        let text = |path: &str| files.iter().find(|file| file.path == path).map_or("", |file| file.text.as_str());
        let mut withheld: BTreeSet<Arc<str>> = BTreeSet::new();
        let mut candidates = Vec::new();
        for contract in &read {
            match names::reserved_domain(contract).map_or_else(|| tables(contract, &sources), |error| Err(vec![error]))
            {
                Ok(tables) => candidates.extend(tables),
                Err(errors) => {
                    withheld.insert(contract.file.clone());
                    broken.push(Withheld::of_contract(contract, text(&contract.file)));
                    findings.extend(errors);
                }
            }
        }
        let (tables, collisions) = names::assign(candidates, &mut withheld, &broken);
        findings.extend(collisions);
        findings.sort_by(|a, b| (&a.position, a.level, a.code).cmp(&(&b.position, b.level, b.code)));
        let known: BTreeSet<Arc<str>> = broken.iter().map(|withheld| withheld.file().clone()).collect();
        let collided = read.iter().filter(|c| withheld.contains(&c.file) && !known.contains(&c.file));
        broken.extend(collided.map(|contract| Withheld::of_contract(contract, text(&contract.file))));
        let mut broken: Vec<Withheld> = broken.into_iter().map(|withheld| withheld.placed(&findings)).collect();
        broken.sort_by(|a, b| a.file().cmp(b.file()));
        let aliases = tables.iter().flat_map(|table| {
            let alias = |alias: &String| TableName { domain: table.name.domain.clone(), table: alias.clone() };
            table.aliases.iter().map(alias).map(|alias| (alias, table.name.clone()))
        });
        Catalogue {
            aliases: aliases.collect(),
            tables: tables.into_iter().map(|table| (table.name.clone(), Arc::new(table))).collect(),
            contracts: read.into_iter().filter(|contract| !withheld.contains(&contract.file)).collect(),
            connections: sources.into_connections(),
            withheld: broken,
            findings,
            fingerprint: fingerprint(&files, connections, unreadable),
        }
    }

    /// The tables served, sorted by name.
    pub fn tables(&self) -> impl Iterator<Item = &Arc<Table>> {
        self.tables.values()
    }

    /// The table of this name or alias. Names are compared exactly: mangled names are lower case.
    pub fn resolve(&self, domain: &str, table: &str) -> Option<&Arc<Table>> {
        let name = TableName { domain: domain.to_owned(), table: table.to_owned() };
        self.tables.get(&name).or_else(|| self.tables.get(self.aliases.get(&name)?))
    }

    /// The contracts without errors, sorted by file.
    pub fn contracts(&self) -> &[Arc<Contract>] {
        &self.contracts
    }

    /// The contracts with errors, sorted by file.
    pub fn withheld(&self) -> &[Withheld] {
        &self.withheld
    }

    /// The connections without errors, sorted by name.
    pub fn connections(&self) -> impl Iterator<Item = &Arc<Connection>> {
        self.connections.values()
    }

    /// What is wrong, sorted by place.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// A text that changes whenever one of the files does: 64 hexadecimal digits.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }
}

/// The tables of a contract, still under their bare names.
fn tables(contract: &Arc<Contract>, sources: &Sources) -> Result<Vec<Table>, Vec<Finding>> {
    let ports: Vec<_> = contract.output_ports.iter().filter(|p| matches!(p.kind, PortKind::Table(_))).collect();
    let mut tables = Vec::with_capacity(ports.len());
    let mut errors = Vec::new();
    for port in &ports {
        let PortKind::Table(format) = port.kind else { continue };
        match sources.resolve(contract, port) {
            Ok(source) => tables.push(Table {
                name: names::bare(contract, port, ports.len()),
                aliases: Vec::new(),
                contract: contract.clone(),
                port: (*port).clone(),
                format,
                source,
            }),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(tables) } else { Err(errors) }
}

fn fingerprint(contracts: &[&SourceFile], connections: Option<&SourceFile>, unreadable: &[String]) -> String {
    let mut hasher = blake3::Hasher::new();
    for file in contracts.iter().copied().chain(connections) {
        for text in [&file.path, &file.text] {
            // The length in front keeps `a`+`bc` apart from `ab`+`c`.
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        }
    }
    for path in unreadable {
        hasher.update(path.as_bytes());
        hasher.update(&[0]);
    }
    hasher.finalize().to_hex().to_string()
}

#[cfg(test)]
mod tests;
