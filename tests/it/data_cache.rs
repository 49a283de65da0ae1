//! Bytes of data files on the gateway's disk: they are below the policies, so everybody sees of them what they see of the
//! store's; and nobody finds anything on the disk.

use std::os::unix::fs::PermissionsExt;

use arrow::util::pretty::pretty_format_batches;
use portcullis_gateway::{ErrorKind, Gateway, GatewayError};

use crate::seaweed::{KEY, SECRET, STORED, Weed, move_tables};
use crate::support::{self, block_on, copy_of_mesh, open, session};

const RAW: &str = "SELECT * FROM orders.order_events ORDER BY order_id, event_ts, event_type";
const USERS: [(&str, Option<&str>); 5] =
    [("frida", Some("fraud")), ("ana", None), ("dev", None), ("frida", None), ("petra", None)];

fn answer(gateway: &Gateway, user: (&str, Option<&str>), sql: &str) -> Result<String, GatewayError> {
    let session = session(gateway, user.0, user.1);
    let (_, batches) = block_on(support::rows(gateway, &session, sql))?;
    Ok(pretty_format_batches(&batches).unwrap().to_string())
}

/// Everybody's answers are those of a gateway that keeps nothing.
fn everybody(gateway: &Gateway) {
    for user in USERS {
        for sql in STORED.into_iter().chain([RAW]) {
            let (found, expected) = (answer(gateway, user, sql), answer(&support::gateway(), user, sql));
            match (found, expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{user:?}: {sql}"),
                (found, expected) => {
                    let (found, expected) = (found.unwrap_err(), expected.unwrap_err());
                    assert_eq!((found.kind, found.message), (expected.kind, expected.message), "{user:?}: {sql}");
                }
            }
        }
    }
}

fn metric(gateway: &Gateway, name: &str) -> u64 {
    let text = gateway.metrics_text();
    let start = format!("portcullis_cache_{name}{{cache=\"data\"}} ");
    text.lines().find_map(|line| line.strip_prefix(&start)).unwrap().parse().unwrap()
}

#[test]
fn external_bytes_that_are_kept_on_disk_are_governed_as_the_stores_are() {
    let (Some(weed), Some(python)) = (support::weed(), support::python()) else { return };
    let (mesh, home) = (copy_of_mesh(), tempfile::tempdir().unwrap());
    let store = Weed::start(&weed, home.path(), None);
    let (s3, rest) = (format!("http://127.0.0.1:{}", store.ports[0]), format!("http://127.0.0.1:{}", store.ports[1]));
    support::run_python(&python, "seaweed.py", &[&s3, &rest, KEY, SECRET, support::mesh().to_str().unwrap()]);
    move_tables(mesh.path(), &s3, &rest);
    let config = mesh.path().join("portcullis.toml");
    let text = std::fs::read_to_string(&config).unwrap() + "\n[cache]\ndir = \"cache\"\nsize = \"64 MiB\"\n";
    std::fs::write(&config, text).unwrap();

    let gateway = block_on(open(mesh.path())).unwrap();
    // Who sees everything comes first, so that it is all there for those who do not.
    everybody(&gateway);
    let (hits, misses) = (metric(&gateway, "hits_total"), metric(&gateway, "misses_total"));
    assert!(misses > 0);
    everybody(&gateway);
    assert_eq!(metric(&gateway, "misses_total"), misses, "the store is asked for nothing twice");
    assert!(metric(&gateway, "hits_total") > hits && metric(&gateway, "bytes") > 0);
    assert_eq!(metric(&gateway, "failures_total"), 0);

    // On the disk there is a file that nobody can open, and that says nothing.
    let directory = mesh.path().join("cache");
    assert_eq!(std::fs::metadata(&directory).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 0);
    let is_it = |path: &std::path::PathBuf| std::fs::read_link(path).is_ok_and(|to| to.starts_with(&directory));
    let open_files = std::fs::read_dir("/proc/self/fd").unwrap().map(|entry| entry.unwrap().path());
    let files: Vec<_> = open_files.filter(is_it).collect();
    assert_eq!(files.len(), 1);
    let kept = std::fs::read(&files[0]).unwrap();
    assert!(kept.len() > 10_000);
    for plain in ["PAR1", "order_id", "parquet", "schema"] {
        assert!(!kept.windows(plain.len()).any(|window| window == plain.as_bytes()), "`{plain}` is on the disk");
    }
    block_on(gateway.shutdown());

    // A directory that others may enter is no place for it.
    std::fs::set_permissions(&directory, PermissionsExt::from_mode(0o755)).unwrap();
    let refused = block_on(open(mesh.path())).err().unwrap();
    assert_eq!(refused.kind, ErrorKind::InvalidArgument);
    let expected = "portcullis.toml: `cache.dir` cannot be used: others may enter it: name one that is not there yet, or one of mode 0700";
    assert_eq!(refused.message, expected);
}
