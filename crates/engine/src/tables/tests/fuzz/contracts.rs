//! Contracts and connections: their crate has no test that can change bytes, and this one has.

use std::path::{Path, PathBuf};

use portcullis_contract::{Catalogue, FieldType, SourceFile};

use super::{Rng, cases, text};

/// The project's own mesh and those of its tests.
fn seeds() -> Vec<PathBuf> {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let (mut places, mut found) = (vec![project.join("catalogs"), project.join("tests/meshes")], Vec::new());
    while let Some(place) = places.pop() {
        for entry in std::fs::read_dir(place).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                places.push(path);
            } else if path.extension().is_some_and(|end| end == "yaml") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn random_type(rng: &mut Rng) -> String {
    let words = [
        "list",
        "map",
        "struct",
        "decimal",
        "fixed",
        "long",
        "string",
        "<",
        ">",
        "(",
        ")",
        "[",
        "]",
        ",",
        ":",
        "a",
        "9",
        "38",
        " ",
        "é",
        "99999999999",
    ];
    (0..rng.below(60)).map(|_| *rng.pick(&words)).collect()
}

#[test]
fn fuzz_contracts() {
    let files: Vec<(String, Vec<u8>)> =
        seeds().iter().map(|path| (path.display().to_string(), std::fs::read(path).unwrap())).collect();
    assert!(files.len() > 5, "{files:?}");
    let connections = r#"connections: {lake: {type: directory, url: "/lake"}}"#;
    cases("contracts", 300, |rng| {
        let (name, whole) = rng.pick(&files);
        let changed = String::from_utf8_lossy(&text(rng, whole)).into_owned();
        let (contract, other) = match rng.one_in(4) {
            true => (String::from_utf8_lossy(whole).into_owned(), changed),
            false => (changed, connections.to_owned()),
        };
        let catalogue =
            Catalogue::build(&[SourceFile::new(name, &contract)], Some(&SourceFile::new("connections.yaml", &other)));
        for finding in catalogue.findings() {
            assert!(!finding.to_string().is_empty());
        }
        let random = random_type(rng);
        if let Ok(parsed) = random.parse::<FieldType>() {
            assert_eq!(parsed.to_string().parse::<FieldType>().as_ref(), Ok(&parsed), "{random}");
        }
    });
}
