//! What comes back: schemas, metadata, rows, and not a byte more.

use std::collections::BTreeSet;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{DataType, Schema};
use arrow_flight::FlightData;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::{CommandGetDbSchemas, CommandGetPrimaryKeys, CommandGetTables};
use futures::TryStreamExt;

use super::{EVENTS, Kept, channel, descriptor, fetch, login, number, query, statement, texts, token, with};
use crate::support::{self, block_on, served};

#[test]
fn announced_schemas_are_those_that_come() {
    let statements = [
        "SELECT 1 AS one",
        EVENTS,
        "SELECT * FROM customers.customer_profiles",
        "SELECT * FROM inventory.product_catalog",
        "SELECT * FROM fintech_core.payment_transactions_enriched",
        "SELECT count(*), min(quantity), max(event_ts), sum(amount), avg(quantity) FROM orders.order_events",
        "SELECT region, count(*) AS n FROM orders.order_events GROUP BY region ORDER BY n",
        "SELECT * FROM orders.order_events WHERE false",
        "SELECT 'a' AS a UNION ALL SELECT region FROM orders.order_events",
        "SELECT CASE WHEN true THEN 1 END AS x, NULL AS nothing, [1, 2] AS list, now() AS at",
        "EXPLAIN SELECT 1",
        "SHOW TABLES",
        "SELECT * FROM system.products",
    ];
    block_on(async {
        let token = token(served(), "dev").await;
        for sql in statements {
            let mut client = login(served(), "dev").await;
            let info = client.execute(sql.to_owned(), None).await.unwrap();
            let announced = info.clone().try_decode_schema().unwrap();
            let mut raw = FlightServiceClient::new(channel(served()).await);
            let result = raw.get_schema(with(&token, descriptor(&statement(sql)))).await.unwrap().into_inner();
            assert_eq!(Schema::try_from(&result).unwrap(), announced, "{sql}");
            let prepared = client.prepare(sql.to_owned(), None).await.unwrap();
            assert_eq!(*prepared.dataset_schema().unwrap(), announced, "{sql}");
            assert!(prepared.parameter_schema().unwrap().fields().is_empty());
            let (streamed, batches) = fetch(&mut client, info).await;
            assert_eq!(*streamed, announced, "{sql}");
            assert!(batches.iter().all(|batch| batch.schema() == streamed), "{sql}");
            for field in announced.fields() {
                assert!(field.is_nullable() && field.metadata().is_empty(), "{sql}: {field}");
                let view = matches!(field.data_type(), DataType::Utf8View | DataType::BinaryView);
                assert!(!view, "{sql}: {field}");
            }
        }
    });
}

#[test]
fn metadata_holds_what_the_principal_may_discover() {
    block_on(async {
        for (user, sees_system) in [("ana", false), ("petra", true)] {
            let mut client = login(served(), user).await;
            let session = support::session(&support::gateway(), user, None);
            let visible = support::gateway().visible_tables(&session).unwrap();
            let query = CommandGetTables { include_schema: true, ..CommandGetTables::default() };
            let info = client.get_tables(query).await.unwrap();
            let (_, batches) = fetch(&mut client, info).await;
            let names: BTreeSet<_> = visible.iter().map(|table| table.table.clone()).collect();
            assert_eq!(texts(&batches, "table_name"), names, "{user}");
            assert_eq!(texts(&batches, "db_schema_name").contains("system"), sees_system || names.contains("products"));
            let info = client.get_db_schemas(CommandGetDbSchemas::default()).await.unwrap();
            let (_, batches) = fetch(&mut client, info).await;
            let domains: BTreeSet<_> = visible.iter().map(|table| table.domain.clone()).collect();
            assert_eq!(texts(&batches, "db_schema_name"), domains, "{user}");
        }
        let mut client = login(served(), "dev").await;
        let key = |table: &str| CommandGetPrimaryKeys {
            catalog: Some("mesh".to_owned()),
            db_schema: None,
            table: table.to_owned(),
        };
        let info = client.get_primary_keys(key("customer_orders_v1")).await.unwrap();
        let (_, batches) = fetch(&mut client, info).await;
        assert_eq!(texts(&batches, "column_name"), BTreeSet::from(["order_id".to_owned(), "product_id".to_owned()]));
        let info = client.get_primary_keys(key("nowhere")).await.unwrap();
        assert_eq!(fetch(&mut client, info).await.1.iter().map(RecordBatch::num_rows).sum::<usize>(), 0);
    });
}

