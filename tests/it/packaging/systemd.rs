//! packaging/systemd, as systemd itself reads it.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

use portcullis_gateway::Config;

use super::{AFTER_DRAIN, packaging, read};

const UNIT: &str = "systemd/portcullis.service";

/// `systemd-analyze` of the unit, whose program need not be installed for that; nothing where there is no systemd.
fn analyze(arguments: &[&str], unit: &str) -> Option<(bool, String)> {
    let directory = tempfile::tempdir().unwrap();
    let file: PathBuf = directory.path().join("portcullis.service");
    std::fs::write(&file, unit.replace("/usr/local/bin/portcullis", "/bin/true")).unwrap();
    let Ok(Output { status, stdout, stderr }) = Command::new("systemd-analyze").args(arguments).arg(&file).output()
    else {
        eprintln!("skipped: there is no `systemd-analyze`");
        return None;
    };
    Some((status.success(), String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned()))
}

/// The value of a key that stands in the unit once.
fn value(key: &str) -> String {
    let text = read(UNIT);
    let values: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).collect();
    assert_eq!(values.len(), 1, "{key}");
    values[0].to_owned()
}

#[test]
fn external_the_unit_is_sound() {
    let unit = read(UNIT);
    let Some((sound, said)) = analyze(&["verify", "--man=no"], &unit) else { return };
    assert!(sound && said.is_empty(), "{said}");
    let (_, said) =
        analyze(&["verify", "--man=no"], &unit.replace("ProtectSystem=strict", "ProtectSystem=mostly")).unwrap();
    assert!(!said.is_empty(), "a mistake is found");
}

#[test]
fn external_the_unit_is_hardened() {
    let strict = ["security", "--offline=true", "--threshold=15"];
    let unit = read(UNIT);
    let Some((hardened, said)) = analyze(&strict, &unit) else { return };
    assert!(hardened, "{said}");
    let (hardened, _) = analyze(&strict, &unit.replace("CapabilityBoundingSet=", "")).unwrap();
    assert!(!hardened, "a missing bound is found");
}

#[test]
fn the_service_may_drain_and_write_where_it_is_told_to() {
    let config = Config::load(&packaging("")).unwrap();
    let stop: u64 = value("TimeoutStopSec").trim_end_matches('s').parse().unwrap();
    assert!(Duration::from_secs(stop) > config.limits.drain.duration() + AFTER_DRAIN);
    assert_eq!(value("ExecStart"), "/usr/local/bin/portcullis --mesh /etc/portcullis serve");
    let state = PathBuf::from("/var/lib").join(value("StateDirectory"));
    for written in [&config.audit.dir, &config.limits.spill_dir, &config.secrets.keys_dir] {
        assert!(written.starts_with(&state), "{}", written.display());
    }
}
