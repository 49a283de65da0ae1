//! The principals and the policies of the meshes that are compared.
//!
//! What a policy hides is said here twice and independently: in Cedar, for the gateway, and as a Rust function, which decides in
//! what two worlds may differ.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use portcullis::demo::lake::Format;

use super::rng::Rng;
use super::tables::{AT_LEAST, LARGE, Role, TABLES, TableDef};
use super::values::{Kind, Value};

/// What a column shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    Clear,
    Partial,
    Bucket,
    Hash,
    Redact,
    Null,
    JoinOnly,
    Denied,
}

impl Shown {
    /// The masks that keep a type, and denial.
    fn masks(kind: Kind) -> &'static [Shown] {
        use Shown::*;
        match kind {
            Kind::Text => &[Partial, Hash, Redact, Null, Denied],
            Kind::Int | Kind::Long => &[Bucket, Hash, Redact, Null, Denied],
            Kind::Float | Kind::Double | Kind::Decimal | Kind::Time => &[Bucket, Redact, Null, Denied],
            Kind::Date | Kind::Timestamp | Kind::TimestampTz => &[Partial, Bucket, Redact, Null, Denied],
            Kind::Binary | Kind::Uuid => &[Hash, Redact, Null, Denied],
            Kind::Boolean => &[Null, Denied],
            Kind::Longs | Kind::Texts | Kind::Place | Kind::Tags => &[Redact, Null, Denied],
        }
    }

    fn action(self) -> Option<&'static str> {
        Some(match self {
            Shown::Clear => "viewClear",
            Shown::Partial => "viewPartial",
            Shown::Bucket => "viewBucket",
            Shown::Hash => "viewHash",
            Shown::Redact => "viewRedact",
            Shown::Null => "viewNull",
            Shown::JoinOnly => "viewJoinOnly",
            Shown::Denied => return None,
        })
    }
}

/// Which rows of governed tables a principal sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    Equality,
    Set,
    Like,
    Has,
    Forbid,
    Errors,
    Nothing,
    All,
}

/// Every rule: one principal for each.
pub const RULES: [Rule; 8] =
    [Rule::Equality, Rule::Set, Rule::Like, Rule::Has, Rule::Forbid, Rule::Errors, Rule::Nothing, Rule::All];

impl Rule {
    fn cedar(self) -> &'static str {
        match self {
            Rule::Equality => {
                "permit (WHO, action == Action::\"readRow\", resource) when { resource has region && resource.region == \"EU\" };"
            }
            Rule::Set => {
                "permit (WHO, action == Action::\"readRow\", resource) when { principal has regions && resource has region && principal.regions.contains(resource.region) };"
            }
            Rule::Like => {
                "permit (WHO, action == Action::\"readRow\", resource) when { resource has digits && resource.digits like \"1*\" };"
            }
            Rule::Has => {
                "permit (WHO, action == Action::\"readRow\", resource) when { resource has level && resource.level > 3 && resource has active };"
            }
            Rule::Forbid => {
                r#"permit (WHO, action == Action::"readRow", resource);
@id("ID-no-event") forbid (WHO, action == Action::"readRow", resource in Table::"shop.events") when { resource has level && resource.level < 3 };
@id("ID-not-event") forbid (WHO, action == Action::"readRow", resource in Table::"shop.events") when { resource has region && resource.region like "*S" };
@id("ID-no-person") forbid (WHO, action == Action::"readRow", resource in Table::"shop.people") when { resource has level && resource.level < 3 };
@id("ID-not-person") forbid (WHO, action == Action::"readRow", resource in Table::"shop.people") when { resource has region && resource.region like "*S" };"#
            }
            Rule::Errors => {
                "permit (WHO, action == Action::\"readRow\", resource) when { if resource has active then resource.active else (resource has level && resource.level > 6) };\n@id(\"ID-money\") permit (WHO, action == Action::\"readRow\", resource) when { resource has fee && resource.fee.lessThan(decimal(\"20.00\")) };"
            }
            Rule::Nothing => {
                "permit (WHO, action == Action::\"readRow\", resource) when { resource has region && resource.region == \"nowhere\" };"
            }
            Rule::All => "permit (WHO, action == Action::\"readRow\", resource);",
        }
    }

    /// Whether a row of a governed table is visible.
    fn shows(self, table: &TableDef, row: &[Value]) -> bool {
        let column = |name: &str| table.index(name).map_or(&Value::Null, |at| &row[at]);
        let level = match column("level") {
            Value::Int(level) => Some(*level),
            _ => None,
        };
        let region = match column("region") {
            Value::Text(region) => Some(region.as_str()),
            _ => None,
        };
        match self {
            Rule::Equality => region == Some("EU"),
            Rule::Set => matches!(region, Some("EU" | "APAC")),
            Rule::Like => matches!(column("digits"), Value::Text(digits) if digits.starts_with('1')),
            Rule::Has => level.is_some_and(|level| level > 3) && *column("active") != Value::Null,
            Rule::Forbid => level.is_none_or(|level| level >= 3) && !region.is_some_and(|region| region.ends_with('S')),
            Rule::Errors => {
                let active = match column("active") {
                    Value::Boolean(active) => *active,
                    _ => level.is_some_and(|level| level > 6),
                };
                active || matches!(column("fee"), Value::Decimal(fee) if *fee < 2_000)
            }
            Rule::Nothing => false,
            Rule::All => true,
        }
    }
}

