//! SQL names: mangling, pinned majors, collisions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::withheld::Withheld;
use crate::finding::{Finding, Position};
use crate::manifest::domain_of_path;
use crate::model::{Contract, OutputPort, PortKind, Status, Table, TableName};

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
    let directory = strange_place(&contract.file, &mangle(&contract.domain))?;
    let message = format!("contract of domain `{}` lies in the directory of `{directory}`", contract.domain);
    let finding = Finding::warning("contract-domain-directory", Position::file(contract.file.clone()), message);
    Some(finding.with_hint(format!("move it to `catalogs/{}/`", contract.domain)))
}

/// The directory of a file, where it is not that of this (mangled) domain.
pub(super) fn strange_place<'a>(file: &'a Arc<str>, domain: &str) -> Option<&'a str> {
    domain_of_path(file).filter(|directory| mangle(directory) != domain)
}

/// Gives tables their names and aliases. Where two contracts claim a name, neither gets it, unless one of them lies in
/// its domain's own directory and the other does not: a stranger must not be able to take a name away. Contracts that
/// lose are withheld as a whole. What is `broken` keeps its names: nobody inherits them while it is repaired.
pub(super) fn assign(
    mut tables: Vec<Table>,
    withheld: &mut BTreeSet<Arc<str>>,
    broken: &[Withheld],
) -> (Vec<Table>, Vec<Finding>) {
    let mut findings = Vec::new();
    for table in &tables {
        findings.extend(taken_by_broken(table, broken));
        findings.extend(ambiguous_with_broken(table, broken));
    }
    withheld.extend(findings.iter().map(|finding: &Finding| finding.position.file.clone()));
    let everything: Vec<Table> = tables.clone();
    // Each round withholds at least one contract, so this ends.
    loop {
        tables.retain(|table| !withheld.contains(&table.contract.file));
        let gone = everything.iter().filter(|t| withheld.contains(&t.contract.file));
        let held: Vec<&Table> = gone.filter(|table| strange_directory(&table.contract).is_none()).collect();
        name_majors(&mut tables, &held, broken);
        let mut losers = collisions(&tables, &mut findings);
        losers.extend(ambiguous(&tables, &mut findings));
        if losers.is_empty() {
            return (tables, findings);
        }
        withheld.extend(losers);
    }
}

/// Domains of SQL names that are the gateway's own.
const RESERVED: [&str; 2] = ["information_schema", "system"];

/// A contract of a domain that no contract may have.
pub(super) fn reserved_domain(contract: &Contract) -> Option<Finding> {
    let domain = mangle(&contract.domain);
    let reserved = RESERVED.contains(&domain.as_str());
    let message = format!("the domain `{domain}` is the gateway's own");
    let finding = Finding::error("contract-reserved-domain", Position::file(contract.file.clone()), message);
    reserved.then(|| finding.with_hint("give the domain another name"))
}

/// A table that lies in another domain's directory and has the name and major of a broken contract in its own.
fn taken_by_broken(table: &Table, broken: &[Withheld]) -> Option<Finding> {
    strange_directory(&table.contract)?;
    let bare = bare_of(table);
    let other = broken.iter().find(|other| other.holds(&bare) == Some(table.contract.version.major))?;
    let message = format!("table `{bare}` is declared by `{}` as well", other.file());
    let finding = Finding::error("contract-duplicate-table", table.port.position.clone(), message);
    Some(finding.with_hint("give one of them another name, port name or major version"))
}

/// Reports tables of different domains whose names read alike in policies, where domain and table are joined with `_`:
/// `a.b_c` and `a_b.c`. Neither is served, so that no policy begins to apply to what it was not written for.
fn ambiguous(tables: &[Table], findings: &mut Vec<Finding>) -> BTreeSet<Arc<str>> {
    let mut claims: BTreeMap<String, Vec<&Table>> = BTreeMap::new();
    for table in tables {
        claims.entry(table.name.in_policies()).or_default().push(table);
    }
    let mut losers = BTreeSet::new();
    for claimants in claims.values() {
        for table in claimants {
            let Some(other) = claimants.iter().find(|other| other.name.domain != table.name.domain) else { continue };
            losers.insert(table.contract.file.clone());
            findings.push(reads_alike(table, &format!("table `{}` of `{}`", other.name, other.contract.file)));
        }
    }
    losers
}

/// The same, with a table of another domain that is being repaired: it keeps its policies.
fn ambiguous_with_broken(table: &Table, broken: &[Withheld]) -> Option<Finding> {
    let name = bare_of(table).in_policies();
    let other = broken.iter().find(|other| other.reads_alike(&name, &table.name.domain))?;
    Some(reads_alike(table, &format!("a table of `{}`", other.file())))
}

fn reads_alike(table: &Table, other: &str) -> Finding {
    let message =
        format!("table `{}` and {other} would both be `Row::{}` in policies", table.name, table.name.in_policies());
    let finding = Finding::error("contract-ambiguous-name", table.port.position.clone(), message);
    finding.with_hint("rename one of them: domain and table are joined with `_`")
}

fn bare_of(table: &Table) -> TableName {
    let tables = table.contract.output_ports.iter();
    let ports = tables.filter(|port| matches!(port.kind, PortKind::Table(_))).count();
    bare(&table.contract, &table.port, ports)
}

/// The newest major that is active has the bare name, also while it is withheld; each major has a pinned one. A name
/// belongs to the contracts in the domain's own directory: one that lies elsewhere never has it beside them, however
/// new it calls itself.
fn name_majors(tables: &mut [Table], held: &[&Table], broken: &[Withheld]) {
    let at_home = |table: &&Table| strange_directory(&table.contract).is_none();
    let native: BTreeSet<TableName> = tables.iter().chain(held.iter().copied()).filter(at_home).map(bare_of).collect();
    let owned = |bare: &TableName| native.contains(bare) || broken.iter().any(|other| other.owns(bare));
    let may_have =
        |table: &Table| table.contract.status == Status::Active && (at_home(&table) || !owned(&bare_of(table)));
    let mut newest: BTreeMap<TableName, u32> = BTreeMap::new();
    for table in tables.iter().chain(held.iter().copied()).filter(|table| may_have(table)) {
        let bare = bare_of(table);
        let held = broken.iter().filter_map(|other| other.holds(&bare)).max().unwrap_or_default();
        let major = newest.entry(bare).or_default();
        *major = table.contract.version.major.max(*major).max(held);
    }
    for table in tables {
        let bare = bare_of(table);
        let major = table.contract.version.major;
        let pinned = format!("{}_v{major}", bare.table);
        let has_bare = may_have(table) && newest.get(&bare) == Some(&major);
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
