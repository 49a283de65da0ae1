//! Contracts that are not served because they have errors, and what can still be said about them: whoever refers to
//! one of their tables has not misspelt it.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::names::{mangle, strange_place};
use crate::finding::{Finding, Position, SourceFile};
use crate::manifest::domain_of_path;
use crate::model::{Contract, PortKind, Status, TableName};
use crate::version::Version;
use crate::yaml::{Codes, Node, Reader, Value};

/// A contract with errors: its file, the names that it would give to tables where they can be read, and its words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Withheld {
    position: Position,
    domains: BTreeSet<String>,
    /// Mangled names of the product. The first is the likeliest; empty where none can be read.
    products: Vec<String>,
    ports: Vec<String>,
    major: Option<u32>,
    status: Status,
    text: Arc<str>,
}

impl Withheld {
    /// From the text of a manifest that did not become a contract.
    pub(super) fn of_text(source: &SourceFile) -> Withheld {
        let reader = Reader::new(source.path.as_str(), Codes::new("", "", "", ""));
        let keys = match reader.parse(&source.text) {
            Some(root) => Keys::of_tree(&root),
            None => Keys::of_text(&source.text),
        };
        let path: Arc<str> = source.path.as_str().into();
        let directory = domain_of_path(&path);
        // The directory stands in for a domain that is not written, or not to be trusted because the text is broken.
        let trusted = keys.domain.as_deref().filter(|_| keys.is_tree).or(directory);
        let mut domains: BTreeSet<String> = trusted.into_iter().chain(keys.domain.as_deref()).map(mangle).collect();
        let mut products = Vec::new();
        for name in &keys.names {
            // `orders.order_events` in the domain `orders`, or in none.
            match name.split_once('.') {
                Some((domain, rest)) if domains.contains(&mangle(domain)) => products.push(mangle(rest)),
                Some((domain, rest)) if domains.is_empty() => {
                    domains.insert(mangle(domain));
                    products.push(mangle(rest));
                }
                _ => products.push(mangle(name)),
            }
        }
        let status = match keys.status.as_deref() {
            Some("draft") => Status::Draft,
            Some("deprecated") => Status::Deprecated,
            _ => Status::Active,
        };
        Withheld {
            position: Position::file(path),
            domains,
            products,
            ports: keys.ports.iter().map(|port| mangle(port)).collect(),
            major: keys.version.and_then(|text| text.parse::<Version>().ok()).map(|version| version.major),
            status,
            text: source.text.as_str().into(),
        }
    }

    /// From a contract that was read well, and may not be served all the same.
    pub(super) fn of_contract(contract: &Contract, text: &str) -> Withheld {
        let tables = contract.output_ports.iter().filter(|port| matches!(port.kind, PortKind::Table(_)));
        Withheld {
            position: Position::file(contract.file.clone()),
            domains: BTreeSet::from([mangle(&contract.domain)]),
            products: vec![mangle(&contract.name)],
            ports: tables.map(|port| mangle(&port.name)).collect(),
            major: Some(contract.version.major),
            status: contract.status,
            text: text.into(),
        }
    }

    /// A file, or a whole directory, that could not be read.
    pub(super) fn unreadable(path: &str) -> Withheld {
        let path: Arc<str> = path.into();
        let is_file = [".yaml", ".yml"].iter().any(|ending| path.ends_with(ending));
        let directory = if is_file { domain_of_path(&path) } else { path.rsplit('/').next() };
        Withheld {
            domains: directory.into_iter().map(mangle).collect(),
            products: Vec::new(),
            ports: Vec::new(),
            major: None,
            status: Status::Active,
            text: "".into(),
            position: Position::file(path),
        }
    }

    /// Takes its place from the first error of its file.
    pub(super) fn placed(mut self, findings: &[Finding]) -> Withheld {
        let errors =
            findings.iter().filter(|finding| finding.is_error() && finding.position.file == self.position.file);
        if let Some(first) = errors.map(|finding| &finding.position).min() {
            self.position = first.clone();
        }
        self
    }

    /// The contract's file.
    pub fn file(&self) -> &Arc<str> {
        &self.position.file
    }

    /// The place of its first error.
    pub fn position(&self) -> &Position {
        &self.position
    }

    /// Whether the contract belongs to a domain (mangled), as far as can be told.
    pub fn in_domain(&self, domain: &str) -> bool {
        self.domains.contains(domain)
    }

    /// The domains (mangled) that the contract may belong to: one, unless its text cannot be relied on.
    pub fn domains(&self) -> impl Iterator<Item = &str> {
        self.domains.iter().map(String::as_str)
    }

