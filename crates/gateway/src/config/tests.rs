//! The configuration's texts, and its documentation held against the structs.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::*;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn error(text: &str) -> String {
    Config::parse(text).unwrap_err().message
}

#[test]
fn an_empty_file_is_all_defaults_and_the_defaults_survive_being_written() {
    assert_eq!(Config::parse("").unwrap(), Config::default());
    let written = toml::to_string(&Config::default()).unwrap();
    assert_eq!(Config::parse(&written).unwrap(), Config::default());
}

#[test]
fn every_wrong_key_and_value_is_named_with_its_place() {
    let cases = [
        ("[lisen]\n", "portcullis.toml:1:2: unknown field `lisen`, expected one of"),
        (
            "[listen]\n  flihgt = \"127.0.0.1:1\"",
            "portcullis.toml:2:3: unknown field `flihgt`, expected one of `flight`",
        ),
        ("[listen]\nflight = \"here\"", "portcullis.toml:2:10: invalid socket address syntax"),
        ("[limits]\nqueue_wait = \"soon\"", "`soon` is not a duration: write a number and a unit, like 250ms"),
        ("[limits]\nqueue_wait = 30", "portcullis.toml:2:14: invalid type: integer `30`, expected a string"),
        ("[limits]\nmemory = \"1 GB\"", "`1 GB` is not a size: write a number and a unit, like 512 KiB"),
        ("[limits]\nmemory = \"99999999999 TiB\"", "is not a size"),
        ("[limits]\nconcurrent_queries = 0", "`limits.concurrent_queries` must be more than 0"),
        ("[limits]\nstatement_depth = 49", "`limits.statement_depth` must be at most 48"),
        ("[secrets]\nmask_key = \"hunter2\"", "portcullis.toml:2:12:"),
        ("[secrets]\nmask_key = { vault = \"x\" }", "unknown variant `vault`, expected `env` or `file`"),
        ("[identity]\nrevocation_age = \"6s\"", "`identity.revocation_age` must be from 10ms to 5s"),
        (
            "[listen]\ntls_client_ca = \"ca.pem\"",
            "`listen.tls_client_ca` is of no use without `listen.tls_certificate`",
        ),
        ("[identity.certificates]\nrequired = true", "`identity.certificates.required` needs `listen.tls_client_ca`"),
        ("[listen]\ntls_key = \"k.pem\"", "`listen.tls_certificate` and `listen.tls_key` belong together"),
        ("[listen", "portcullis.toml:1:8:"),
    ];
    for (text, expected) in cases {
        let message = error(text);
        assert!(message.contains(expected), "{text}\n{message}\nexpected: {expected}");
    }
}

#[test]
fn a_secret_written_instead_of_its_reference_is_not_repeated() {
    assert!(!error("[secrets]\nmask_key = { env = 5, file = 6 }").is_empty());
    assert!(!error("[secrets]\nmask_key = [\"hunter2\"]").contains("hunter2"));
}

#[test]
fn spans_and_sizes_are_read_and_written() {
    for text in ["250ms", "30s", "5m", "12h", "7d", "0s"] {
        assert_eq!(text.parse::<Span>().unwrap().to_string(), text);
    }
    for text in ["512 KiB", "1 MiB", "20 GiB", "0 B", "1025 B"] {
        assert_eq!(text.parse::<Size>().unwrap().to_string(), text);
    }
    assert_eq!("90s".parse::<Span>().unwrap().to_string(), "90s");
    assert_eq!("60s".parse::<Span>().unwrap().to_string(), "1m");
    assert_eq!("64MiB".parse::<Size>().unwrap(), Size::mib(64));
    assert_eq!(Config::parse("[limits]\nmemory = 4096").unwrap().limits.memory, Size::kib(4));
    for text in ["", "s", "-1s", "1.5h", "1 week", "18446744073709551615d"] {
        assert!(text.parse::<Span>().is_err(), "{text}");
    }
}

#[test]
fn a_missing_file_is_all_defaults() {
    let dir = tempfile::TempDir::new().unwrap();
    assert_eq!(Config::load(dir.path()).unwrap(), Config::default());
}

#[test]
fn the_demo_mesh_has_a_sound_configuration() {
    Config::load(&root()).unwrap();
}

