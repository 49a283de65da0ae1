//! The parts of a manifest that describe a product: transformation, expectations, SLA, quality, lineage, access.

use super::Sections;
use crate::finding::{Finding, Level};
use crate::model::{
    Access, Aggregation, Compatibility, Expectations, Field, Lineage, QualityCheck, Sla, Transformation,
};
use crate::yaml::{Mapping, Node, Reader, did_you_mean};

const COMPATIBILITIES: [(&str, Compatibility); 7] = [
    ("none", Compatibility::None),
    ("backward", Compatibility::Backward),
    ("backward_transitive", Compatibility::Backward),
    ("forward", Compatibility::Forward),
    ("forward_transitive", Compatibility::Forward),
    ("full", Compatibility::Full),
    ("full_transitive", Compatibility::Full),
];

pub(super) fn transformation(sections: &Sections<'_>) -> Option<Transformation> {
    let map = sections.mapping("transformation")?;
    let transformation = Transformation {
        engine: map.string("engine").or_else(|| map.string("type")),
        repository: map.string("repository"),
        entrypoint: map.string("entrypoint").or_else(|| map.string("job")).or_else(|| map.string("query")),
        schedule: map.string("schedule"),
        description: map.string("description"),
    };
    // Known whether or not they were needed above.
    for key in ["type", "job", "query", "image", "parameters"] {
        map.get(key);
    }
    map.finish(Level::Warning);
    Some(transformation)
}

pub(super) fn expectations(sections: &Sections<'_>) -> Expectations {
    let Some(map) = sections.mapping("expectations") else { return Expectations::default() };
    let expectations = Expectations {
        freshness: map.duration("freshness"),
        completeness: map.share("completeness"),
        schema_compatibility: map.choice("schemaCompatibility", &COMPATIBILITIES),
    };
    map.finish(Level::Warning);
    expectations
}

pub(super) fn sla(sections: &Sections<'_>) -> Sla {
    let Some(map) = sections.mapping("sla") else { return Sla::default() };
    let sla = Sla { freshness: map.duration("freshness"), availability: map.share("availability") };
    map.finish(Level::Warning);
    sla
}

pub(super) fn quality(sections: &Sections<'_>) -> Vec<QualityCheck> {
    let Some(map) = sections.mapping("quality") else { return Vec::new() };
    let checks = map.items("checks").iter().filter_map(|node| check(sections.reader(), node)).collect();
    map.finish(Level::Warning);
    checks
}

fn check(reader: &Reader, node: &Node) -> Option<QualityCheck> {
    let map = reader.mapping(node, "quality check")?;
    let column = map.string("column");
    let assertion = map.require_string("assertion");
    let threshold = map.share("threshold");
    let value = map.get("value").map(written);
    for key in ["name", "description"] {
        map.get(key);
    }
    let position = map.position();
    map.finish(Level::Warning);
    Some(QualityCheck { column, assertion: assertion?, threshold, value, position })
}

/// A value as text: scalars as written, lists and mappings in YAML's flow form.
fn written(node: &Node) -> String {
    use crate::yaml::Value;
    match &node.value {
        Value::Scalar(scalar) => scalar.text.clone(),
        Value::Sequence(items) => format!("[{}]", items.iter().map(written).collect::<Vec<_>>().join(", ")),
        Value::Mapping(entries) => {
            let pairs = entries.iter().map(|entry| format!("{}: {}", entry.key, written(&entry.value)));
            format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
        }
    }
}

pub(super) fn lineage(sections: &Sections<'_>) -> Lineage {
    let Some(map) = sections.mapping("lineage") else { return Lineage::default() };
    let lineage = Lineage { upstream: map.strings("upstream"), downstream: map.strings("downstream") };
    map.finish(Level::Warning);
    lineage
}

/// Strict: a restriction that is misspelt must not be lost.
pub(super) fn access(sections: &Sections<'_>, fields: &[Field]) -> Access {
    let Some(map) = sections.mapping("access") else { return Access::default() };
    let access = Access {
        roles: map.strings("roles"),
        purposes: map.strings("purposes"),
        aggregation: aggregation(&map, fields),
        policies: map.strings("policies"),
    };
    for (key, names, what) in [("roles", &access.roles, "group"), ("purposes", &access.purposes, "purpose")] {
        if let (Some(node), true) = (map.raw(key), names.is_empty()) {
            let message = format!("`{key}` names no {what}");
            let finding = Finding::error(super::BAD_VALUE, map.reader().position(node), message);
            map.reader().report(finding.with_hint(format!("leave `{key}` out where the contract sets no limit")));
        }
    }
    map.finish(Level::Error);
    access
}

fn aggregation(map: &Mapping<'_>, fields: &[Field]) -> Option<Aggregation> {
    let limits = map.mapping("aggregation", "`aggregation`")?;
    let entity = limits.require("entity").and_then(|node| {
        let name = map.reader().string(node, "`entity`")?;
        let names: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
        if names.contains(&name.as_str()) {
            return Some(name);
        }
        let message = format!("column `{name}` is not in the schema");
        let mut finding = Finding::error("contract-unknown-column", map.reader().position(node), message);
        finding.hint = did_you_mean(&name, &names);
        map.reader().report(finding);
        None
    });
    let at_least = limits.require("at_least").and_then(|node| {
        let given = map.reader().integer(node, "`at_least`")?;
        let enough = u64::try_from(given).ok().filter(|given| *given >= 2);
        if enough.is_none() {
            map.reader().error(node, super::BAD_VALUE, "`at_least` must be 2 or more: a group of one is a row");
        }
        enough
    });
    limits.finish(Level::Error);
    Some(Aggregation { entity: entity?, at_least: at_least? })
}
