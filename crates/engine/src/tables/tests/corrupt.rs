//! Tables whose files are gone, cut or overwritten: the rows that they have, or one error that names the file; never other
//! rows, never a panic.

use std::path::{Path, PathBuf};

use portcullis_contract::Table;
use portcullis_contract::TableFormat::{self, Delta, Iceberg};

use super::conformance::columns_of;
use super::support::{declared, expected_file, parquet_rows, rows, run, session, tables};
use super::{delta, iceberg, java, spark};
use crate::tables::named::shown;
use crate::{EngineError, ErrorKind};

/// What may happen to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Damage {
    Gone,
    Empty,
    CutInHalf,
    WithoutItsLastByte,
    Overwritten,
}

const DAMAGES: [Damage; 5] =
    [Damage::Gone, Damage::Empty, Damage::CutInHalf, Damage::WithoutItsLastByte, Damage::Overwritten];

impl Damage {
    fn happen(self, file: &Path) {
        let mut bytes = std::fs::read(file).unwrap();
        match self {
            Damage::Gone => return std::fs::remove_file(file).unwrap(),
            Damage::Empty => bytes.clear(),
            Damage::CutInHalf => bytes.truncate(bytes.len() / 2),
            Damage::WithoutItsLastByte => bytes.truncate(bytes.len().saturating_sub(1)),
            Damage::Overwritten => bytes.iter_mut().enumerate().for_each(|(at, byte)| *byte = (at * 31 % 251) as u8),
        }
        std::fs::write(file, bytes).unwrap();
    }
}

pub(super) async fn read(table: &Table) -> Result<Vec<String>, EngineError> {
    ask(table, "select * from t").await
}

/// The answer to a query of the table, which is `t`.
pub(super) async fn ask(table: &Table, query: &str) -> Result<Vec<String>, EngineError> {
    let tables = tables();
    let pinned = tables.pin(table).await?;
    let ctx = session(&tables);
    ctx.register_table("t", pinned.provider()).unwrap();
    let answer = ctx.sql(query).await.unwrap().collect().await;
    answer.map(|batches| rows(&batches)).map_err(|error| crate::exec::redact::below(&table.name.to_string(), &error))
}

pub(super) fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files_below(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// Whether the table without this file is the table at an earlier state, which nobody can tell from one that is so.
fn is_newest(format: TableFormat, directory: &Path, file: &Path) -> bool {
    let end = if format == Delta { ".json" } else { ".metadata.json" };
    let is_one = |path: &&PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy();
        name.ends_with(end) && !name.contains("checkpoint") && !name.starts_with('_')
    };
    let all = files_below(directory);
    let newest = all.iter().rfind(is_one);
    let hinted = directory.join("metadata/version-hint.text").exists();
    newest.is_some_and(|newest| newest == file) && !hinted
}

/// Every file of a table, damaged in every way, one after the other.
async fn every_damage_is_told_or_harmless(lake: &Path, format: TableFormat, name: &str) {
    let columns = columns_of(lake, name);
    let columns: Vec<(&str, &str)> = columns.iter().map(|(name, of)| (name.as_str(), of.as_str())).collect();
    let place = tempfile::TempDir::new().unwrap();
    let directory = place.path().join(name);
    let table = declared(&place.path().display().to_string(), name, format, &columns);
    let whole = || {
        let _ = std::fs::remove_dir_all(&directory);
        run(std::process::Command::new("cp").arg("-rp").arg(lake.join(name)).arg(&directory));
    };
    whole();
    let expected = rows(&parquet_rows(&expected_file(lake, name)));
    assert_eq!(read(&table).await.unwrap(), expected, "{name} without damage");
    let mut told = 0;
    for (number, file) in files_below(&directory).into_iter().enumerate() {
        let relative = file.strip_prefix(&directory).unwrap().display().to_string();
        // Of each file two kinds, in turns: a table has several files of each sort.
        for damage in DAMAGES.into_iter().cycle().skip(number * 2).take(2) {
            if damage == Damage::Gone && is_newest(format, &directory, &file) {
                continue;
            }
            damage.happen(&file);
            match read(&table).await {
                Ok(found) => assert_eq!(found, expected, "{name}: other rows with {relative} {damage:?}"),
                Err(error) => {
                    told += 1;
                    let kinds = [ErrorKind::Corrupt, ErrorKind::Unavailable];
                    assert!(kinds.contains(&error.kind()), "{name}, {relative} {damage:?}: {error}");
                    let name_of_file = shown(&relative).unwrap_or_default();
                    assert!(error.to_string().contains(&name_of_file), "{name}, {relative} {damage:?}: {error}");
                    let directories = relative.rsplit_once('/').map_or("", |(directories, _)| directories);
                    let hidden = directories.contains('=') && error.to_string().contains(directories);
                    assert!(!hidden, "an error tells the value of a partition: {error}");
                }
            }
            whole();
        }
    }
    assert!(told > 2, "{name}: only {told} damages were told");
}