#[test]
fn no_byte_of_a_hidden_value_is_sent() {
    async fn bytes(user: &str, sql: &str) -> Vec<u8> {
        let mut client = login(served(), user).await;
        let info = client.execute(sql.to_owned(), None).await.unwrap();
        let token = client.token().unwrap().clone();
        let ticket = info.endpoint[0].ticket.clone().unwrap();
        let messages = client.inner_mut().do_get(with(&token, ticket)).await.unwrap().into_inner();
        let messages: Vec<FlightData> = messages.try_collect().await.unwrap();
        messages.into_iter().flat_map(|message| [message.data_header, message.data_body].concat()).collect()
    }
    block_on(async {
        let gateway = support::gateway();
        let frida = support::session(&gateway, "frida", Some("fraud"));
        let sql = "SELECT order_id, customer_id, region FROM orders.order_events";
        let (_, clear) = support::rows(&gateway, &frida, sql).await.unwrap();
        let hidden: Vec<_> = clear
            .iter()
            .flat_map(|batch| {
                let column = |name: &str| batch.column_by_name(name).unwrap().as_string::<i32>().clone();
                let (orders, customers, regions) = (column("order_id"), column("customer_id"), column("region"));
                let elsewhere = orders.iter().zip(&regions).filter(|(_, region)| *region != Some("EU"));
                let orders: Vec<_> = elsewhere.filter_map(|(order, _)| order.map(str::to_owned)).collect();
                let customers: Vec<_> = customers.iter().flatten().map(str::to_owned).collect();
                [orders, customers].concat()
            })
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect();
        let visible = query(&mut login(served(), "ana").await, "SELECT order_id FROM orders.order_events").await;
        let visible = texts(&visible, "order_id");
        let hidden: Vec<_> = hidden.into_iter().filter(|value| !visible.contains(value)).collect();
        assert!(hidden.len() > 100, "{} hidden values", hidden.len());
        for sql in [
            EVENTS,
            "SELECT * FROM orders.order_events ORDER BY customer_id, order_id",
            "SELECT order_id, customer_id FROM orders.order_events WHERE quantity > 2",
            "SELECT nullif(order_id, order_id) AS x, substr(customer_id, 1, 3) AS y FROM orders.order_events",
        ] {
            let sent = bytes("ana", sql).await;
            assert!(!sent.is_empty());
            let leaked: Vec<_> =
                hidden.iter().filter(|value| sent.windows(value.len()).any(|part| part == value.as_bytes())).collect();
            assert!(leaked.is_empty(), "{sql}: {leaked:?}");
        }
    });
}

#[test]
fn a_purpose_comes_by_header_or_by_set_and_changes_what_is_seen() {
    let sql = "SELECT customer_id FROM orders.order_events ORDER BY order_id LIMIT 50";
    block_on(async {
        let masked = texts(&query(&mut login(served(), "frida").await, sql).await, "customer_id");
        let mut by_header = login(served(), "frida").await;
        by_header.set_header("purpose", "fraud");
        let clear = texts(&query(&mut by_header, sql).await, "customer_id");
        assert!(masked.is_disjoint(&clear));
        let mut by_set = Kept::login(served(), "frida").await;
        by_set.update("SET purpose = 'fraud'").await.unwrap();
        assert_eq!(texts(&by_set.query(sql).await, "customer_id"), clear);
        let mut keeps_nothing = login(served(), "frida").await;
        let error = keeps_nothing.execute_update("SET purpose = 'fraud'".to_owned(), None).await.unwrap_err();
        assert!(error.to_string().contains("this client keeps none"), "{error}");
        // The purpose that a statement was prepared for goes with its handle; the ticket of one call is no one else's.
        let mut prepared = by_header.prepare(sql.to_owned(), None).await.unwrap();
        let info = prepared.execute().await.unwrap();
        assert_eq!(texts(&fetch(&mut by_header, info).await.1, "customer_id"), clear);
        let mut unknown = login(served(), "frida").await;
        unknown.set_header("purpose", "curiosity");
        assert!(unknown.execute(sql.to_owned(), None).await.unwrap_err().to_string().contains("curiosity"));
    });
}

#[test]
fn results_beyond_the_limits_of_grpc_come_in_parts() {
    block_on(async {
        let mut client = login(served(), "frida").await;
        let sql = "SELECT repeat(a.order_id, 40) AS x FROM orders.order_events a CROSS JOIN (SELECT 1 FROM orders.order_events LIMIT 50)";
        let info = client.execute(sql.to_owned(), None).await.unwrap();
        let mut rows = 0;
        let mut stream = client.do_get(info.endpoint[0].ticket.clone().unwrap()).await.unwrap();
        while let Some(batch) = stream.try_next().await.unwrap() {
            rows += batch.num_rows();
        }
        let events = query(&mut client, "SELECT count(*) FROM orders.order_events").await;
        assert_eq!(i64::try_from(rows).unwrap(), number(&events) * 50);
    });
}
