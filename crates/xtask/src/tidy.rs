//! What a compiler doesn't see. Each check returns what is wrong, and is a test.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::process::{cargo, root, say};

/// Crates that decide and must not act: what their manifests and sources may not name.
const PURE_CRATES: &[&str] = &["contract", "govern"];
const ACTING_CRATES: &[&str] =
    &["tokio", "reqwest", "object_store", "hyper", "tonic", "futures", "async-trait", "notify", "iceberg", "deltalake"];
const ACTING_WORDS: &[&str] = &[
    "std::fs",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "ToSocketAddrs",
    "std::env",
    "std::process",
    "std::thread",
    "SystemTime",
    "Instant::now",
    "tokio::",
    "async fn",
    "async move",
];

/// The command: all checks.
pub fn run() -> Result<()> {
    let mut wrong = Vec::new();
    for check in [crate_graph, purity, machine_paths, crate_docs, file_sizes, tests_of_pages] {
        wrong.extend(check()?);
    }
    for line in &wrong {
        say(line);
    }
    if !wrong.is_empty() {
        bail!("{} things are untidy", wrong.len());
    }
    say("tidy");
    Ok(())
}

/// The crates depend on each other as ARCHITECTURE.md draws it: lines `a <- b` in its `crate-graph` block.
fn crate_graph() -> Result<Vec<String>> {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md"))?;
    let block = text.split("```crate-graph\n").nth(1).and_then(|rest| rest.split("```").next());
    let drawn = drawn_edges(block.context("ARCHITECTURE.md has no `crate-graph` block")?)?;
    let real = dependencies()?;
    let mut wrong = Vec::new();
    for (from, to) in real.difference(&drawn) {
        wrong.push(format!("ARCHITECTURE.md: `{to}` depends on `{from}`, which is not drawn"));
    }
    for (from, to) in drawn.difference(&real) {
        wrong.push(format!("ARCHITECTURE.md: `{from} <- {to}` is drawn, but `{to}` does not depend on `{from}`"));
    }
    Ok(wrong)
}

type Edges = BTreeSet<(String, String)>;

fn drawn_edges(block: &str) -> Result<Edges> {
    let mut edges = Edges::new();
    for line in block.lines().filter(|line| !line.trim().is_empty()) {
        let names: Vec<&str> = line.split("<-").map(str::trim).collect();
        if names.len() < 2 || names.iter().any(|name| name.is_empty()) {
            bail!("`{line}` in the crate graph is not `a <- b`");
        }
        for (from, to) in names.iter().zip(names.iter().skip(1)) {
            edges.insert(((*from).to_string(), (*to).to_string()));
        }
    }
    Ok(edges)
}

/// Normal dependencies between the workspace's crates, by directory below crates/.
fn dependencies() -> Result<Edges> {
    let metadata = cargo().args(["metadata", "--no-deps", "--format-version", "1", "--offline"]).output()?;
    let metadata: serde_json::Value = serde_json::from_slice(&metadata.stdout).context("cargo metadata")?;
    let list =
        |value: &serde_json::Value, key: &str| value.get(key).and_then(|v| v.as_array()).cloned().unwrap_or_default();
    let text = |value: &serde_json::Value, key: &str| value.get(key).and_then(|v| v.as_str()).unwrap_or("").to_string();
    let mut directories = BTreeMap::new();
    for package in list(&metadata, "packages") {
        let manifest = PathBuf::from(text(&package, "manifest_path"));
        let directory = manifest.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy().into_owned();
        directories.insert(text(&package, "name"), (directory, package));
    }
    let mut edges = Edges::new();
    for (directory, package) in directories.values() {
        if matches!(directory.as_str(), "tests" | "xtask") {
            continue;
        }
        for dependency in list(package, "dependencies") {
            let normal = dependency.get("kind").is_none_or(serde_json::Value::is_null);
            if let (true, Some((name, _))) = (normal, directories.get(&text(&dependency, "name"))) {
                edges.insert((name.clone(), directory.clone()));
            }
        }
    }
    Ok(edges)
}

/// Crates that decide have no I/O: neither in their manifests nor in their sources (tests apart).
fn purity() -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    for name in PURE_CRATES {
        let directory = root().join("crates").join(name);
        let manifest = std::fs::read_to_string(directory.join("Cargo.toml"))?;
        let normal = manifest.split("[dev-dependencies]").next().unwrap_or_default();
        for line in normal.lines() {
            let key = line.split(['.', '=', ' ']).next().unwrap_or_default();
            if ACTING_CRATES.contains(&key) {
                wrong.push(format!("crates/{name}/Cargo.toml: `{key}` acts, and `{name}` only decides"));
            }
        }
        for path in files(&directory.join("src"))? {
            let shown = shown(&path);
            if shown.ends_with("tests.rs") || ["/tests/", "/unit/"].iter().any(|directory| shown.contains(directory)) {
                continue;
            }
            let text = std::fs::read_to_string(&path)?;
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
            for (number, line) in (1..).zip(code.lines()) {
                let code = line.split("//").next().unwrap_or_default();
                if let Some(word) = ACTING_WORDS.iter().find(|word| code.contains(**word)) {
                    wrong.push(format!("{shown}:{number}: `{word}` acts, and `{name}` only decides"));
                }
            }
        }
    }
    Ok(wrong)
}

