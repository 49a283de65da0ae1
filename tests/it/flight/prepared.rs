//! Prepared statements and their parameters.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BinaryArray, Int32Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field};

use super::{fetch, login, number, query, texts};
use crate::support::{block_on, served};

fn parameters(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter(columns).unwrap()
}

#[test]
fn prepared_statements_take_typed_parameters() {
    block_on(async {
        let mut client = login(served(), "dev").await;
        let sql = "SELECT count(*) FROM orders.order_events WHERE region = ? AND quantity > ?";
        let mut prepared = client.prepare(sql.to_owned(), None).await.unwrap();
        let types: Vec<_> =
            prepared.parameter_schema().unwrap().fields().iter().map(|field| field.data_type().clone()).collect();
        assert_eq!(types, [DataType::Utf8, DataType::Int32]);
        for region in ["EU", "US"] {
            let columns: Vec<(&str, ArrayRef)> = vec![
                ("region", Arc::new(StringArray::from(vec![region]))),
                ("quantity", Arc::new(Int32Array::from(vec![1]))),
            ];
            prepared.set_parameters(parameters(columns)).unwrap();
            let info = prepared.execute().await.unwrap();
            let (_, bound) = fetch(&mut client, info).await;
            let written = sql.replacen('?', &format!("'{region}'"), 1).replacen('?', "1", 1);
            let literal = query(&mut client, &written).await;
            assert!(number(&bound) > 0);
            assert_eq!(number(&bound), number(&literal));
        }
        prepared.close().await.unwrap();
    });
}

#[test]
fn prepared_statements_refuse_what_cannot_be_bound() {
    block_on(async {
        let mut client = login(served(), "dev").await;
        let sql = "SELECT count(*) FROM orders.order_events WHERE quantity > ?";
        let mut prepared = client.prepare(sql.to_owned(), None).await.unwrap();
        let info = prepared.execute().await.unwrap();
        let error = client.do_get(info.endpoint[0].ticket.clone().unwrap()).await.unwrap_err().to_string();
        assert!(error.contains("the statement has 1 parameters, and none were bound"), "{error}");
        prepared.set_parameters(parameters(vec![("q", Arc::new(Int64Array::from(vec![1, 2])))])).unwrap();
        let error = prepared.execute().await.unwrap_err().to_string();
        assert!(error.contains("more than one row of parameters"), "{error}");
        let large = "x".repeat(2 << 20);
        prepared.set_parameters(parameters(vec![("q", Arc::new(StringArray::from(vec![large])))])).unwrap();
        let error = prepared.execute().await.unwrap_err().to_string();
        assert!(error.contains("at most 1048576 bytes can be bound"), "{error}");
    });
}

/// A bound value is a literal to the plan, which is never NULL; the column's schema must not show that.
#[test]
fn a_bound_statement_returns_the_schema_that_was_announced() {
    block_on(async {
        let mut client = login(served(), "dev").await;
        let sql = "SELECT CAST(? AS INT) AS number, upper(CAST(? AS VARCHAR)) AS text";
        let mut prepared = client.prepare(sql.to_owned(), None).await.unwrap();
        let announced = prepared.dataset_schema().unwrap().clone();
        let columns: Vec<(&str, ArrayRef)> =
            vec![("1", Arc::new(Int32Array::from(vec![7]))), ("2", Arc::new(StringArray::from(vec!["seven"])))];
        prepared.set_parameters(parameters(columns)).unwrap();
        let info = prepared.execute().await.unwrap();
        assert_eq!(info.clone().try_decode_schema().unwrap(), announced);
        let (streamed, batches) = fetch(&mut client, info).await;
        assert_eq!(*streamed, announced);
        assert_eq!(batches[0].column(1).as_string::<i32>().value(0), "SEVEN");
    });
}

#[test]
fn fields_of_prepared_parameters_are_nullable() {
    block_on(async {
        let mut client = login(served(), "dev").await;
        let sql = "SELECT order_id FROM orders.order_events WHERE quantity > $1 AND region = $2 AND $3 IS NULL";
        let prepared = client.prepare(sql.to_owned(), None).await.unwrap();
        let schema = prepared.parameter_schema().unwrap();
        let wanted = [("$1", DataType::Int32), ("$2", DataType::Utf8), ("$3", DataType::Utf8)]
            .map(|(name, data_type)| Field::new(name, data_type, true));
        assert_eq!(schema.fields().iter().map(|field| field.as_ref().clone()).collect::<Vec<_>>(), wanted);
    });
}

/// A parameter whose type nothing tells is announced as text, and its value comes back as text: or not at all.
#[test]
fn a_value_comes_back_in_the_type_that_was_announced() {
    block_on(async {
        let mut client = login(served(), "dev").await;
        let mut prepared = client.prepare("SELECT ? AS x".to_owned(), None).await.unwrap();
        let announced = prepared.dataset_schema().unwrap().clone();
        assert_eq!(announced.field(0).data_type(), &DataType::Utf8);
        prepared.set_parameters(parameters(vec![("x", Arc::new(Int64Array::from(vec![(1 << 53) + 1])))])).unwrap();
        let info = prepared.execute().await.unwrap();
        assert_eq!(info.clone().try_decode_schema().unwrap(), announced);
        let (streamed, batches) = fetch(&mut client, info).await;
        assert_eq!(*streamed, announced);
        assert_eq!(batches[0].column(0).as_string::<i32>().value(0), "9007199254740993");
        prepared.set_parameters(parameters(vec![("x", Arc::new(BinaryArray::from(vec![&[255_u8][..]])))])).unwrap();
        let error = prepared.execute().await.unwrap_err().to_string();
        assert!(
            error.contains("parameter `$1` is Utf8 here and its value, Binary, is not one without loss"),
            "{error}"
        );
    });
}

#[test]
fn explain_access_is_prepared_described_and_executed_alike() {
    block_on(async {
        let mut client = login(served(), "dev").await;
        let sql = "EXPLAIN ACCESS SELECT order_id FROM orders.order_events WHERE quantity > ?";
        let mut prepared = client.prepare(sql.to_owned(), None).await.unwrap();
        let announced = prepared.dataset_schema().unwrap().clone();
        assert_eq!(prepared.parameter_schema().unwrap().field(0).data_type(), &DataType::Int32);
        prepared.set_parameters(parameters(vec![("quantity", Arc::new(Int32Array::from(vec![1])))])).unwrap();
        let info = prepared.execute().await.unwrap();
        assert_eq!(info.clone().try_decode_schema().unwrap(), announced);
        let (streamed, batches) = fetch(&mut client, info).await;
        assert_eq!(*streamed, announced);
        let aspects = ["column", "discover", "query", "rows", "statement"].map(str::to_owned);
        assert_eq!(texts(&batches, "aspect"), BTreeSet::from(aspects));
        // Without its parameter it does not run, as the query would not.
        let unbound = client.prepare(sql.to_owned(), None).await.unwrap().execute().await.unwrap();
        let error = client.do_get(unbound.endpoint[0].ticket.clone().unwrap()).await.unwrap_err().to_string();
        assert!(error.contains("the statement has 1 parameters, and none were bound"), "{error}");
    });
}