    /// Whether a table of this name (mangled) may be missing because of this contract. Where the product's name cannot
    /// be read, that is any table of the domain.
    pub fn explains(&self, domain: &str, table: &str) -> bool {
        self.in_domain(domain) && (self.products.is_empty() || self.products.iter().any(|p| self.gives(p, table)))
    }

    /// Whether a table of the contract, as far as its name can be read, has this name in policies, though its domain is
    /// another one than `domain`.
    pub(super) fn reads_alike(&self, name: &str, domain: &str) -> bool {
        let others = self.domains.iter().filter(|own| *own != domain);
        let table = |own: &String| name.strip_prefix(own.as_str())?.strip_prefix('_').map(str::to_owned);
        others.filter_map(table).any(|table| self.products.iter().any(|product| self.gives(product, &table)))
    }

    /// Whether the contract's text has this word: a column or a tag that only it would have.
    pub fn mentions(&self, word: &str) -> bool {
        let part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        !word.is_empty()
            && self.text.match_indices(word).any(|(at, _)| {
                let before = self.text.get(..at).and_then(|text| text.chars().next_back());
                let after = self.text.get(at + word.len()..).and_then(|text| text.chars().next());
                !part(before) && !part(after)
            })
    }

    /// `product`, `product_port`, and both with a pinned major.
    fn gives(&self, product: &str, table: &str) -> bool {
        let Some(rest) = table.strip_prefix(product) else { return false };
        let port = |rest: &str| self.ports.iter().any(|port| rest.strip_prefix('_') == Some(port.as_str()));
        let named = |rest: &str| rest.is_empty() || port(rest);
        named(rest) || rest.rsplit_once("_v").is_some_and(|(rest, major)| is_number(major) && named(rest))
    }

    /// The major version with which the contract holds a bare name. It keeps it while it is withheld, so that policies
    /// for its table never begin to apply to an older version.
    pub(super) fn holds(&self, bare: &TableName) -> Option<u32> {
        self.major.filter(|_| self.status == Status::Active && self.owns(bare))
    }

    /// Whether a bare name is the contract's, in whatever version. A contract in a strange place owns nothing.
    pub(super) fn owns(&self, bare: &TableName) -> bool {
        let rest = self.products.first().and_then(|product| bare.table.strip_prefix(product.as_str()));
        let port = |rest: &str| self.ports.iter().any(|port| rest.strip_prefix('_') == Some(port.as_str()));
        let home = self.in_domain(&bare.domain) && strange_place(self.file(), &bare.domain).is_none();
        home && rest.is_some_and(|rest| rest.is_empty() || port(rest))
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// What names a manifest's tables, read without complaint.
#[derive(Default)]
struct Keys {
    is_tree: bool,
    domain: Option<String>,
    names: Vec<String>,
    ports: Vec<String>,
    version: Option<String>,
    status: Option<String>,
}

impl Keys {
    fn of_tree(root: &Node) -> Keys {
        let places = [key(root, "metadata"), key(root, "spec"), Some(root)];
        let find = |name: &str| places.iter().flatten().find_map(|place| key(place, name));
        let text = |name: &str| find(name).and_then(Node::text).map(ToOwned::to_owned).filter(|text| !text.is_empty());
        let ports = match find("outputPorts").map(|ports| &ports.value) {
            Some(Value::Sequence(ports)) => ports.as_slice(),
            _ => &[],
        };
        let ports = ports.iter().filter_map(|port| key(port, "name")?.text());
        Keys {
            is_tree: true,
            domain: text("domain"),
            names: text("name").into_iter().collect(),
            ports: ports.map(ToOwned::to_owned).collect(),
            version: text("version"),
            status: text("status"),
        }
    }

    /// Where the text is not YAML: whatever looks like a key and a value.
    fn of_text(text: &str) -> Keys {
        let names = values(text, "name:");
        let first = |key: &str| values(text, key).into_iter().next();
        Keys {
            is_tree: false,
            domain: first("domain:"),
            ports: names.clone(),
            names,
            version: first("version:"),
            status: first("status:"),
        }
    }
}

fn key<'a>(node: &'a Node, name: &str) -> Option<&'a Node> {
    let Value::Mapping(entries) = &node.value else { return None };
    entries.iter().find(|entry| entry.key == name).map(|entry| &entry.value)
}

/// What follows each `key:` of a text, up to the end of the line or of the value.
fn values(text: &str, key: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices(key) {
        let before = text.get(..at).and_then(|text| text.chars().next_back());
        if before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.')) {
            continue;
        }
        let line = text.get(at + key.len()..).and_then(|rest| rest.lines().next()).unwrap_or_default();
        let value = line.split([',', '}', ']', '#']).next().unwrap_or_default();
        let value = value.trim().trim_matches(['"', '\'']);
        if value.chars().any(|c| c.is_ascii_alphanumeric()) {
            found.push(value.to_owned());
        }
    }
    found
}
