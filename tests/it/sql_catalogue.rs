//! The demo mesh with its Iceberg tables in an SQL catalogue that pyiceberg wrote: the same policies, the same answers.

use std::path::Path;

use arrow::util::pretty::pretty_format_batches;
use portcullis_gateway::{ErrorKind, Gateway, GatewayError};

use crate::support::{self, block_on, copy_of_mesh, open, session};

const TABLES: [&str; 3] = ["order_events", "customer_orders_v1", "payment_transactions_enriched"];
const QUERIES: [&str; 2] = [
    "SELECT * FROM orders.order_events ORDER BY order_id, event_ts, event_type LIMIT 50",
    "SELECT c.segment, count(*) AS n FROM orders.customer_orders_v1 o JOIN customers.customer_profiles c USING (customer_id) GROUP BY 1 ORDER BY 1",
];

fn answer(gateway: &Gateway, user: &str, sql: &str) -> Result<String, GatewayError> {
    let session = session(gateway, user, None);
    let (_, batches) = block_on(support::rows(gateway, &session, sql))?;
    Ok(pretty_format_batches(&batches).unwrap().to_string())
}

/// Lets the contracts of the three tables name the catalogue.
fn move_tables(mesh: &Path, connection: &str) {
    let path = mesh.join("catalogs/connections.yaml");
    let connections = std::fs::read_to_string(&path).unwrap();
    let end = connections.find("\n  # An object store").map_or(connections.len(), |at| at + 1);
    std::fs::write(&path, format!("{}{connection}", &connections[..end])).unwrap();
    for (domain, table) in [("orders", TABLES[0]), ("orders", TABLES[1]), ("fintech_core", TABLES[2])] {
        let path = mesh.join(format!("catalogs/{domain}/{table}.yaml"));
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace("connection: lake", "connection: ledger")).unwrap();
    }
}

#[test]
fn external_tables_of_an_sql_catalogue_are_governed_as_any() {
    let Some(python) = support::python() else { return };
    let mesh = copy_of_mesh();
    let lake = support::mesh().join(portcullis::demo::lake::LAKE);
    let database = mesh.path().join("gold.db");
    let uri = format!("sqlite:///{}", database.display());
    support::run_python(&python, "sql_catalogue.py", &[&uri, support::mesh().to_str().unwrap()]);
    let connection = format!(
        "  ledger:\n    type: iceberg-sql\n    uri: sqlite:gold.db\n    catalog: gold\n    warehouse: {lake}\n    domains:\n      orders: {lake}/orders\n",
        lake = lake.display()
    );
    move_tables(mesh.path(), &connection);

    let gateway = block_on(open(mesh.path())).unwrap();
    for user in ["ana", "dev"] {
        for sql in QUERIES {
            let expected = answer(&support::gateway(), user, sql).unwrap();
            assert_eq!(answer(&gateway, user, sql).unwrap(), expected, "{user}: {sql}");
        }
    }
    // The catalogue is divided, and nothing of it is this domain's.
    let refused = gateway.findings().iter().any(|finding| {
        finding.to_string().contains("is not in a directory that connection `ledger` gives to `fintech_core`")
    });
    assert!(refused, "{:?}", gateway.findings());

    std::fs::remove_file(&database).unwrap();
    block_on(gateway.shutdown());
    let gateway = block_on(open(mesh.path())).unwrap();
    let error = answer(&gateway, "ana", QUERIES[0]).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable, "{}", error.message);
    assert_eq!(
        error.message,
        "table `orders.order_events` is not available: the database of connection `ledger` cannot be opened; try again later"
    );
    block_on(gateway.shutdown());
}