/// No path of one person's machine in any text file.
fn machine_paths() -> Result<Vec<String>> {
    let home = regex::Regex::new(r"/(home|Users)/[a-z][a-z0-9_-]*/|/(root|work)/|/var/folders/")?;
    let mut wrong = Vec::new();
    for path in files(&root())? {
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        if path.ends_with("xtask/src/tidy.rs") {
            continue;
        }
        for (number, line) in (1..).zip(text.lines()) {
            if let Some(found) = home.find(line) {
                wrong.push(format!("{}:{number}: `{}` is a path of one machine", shown(&path), found.as_str()));
            }
        }
    }
    Ok(wrong)
}

/// Every crate's lib.rs says what the crate must never know.
fn crate_docs() -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    for entry in std::fs::read_dir(root().join("crates"))? {
        let path = entry?.path().join("src/lib.rs");
        if path.exists() && !std::fs::read_to_string(&path)?.contains("ust never know") {
            wrong.push(format!("{}: does not say what the crate must never know", shown(&path)));
        }
    }
    Ok(wrong)
}

/// No file has grown into two.
fn file_sizes() -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    for path in files(&root())?.iter().filter(|path| path.extension().is_some_and(|extension| extension == "rs")) {
        let lines = std::fs::read_to_string(path)?.lines().count();
        if lines > 700 {
            wrong.push(format!("{}: {lines} lines; cut it in two", shown(path)));
        }
    }
    Ok(wrong)
}

/// The pages of promises, and how many tests they name at least.
fn tests_of_pages() -> Result<Vec<String>> {
    Ok([named_tests("docs/security-model.md", 30)?, named_tests("docs/clients/README.md", 15)?].concat())
}

/// Every test that a page names, as `file#test`, exists; and those are not few.
fn named_tests(page: &str, least: usize) -> Result<Vec<String>> {
    let named = regex::Regex::new(r"`([a-z0-9_/]+\.rs)(?:#([a-z0-9_]+))?`")?;
    let mut wrong = Vec::new();
    let mut tests = 0;
    for (number, line) in (1..).zip(std::fs::read_to_string(root().join(page))?.lines()) {
        for found in named.captures_iter(line) {
            let part = |index| found.get(index).map(|part: regex::Match<'_>| part.as_str());
            let (Some(file), test) = (part(1), part(2)) else { continue };
            tests += usize::from(test.is_some());
            let text = std::fs::read_to_string(root().join(file));
            match (text, test) {
                (Ok(text), Some(test)) if !text.contains(&format!("fn {test}(")) => {
                    wrong.push(format!("{page}:{number}: there is no test `{test}` in `{file}`"));
                }
                (Err(_), Some(_)) => wrong.push(format!("{page}:{number}: there is no file `{file}`")),
                _ => {}
            }
        }
    }
    if tests < least {
        wrong.push(format!("{page}: names only {tests} tests"));
    }
    Ok(wrong)
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

/// The files of the clone below a directory, without what builds and the demo leave behind.
fn files(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut waiting = vec![directory.to_path_buf()];
    while let Some(directory) = waiting.pop() {
        for entry in std::fs::read_dir(&directory)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if !path.is_dir() {
                found.push(path);
            } else if !matches!(name.as_str(), ".git" | "target" | ".portcullis" | "__pycache__" | ".venv") {
                waiting.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn none(wrong: Vec<String>) {
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn crates_depend_on_each_other_as_drawn() {
        none(crate_graph().unwrap());
    }

    #[test]
    fn crates_that_decide_do_not_act() {
        none(purity().unwrap());
    }

    #[test]
    fn no_path_of_one_machine() {
        none(machine_paths().unwrap());
    }

    #[test]
    fn crates_say_what_they_must_never_know() {
        none(crate_docs().unwrap());
    }

    #[test]
    fn pages_name_tests_that_are_there() {
        none(tests_of_pages().unwrap());
    }

    #[test]
    fn files_are_small() {
        none(file_sizes().unwrap());
    }

    #[test]
    fn a_line_of_the_graph_may_have_several_arrows() {
        let edges = drawn_edges("a <- b <- c\n").unwrap();
        assert_eq!(edges.len(), 2);
        assert!(edges.contains(&("b".to_string(), "c".to_string())));
        assert!(drawn_edges("a -> b\n").is_err());
    }
}
