//! Subjects, tables and columns as Cedar entities.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::str::FromStr;
use std::sync::LazyLock;

use cedar_policy::{Context, Entity, EntityId, EntityTypeName, EntityUid, RestrictedExpression as Value};
use datafusion::arrow::temporal_conversions::timestamp_ms_to_datetime;
use portcullis_contract::Field;

use super::cedar_schema::{PolicyTable, column_tags};
use super::subject::{AttributeValue, Subject};
use super::vocabulary::{AttributeType, SYSTEM_DOMAIN, Vocabulary};

/// Why something has no form in Cedar; the caller denies.
pub(crate) type Reason = String;

/// An entity before it becomes concrete or partial: the two have different types in Cedar.
#[derive(Debug, Clone)]
pub(crate) struct EntityData {
    pub(crate) uid: EntityUid,
    pub(crate) attributes: BTreeMap<String, Value>,
    /// All ancestors, not only parents.
    pub(crate) ancestors: HashSet<EntityUid>,
}

impl EntityData {
    /// The concrete entity.
    pub(crate) fn concrete(&self) -> Result<Entity, Reason> {
        let attributes: HashMap<String, Value> = self.attributes.clone().into_iter().collect();
        Entity::new(self.uid.clone(), attributes, self.ancestors.clone()).map_err(|e| e.to_string())
    }
}

/// The types that every schema has: Cedar parses a name each time it is made.
static TYPES: LazyLock<HashMap<&str, EntityTypeName>> = LazyLock::new(|| {
    let names = ["User", "Group", "Domain", "Table", "Column", "Tag", "Purpose", "Classification", "Action", "Limits"];
    names.into_iter().filter_map(|name| Some((name, EntityTypeName::from_str(name).ok()?))).collect()
});

/// `Kind::"id"`.
pub(crate) fn uid(kind: &str, id: &str) -> Result<EntityUid, Reason> {
    let kind = match TYPES.get(kind) {
        Some(known) => known.clone(),
        None => EntityTypeName::from_str(kind).map_err(|e| e.to_string())?,
    };
    Ok(EntityUid::from_type_name_and_id(kind, EntityId::new(id)))
}

fn uids<'a>(kind: &str, ids: impl IntoIterator<Item = &'a str>) -> Result<HashSet<EntityUid>, Reason> {
    ids.into_iter().map(|id| uid(kind, id)).collect()
}

fn entity_set<'a>(kind: &str, ids: impl IntoIterator<Item = &'a str>) -> Result<Value, Reason> {
    let members: Result<Vec<Value>, Reason> =
        ids.into_iter().map(|id| uid(kind, id).map(Value::new_entity_uid)).collect();
    Ok(Value::new_set(members?))
}

/// The principal and all its groups.
pub(crate) fn principal(subject: &Subject, vocabulary: &Vocabulary) -> Result<Vec<EntityData>, Reason> {
    let principal = &subject.principal;
    let mut attributes = BTreeMap::new();
    for (name, value) in &principal.attributes {
        vocabulary.check_attribute(name, value)?;
        let value = match value {
            AttributeValue::String(text) => Value::new_string(text.clone()),
            AttributeValue::Long(number) => Value::new_long(*number),
            AttributeValue::Bool(truth) => Value::new_bool(*truth),
            AttributeValue::Set(items) if vocabulary.attributes.get(name) == Some(&AttributeType::PurposeSet) => {
                entity_set("Purpose", items.iter().map(String::as_str))?
            }
            AttributeValue::Set(items) => Value::new_set(items.iter().cloned().map(Value::new_string)),
        };
        attributes.insert(name.clone(), value);
    }
    let memberships = vocabulary.memberships(&principal.groups);
    let ancestors = uids("Group", memberships.iter().copied())?;
    let mut entities = vec![EntityData { uid: uid("User", &principal.id)?, attributes, ancestors }];
    for group in memberships {
        let above: Vec<String> = vocabulary.parents(group).map(str::to_owned).collect();
        let ancestors = uids("Group", vocabulary.memberships(&above))?;
        entities.push(EntityData { uid: uid("Group", group)?, attributes: BTreeMap::new(), ancestors });
    }
    Ok(entities)
}

