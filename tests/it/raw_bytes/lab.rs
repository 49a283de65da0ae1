//! A mesh of one table that is full of needles: `HIDE` and the row's `pct` in every value of the clear columns, `MASK` and
//! `pct` in every value of the masked ones, in each type; and people who see one to ninety-nine per cent of its rows (those
//! whose `pct` is below their share) under each mask.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use arrow::array::builder::{BinaryBuilder, ListBuilder, MapBuilder, MapFieldNames, StringBuilder};
use arrow::array::{ArrayRef, Decimal128Array, Int64Array, RecordBatch, StringArray, StructArray};
use arrow::datatypes::{DataType, Field};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Rows of the table.
pub const ROWS: i64 = 400;
/// The masks, as groups; `clear` is none.
pub const MASKS: [&str; 6] = ["clear", "partial", "bucket", "hash", "redact", "null"];
/// The shares of rows that somebody sees, in per cent.
pub const SHARES: [i64; 20] = [1, 2, 3, 5, 8, 13, 21, 34, 49, 50, 51, 55, 66, 79, 87, 92, 95, 97, 98, 99];
/// Needles of hidden rows and of masked columns.
pub const HIDDEN: &[u8] = b"HIDE";
pub const MASKED: &[u8] = b"MASK";

const TABLE: &str = "lake/lab/needles";
const FIELDS: [(&str, &str); 7] = [
    ("s", "string"),
    ("b", "binary"),
    ("i", "long"),
    ("d", "decimal(20,2)"),
    ("st", "struct<a: string, n: long>"),
    ("l", "list<string>"),
    ("m", "map<string,string>"),
];

/// Who sees so many per cent under this mask.
pub fn user(share: i64, mask: &str) -> String {
    format!("u{share}_{mask}")
}

