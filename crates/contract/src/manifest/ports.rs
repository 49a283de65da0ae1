//! `inputPorts[]` and `outputPorts[]`.

use std::collections::BTreeMap;

use super::Sections;
use crate::finding::{Finding, Level};
use crate::model::{InputPort, OutputPort, PortKind, TableFormat};
use crate::yaml::{Mapping, Node, Reader};

/// What the product is made from.
pub(super) fn input_ports(sections: &Sections<'_>) -> Vec<InputPort> {
    let reader = sections.reader();
    sections.items("inputPorts").iter().filter_map(|node| input_port(reader, node)).collect()
}

fn input_port(reader: &Reader, node: &Node) -> Option<InputPort> {
    if node.text().is_some() {
        let name = reader.string(node, "input port")?;
        return Some(InputPort { name, kind: None, location: None, position: reader.position(node) });
    }
    let map = reader.mapping(node, "input port")?;
    let name = map.require_string("name");
    let port = InputPort {
        name: name.unwrap_or_default(),
        kind: map.string("type"),
        location: map.string("location"),
        position: map.position(),
    };
    for key in
        ["schemaRegistry", "contract", "product", "domain", "version", "connection", "table", "description", "topic"]
    {
        map.get(key);
    }
    map.finish(Level::Warning);
    Some(port)
}

/// Where the product can be read.
pub(super) fn output_ports(sections: &Sections<'_>) -> Vec<OutputPort> {
    let reader = sections.reader();
    let items = sections.items("outputPorts");
    let ports: Vec<OutputPort> = items.iter().filter_map(|node| output_port(reader, node)).collect();
    let mut first: BTreeMap<&str, &OutputPort> = BTreeMap::new();
    for port in &ports {
        if let Some(other) = first.insert(&port.name, port) {
            let message =
                format!("output port `{}` is declared twice, first on line {}", port.name, other.position.line);
            reader.report(Finding::error("contract-duplicate-port", port.position.clone(), message));
        }
    }
    if ports.is_empty() && items.is_empty() {
        let finding = Finding::warning("contract-no-port", sections.position(), "contract has no output port");
        reader.report(finding.with_hint("declare a table under `outputPorts`"));
    }
    ports
}

fn output_port(reader: &Reader, node: &Node) -> Option<OutputPort> {
    let map = reader.mapping(node, "output port")?;
    let name = map.require_string("name");
    let kind = map.require_string("type");
    let (location, connection, table) = (map.string("location"), map.string("connection"), map.string("table"));
    map.get("description");
    let schema_registry = schema_registry(&map);
    let (contract_format, partitioning) = match map.mapping("contract", "port's `contract`") {
        Some(contract) => {
            let read = (contract.string("format"), contract.strings("partitioning"));
            contract.finish(Level::Warning);
            read
        }
        None => (None, Vec::new()),
    };
    let position = map.position();
    let (name, kind) = (name?, port_kind(kind?));
    if matches!(kind, PortKind::Table(_)) {
        // Other kinds have keys of their own, such as a topic, and are only listed.
        map.finish(Level::Error);
    }
    let port = OutputPort {
        name,
        kind,
        location,
        connection,
        table,
        contract_format,
        partitioning,
        schema_registry,
        position,
    };
    check(reader, &port);
    Some(port)
}

fn port_kind(text: String) -> PortKind {
    match text.as_str() {
        "iceberg-table" => PortKind::Table(TableFormat::Iceberg),
        "delta-table" => PortKind::Table(TableFormat::Delta),
        _ => PortKind::Other(text),
    }
}

/// A URL, or a mapping with a `url` and what is to be found there.
fn schema_registry(map: &Mapping<'_>) -> Option<String> {
    let node = map.get("schemaRegistry")?;
    if node.text().is_some() {
        return map.string("schemaRegistry");
    }
    let registry = map.mapping("schemaRegistry", "`schemaRegistry`")?;
    let url = registry.string("url");
    let subject = registry.string("subject");
    registry.get("version");
    registry.finish(Level::Warning);
    match (url, subject) {
        (Some(url), Some(subject)) => Some(format!("{}/{subject}", url.trim_end_matches('/'))),
        (url, subject) => url.or(subject),
    }
}

/// A table needs a place: a location, or a connection and a table.
fn check(reader: &Reader, port: &OutputPort) {
    let error = |message: String, hint: &str| {
        reader.report(Finding::error("contract-missing-location", port.position.clone(), message).with_hint(hint));
    };
    let name = &port.name;
    match (&port.kind, &port.location, &port.connection, &port.table) {
        (PortKind::Other(kind), ..) => {
            let message = format!("output port `{name}` of type `{kind}` is listed, not served");
            let finding = Finding::new(Level::Info, "contract-port-kind", port.position.clone(), message);
            reader.report(finding.with_hint("tables are `iceberg-table` and `delta-table`"));
        }
        (_, Some(_), _, Some(_)) => {
            error(format!("output port `{name}` has both a `location` and a `table`"), "keep one of them");
        }
        (_, Some(_), _, None) | (_, None, Some(_), Some(_)) => {}
        (_, None, Some(_), None) => {
            error(format!("output port `{name}` has a `connection` but no `table`"), "add `table: domain.table`");
        }
        (_, None, None, _) => error(
            format!("output port `{name}` does not say where its data is"),
            "add `connection` and `table`, or a `location`",
        ),
    }
}
