//! `cargo xtask bench`: benches/bench.py with a release build and its Python environment.

use std::process::Command;

use anyhow::Result;

use crate::process::{cargo, root, run as run_command};
use crate::tools::{cache, venv};

/// Further requirements of a comparison with peers.
const PEERS: &[&str] = &["pysail==0.7.2"];

/// Builds, sets up, measures.
pub fn run(options: &[String]) -> Result<()> {
    run_command(cargo().args(["build", "--release", "--package", "portcullis"]))?;
    let cache = cache()?;
    let peers = if options.iter().any(|option| option == "--peers" || option == "sail") { PEERS } else { &[] };
    let python = venv(&cache.join("bench-venv"), &root().join("benches/requirements.txt"), peers)?;
    let target = match std::env::var_os("CARGO_TARGET_DIR") {
        Some(target) => root().join(target),
        None => root().join("target"),
    };
    let mut bench = Command::new(python);
    bench.current_dir(root()).arg("benches/bench.py");
    bench.arg("--binary").arg(target.join("release/portcullis")).arg("--home").arg(cache.join("bench"));
    run_command(bench.args(options))
}