#[tokio::test(flavor = "multi_thread")]
async fn external_corrupt_iceberg_files_are_named() {
    if let Some(lake) = iceberg::lake() {
        every_damage_is_told_or_harmless(lake.path(), Iceberg, "respecced").await;
    }
    if let Some(lake) = java::lake() {
        every_damage_is_told_or_harmless(lake.path(), Iceberg, "vectors").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn external_corrupt_delta_files_are_named() {
    if let Some(lake) = delta::lake() {
        for name in ["mapped_by_name", "widened"] {
            every_damage_is_told_or_harmless(lake.path(), Delta, name).await;
        }
    }
    if let Some(lake) = spark::lake() {
        every_damage_is_told_or_harmless(&lake, Delta, "d_checkpoint_v2").await;
    }
}

/// Where the log was cleaned, a checkpoint and its sidecars are all there is of the versions before.
#[tokio::test(flavor = "multi_thread")]
async fn external_corrupt_lost_checkpoints_are_named() {
    let Some(lake) = spark::lake() else { return };
    for name in ["d_checkpoint_v2", "d_checkpoint_parts"] {
        let log = lake.join(name).join("_delta_log");
        let number = |name: &str| name.split('.').next().unwrap().parse::<u64>();
        let names = files_below(&log).into_iter().map(|path| path.strip_prefix(&log).unwrap().display().to_string());
        let newest = names.map(|name| name.trim_start_matches("_sidecars/").to_owned());
        let newest: Vec<String> = newest.filter(|name| name.contains(".checkpoint.") && number(name).is_ok()).collect();
        let version = newest.iter().map(|name| number(name).unwrap()).max().unwrap();
        let cleaned = |table: &Path| {
            let log = table.join("_delta_log");
            for file in files_below(&log) {
                let name = file.file_name().unwrap().to_string_lossy();
                if number(&name)
                    .is_ok_and(|number| number < version || number == version && !name.contains(".checkpoint."))
                {
                    std::fs::remove_file(file).unwrap();
                }
            }
        };
        let expected = rows(&parquet_rows(&expected_file(&lake, name)));
        assert_eq!(changed(&lake, Delta, name, cleaned).await.unwrap(), expected, "{name} when its log was cleaned");
        let of_it: Vec<&String> = newest.iter().filter(|name| number(name).unwrap() == version).collect();
        assert!(of_it.len() > 1, "{of_it:?}");
        for lost in of_it {
            let without = |table: &Path| {
                cleaned(table);
                let files = files_below(&table.join("_delta_log"));
                std::fs::remove_file(files.iter().find(|file| file.ends_with(lost)).unwrap()).unwrap();
            };
            let error = changed(&lake, Delta, name, without).await.unwrap_err();
            assert!(error.contains(lost.as_str()), "{name} without {lost}: {error}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn external_corrupt_checkpoints_that_lie_are_not_believed() {
    let Some(lake) = spark::lake() else { return };
    let name = "d_checkpoint_parts";
    let columns = columns_of(&lake, name);
    let columns: Vec<(&str, &str)> = columns.iter().map(|(name, of)| (name.as_str(), of.as_str())).collect();
    let expected = rows(&parquet_rows(&expected_file(&lake, name)));
    for lie in [
        r#"{"version":3,"size":4}"#,
        r#"{"version":9,"size":4}"#,
        r#"{"version":5,"size":1,"parts":1}"#,
        r#"{"version":5,"size":99999,"parts":99999}"#,
        r#"{"version":-1}"#,
        "{}",
        "",
    ] {
        let place = tempfile::TempDir::new().unwrap();
        run(std::process::Command::new("cp").arg("-rp").arg(lake.join(name)).arg(place.path()));
        std::fs::write(place.path().join(name).join("_delta_log/_last_checkpoint"), lie).unwrap();
        let table = declared(&place.path().display().to_string(), name, Delta, &columns);
        match read(&table).await {
            Ok(found) => assert_eq!(found, expected, "{lie}"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Corrupt, "{lie}: {error}"),
        }
    }
}

/// A table with one of its files changed, as it is read.
async fn changed(
    lake: &Path,
    format: TableFormat,
    name: &str,
    change: impl FnOnce(&Path),
) -> Result<Vec<String>, String> {
    let columns = columns_of(lake, name);
    let columns: Vec<(&str, &str)> = columns.iter().map(|(name, of)| (name.as_str(), of.as_str())).collect();
    let place = tempfile::TempDir::new().unwrap();
    run(std::process::Command::new("cp").arg("-rp").arg(lake.join(name)).arg(place.path()));
    change(&place.path().join(name));
    let table = declared(&place.path().display().to_string(), name, format, &columns);
    read(&table).await.map_err(|error| error.to_string())
}

fn in_log(table: &Path, from: &str, to: &str) {
    let log = table.join("_delta_log/00000000000000000000.json");
    let text = std::fs::read_to_string(&log).unwrap();
    assert!(text.contains(from), "{from}");
    std::fs::write(log, text.replace(from, to)).unwrap();
}

/// The parser of Avro panics at names that are none.
#[tokio::test(flavor = "multi_thread")]
async fn external_corrupt_names_in_avro_files_are_told() {
    let Some(lake) = iceberg::lake() else { return };
    for (name, none) in [("\"manifest_file\"", "\"manifest file\""), ("\"manifest_entry\"", "\"manifest entry\"")] {
        let mut file = None;
        let renamed = |table: &Path| {
            for path in files_below(&table.join("metadata")) {
                let mut bytes = std::fs::read(&path).unwrap();
                let found = bytes.windows(name.len()).position(|part| part == name.as_bytes());
                if let Some(at) = found.filter(|_| path.extension().is_some_and(|end| end == "avro")) {
                    bytes[at..at + name.len()].copy_from_slice(&none.as_bytes()[..name.len()]);
                    std::fs::write(&path, bytes).unwrap();
                    file = Some(path);
                }
            }
        };
        let error = changed(lake.path(), Iceberg, "respecced", renamed).await.unwrap_err();
        assert!(file.is_some(), "no file has {name}");
        assert!(error.contains("cannot be read: its Iceberg metadata is invalid: `metadata/"), "{error}");
    }
}

/// Nobody looks at checksums of pages: where a bit flips, the page does not unpack or decode any more, which is an error of its
/// file, or it has another value, which nobody can tell.
async fn bits_that_flip(lake: &Path, format: TableFormat, name: &str) -> [usize; 2] {
    let columns = columns_of(lake, name);
    let columns: Vec<(&str, &str)> = columns.iter().map(|(name, of)| (name.as_str(), of.as_str())).collect();
    let place = tempfile::TempDir::new().unwrap();
    run(std::process::Command::new("cp").arg("-rp").arg(lake.join(name)).arg(place.path()));
    let table = declared(&place.path().display().to_string(), name, format, &columns);
    let expected = read(&table).await.unwrap();
    let is_data = |path: &PathBuf| {
        path.extension().is_some_and(|end| end == "parquet") && !path.to_string_lossy().contains("_delta_log")
    };
    let file = files_below(place.path()).into_iter().find(is_data).unwrap();
    let whole = std::fs::read(&file).unwrap();
    let [.., a, b, c, d, _, _, _, _] = whole.as_slice() else { panic!("{file:?} has no footer") };
    let pages = whole.len() - 8 - u32::from_le_bytes([*a, *b, *c, *d]) as usize;
    let relative = file.strip_prefix(place.path()).unwrap().display().to_string();
    let (mut told, mut unseen) = (0, 0);
    for at in (4..pages).step_by(pages / 150) {
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 8);
        std::fs::write(&file, flipped).unwrap();
        match read(&table).await {
            Ok(found) => unseen += usize::from(found != expected),
            Err(error) => {
                told += 1;
                assert_eq!(error.kind(), ErrorKind::Corrupt, "{name}, byte {at} of {relative}: {error}");
                let named = error.to_string().contains(&shown(&relative).unwrap());
                assert!(named, "{name}, byte {at} of {relative}: {error}");
            }
        }
    }
    [told, unseen]
}

#[tokio::test(flavor = "multi_thread")]
async fn external_corrupt_bits_that_flip_in_pages_are_told_or_cannot_be_seen() {
    let mut all = [0, 0];
    for (lake, format) in [(iceberg::lake(), Iceberg), (delta::lake(), Delta)] {
        let Some(lake) = lake else { return };
        let found = bits_that_flip(lake.path(), format, "types").await;
        println!("{format:?}: {} told, {} other rows", found[0], found[1]);
        all = [all[0] + found[0], all[1] + found[1]];
    }
    assert!(all[0] > 20, "{all:?}");
    // The day that this fails, docs/tables.md may promise more.
    assert!(all[1] > 0, "{all:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn external_corrupt_counts_that_lie_are_found() {
    let Some(lake) = delta::lake() else { return };
    let rows = |table: &Path| in_log(table, r#"\"numRecords\": 1000"#, r#"\"numRecords\": 1001"#);
    assert_eq!(
        changed(lake.path(), Delta, "mapped_by_name", rows).await.unwrap_err(),
        "table `test.mapped_by_name` cannot be read: its data does not have the form that its metadata says"
    );
    for name in ["mapped_by_name", "mapped_by_id"] {
        let deleted = |table: &Path| in_log(table, r#""cardinality":126"#, r#""cardinality":125"#);
        let error = changed(lake.path(), Delta, name, deleted).await.unwrap_err();
        assert!(error.contains("one of its deletion vectors is damaged"), "{error}");
    }
    let Some(lake) = java::lake() else { return };
    // Cut behind the header, a manifest is one of no files.
    let cut = |table: &Path| {
        let is_manifest = |path: &PathBuf| {
            let name = path.file_name().unwrap().to_string_lossy();
            name.ends_with("-m0.avro")
        };
        let manifest = files_below(table).into_iter().find(is_manifest).unwrap();
        let mut bytes = std::fs::read(&manifest).unwrap();
        let mark = bytes[bytes.len() - 16..].to_vec();
        let header = bytes.windows(16).position(|part| part == mark).unwrap() + 16;
        assert!(header < bytes.len());
        bytes.truncate(header);
        std::fs::write(manifest, bytes).unwrap();
    };
    let error = changed(lake.path(), Iceberg, "lacking", cut).await.unwrap_err();
    assert!(error.contains("a manifest of it is not complete: `metadata/"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn external_corrupt_readers_need_not_know_everything() {
    let Some(lake) = delta::lake() else { return };
    for (feature, shown) in [
        ("frobnication", "it needs readers to know Delta's feature `frobnication`, which the gateway does not"),
        ("catalogManaged", "it needs readers to know Delta's feature `catalogManaged`, which the gateway does not"),
        ("a b'c", "it uses a feature of Delta that the gateway does not know"),
    ] {
        let asks = |table: &Path| {
            in_log(
                table,
                r#""columnMapping","deletionVectors"],"writer"#,
                &format!(r#""{feature}","columnMapping","deletionVectors"],"writer"#),
            );
            in_log(table, r#""writerFeatures":["#, &format!(r#""writerFeatures":["{feature}","inCommitTimestamp","#));
        };
        let error = changed(lake.path(), Delta, "mapped_by_name", asks).await.unwrap_err();
        assert_eq!(error, format!("table `test.mapped_by_name` is withheld: {shown}"));
    }
}
