//! Whole tables with one of their files changed: read to the end, or one error.

use std::path::{Path, PathBuf};
use std::process::Command;

use portcullis_contract::Table;
use portcullis_contract::TableFormat::{self, Delta, Iceberg};
use tempfile::TempDir;

use super::{Rng, avro, bytes, cases, text};
use crate::ErrorKind;
use crate::tables::tests::conformance::columns_of;
use crate::tables::tests::corrupt::{ask, files_below};
use crate::tables::tests::support::{declared, run};
use crate::tables::tests::{delta, iceberg, java, spark};

/// A table of a writer, where it can be changed.
struct Fixture {
    table: Table,
    /// What is metadata, and what is data.
    files: [Vec<(PathBuf, Vec<u8>)>; 2],
    query: &'static str,
    _place: TempDir,
}

impl Fixture {
    fn new(lake: &Path, format: TableFormat, name: &str) -> Self {
        let columns = columns_of(lake, name);
        let columns: Vec<(&str, &str)> = columns.iter().map(|(name, of)| (name.as_str(), of.as_str())).collect();
        let place = TempDir::new().unwrap();
        run(Command::new("cp").arg("-rp").arg(lake.join(name)).arg(place.path()));
        let table = declared(&place.path().display().to_string(), name, format, &columns);
        let is_read = |path: &PathBuf| path.extension().is_none_or(|end| end != "crc");
        let files = files_below(place.path()).into_iter().filter(is_read);
        let files = files.map(|path| (path.clone(), std::fs::read(&path).unwrap()));
        let is_metadata = |(path, _): &(PathBuf, Vec<u8>)| {
            let path = path.to_string_lossy();
            path.contains("/metadata/") || path.contains("_delta_log") || path.contains("delet")
        };
        let (metadata, data) = files.partition(is_metadata);
        // Page indexes and Bloom filters are read where there is something to look for.
        let query = match name {
            "bloomed" => "select * from t where name = '81dc9bdb52d04dc20036dbd8313ed055' or code in (7919, 15838)",
            _ => "select * from t",
        };
        Self { table, files: [metadata, data], query, _place: place }
    }

    fn pick(&self, rng: &mut Rng) -> &(PathBuf, Vec<u8>) {
        let [metadata, data] = &self.files;
        if rng.one_in(5) && !data.is_empty() { rng.pick(data) } else { rng.pick(metadata) }
    }
}

fn changed(rng: &mut Rng, path: &Path, whole: &[u8]) -> Vec<u8> {
    match path.extension().and_then(|end| end.to_str()) {
        Some("avro") => avro::changed(rng, whole),
        Some("parquet") if !rng.one_in(3) => {
            // The footer, which is not compressed, tells how long everything else is.
            let length = whole.last_chunk::<8>().map_or(0, |end| u32::from_le_bytes([end[0], end[1], end[2], end[3]]));
            let (before, footer) = whole.split_at(whole.len().saturating_sub(8 + length as usize));
            let mut changed = before.to_vec();
            match rng.one_in(8) {
                true => changed.extend(bytes(rng, footer)),
                // As long as it says to be.
                false => {
                    let plain = bytes(rng, &footer[..footer.len().saturating_sub(8)]);
                    changed.extend_from_slice(&plain);
                    changed.extend((plain.len() as u32).to_le_bytes());
                    changed.extend(b"PAR1");
                }
            }
            changed
        }
        Some("json" | "text") | None => text(rng, whole),
        _ => bytes(rng, whole),
    }
}

#[test]
fn external_fuzz_tables() {
    let mut fixtures = Vec::new();
    let mut add = |lake: &Path, format, names: &[&str]| {
        fixtures.extend(names.iter().map(|name| Fixture::new(lake, format, name)));
    };
    if let Some(lake) = iceberg::lake() {
        add(lake.path(), Iceberg, &["respecced", "types"]);
    }
    if let Some(lake) = java::lake() {
        add(lake.path(), Iceberg, &["vectors", "java_types"]);
    }
    if let Some(lake) = delta::lake() {
        add(lake.path(), Delta, &["mapped_by_name", "mapped_by_id", "types", "bloomed"]);
    }
    if let Some(lake) = spark::lake() {
        add(&lake, Delta, &["d_checkpoint_v2", "d_checkpoint_parts", "d_partitioned"]);
        add(&lake, Iceberg, &["i_deleted_v2", "i_deleted_v3", "i_rewritten"]);
    }
    if fixtures.is_empty() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    for fixture in &fixtures {
        runtime.block_on(ask(&fixture.table, fixture.query)).unwrap();
    }
    let (mut answers, mut errors) = (0, 0);
    cases("tables", 100, |rng| {
        let fixture = rng.pick(&fixtures);
        let (path, whole) = fixture.pick(rng);
        std::fs::write(path, changed(rng, path, whole)).unwrap();
        let answer = runtime.block_on(ask(&fixture.table, fixture.query));
        std::fs::write(path, whole).unwrap();
        match answer {
            Ok(_) => answers += 1,
            Err(error) => {
                errors += 1;
                let told = [ErrorKind::Corrupt, ErrorKind::Unavailable, ErrorKind::Withheld];
                assert!(told.contains(&error.kind()), "{}: {:?}: {error}", path.display(), error.kind());
                if std::env::var_os("PORTCULLIS_FUZZ_TOLD").is_some() {
                    println!("{}: {error}", path.file_name().unwrap().display());
                }
            }
        }
    });
    println!("fuzz tables: {answers} read, {errors} refused");
}
