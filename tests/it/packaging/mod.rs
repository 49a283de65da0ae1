//! What is in packaging/: the image's build, the system service, the Helm chart. Their files are read as their programs read them,
//! and held against what the gateway does.

mod docker;
mod helm;
mod ready;
mod systemd;

use std::path::PathBuf;
use std::time::Duration;

use crate::support;

/// From the end of `limits.drain` to the end of the process: stopped queries are told why, then their clients, then the last traces
/// are sent.
const AFTER_DRAIN: Duration = Duration::from_secs(13);

fn packaging(file: &str) -> PathBuf {
    support::root().join("packaging").join(file)
}

fn read(file: &str) -> String {
    std::fs::read_to_string(packaging(file)).unwrap()
}
