//! JSON Schemas of the files that this crate reads, for editors. A test holds them to the keys that the readers know.

use schemars::{JsonSchema, schema_for};

mod connections;
mod contract;

/// The files of `docs/schemas/`: name and content.
pub fn schemas() -> Vec<(String, serde_json::Value)> {
    vec![
        ("connections.schema.json".to_owned(), schema::<connections::ConnectionsFile>()),
        ("contract.schema.json".to_owned(), schema::<contract::Manifest>()),
    ]
}

fn schema<T: JsonSchema>() -> serde_json::Value {
    schema_for!(T).to_value()
}

#[cfg(test)]
mod tests;