/// An instant for policies that do not look at it: the schema wants one.
static UNREAD: LazyLock<Value> = LazyLock::new(|| Value::new_datetime("1970-01-01"));

/// The request's instant. `is_read`: whether any policy in question reads it; a value takes long to make.
pub(crate) fn now(subject: &Subject, is_read: bool) -> Result<Value, Reason> {
    let now = timestamp_ms_to_datetime(subject.context.now_ms).ok_or("the clock shows no date")?;
    if !is_read {
        return Ok(UNREAD.clone());
    }
    Ok(Value::new_datetime(now.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()))
}

/// The request's circumstances.
pub(crate) fn context(
    subject: &Subject,
    vocabulary: &Vocabulary,
    breaks_glass: bool,
    now: Value,
) -> Result<Context, Reason> {
    let context = &subject.context;
    let mut pairs = vec![
        ("now".to_owned(), now),
        ("authentication".to_owned(), Value::new_string(context.authentication.clone())),
        ("breakGlass".to_owned(), Value::new_bool(breaks_glass)),
    ];
    if let Some(purpose) = &context.purpose {
        if !vocabulary.purposes.contains(purpose) {
            return Err(format!("purpose `{purpose}` is not in policies/vocabulary.yaml"));
        }
        pairs.push(("purpose".to_owned(), Value::new_entity_uid(uid("Purpose", purpose)?)));
    }
    if let Some(actor) = &context.actor {
        pairs.push(("actor".to_owned(), Value::new_string(actor.clone())));
    }
    if let Some(address) = context.client_address {
        pairs.push(("ip".to_owned(), Value::new_ip(address.to_string())));
    }
    Context::from_pairs(pairs).map_err(|e| e.to_string())
}

/// A table and its domain.
pub(crate) fn table(table: &PolicyTable) -> Result<Vec<EntityData>, Reason> {
    let contract = &table.table.contract;
    let mut attributes = BTreeMap::from([
        ("name".to_owned(), Value::new_string(table.id.clone())),
        ("classification".to_owned(), Value::new_entity_uid(uid("Classification", contract.classification.as_str())?)),
        ("tags".to_owned(), entity_set("Tag", contract.tags.iter().map(String::as_str))?),
    ]);
    if let Some(owner) = &contract.owner {
        attributes.insert("owner".to_owned(), Value::new_string(owner.clone()));
    }
    in_domain(&table.id, &table.table.name.domain, attributes)
}

/// One of the gateway's own tables and their domain.
pub(crate) fn system_table(id: &str) -> Result<Vec<EntityData>, Reason> {
    let attributes = BTreeMap::from([
        ("name".to_owned(), Value::new_string(id.to_owned())),
        ("classification".to_owned(), Value::new_entity_uid(uid("Classification", "internal")?)),
        ("tags".to_owned(), Value::new_set([])),
    ]);
    in_domain(id, SYSTEM_DOMAIN, attributes)
}

fn in_domain(id: &str, domain: &str, attributes: BTreeMap<String, Value>) -> Result<Vec<EntityData>, Reason> {
    let domain = uid("Domain", domain)?;
    let table = EntityData { uid: uid("Table", id)?, attributes, ancestors: [domain.clone()].into() };
    Ok(vec![table, EntityData { uid: domain, attributes: BTreeMap::new(), ancestors: HashSet::new() }])
}

/// A column of a table.
pub(crate) fn column(table: &PolicyTable, field: &Field) -> Result<EntityData, Reason> {
    let classification = field.classification.unwrap_or(table.table.contract.classification);
    let attributes = BTreeMap::from([
        ("name".to_owned(), Value::new_string(field.name.clone())),
        ("classification".to_owned(), Value::new_entity_uid(uid("Classification", classification.as_str())?)),
        ("tags".to_owned(), entity_set("Tag", column_tags(field))?),
    ]);
    let ancestors = [uid("Table", &table.id)?, uid("Domain", &table.table.name.domain)?].into();
    Ok(EntityData { uid: uid("Column", &format!("{}.{}", table.id, field.name))?, attributes, ancestors })
}
