//! A domain's table metadata that names another domain's files in the same connection, and so would show them past
//! their owner's policies.
//!
//! Nobody's incident number, but the oldest trick of shared lakes: Delta's shallow clones and absolute paths, Iceberg's
//! absolute paths, `add_files`, and a location that its writer may move (delta-io/delta#1387 and apache/iceberg's
//! discussions of `write.data.path` are about making this possible). Whoever reads with one credential for all domains
//! is the one to say no.

use std::fs;
use std::path::{Path, PathBuf};

use arrow::util::pretty::pretty_format_batches;
use portcullis_gateway::ErrorKind;
use serde_json::Value;

use crate::support::{self, block_on, open, rows, session};

const REFUSED: &str = "its metadata names files outside of its own directory, and connection `lake` does not give them to \
                       its domain";

/// A mesh with a lake of its own, in which the domain `inventory` has written what it likes.
struct Attack {
    mesh: tempfile::TempDir,
    lake: PathBuf,
}

impl Attack {
    fn new() -> Attack {
        let mesh = support::mesh_with_own_lake(300);
        let lake = mesh.path().canonicalize().unwrap().join(portcullis::demo::lake::LAKE);
        Attack { mesh, lake }
    }

    /// The contract of `inventory` for the table `name`: the victim's, without a mask.
    fn publish(&self, victim: &str, name: &str) {
        let text = fs::read_to_string(self.mesh.path().join(format!("catalogs/{victim}.yaml"))).unwrap();
        let (domain, table) = victim.split_once('/').unwrap();
        let text = text
            .replace(&format!("domain: {domain}"), "domain: inventory")
            .replace(&format!("name: {table}"), &format!("name: {name}"))
            .replace(&format!("table: {domain}.{table}"), &format!("table: inventory.{name}"))
            .replace("pii: true", "pii: false");
        let text = regex::Regex::new(", masking: [a-z]+").unwrap().replace_all(&text, "").into_owned();
        fs::write(self.mesh.path().join(format!("catalogs/inventory/{name}.yaml")), text).unwrap();
    }

    /// Says in connections.yaml which directories are whose.
    fn divide(&self, domains: &str) {
        let connections = self.mesh.path().join("catalogs/connections.yaml");
        let text = fs::read_to_string(&connections).unwrap();
        let url = "    url: .portcullis/lake\n";
        assert!(text.contains(url));
        fs::write(connections, text.replacen(url, &format!("{url}    domains: {domains}\n"), 1)).unwrap();
    }

    /// What dev gets of a table: rows as text, or the error.
    fn read(&self, table: &str) -> Result<String, (ErrorKind, String)> {
        block_on(async {
            let gateway = open(self.mesh.path()).await.unwrap();
            let dev = session(&gateway, "dev", None);
            let read = rows(&gateway, &dev, &format!("SELECT * FROM inventory.{table}")).await;
            gateway.shutdown().await;
            let (_, batches) = read.map_err(|error| (error.kind, error.message))?;
            Ok(pretty_format_batches(&batches).unwrap().to_string())
        })
    }

    /// Nothing is read, and the error says what is wrong without a path.
    fn is_refused(&self, table: &str, why: &str) {
        let (kind, message) = self.read(table).unwrap_err();
        assert_eq!(kind, ErrorKind::Unavailable, "{message}");
        assert!(message.contains(why), "{message}");
        for path in [".parquet", ".avro", "customer_profiles", "order_events", self.lake.to_str().unwrap()] {
            assert!(!message.contains(path), "{message}");
        }
    }
}

/// Copies the metadata of the victim's Iceberg table, with these bytes replaced by others of the same length.
fn copy_metadata(from: &Path, to: &Path, change: &[(&str, &str)]) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = fs::read(&path).unwrap();
        for (old, new) in change {
            assert_eq!(old.len(), new.len());
            while let Some(at) = bytes.windows(old.len()).position(|window| window == old.as_bytes()) {
                bytes[at..at + old.len()].copy_from_slice(new.as_bytes());
            }
        }
        fs::write(to.join(path.file_name().unwrap()), bytes).unwrap();
    }
}

/// An Iceberg table of `inventory`; `change` says which of the victim's addresses become its own.
fn iceberg(change: &[(&str, &str)]) -> Attack {
    let attack = Attack::new();
    let at = |name: &str| attack.lake.join(name).join("metadata");
    copy_metadata(&at("orders/order_events"), &at("inventory/stolen_ev"), change);
    attack.publish("orders/order_events", "stolen_ev");
    attack
}

/// The location becomes its own; everything that it names stays the victim's.
const LOCATION: (&str, &str) = ("orders/order_events\",\n", "inventory/stolen_ev\",\n");
/// Manifest lists and manifests become its own as well; the data files stay the victim's.
const MANIFESTS: (&str, &str) = ("orders/order_events/metadata", "inventory/stolen_ev/metadata");

#[test]
fn an_iceberg_manifest_list_of_another_domain_is_not_read() {
    iceberg(&[LOCATION]).is_refused("stolen_ev", REFUSED);
}

