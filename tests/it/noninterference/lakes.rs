//! The meshes of worlds on disk: contracts, policies, users, and tables with their versions.

use std::fs;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::error::ArrowError;
use parquet::arrow::ArrowWriter;
use portcullis::demo::lake;
use serde_json::{Value as Json, json};

use super::mesh::{self, Principal};
use super::tables::{Role, TABLES, TableDef};
use super::values::{Kind, array};
use super::worlds::{Data, Row, Rows};

/// The key of masks and the key of signatures, the same in all worlds.
const KEYS: &str = "the same key in both worlds, 32 bytes and more";
pub const MASK_KEY: &str = KEYS;

/// A column that the files have and no contract: no two worlds have the same in it.
const UNDECLARED: &str = "undeclared";
/// When the first commit was made, by the clock of who wrote it: 2026-06-30 23:00:00 UTC, an hour before the second.
const FIRST_COMMIT: Duration = Duration::from_secs(1_782_860_400);

/// Writes a world: contracts, policies, users and the lake.
pub async fn write(directory: &Path, data: &Data, principals: &[Principal], extra: bool) {
    let put = |path: &str, text: &str| {
        let path = directory.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    put("catalogs/connections.yaml", "connections: {lake: {type: directory, url: lake}}\n");
    put("policies/vocabulary.yaml", &mesh::vocabulary(principals));
    put("policies/all.cedar", &mesh::policies(principals));
    put("users.yaml", &mesh::users(principals));
    put("mask.key", KEYS);
    put("signing.key", KEYS);
    for (table, rows) in TABLES.iter().zip(data) {
        put(&format!("catalogs/{}/{}.yaml", table.domain, table.name), &mesh::contract(table));
        let place = directory.join("lake").join(table.domain).join(table.name);
        match table.role {
            Role::Broken => broken(&place, &rows.rows),
            _ => {
                // As many hidden rows, as many files.
                let files = 1 + rows.rows.len() as u64 / 100;
                let written = Written { table, rows, files, world: &directory.display().to_string() };
                lake::write_table(&written, table.format, &place).await.unwrap();
                match table.format {
                    lake::Format::Iceberg => add_references(&place, table),
                    lake::Format::Delta => name_files(&place),
                }
            }
        }
    }
    // A table that only one of the worlds has, and that nobody may know of.
    if extra {
        let table = TableDef { domain: "ghost", name: "only", ..SMALL };
        put("catalogs/ghost/only.yaml", &mesh::contract(&table));
    }
}

/// Rows of the table that cannot be read.
const BROKEN_ROWS: usize = 10;

const SMALL: TableDef = TableDef {
    domain: "",
    name: "",
    format: lake::Format::Delta,
    columns: &[("id", Kind::Long), ("secret", Kind::Text)],
    rows: 0,
    role: Role::Hidden,
};

struct Written<'a> {
    table: &'a TableDef,
    rows: &'a Rows,
    files: u64,
    world: &'a str,
}

/// The rows as a batch.
pub fn batch(table: &TableDef, rows: &[Row]) -> Result<RecordBatch, ArrowError> {
    let column = |at: usize, kind: Kind| array(kind, &rows.iter().map(|row| &row[at]).collect::<Vec<_>>());
    let columns: Vec<ArrayRef> = table.columns.iter().enumerate().map(|(at, (_, kind))| column(at, *kind)).collect();
    let fields = table.columns.iter().zip(&columns);
    let fields: Vec<_> = fields.map(|((name, _), array)| Field::new(*name, array.data_type().clone(), true)).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

impl lake::Rows for Written<'_> {
    fn name(&self) -> &str {
        self.table.name
    }

    fn commits(&self) -> u64 {
        2
    }

    fn files(&self) -> u64 {
        self.files
    }

    fn count(&self) -> u64 {
        self.rows.rows.len() as u64
    }

    fn ranges(&self) -> Vec<Range<u64>> {
        let cut = self.rows.cut as u64;
        vec![0..cut, cut..self.count()]
    }

    fn batch(&self, range: Range<u64>) -> Result<RecordBatch, ArrowError> {
        let rows = &self.rows.rows;
        let places = range.start as usize..(range.end as usize).min(rows.len());
        let declared = batch(self.table, rows.get(places.clone()).unwrap_or_default())?;
        let mut fields: Vec<_> = declared.schema().fields().iter().cloned().collect();
        fields.push(Arc::new(Field::new(UNDECLARED, DataType::Utf8, true)));
        let needles: StringArray = places.map(|row| Some(format!("NEEDLE{row}{}", self.world))).collect();
        let columns = declared.columns().iter().cloned().chain([Arc::new(needles) as ArrayRef]).collect();
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
    }
}

