//! SQL names: mangling, pinned majors, collisions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::finding::{Finding, Position};
use crate::manifest::domain_of_path;
use crate::model::{Contract, OutputPort, Status, Table, TableName};

/// A name in SQL: lower case, and `_` for whatever is not of `[a-z0-9_]`.
pub(super) fn mangle(name: &str) -> String {
    let fit = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
    name.trim().chars().map(fit).collect()
}

/// The product's name, with the port's where the product has several table ports.
pub(super) fn bare(contract: &Contract, port: &OutputPort, ports: usize) -> TableName {
    let product = mangle(&contract.name);
    let table = if ports > 1 { format!("{product}_{}", mangle(&port.name)) } else { product };
    TableName { domain: mangle(&contract.domain), table }
}

/// A contract that lies in another domain's directory.
pub(super) fn strange_directory(contract: &Contract) -> Option<Finding> {
    let directory = domain_of_path(&contract.file)?;
    if mangle(directory) == mangle(&contract.domain) {
        return None;
    }
    let message = format!("contract of domain `{}` lies in the directory of `{directory}`", contract.domain);
    let finding = Finding::warning("contract-domain-directory", Position::file(contract.file.clone()), message);
    Some(finding.with_hint(format!("move it to `catalogs/{}/`", contract.domain)))
}

/// Gives tables their names and aliases. Where two contracts claim a name, neither gets it, unless one of them lies in
/// its domain's own directory and the other does not: a stranger must not be able to take a name away. Contracts that
/// lose are withheld as a whole.
pub(super) fn assign(mut tables: Vec<Table>, withheld: &mut BTreeSet<Arc<str>>) -> (Vec<Table>, Vec<Finding>) {
    let mut findings = Vec::new();
    // Each round withholds at least one contract, so this ends; survivors may then inherit a bare name.
    loop {
        tables.retain(|table| !withheld.contains(&table.contract.file));
        name_majors(&mut tables);
        let losers = collisions(&tables, &mut findings);
        if losers.is_empty() {
            return (tables, findings);
        }
        withheld.extend(losers);
    }
}

/// The newest major that is active has the bare name; each major has a pinned one.
fn name_majors(tables: &mut [Table]) {
    let bare_of = |table: &Table| {
        let tables = table.contract.output_ports.iter();
        let ports = tables.filter(|port| matches!(port.kind, crate::model::PortKind::Table(_))).count();
        bare(&table.contract, &table.port, ports)
    };
    let mut newest: BTreeMap<TableName, u32> = BTreeMap::new();
    for table in tables.iter().filter(|table| table.contract.status == Status::Active) {
        let major = newest.entry(bare_of(table)).or_default();
        *major = table.contract.version.major.max(*major);
    }
    for table in tables {
        let bare = bare_of(table);
        let major = table.contract.version.major;
        let pinned = format!("{}_v{major}", bare.table);
        let has_bare = table.contract.status == Status::Active && newest.get(&bare) == Some(&major);
        // A product that is called `orders_v1` in its version 1 is pinned by its own name already.
        let pins_itself = bare.table.ends_with(&format!("_v{major}"));
        table.aliases = if has_bare && !pins_itself { vec![pinned.clone()] } else { Vec::new() };
        table.name = if has_bare || pins_itself { bare } else { TableName { table: pinned, ..bare } };
    }
}

/// Reports each name that several contracts claim, and says which of them lose it.
fn collisions(tables: &[Table], findings: &mut Vec<Finding>) -> BTreeSet<Arc<str>> {
    let mut claims: BTreeMap<(&str, &str), Vec<&Table>> = BTreeMap::new();
    for table in tables {
        for name in table.aliases.iter().chain([&table.name.table]) {
            claims.entry((&table.name.domain, name)).or_default().push(table);
        }
    }
    let mut losers = BTreeSet::new();
    let mut reported: BTreeSet<(&str, &str)> = BTreeSet::new();
    for ((domain, name), claimants) in claims {
        let at_home = |table: &Table| strange_directory(&table.contract).is_none();
        let native = claimants.iter().filter(|table| at_home(table)).count();
        for (index, table) in claimants.iter().enumerate() {
            let other = if index == 0 { claimants.get(1) } else { claimants.first() };
            let Some(other) = other else { continue };
            if native == 1 && at_home(table) {
                continue;
            }
            losers.insert(table.contract.file.clone());
            // The bare name and the pinned one collide together: one finding for each pair is enough.
            if reported.insert((&table.contract.file, &other.contract.file)) {
                let message = format!("table `{domain}.{name}` is declared by `{}` as well", other.contract.file);
                let finding = Finding::error("contract-duplicate-table", table.port.position.clone(), message);
                findings.push(finding.with_hint("give one of them another name, port name or major version"));
            }
        }
    }
    losers
}