#[test]
fn iceberg_data_files_of_another_domain_are_not_read() {
    let attack = iceberg(&[LOCATION, MANIFESTS]);
    attack.is_refused("stolen_ev", REFUSED);
    // Whoever may have those files says so; this also shows that the attack works where nothing stops it.
    attack
        .divide("{orders: .portcullis/lake/orders, inventory: [.portcullis/lake/inventory, .portcullis/lake/orders]}");
    assert!(attack.read("stolen_ev").unwrap().contains("| EU"), "rows of orders.order_events");
}

#[test]
fn the_metadata_cache_does_not_hand_out_what_may_not_be_read() {
    let attack = iceberg(&[LOCATION]);
    block_on(async {
        let gateway = open(attack.mesh.path()).await.unwrap();
        let dev = session(&gateway, "dev", None);
        for _ in 0..2 {
            // The victim's manifests are in memory now.
            rows(&gateway, &dev, "SELECT * FROM orders.order_events").await.unwrap();
            let error = rows(&gateway, &dev, "SELECT * FROM inventory.stolen_ev").await.unwrap_err();
            assert!(error.message.contains(REFUSED), "{error}");
        }
        gateway.shutdown().await;
    });
}

/// A Delta table of `inventory`, whose log is the victim's with other paths.
fn delta(path: impl Fn(&Path, &str) -> String) -> Attack {
    let attack = Attack::new();
    let victim = attack.lake.join("customers/customer_profiles");
    let log = attack.lake.join("inventory/stolen/_delta_log");
    fs::create_dir_all(&log).unwrap();
    for entry in fs::read_dir(victim.join("_delta_log")).unwrap() {
        let file = entry.unwrap().path();
        let text = fs::read_to_string(&file).unwrap();
        let lines = text.lines().map(|line| {
            let mut action: Value = serde_json::from_str(line).unwrap();
            for kind in ["add", "remove"] {
                if let Some(Value::String(name)) = action.pointer_mut(&format!("/{kind}/path")) {
                    *name = path(&victim, name);
                }
            }
            format!("{action}\n")
        });
        fs::write(log.join(file.file_name().unwrap()), lines.collect::<String>()).unwrap();
    }
    attack.publish("customers/customer_profiles", "stolen");
    attack
}

#[test]
fn delta_files_of_another_domain_are_not_read() {
    let attack = delta(|victim, name| format!("file://{}", victim.join(name).display()));
    attack.is_refused("stolen", REFUSED);
    attack.divide("{inventory: [.portcullis/lake/inventory, .portcullis/lake/customers]}");
    assert!(attack.read("stolen").unwrap().contains('@'), "the e-mail addresses of customers.customer_profiles");
}

#[test]
fn delta_paths_do_not_climb() {
    delta(|_, name| format!("../../customers/customer_profiles/{name}")).is_refused("stolen", "an invalid path");
    delta(|_, name| format!("%2e%2e/%2e%2e/customers/customer_profiles/{name}")).read("stolen").unwrap_err();
    delta(|victim, name| victim.join(name).display().to_string()).is_refused("stolen", REFUSED);
}

#[cfg(unix)]
#[test]
fn links_to_another_domains_files_are_not_followed() {
    let attack = delta(|_, name| name.to_owned());
    let victim = attack.lake.join("customers/customer_profiles");
    for entry in fs::read_dir(&victim).unwrap() {
        let file = entry.unwrap().path();
        if file.is_file() {
            let link = attack.lake.join("inventory/stolen").join(file.file_name().unwrap());
            std::os::unix::fs::symlink(file, link).unwrap();
        }
    }
    attack.read("stolen").unwrap_err();
}

#[test]
fn a_contract_cannot_name_another_domains_directory_where_the_connection_is_divided() {
    let attack = Attack::new();
    attack.publish("customers/customer_profiles", "stolen");
    let contract = attack.mesh.path().join("catalogs/inventory/stolen.yaml");
    let text = fs::read_to_string(&contract).unwrap();
    let text = text.replace("table: inventory.stolen", "table: customers.customer_profiles");
    fs::write(&contract, &text).unwrap();
    // Undivided, a connection believes the contract: that is what `domains` is for.
    assert!(attack.read("stolen").unwrap().contains('@'));
    attack.divide("{customers: .portcullis/lake/customers, inventory: .portcullis/lake/inventory}");
    assert_eq!(attack.read("stolen").unwrap_err().0, ErrorKind::NotFound);
    // Nor does it help to pose as the victim.
    fs::write(&contract, text.replace("domain: inventory", "domain: customers")).unwrap();
    block_on(async {
        let gateway = open(attack.mesh.path()).await.unwrap();
        let dev = session(&gateway, "dev", None);
        assert!(rows(&gateway, &dev, "SELECT * FROM customers.stolen").await.is_err());
        assert!(gateway.findings().iter().any(|finding| finding.code == "contract-location"));
        gateway.shutdown().await;
    });
}
