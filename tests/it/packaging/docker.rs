//! packaging/Dockerfile and .dockerignore, by the rules that hadolint has where they apply here, and some of our own.

use std::path::{Path, PathBuf};
use std::process::Command;

use portcullis_gateway::Config;
use regex::Regex;

use super::{packaging, read};
use crate::support;

/// The instructions, with lines that go on put together.
fn instructions(text: &str) -> Vec<(String, String)> {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    let joined = lines.collect::<Vec<_>>().join("\n").replace("\\\n", " ");
    let split = |line: &str| line.split_once(' ').map(|(word, rest)| (word.to_uppercase(), rest.trim().to_owned()));
    joined.lines().map(str::trim).filter(|line| !line.is_empty()).map(|line| split(line).expect(line)).collect()
}

/// What is wrong with a Dockerfile.
fn wrong(text: &str) -> Vec<String> {
    let all = instructions(text);
    let last_stage = all.iter().rposition(|(word, _)| word == "FROM").unwrap();
    let last = &all[last_stage..];
    let in_last =
        |word: &str| last.iter().filter(|(is, _)| is == word).map(|(_, rest)| rest.as_str()).collect::<Vec<_>>();
    let mut wrong = Vec::new();
    let mut stages: Vec<&str> = Vec::new();
    for (word, rest) in &all {
        let has = |pattern: &str| Regex::new(pattern).unwrap().is_match(rest);
        let mut rule = |name: &str, broken: bool| {
            if broken {
                wrong.push(format!("{name}: {word} {rest}"));
            }
        };
        match word.as_str() {
            "FROM" => {
                let image = rest.split(' ').next().unwrap();
                rule("DL3006 an image without a tag", !image.contains(':') && !stages.contains(&image));
                rule("DL3007 the latest image", image.ends_with(":latest"));
                stages.extend(rest.split_once(" AS ").map(|(_, name)| name));
            }
            "RUN" => {
                rule("DL3003 a change of directory", has(r"(^|[;&|]\s*)cd "));
                rule("DL3004 sudo", has(r"\bsudo\b"));
                rule("DL3027 apt", has(r"\bapt (install|update)\b"));
                rule("DL3014, DL3015 apt-get install", has("apt-get install") && !has("--no-install-recommends --yes"));
                rule("DL3009 lists of apt are left", has("apt-get update") && !has(r"rm -rf /var/lib/apt/lists"));
                rule("DL4006 a pipe without pipefail", has(r"[^|]\|[^|]"));
                rule("a download that nothing verifies", has(r"\b(curl|wget)\b"));
                rule("a build of other versions than were tested", has("cargo build") && !has("--locked"));
            }
            "WORKDIR" => rule("DL3000 a relative directory", !rest.starts_with('/')),
            "ADD" => rule("DL3020 ADD instead of COPY", true),
            "MAINTAINER" => rule("DL4000 MAINTAINER", true),
            "CMD" | "ENTRYPOINT" => rule("DL3025 a shell's form", !rest.starts_with('[')),
            "HEALTHCHECK" => rule("DL3025 a shell's form", !has(r"CMD \[")),
            "ENV" | "ARG" => rule("a secret in the image", has(r"(?i)(key|secret|password|token)\w*=")),
            _ => {}
        }
    }
    for (word, most) in [("CMD", 1), ("ENTRYPOINT", 1), ("HEALTHCHECK", 1), ("USER", 1)] {
        if in_last(word).len() != most {
            wrong.push(format!("{} times {word} in the image", in_last(word).len()));
        }
    }
    let user = in_last("USER").concat();
    if !Regex::new("^[1-9][0-9]*:[1-9][0-9]*$").unwrap().is_match(&user) {
        wrong.push(format!("DL3002 the user is `{user}`, not a number above zero"));
    }
    if let Some(run) = in_last("RUN").first() {
        wrong.push(format!("a program runs in the image that is shipped, where there should be no shell: {run}"));
    }
    wrong
}

#[test]
fn the_dockerfile_follows_the_rules() {
    assert_eq!(wrong(&read("Dockerfile")), Vec::<String>::new());
}

#[test]
fn the_rules_find_what_is_wrong() {
    let bad = "FROM debian\nADD x /x\nWORKDIR x\nRUN cd /x && sudo apt-get update && apt-get install make | tee log\n\
               RUN curl https://x.example/x\nRUN cargo build\nENV SIGNING_KEY=abc\nUSER root\nCMD x\nMAINTAINER me\n";
    let found = wrong(bad).join("\n");
    for rule in [
        "DL3006",
        "DL3020",
        "DL3000",
        "DL3003",
        "DL3004",
        "DL3014",
        "DL3009",
        "DL4006",
        "a download",
        "other versions",
        "a secret",
        "DL3025",
        "DL4000",
        "DL3002",
        "0 times HEALTHCHECK",
        "0 times ENTRYPOINT",
        "no shell",
    ] {
        assert!(found.contains(rule), "{rule} is not found:\n{found}");
    }
}

