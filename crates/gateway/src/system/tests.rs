//! The system tables for different people.

use crate::tests::fixture::fixture;

#[tokio::test]
async fn each_table_answers_with_the_columns_that_it_announces() {
    let f = fixture().await;
    let petra = f.session("petra");
    for name in ["products", "columns", "findings", "policies", "access_log"] {
        let sql = format!("SELECT * FROM system.{name}");
        let announced = f.gateway.describe(&petra, &sql, None).await.unwrap().schema;
        let tables = f.gateway.visible_tables(&petra).unwrap();
        let table = tables.iter().find(|table| table.table == name).unwrap();
        let names = |schema: &datafusion::arrow::datatypes::SchemaRef| -> Vec<String> {
            schema.fields().iter().map(|field| field.name().clone()).collect()
        };
        assert_eq!(names(&announced), names(&table.schema), "{name}");
        f.rows(&petra, &sql).await.unwrap();
    }
}

#[tokio::test]
async fn rows_are_those_of_discoverable_tables() {
    let f = fixture().await;
    f.write(
        "policies/more.cedar",
        "@id(\"ana-system\") permit (principal == User::\"ana\", action in [Action::\"discover\", Action::\"query\"], \
         resource in Domain::\"system\") unless { resource in Table::\"system.policies\" };",
    );
    f.write("catalogs/orders/broken.yaml", "kind: DataProduct");
    assert!(f.gateway.reload().await, "{:?}", f.gateway.findings());
    let (ana, petra) = (f.session("ana"), f.session("petra"));
    let products = "SELECT domain, table_name, version, format, owner FROM system.products";
    let text = f.text(&ana, products).await;
    assert!(text.contains("order_events") && text.contains("1.2.0") && text.contains("orders@example.com"), "{text}");
    assert!(!f.text(&petra, products).await.contains("order_events"), "petra may not discover it in this mesh");
    let columns = "SELECT column_name, disclosure, primary_key, position FROM system.columns ORDER BY position";
    let text = f.text(&ana, columns).await;
    assert!(text.contains("| customer_id | hash       | false       | 3        |"), "{text}");
    let findings = "SELECT file, code FROM system.findings";
    assert!(!f.text(&ana, findings).await.contains("broken.yaml"));
    assert!(f.text(&petra, findings).await.contains("broken.yaml"));
    let text = f.text(&petra, "SELECT id, effect, file, line FROM system.policies ORDER BY id").await;
    assert!(text.contains("| readers-eu    | permit | policies/all.cedar  |"), "{text}");
}

#[tokio::test]
async fn the_access_log_shows_who_asked_for_what() {
    let f = fixture().await;
    f.text(&f.session("ana"), "SELECT customer_id FROM orders.order_events WHERE region = 'EU'").await;
    f.error(&f.session("bob"), "SELECT * FROM orders.order_events").await;
    let log =
        "SELECT principal, tables, columns, decision, outcome, rows, statement FROM system.access_log ORDER BY at";
    let text = f.text(&f.session("petra"), log).await;
    let lines: Vec<_> = text.lines().collect();
    assert!(lines[3].contains("| ana ") && lines[3].contains("orders.order_events.customer_id:hash"), "{text}");
    assert!(lines[3].contains("| permitted | success |"), "{text}");
    assert!(lines[4].contains("| bob ") && lines[4].contains("| denied "), "{text}");
    assert!(!text.contains("'EU'"), "{text}");
    assert_eq!(f.error(&f.session("ana"), log).await.kind, crate::ErrorKind::NotFound);
}