/// What a principal says that it asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    Unstated,
    /// One that policies do not let it have.
    Usurped,
    Held,
}

/// Somebody who asks.
#[derive(Debug, Clone)]
pub struct Principal {
    pub name: String,
    pub rule: Rule,
    /// The purpose that is declared, and whether its holder may.
    pub purpose: Purpose,
    /// Whether the glass may be broken for the sealed table; it is.
    pub glass: bool,
    /// Whether it is told that something is held back.
    pub notices: bool,
    /// What is shown of each column of each table, in their order.
    pub shown: Vec<Vec<Shown>>,
}

impl Principal {
    /// Masks are chosen by `rng`: from seed to seed, every mask meets every column.
    fn new(rule: Rule, rng: &mut Rng) -> Self {
        let name = format!("{rule:?}").to_lowercase();
        let choose = |table: &TableDef, column: &str, kind: Kind, rng: &mut Rng| {
            let masked = match table.role {
                Role::Open => false,
                // What queries are made of stays clear more often than not; what is somebody's secret does not.
                _ => match column {
                    "id" => false,
                    // What is aggregated is grouped by region, and its entities are counted.
                    "region" if table.role.is_aggregated() => false,
                    "who" => return *rng.pick(&[Shown::Clear, Shown::Hash, Shown::JoinOnly]),
                    "badge" => {
                        return *rng.pick(&[
                            Shown::JoinOnly,
                            Shown::JoinOnly,
                            Shown::JoinOnly,
                            Shown::Hash,
                            Shown::Clear,
                        ]);
                    }
                    "region" | "level" | "kind" | "day" => rng.once_in(8),
                    "active" | "digits" | "ratio" | "amount" | "price" | "at" => rng.once_in(3),
                    _ => !rng.once_in(4),
                },
            };
            if masked { *rng.pick(Shown::masks(kind)) } else { Shown::Clear }
        };
        let shown = TABLES
            .iter()
            .map(|table| table.columns.iter().map(|(column, kind)| choose(table, column, *kind, rng)).collect())
            .collect();
        let purpose = *rng.pick(&[Purpose::Unstated, Purpose::Usurped, Purpose::Held]);
        let (glass, notices) = (rng.once_in(2), rng.once_in(2));
        Self { name, rule, purpose, glass, notices, shown }
    }

    /// Everybody, for a seed.
    pub fn all(seed: u64) -> Vec<Self> {
        (0..).zip(RULES).map(|(at, rule)| Self::new(rule, &mut Rng::new(seed, &[1, at]))).collect()
    }

    /// Whether this principal sees a row of a table.
    pub fn sees(&self, table: &TableDef, row: &[Value]) -> bool {
        match table.role {
            Role::Open | Role::Unfiltered => true,
            Role::Governed => self.rule.shows(table, row),
            Role::Purposed => self.purpose == Purpose::Held,
            Role::Sealed => self.glass,
            // Of the others nothing is to be seen, as long as groups are made by region.
            Role::Grouped => table
                .index("region")
                .is_some_and(|at| matches!(&row[at], Value::Text(region) if LARGE.contains(&region.as_str()))),
            _ => false,
        }
    }

    /// Whether no join-only column can be compared with one that is clear: then its values may be any, as long as the same stay
    /// the same.
    pub fn matches_blindly(&self) -> bool {
        let each = TABLES.iter().zip(&self.shown).flat_map(|(table, shown)| table.columns.iter().zip(shown));
        let mut matched = each.filter(|((name, _), _)| matches!(*name, "badge" | "who"));
        matched.all(|(_, shown)| *shown != Shown::Clear)
    }

    /// The policies that make it so.
    fn policies(&self) -> String {
        let (mut text, id) = (String::new(), &self.name);
        let who = format!("principal in Group::\"{id}\"");
        let rows = self.rule.cedar().replace("WHO", &who).replace("ID", id);
        writeln!(text, "@id(\"{id}-rows\") {}", scoped(&rows)).unwrap();
        let mut masked: BTreeMap<Option<&str>, Vec<String>> = BTreeMap::new();
        for (table, shown) in TABLES.iter().zip(&self.shown) {
            for ((column, _), shown) in table.columns.iter().zip(shown).filter(|(_, shown)| **shown != Shown::Clear) {
                let resource = format!("resource == Column::\"{}.{column}\"", table.full_name());
                masked.entry(shown.action()).or_default().push(resource);
            }
        }
        for (action, columns) in masked.iter().filter_map(|(action, columns)| Some(((*action)?, columns))) {
            let when = columns.join(" || ");
            writeln!(
                text,
                "@id(\"{id}-{action}\") permit ({who}, action == Action::\"{action}\", resource) when {{ {when} }};"
            )
            .unwrap();
        }
        let masked: Vec<String> = masked.into_values().flatten().collect();
        let unless = if masked.is_empty() { String::new() } else { format!(" unless {{ {} }}", masked.join(" || ")) };
        writeln!(text, "@id(\"{id}-clear\") permit ({who}, action == Action::\"viewClear\", resource){unless};")
            .unwrap();
        for (may, action, resource) in [
            (self.glass, "breakGlass", "resource == Table::\"shop.sealed\""),
            (self.notices, "viewNotice", "resource in Domain::\"shop\""),
        ] {
            if may {
                writeln!(text, "@id(\"{id}-{action}\") permit ({who}, action == Action::\"{action}\", {resource});")
                    .unwrap();
            }
        }
        text
    }
}

