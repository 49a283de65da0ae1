//! JSON Schemas of the YAML files beside the policies, for editors. Tests hold them to the keys that the readers know.

use serde_json::{Map, Value, json};

use super::decision::Disclosure;
use super::vocabulary::AttributeType;

/// The files of `docs/schemas/` that this crate makes: name and content.
pub fn schemas() -> Vec<(String, Value)> {
    vec![("policy-tests.schema.json".to_owned(), policy_tests()), ("vocabulary.schema.json".to_owned(), vocabulary())]
}

fn vocabulary() -> Value {
    let types: Vec<&str> = AttributeType::ALL.into_iter().map(AttributeType::as_str).collect();
    let group = object(
        json!({
            "parents": strings("Groups that this group belongs to, and whose members its members are."),
            "description": text("For readers."),
        }),
        &[],
    );
    let root = object(
        json!({
            "groups": names("Groups that principals belong to.", json!({"anyOf": [group, {"type": "null"}]})),
            "purposes": names("Purposes that a request may declare.", json!({"type": ["string", "null"]})),
            "attributes": {
                "description": "Attributes of users that policies may read, with their types.",
                "type": "object",
                "additionalProperties": {"enum": types}
            },
            "tags": names("Tags beyond those that contracts use.", json!({"type": ["string", "null"]})),
            "limits": names("Classes of limits, whose values are in portcullis.toml.", json!({"type": ["string", "null"]})),
        }),
        &[],
    );
    titled("Portcullis vocabulary", "The words that policies may use.", root)
}

fn policy_tests() -> Value {
    let levels = Disclosure::LADDER.into_iter().chain([Disclosure::Denied]).map(Disclosure::as_str);
    let levels: Vec<&str> = levels.collect();
    let value = json!({"type": ["string", "integer", "boolean", "array"], "items": {"type": "string"}});
    let principal = object(
        json!({
            "id": text("The user's id."),
            "groups": strings("Groups of policies/vocabulary.yaml."),
            "attributes": {
                "description": "Attributes of policies/vocabulary.yaml, each of the type declared there.",
                "type": "object",
                "additionalProperties": value
            },
        }),
        &[],
    );
    let expect = object(
        json!({
            "discover": {"description": "Whether the table exists for the principal.", "type": "boolean", "default": true},
            "query": {"description": "Whether it may be queried; as `discover` where it is missing.", "type": "boolean"},
            "aggregates": {
                "description": "The smallest group whose aggregates are shown; 0 where rows are.",
                "type": "integer",
                "minimum": 0
            },
            "break_glass": {"description": "Whether the glass is broken for the table.", "type": "boolean"},
            "notice": {"description": "Whether the principal is told of what is held back.", "type": "boolean"},
            "filter": text("The row filter as `portcullis explain` prints it, `all rows` or `no rows`."),
            "columns": {
                "description": "How much is shown of each column; `*` stands for all that are not named.",
                "type": "object",
                // YAML reads a bare `null` as nothing: the level is written `"null"`.
                "additionalProperties": {"enum": levels}
            },
        }),
        &[],
    );
    let test = object(
        json!({
            "name": text("What the test shows."),
            "as": {
                "description": "Who asks: a user of users.yaml, or a principal written out.",
                "anyOf": [{"type": "string"}, principal]
            },
            "purpose": text("The purpose that the request declares."),
            "break_glass": text("The reason for which the glass is broken."),
            "authentication": text("How the user logged in: `password` (default), `token`, `personal_token`, `certificate`, `oidc` or `local`."),
            "client": text("The client's IP address."),
            "now": text("The instant of the request, such as `2026-01-01T00:00:00Z`."),
            "table": text("`domain.table`, as in SQL."),
            "expect": expect,
        }),
        &["name", "as", "table", "expect"],
    );
    let tests = json!({"description": "The tests, in any order.", "type": "array", "items": test});
    titled("Portcullis policy tests", "Who may see what.", object(json!({"tests": tests}), &["tests"]))
}

/// A mapping whose keys are all known, but for those of its authors.
fn object(properties: Value, required: &[&str]) -> Value {
    json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
        "patternProperties": {"^x-": {}}
    })
}

/// Names as a list, or as keys with something about each.
fn names(description: &str, about: Value) -> Value {
    json!({
        "description": description,
        "anyOf": [
            {"type": "array", "items": {"type": "string"}},
            {"type": "object", "additionalProperties": about},
            {"type": "null"}
        ]
    })
}

fn text(description: &str) -> Value {
    json!({"description": description, "type": "string"})
}

fn strings(description: &str) -> Value {
    json!({"description": description, "type": "array", "items": {"type": "string"}})
}

fn titled(title: &str, description: &str, schema: Value) -> Value {
    let mut titled = Map::new();
    titled.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
    titled.insert("title".to_owned(), json!(title));
    titled.insert("description".to_owned(), json!(description));
    if let Value::Object(schema) = schema {
        titled.extend(schema);
    }
    Value::Object(titled)
}
