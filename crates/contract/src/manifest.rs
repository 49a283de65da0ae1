//! A `kind: DataProduct` manifest of either dialect to a [`Contract`].
//!
//! The two dialects name the same things; keys may stand in `metadata`, in `spec` or at the top, each once. Keys that
//! say who sees what are strict: one that is unknown there withholds the contract, because it may be a restriction that
//! somebody misspelt. Elsewhere unknown keys are warnings.

mod fields;
mod ports;
mod sections;

use std::sync::Arc;

use crate::finding::{Finding, Level, Position, SourceFile};
use crate::masking::Classification;
use crate::model::{Contract, Dialect, Status};
use crate::version::Version;
use crate::yaml::{Codes, Mapping, Node, Reader, did_you_mean};

const CODES: Codes =
    Codes::new("contract-syntax", "contract-unknown-key", "contract-missing-key", "contract-bad-value");
const BAD_VALUE: &str = "contract-bad-value";

const STATUSES: [(&str, Status); 3] =
    [("draft", Status::Draft), ("active", Status::Active), ("deprecated", Status::Deprecated)];

/// Reads one manifest. No contract comes out when there is an error.
pub(crate) fn read(source: &SourceFile) -> (Option<Contract>, Vec<Finding>) {
    let reader = Reader::new(source.path.as_str(), CODES);
    let contract = reader.parse(&source.text).and_then(|root| {
        let root = reader.mapping(&root, "manifest")?;
        let dialect = dialect(&root);
        let sections = Sections::new(root);
        let contract = contract(&reader, &sections, dialect);
        sections.finish();
        contract
    });
    let contract = contract.filter(|_| !reader.has_errors());
    (contract, reader.into_findings())
}

fn dialect(root: &Mapping<'_>) -> Option<Dialect> {
    let reader = root.reader();
    let kind = root.require_string("kind");
    if let (Some(kind), Some(node)) = (&kind, root.raw("kind"))
        && kind != "DataProduct"
    {
        let position = reader.position(node);
        let finding = Finding::error("contract-dialect", position, format!("unknown `kind`: `{kind}`"));
        reader.report(finding.with_hint("write `kind: DataProduct`"));
    }
    let version = root.require_string("apiVersion")?;
    let found = Dialect::ALL.into_iter().find(|dialect| dialect.as_str() == version);
    if let (None, Some(node)) = (found, root.raw("apiVersion")) {
        let position = reader.position(node);
        let mut finding = Finding::error("contract-dialect", position, format!("unknown `apiVersion`: `{version}`"));
        finding.hint = did_you_mean(&version, &Dialect::ALL.map(Dialect::as_str));
        reader.report(finding);
    }
    found
}

fn contract(reader: &Reader, sections: &Sections<'_>, dialect: Option<Dialect>) -> Option<Contract> {
    let name = sections.require("name").and_then(|node| identifier(reader, node, "name"));
    let domain = match sections.find("domain") {
        Some(map) => map.get("domain").and_then(|node| identifier(reader, node, "domain")),
        None => Some(domain_of_path(reader.file()).unwrap_or_default().to_owned()),
    };
    let version = sections.require("version").and_then(|node| {
        let text = reader.string(node, "`version`")?;
        let parsed = text.parse::<Version>();
        parsed.map_err(|error| reader.error(node, BAD_VALUE, error.to_string())).ok()
    });
    let metadata = Metadata::read(reader, sections);
    let output_ports = ports::output_ports(sections);
    let input_ports = ports::input_ports(sections);
    let transformation = sections::transformation(sections);
    let expectations = sections::expectations(sections);
    let sla = sections::sla(sections);
    let fields = fields::fields(sections);
    let quality = sections::quality(sections);
    let lineage = sections::lineage(sections);
    let access = sections::access(sections, &fields);
    let (name, domain) = (name?, domain?);
    let (name, domain) = split_name(reader, sections, name, domain)?;
    let contract = Contract {
        file: reader.file().clone(),
        dialect: dialect?,
        name,
        domain,
        version: version?,
        status: metadata.status,
        owner: metadata.owner,
        description: metadata.description,
        classification: metadata.classification,
        tags: metadata.tags,
        input_ports,
        transformation,
        output_ports,
        expectations,
        sla,
        fields,
        quality,
        lineage,
        access,
    };
    fields::check_references(reader, &contract);
    Some(contract)
}

struct Metadata {
    status: Status,
    owner: Option<String>,
    description: Option<String>,
    classification: Classification,
    tags: Vec<String>,
}