/// A row policy is for governed tables only.
fn scoped(policies: &str) -> String {
    policies.replace(
        "action == Action::\"readRow\", resource)",
        "action == Action::\"readRow\", resource in Domain::\"shop\")",
    )
}

/// What is the same for everybody.
const COMMON: &str = r#"
@id("find") permit (principal, action == Action::"discover", resource)
when { resource in Domain::"shop" || resource in Domain::"ref" };
@id("query") permit (principal, action == Action::"query", resource)
when { resource in Domain::"shop" || resource in Domain::"ref" } unless { resource in [Table::"shop.locked", Table::"shop.deals", Table::"shop.rare"] };
@id("aggregates") permit (principal, action == Action::"aggregateOnly", resource)
when { resource in [Table::"shop.deals", Table::"shop.rare"] };
@id("own-purposes") forbid (principal, action == Action::"query", resource == Table::"shop.claims")
when { context has purpose } unless { principal has purposes && principal.purposes.contains(context.purpose) };
@id("emergency") permit (principal, action == Action::"readRow", resource in Domain::"shop") when { context.breakGlass };
@id("sealed") forbid (principal, action == Action::"readRow", resource in Table::"shop.sealed")
unless { context.breakGlass };
@id("claims-rows") permit (principal, action == Action::"readRow", resource in Table::"shop.claims");
@id("deals-rows") permit (principal, action == Action::"readRow", resource in Table::"shop.deals");
@id("rare-rows") permit (principal, action == Action::"readRow", resource in Table::"shop.rare");
@id("auditors") permit (principal in Group::"set", action in [Action::"discover", Action::"query"], resource == Table::"system.policies");
@id("system") permit (principal, action in [Action::"discover", Action::"query"], resource)
when { resource == Table::"system.products" || resource == Table::"system.columns" || resource == Table::"system.findings" };
@id("open-rows") permit (principal, action == Action::"readRow", resource in Table::"ref.codes");
@id("plain-rows") permit (principal, action == Action::"readRow", resource in Table::"shop.plain");
@id("bare-rows") forbid (principal, action == Action::"readRow", resource in Table::"shop.bare");
"#;

/// All policies.
pub fn policies(principals: &[Principal]) -> String {
    principals.iter().map(Principal::policies).fold(COMMON.to_owned(), |all, one| all + "\n" + &one)
}

/// The vocabulary.
pub fn vocabulary(principals: &[Principal]) -> String {
    let groups: Vec<_> = principals.iter().map(|principal| format!("{}: {{}}", principal.name)).collect();
    format!(
        "groups: {{{}}}\npurposes: {{audit: Looking}}\nattributes: {{regions: set<string>, purposes: set<purpose>}}\n",
        groups.join(", ")
    )
}

/// The users; none has a password.
pub fn users(principals: &[Principal]) -> String {
    let user = |principal: &Principal| {
        let name = &principal.name;
        let purposes = if principal.purpose == Purpose::Held { ", purposes: [audit]" } else { "" };
        format!("  {name}: {{groups: [{name}], attributes: {{regions: [EU, APAC]{purposes}}}}}\n")
    };
    principals.iter().map(user).fold("users:\n".to_owned(), |all, one| all + &one)
}

/// The contract of a table.
pub fn contract(table: &TableDef) -> String {
    let port = match table.format {
        Format::Iceberg => "iceberg-table",
        Format::Delta => "delta-table",
    };
    let mut text = format!(
        "apiVersion: datamesh.io/v1\nkind: DataProduct\nmetadata: {{name: {name}, domain: {domain}, version: 1.0.0, owner: o@example.com}}\n\
         outputPorts:\n  - {{name: table, type: {port}, connection: lake, table: {domain}.{name}}}\nschema:\n  fields:\n",
        name = table.name,
        domain = table.domain,
    );
    match table.role {
        Role::Purposed => text = text.replace("outputPorts:", "access: {purposes: [audit]}\noutputPorts:"),
        Role::Grouped | Role::Tiny => {
            let access = format!("access: {{aggregation: {{entity: who, at_least: {AT_LEAST}}}}}\noutputPorts:");
            text = text.replace("outputPorts:", &access);
        }
        _ => {}
    }
    let extra = (table.role == Role::Withheld).then_some(("absent", Kind::Text));
    for (column, kind) in table.columns.iter().copied().chain(extra) {
        writeln!(text, "    - {{name: {column}, type: \"{}\", doc: The {column}}}", kind.name()).unwrap();
    }
    text
}