fn json_of(path: &Path) -> Json {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// Gives an Iceberg table a tag and a branch, and its first version another schema: the column that was called `note` then was
/// dropped since, and today's had another name.
fn add_references(directory: &Path, table: &TableDef) {
    let path = directory.join("metadata/v2.metadata.json");
    let mut metadata = json_of(&path);
    let first = lake::snapshot_id(table.name, 1);
    metadata["refs"]["first"] = json!({"snapshot-id": first, "type": "tag"});
    metadata["refs"]["side"] = json!({"snapshot-id": first, "type": "branch"});
    let mut schema = metadata["schemas"][0].clone();
    schema["schema-id"] = json!(1);
    let fields = schema["fields"].as_array_mut().unwrap();
    fields.retain(|field| field["name"] != UNDECLARED);
    metadata["schemas"].as_array_mut().unwrap().push(schema);
    metadata["current-schema-id"] = json!(1);
    for field in metadata["schemas"][0]["fields"].as_array_mut().unwrap() {
        let name = match field["name"].as_str() {
            Some("note") => "remark",
            Some(UNDECLARED) => "note",
            _ => continue,
        };
        field["name"] = json!(name);
    }
    for snapshot in metadata["snapshots"].as_array_mut().unwrap() {
        let is_first = snapshot["snapshot-id"] == json!(first);
        snapshot["schema-id"] = json!(i32::from(!is_first));
    }
    fs::write(&path, serde_json::to_vec(&metadata).unwrap()).unwrap();
}

/// Names the files of a Delta table by their version, where its writer draws names: files are read in the order of their names. And
/// dates the commits, by which versions are found.
fn name_files(directory: &Path) {
    for version in 0_u64.. {
        let log = directory.join(format!("_delta_log/{version:020}.json"));
        let Ok(text) = fs::read_to_string(&log) else { return };
        let mut lines = String::new();
        for line in text.lines() {
            let mut action: Json = serde_json::from_str(line).unwrap();
            if let Some(path) = action["add"]["path"].as_str() {
                let name = format!("part-{version}.parquet");
                fs::rename(directory.join(path), directory.join(&name)).unwrap();
                action["add"]["path"] = json!(name);
            }
            lines += &format!("{action}\n");
        }
        fs::write(&log, lines).unwrap();
        let hours = Duration::from_secs(3_600);
        let at = SystemTime::UNIX_EPOCH + FIRST_COMMIT + hours * u32::try_from(version).unwrap() - hours;
        fs::File::options().write(true).open(&log).unwrap().set_modified(at).unwrap();
    }
}

/// A Delta table whose log says that `level` is a number, and whose file holds texts there: what nobody can read, and the
/// only thing in which the worlds differ here.
fn broken(directory: &Path, rows: &[Row]) {
    fs::create_dir_all(directory.join("_delta_log")).unwrap();
    // As many in each world: how many rows there are is no secret.
    let secrets = rows.iter().cycle().map(|row| format!("{:?}", row[1]));
    let secrets: Vec<String> = secrets.take(BROKEN_ROWS).collect();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("id", Arc::new(arrow::array::Int64Array::from_iter_values(0..BROKEN_ROWS as i64))),
        ("secret", Arc::new((0..BROKEN_ROWS).map(|row| Some(format!("secret {row}"))).collect::<StringArray>())),
        ("level", Arc::new(StringArray::from(secrets))),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    fs::write(directory.join("part-0.parquet"), &bytes).unwrap();
    let field = |name: &str, kind: &str| json!({"name": name, "type": kind, "nullable": true, "metadata": {}});
    let fields = json!([field("id", "long"), field("secret", "string"), field("level", "integer")]);
    let lines = [
        json!({"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}}),
        json!({"metaData": {
            "id": "00000000-0000-0000-0000-000000000001", "format": {"provider": "parquet", "options": {}},
            "schemaString": json!({"type": "struct", "fields": fields}).to_string(),
            "partitionColumns": [], "configuration": {}, "createdTime": 0
        }}),
        json!({"add": {
            "path": "part-0.parquet", "partitionValues": {}, "size": bytes.len(), "modificationTime": 0, "dataChange": true
        }}),
    ];
    let log: String = lines.iter().map(|line| format!("{line}\n")).collect();
    fs::write(directory.join("_delta_log/00000000000000000000.json"), log).unwrap();
}