#[test]
fn the_image_is_what_the_sources_say() {
    let all = instructions(&read("Dockerfile"));
    let of =
        |wanted: &str| all.iter().filter(|(word, _)| word == wanted).map(|(_, rest)| rest.clone()).collect::<Vec<_>>();
    let toolchain = std::fs::read_to_string(support::root().join("rust-toolchain.toml")).unwrap();
    let version = Regex::new("channel = \"(.*)\"").unwrap().captures(&toolchain).unwrap()[1].to_owned();
    assert_eq!(of("FROM")[0], format!("rust:{version}-slim-bookworm AS build"));
    assert!(of("ENV").contains(&format!("RUSTUP_TOOLCHAIN={version}")), "{:?}", of("ENV"));

    let config = Config::load(&packaging("")).unwrap();
    let ports = [config.listen.flight.port(), config.listen.http.unwrap().port()];
    assert_eq!(of("EXPOSE"), [ports.map(|port| port.to_string()).join(" ")]);
    let volumes: Vec<PathBuf> = serde_json::from_str(&of("VOLUME")[0]).unwrap();
    for written in [&config.audit.dir, &config.limits.spill_dir, &config.secrets.keys_dir] {
        assert!(written.starts_with(&volumes[0]), "{}", written.display());
    }
    let (_, health) = of("HEALTHCHECK")[0].split_once("CMD ").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    let health: Vec<String> = serde_json::from_str(&health).unwrap();
    assert_eq!(health, ["/usr/local/bin/portcullis", "ready"]);
}

/// Whether a file of the clone is sent to the build: of the patterns that it or a directory above it matches, the last counts.
fn is_sent(patterns: &[(bool, Regex)], path: &str) -> bool {
    let above = Path::new(path).ancestors().map(|path| path.to_str().unwrap().to_owned()).collect::<Vec<_>>();
    let of = patterns.iter().rev().find(|(_, pattern)| above.iter().any(|path| pattern.is_match(path)));
    of.is_none_or(|(sent, _)| *sent)
}

fn patterns() -> Vec<(bool, Regex)> {
    let text = std::fs::read_to_string(support::root().join(".dockerignore")).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let pattern = |line: &str| {
        let glob = regex::escape(line.trim_start_matches('!'));
        let glob = glob.replace(r"\*\*/", "(.*/)?").replace(r"\*\*", ".*").replace(r"\*", "[^/]*");
        (line.starts_with('!'), Regex::new(&format!("^{glob}$")).unwrap())
    };
    lines.map(pattern).collect()
}

fn files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap().map(Result::unwrap) {
        let name = entry.file_name();
        if entry.file_type().unwrap().is_dir() {
            if ![".git", "target", ".portcullis", "node_modules"].iter().any(|skipped| name == *skipped) {
                files(&entry.path(), found);
            }
        } else {
            found.push(entry.path());
        }
    }
}

#[test]
fn only_sources_are_sent_to_the_build() {
    let patterns = patterns();
    for path in [
        "users.yaml",
        ".portcullis/keys/signing.key",
        ".git/config",
        "target/release/portcullis",
        "crates/cli/target/x",
        "catalogs/connections.yaml",
        "portcullis.toml",
        "crates/flight/x.pem",
        "tests/clients/tls/key.pem",
        "benches/bench.py",
    ] {
        assert!(!is_sent(&patterns, path), "{path}");
    }
    let mut all = Vec::new();
    files(support::root(), &mut all);
    let build = tempfile::tempdir().unwrap();
    let mut sent = 0;
    for file in all {
        let path = file.strip_prefix(support::root()).unwrap();
        if is_sent(&patterns, path.to_str().unwrap()) {
            let to = build.path().join(path);
            std::fs::create_dir_all(to.parent().unwrap()).unwrap();
            std::fs::copy(&file, to).unwrap();
            sent += 1;
        }
    }
    assert!(sent > 300, "{sent} files");
    // All that Cargo needs to know of the workspace is among them, and what the Dockerfile copies besides.
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut metadata = Command::new(cargo);
    metadata.args(["metadata", "--locked", "--offline", "--no-deps", "--format-version", "1"]);
    let metadata: serde_json::Value =
        serde_json::from_str(&support::output_of(metadata.current_dir(build.path()))).unwrap();
    let targets =
        metadata["packages"].as_array().unwrap().iter().flat_map(|package| package["targets"].as_array().unwrap());
    for source in targets.map(|target| target["src_path"].as_str().unwrap()) {
        assert!(Path::new(source).exists(), "{source} is not sent");
    }
    assert!(build.path().join("packaging/portcullis.toml").exists());
    let included = Regex::new(r#"include_(str|bytes)!\("([^"]+)"\)"#).unwrap();
    let mut sources = Vec::new();
    files(&build.path().join("crates"), &mut sources);
    for source in sources.iter().filter(|path| path.extension().is_some_and(|extension| extension == "rs")) {
        let text = std::fs::read_to_string(source).unwrap();
        for name in included.captures_iter(&text).map(|found| found[2].to_owned()) {
            let is_test =
                source.components().any(|part| ["unit", "tests"].iter().any(|test| part.as_os_str() == *test))
                    || source.file_name().unwrap() == "tests.rs";
            assert!(is_test || source.with_file_name(&name).exists(), "{}: {name} is not sent", source.display());
        }
    }
}
