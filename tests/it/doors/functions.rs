//! Every function that DataFusion registers, and whether statements may call it: a list under review, so that one that
//! comes with a new version is looked at before anybody can call it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use datafusion::execution::SessionStateDefaults;
use portcullis_gateway::ErrorKind;

use crate::support::{self, block_on, rows, session};

/// Kind and name of each, aliases included.
fn registered() -> BTreeMap<String, &'static str> {
    let mut all = BTreeMap::new();
    let mut add = |kind: &'static str, names: Vec<String>| all.extend(names.into_iter().map(|name| (name, kind)));
    macro_rules! names {
        ($functions:expr) => {
            $functions
                .iter()
                .flat_map(|f| std::iter::once(f.name().to_owned()).chain(f.aliases().iter().cloned()))
                .collect()
        };
    }
    add("window", names!(SessionStateDefaults::default_window_functions()));
    add("aggregate", names!(SessionStateDefaults::default_aggregate_functions()));
    add("higher order", names!(SessionStateDefaults::default_higher_order_functions()));
    add("scalar", names!(SessionStateDefaults::default_scalar_functions()));
    let tables = SessionStateDefaults::default_table_functions();
    add("table", tables.iter().map(|function| function.name().to_owned()).collect());
    all
}

#[test]
fn every_function_is_served_on_purpose_or_withheld() {
    let served: BTreeSet<String> = portcullis_govern::plan::function_names().into_iter().collect();
    let registered = registered();
    let mut text = String::new();
    for (name, kind) in &registered {
        let door = if served.contains(name) { "served" } else { "withheld" };
        text += &format!("{name}: {kind}, {door}\n");
    }
    for name in served.iter().filter(|name| !registered.contains_key(*name)) {
        text += &format!("{name}: ours, served\n");
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("expected/functions.txt");
    if std::env::var_os("PORTCULLIS_SLT_COMPLETE").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let known = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(known == text, "functions came or went: set PORTCULLIS_SLT_COMPLETE=1 and read what changes in {path:?}");
}

/// Masks are no functions of statements: a hash that anyone may call is an oracle for guesses. Neither is anything that
/// knows of files.
#[test]
fn what_is_withheld_cannot_be_called() {
    let served: BTreeSet<String> = portcullis_govern::plan::function_names().into_iter().collect();
    let registered = registered();
    let withheld = registered.keys().filter(|name| !served.contains(*name)).map(String::as_str);
    let masks = ["mask_hash", "mask_partial", "mask_bucket", "mask_redact", "mask_null"];
    let foreign = ["read_parquet", "read_csv", "parquet_metadata", "file_row_number", "load_extension", "getenv"];
    let gateway = support::gateway();
    let dev = session(&gateway, "dev", None);
    for name in withheld.chain(masks).chain(foreign) {
        assert!(!served.contains(name), "{name}");
        for sql in [
            format!("SELECT {name}(customer_id) FROM orders.order_events"),
            format!("SELECT {name}('x')"),
            format!("SELECT {name}()"),
            format!("SELECT * FROM {name}('x')"),
            format!("SELECT \"{name}\"('x')"),
        ] {
            let error = block_on(rows(&gateway, &dev, &sql)).unwrap_err();
            assert!(matches!(error.kind, ErrorKind::InvalidArgument | ErrorKind::Unimplemented), "{sql}: {error}");
        }
    }
}