/// `docs/configuration.md` and the JSON Schemas are made from the structs. After a change of these, run the test with
/// `UPDATE_DOCS=1`.
#[test]
fn the_documentation_lists_every_key_with_its_default() {
    let schema = Config::json_schema();
    let path = root().join("docs/configuration.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once("<!-- keys -->\n").unwrap();
    let (_, after) = rest.split_once("<!-- /keys -->").unwrap();
    let expected = format!("{before}<!-- keys -->\n{}<!-- /keys -->{after}", keys(&schema));
    hold(&path, &text, &expected);
    for (name, schema) in [("portcullis.json", schema), ("users.json", crate::users_json_schema())] {
        let path = root().join("docs/schemas").join(name);
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        hold(&path, &text, &(serde_json::to_string_pretty(&schema).unwrap() + "\n"));
    }
}

fn hold(path: &Path, text: &str, expected: &str) {
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, expected).unwrap();
    } else {
        assert!(text == expected, "{} is not what the structs say: run this test with UPDATE_DOCS=1", path.display());
    }
}

fn keys(schema: &Value) -> String {
    let defaults = serde_json::to_value(Config::default()).unwrap();
    let mut text = String::new();
    for section in ["listen", "identity", "limits", "audit", "log", "telemetry", "secrets", "catalogue", "cache"] {
        let of = &schema["properties"][section];
        let name = of["$ref"].as_str().unwrap().rsplit('/').next().unwrap();
        let definition = &schema["$defs"][name];
        writeln!(text, "\n### `[{section}]`\n\n{}\n", definition["description"].as_str().unwrap()).unwrap();
        writeln!(text, "| key | type | default | meaning |\n|---|---|---|---|").unwrap();
        for (key, property) in definition["properties"].as_object().unwrap() {
            row(&mut text, key, property, &defaults[section][key]);
        }
    }
    assert_eq!(text.matches("### ").count(), schema["properties"].as_object().unwrap().len());
    let parts = [
        ("[identity.certificates]", "Certificates", serde_json::to_value(Certificates::default()).unwrap()),
        ("[identity.page]", "Page", serde_json::to_value(Page::default()).unwrap()),
        ("[[identity.issuers]]", "TrustedIssuer", serde_json::to_value(TrustedIssuer::default()).unwrap()),
    ];
    for (title, name, defaults) in parts {
        let definition = &schema["$defs"][name];
        writeln!(text, "\n### `{title}`\n\n{}\n", definition["description"].as_str().unwrap()).unwrap();
        writeln!(text, "| key | type | default | meaning |\n|---|---|---|---|").unwrap();
        for (key, property) in definition["properties"].as_object().unwrap() {
            row(&mut text, key, property, &defaults[key]);
        }
    }
    text + "\n"
}

fn row(text: &mut String, key: &str, property: &Value, default: &Value) {
    let default = match default {
        Value::Null => "none".to_owned(),
        Value::Array(values) if values.is_empty() => "none".to_owned(),
        Value::Object(_) => "none".to_owned(),
        Value::String(value) if value.is_empty() => "none".to_owned(),
        value => format!("`{value}`"),
    };
    let description = property["description"].as_str().unwrap();
    let meaning = description.replace('\n', " ").replace('|', "\\|");
    writeln!(text, "| `{key}` | {} | {default} | {meaning} |", kind(property)).unwrap();
}

fn kind(property: &Value) -> &'static str {
    let reference = property["$ref"].as_str().or_else(|| property["anyOf"][0]["$ref"].as_str()).unwrap_or_default();
    match (reference, property["type"].as_str().or_else(|| property["type"][0].as_str()).unwrap_or_default()) {
        ("#/$defs/Duration", _) => "duration",
        ("#/$defs/Size", _) => "size",
        ("#/$defs/KeyRef", _) => "reference",
        ("#/$defs/CertificateName", _) => "text",
        ("#/$defs/Certificates" | "#/$defs/Page", _) => "table",
        ("", "integer") => "number",
        ("", "boolean") => "true or false",
        ("", "string") => "text",
        ("", "array") => "list",
        ("", "object") => "table",
        _ => panic!("no word for the type of {property}"),
    }
}