/// The mesh directory. `config` is its portcullis.toml.
pub fn mesh(config: &str) -> TempDir {
    let mesh = tempfile::tempdir().unwrap();
    let write = |path: &str, text: String| {
        let path = mesh.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("portcullis.toml", config.to_owned());
    write("catalogs/connections.yaml", "connections: {lake: {type: directory, url: lake}}\n".to_owned());
    write("catalogs/lab/needles.yaml", contract());
    write("policies/vocabulary.yaml", vocabulary());
    write("policies/all.cedar", policies());
    write("users.yaml", users());
    table(&mesh.path().join(TABLE));
    mesh
}

fn contract() -> String {
    let mut text = "apiVersion: datamesh.io/v1\nkind: DataProduct\nmetadata: {name: needles, domain: lab, version: 1.0.0}\n\
         outputPorts:\n  - {name: table, type: delta-table, connection: lake, table: lab.needles}\nschema:\n  fields:\n    \
         - {name: id, type: long}\n    - {name: pct, type: long}\n"
        .to_owned();
    for (prefix, tags) in [("v", ""), ("p", ", tags: [secret]")] {
        for (name, data_type) in FIELDS {
            writeln!(text, "    - {{name: {prefix}_{name}, type: \"{data_type}\"{tags}}}").unwrap();
        }
    }
    text
}

fn vocabulary() -> String {
    let groups: String = MASKS.iter().map(|mask| format!("  \"{mask}\": {{parents: [all]}}\n")).collect();
    format!("groups:\n  all: {{}}\n{groups}purposes: {{}}\nattributes: {{share: long}}\n")
}

fn policies() -> String {
    let mut text = r#"
@id("all-query") permit (principal in Group::"all", action in [Action::"discover", Action::"query"], resource);
@id("all-clear") permit (principal in Group::"all", action == Action::"viewClear", resource)
unless { resource.tags.contains(Tag::"secret") };
@id("all-rows") permit (principal in Group::"all", action == Action::"readRow", resource)
when { principal has share && resource has pct && resource.pct < principal.share };
"#
    .to_owned();
    for mask in MASKS {
        let action = format!("view{}{}", mask[..1].to_uppercase(), &mask[1..]);
        let rest = if mask == "clear" { "" } else { ", Action::\"viewNull\"" };
        writeln!(
            text,
            "@id(\"{mask}\") permit (principal in Group::\"{mask}\", action in [Action::\"{action}\"{rest}], resource);"
        )
        .unwrap();
    }
    text
}

fn users() -> String {
    let mut text = "users:\n".to_owned();
    for share in 1..=100 {
        for mask in MASKS {
            writeln!(text, "  {}: {{groups: [\"{mask}\"], attributes: {{share: {share}}}}}", user(share, mask))
                .unwrap();
        }
    }
    text
}

/// What `pct` of a row is: every share from 1 to 99 shows other rows, scattered and in runs.
fn pct(row: i64) -> i64 {
    if row % 2 == 0 { (row * 37) % 100 } else { row * 100 / ROWS }
}

/// `HIDE37`: what stands in every value of a row.
fn needle(tag: &[u8], row: i64) -> String {
    format!("{}{:02}", std::str::from_utf8(tag).unwrap(), pct(row))
}

/// A number whose eight bytes are the needle and the row.
fn number(tag: &[u8], row: i64) -> i64 {
    let mut bytes = [0; 8];
    bytes[..6].copy_from_slice(needle(tag, row).as_bytes());
    bytes[6..].copy_from_slice(&u16::try_from(row).unwrap().to_le_bytes());
    i64::from_le_bytes(bytes)
}

/// The shares of all needles of a kind in some bytes: a needle of `pct` is for those whose share is above it.
pub fn found<'a>(bytes: &'a [u8], tag: &'a [u8]) -> impl Iterator<Item = i64> + 'a {
    let digit = |byte: &u8| byte.is_ascii_digit().then(|| i64::from(byte - b'0'));
    bytes
        .windows(6)
        .filter(move |window| window.starts_with(tag))
        .filter_map(move |window| Some(digit(&window[4])? * 10 + digit(&window[5])?))
}

fn columns(tag: &[u8], rows: &[i64]) -> Vec<ArrayRef> {
    // Short ones that views hold themselves, long ones that they do not, and repeated ones for dictionaries.
    let text = |row: i64| match (row % 3, needle(tag, row)) {
        (0, needle) => format!("{needle}-{row}"),
        (1, needle) => format!("{needle}-{row}-long-enough-to-lie-in-a-buffer-tail"),
        (_, needle) => format!("{needle}-the-same-again-and-again-tail"),
    };
    let nothing = |row: i64| row % 11 == 5;
    let maybe = |row: i64| (!nothing(row)).then(|| text(row));
    let mut binary = BinaryBuilder::new();
    let mut list = ListBuilder::new(StringBuilder::new()).with_field(Field::new("element", DataType::Utf8, true));
    let names = MapFieldNames { entry: "key_value".into(), key: "key".into(), value: "value".into() };
    let mut map = MapBuilder::new(Some(names), StringBuilder::new(), StringBuilder::new());
    for row in rows {
        binary.append_option(maybe(*row));
        for item in 0..row % 4 {
            list.values().append_value(format!("{}{item}", text(*row)));
            map.keys().append_value(format!("{}{item}", text(*row)));
            map.values().append_value(text(*row));
        }
        list.append(!nothing(*row));
        map.append(!nothing(*row)).unwrap();
    }
    let texts: ArrayRef = Arc::new(rows.iter().map(|row| Some(text(*row))).collect::<StringArray>());
    let numbers: ArrayRef = Arc::new(rows.iter().map(|row| Some(number(tag, *row))).collect::<Int64Array>());
    let decimals = rows.iter().map(|row| (!nothing(*row)).then(|| i128::from(number(tag, *row))));
    let decimals = decimals.collect::<Decimal128Array>().with_precision_and_scale(20, 2).unwrap();
    let structs = StructArray::from(vec![
        (Arc::new(Field::new("a", DataType::Utf8, true)), Arc::clone(&texts)),
        (Arc::new(Field::new("n", DataType::Int64, true)), Arc::clone(&numbers)),
    ]);
    vec![
        Arc::new(rows.iter().map(|row| maybe(*row)).collect::<StringArray>()),
        Arc::new(binary.finish()),
        numbers,
        Arc::new(decimals),
        Arc::new(structs),
        Arc::new(list.finish()),
        Arc::new(map.finish()),
    ]
}

/// The rows of a file.
fn batch(rows: &[i64]) -> RecordBatch {
    let mut all: Vec<(String, ArrayRef)> = vec![
        ("id".to_owned(), Arc::new(Int64Array::from(rows.to_vec()))),
        ("pct".to_owned(), Arc::new(rows.iter().map(|row| pct(*row)).collect::<Int64Array>())),
    ];
    for (prefix, tag) in [("v", HIDDEN), ("p", MASKED)] {
        for ((name, _), column) in FIELDS.iter().zip(columns(tag, rows)) {
            all.push((format!("{prefix}_{name}"), column));
        }
    }
    RecordBatch::try_from_iter_with_nullable(all.into_iter().map(|(name, column)| (name, column, true))).unwrap()
}

fn delta_type(name: &str) -> Value {
    match name {
        "struct<a: string, n: long>" => json!({"type": "struct", "fields": [
            {"name": "a", "type": "string", "nullable": true, "metadata": {}},
            {"name": "n", "type": "long", "nullable": true, "metadata": {}},
        ]}),
        "list<string>" => json!({"type": "array", "elementType": "string", "containsNull": true}),
        "map<string,string>" => {
            json!({"type": "map", "keyType": "string", "valueType": "string", "valueContainsNull": true})
        }
        plain => json!(plain),
    }
}

/// A Delta table of two files with several row groups.
fn table(directory: &Path) {
    fs::create_dir_all(directory.join("_delta_log")).unwrap();
    let mut fields = vec![("id".to_owned(), json!("long")), ("pct".to_owned(), json!("long"))];
    for prefix in ["v", "p"] {
        fields.extend(FIELDS.map(|(name, data_type)| (format!("{prefix}_{name}"), delta_type(data_type))));
    }
    let fields: Vec<Value> = fields
        .into_iter()
        .map(|(name, data_type)| json!({"name": name, "type": data_type, "nullable": true, "metadata": {}}))
        .collect();
    let mut log = vec![
        json!({"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}}),
        json!({"metaData": {
            "id": "00000000-0000-0000-0000-000000000007", "format": {"provider": "parquet", "options": {}},
            "schemaString": json!({"type": "struct", "fields": fields}).to_string(),
            "partitionColumns": [], "configuration": {}, "createdTime": 0
        }}),
    ];
    for (number, rows) in [(0..ROWS / 2), (ROWS / 2..ROWS)].into_iter().enumerate() {
        let name = format!("part-{number}.parquet");
        let batch = batch(&rows.collect::<Vec<_>>());
        let properties = WriterProperties::builder().set_max_row_group_row_count(Some(64)).build();
        let file = fs::File::create(directory.join(&name)).unwrap();
        let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        let size = fs::metadata(directory.join(&name)).unwrap().len();
        log.push(json!({"add": {
            "path": name, "partitionValues": {}, "size": size, "modificationTime": 0, "dataChange": true
        }}));
    }
    let log: String = log.iter().map(|line| format!("{line}\n")).collect();
    fs::write(directory.join("_delta_log/00000000000000000000.json"), log).unwrap();
}