impl Metadata {
    fn read(reader: &Reader, sections: &Sections<'_>) -> Metadata {
        let status = sections.find("status").and_then(|map| map.choice("status", &STATUSES));
        let classification = sections.find("classification").and_then(classification);
        for key in ["labels", "annotations"] {
            sections.find(key);
        }
        Metadata {
            status: status.unwrap_or_default(),
            owner: sections.find("owner").and_then(|map| owner(reader, map)),
            description: sections.find("description").and_then(|map| map.string("description")),
            classification: classification.unwrap_or_default(),
            tags: sections.find("tags").map(|map| map.strings("tags")).unwrap_or_default(),
        }
    }
}

fn classification(map: &Mapping<'_>) -> Option<Classification> {
    map.choice("classification", &Classification::ALL.map(|class| (class.as_str(), class)))
}

/// The owner: a text, or a mapping that names a team.
fn owner(reader: &Reader, map: &Mapping<'_>) -> Option<String> {
    let node = map.get("owner")?;
    if node.text().is_some() {
        return reader.string(node, "`owner`");
    }
    let owner = reader.mapping(node, "`owner`")?;
    let names = ["team", "name", "email", "contact", "slack"].map(|key| owner.string(key));
    owner.finish(Level::Warning);
    names.into_iter().flatten().next()
}

/// A name that SQL can refer to after mangling: it has a letter or a digit.
fn identifier(reader: &Reader, node: &Node, key: &str) -> Option<String> {
    let text = reader.string(node, &format!("`{key}`"))?;
    if text.chars().any(|c| c.is_ascii_alphanumeric()) && text.chars().count() <= 128 {
        return Some(text);
    }
    let message =
        format!("`{key}` must have a letter or a digit of `a` to `z`, `0` to `9`, and at most 128 characters");
    reader.error(node, BAD_VALUE, message);
    None
}

/// `orders.order_events` in the domain `orders`, or in none, is `order_events`.
fn split_name(reader: &Reader, sections: &Sections<'_>, name: String, domain: String) -> Option<(String, String)> {
    match name.split_once('.') {
        Some((prefix, rest)) if (prefix == domain || domain.is_empty()) && !rest.is_empty() => {
            Some((rest.to_owned(), prefix.to_owned()))
        }
        _ if domain.is_empty() => {
            reader.error(sections.root.node(), "contract-missing-key", "manifest has no `domain`");
            None
        }
        _ => Some((name, domain)),
    }
}

/// The directory of a contract, which should be its domain: `orders` for `catalogs/orders/x.yaml`.
pub(crate) fn domain_of_path(path: &Arc<str>) -> Option<&str> {
    let mut parts = path.rsplit('/');
    parts.next();
    parts.next().filter(|directory| *directory != "catalogs" && !directory.is_empty())
}

/// The places where a key may stand.
struct Sections<'a> {
    root: Mapping<'a>,
    spec: Option<Mapping<'a>>,
    metadata: Option<Mapping<'a>>,
}

impl<'a> Sections<'a> {
    fn new(root: Mapping<'a>) -> Self {
        let spec = root.mapping("spec", "`spec`");
        let metadata = root.mapping("metadata", "`metadata`");
        Self { root, spec, metadata }
    }

    /// The mapping that has a key. All three count it as known; one that stands in two of them is an error.
    fn find(&self, key: &'static str) -> Option<&Mapping<'a>> {
        let places = [self.metadata.as_ref(), self.spec.as_ref(), Some(&self.root)];
        let found: Vec<&Mapping<'a>> = places.into_iter().flatten().filter(|map| map.get(key).is_some()).collect();
        if let [_, second, ..] = found.as_slice()
            && let Some(node) = second.get(key)
        {
            let message = format!("`{key}` is given in two places");
            self.root.reader().error(node, BAD_VALUE, message);
        }
        found.first().copied()
    }

    fn get(&self, key: &'static str) -> Option<&'a Node> {
        self.find(key).and_then(|map| map.get(key))
    }

    fn require(&self, key: &'static str) -> Option<&'a Node> {
        let found = self.get(key);
        if found.is_none() {
            let place = self.metadata.as_ref().unwrap_or(&self.root);
            place.reader().error(place.node(), "contract-missing-key", format!("manifest has no `{key}`"));
        }
        found
    }

    fn mapping(&self, key: &'static str) -> Option<Mapping<'a>> {
        self.get(key).and_then(|node| self.root.reader().mapping(node, &format!("`{key}`")))
    }

    fn items(&self, key: &'static str) -> &'a [Node] {
        let sequence = |node| self.root.reader().sequence(node, &format!("`{key}`"));
        self.get(key).and_then(sequence).unwrap_or_default()
    }

    fn position(&self) -> Position {
        self.root.position()
    }

    fn reader(&self) -> &'a Reader {
        self.root.reader()
    }

    fn finish(self) {
        for map in [self.metadata, self.spec].into_iter().flatten() {
            map.finish(Level::Error);
        }
        self.root.finish(Level::Error);
    }
}

#[cfg(test)]
mod tests;
