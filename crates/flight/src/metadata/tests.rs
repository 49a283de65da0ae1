//! The metadata commands, over tables made up here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{Array, AsArray, BinaryArray, UnionArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Int32Type, Schema, TimeUnit, UInt32Type};
use arrow_flight::sql::{
    CommandGetCrossReference, CommandGetDbSchemas, CommandGetExportedKeys, CommandGetImportedKeys,
    CommandGetPrimaryKeys, CommandGetSqlInfo, CommandGetTableTypes, CommandGetTables, CommandGetXdbcTypeInfo, SqlInfo,
};
use arrow_ipc::convert::try_schema_from_ipc_buffer;

use super::*;

fn visible() -> Vec<VisibleTable> {
    let table = |domain: &str, table: &str, fields: Vec<Field>, key: &[&str]| VisibleTable {
        domain: domain.to_owned(),
        table: table.to_owned(),
        system: domain == "system",
        schema: Arc::new(Schema::new(fields)),
        primary_key: key.iter().map(|&column| column.to_owned()).collect(),
        remarks: None,
        column_remarks: BTreeMap::from([("id".to_owned(), "the order's id".to_owned())]),
    };
    let events = vec![
        Field::new("id", DataType::Utf8, true),
        Field::new("at", DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into())), true),
        Field::new("amount", DataType::Decimal128(12, 2), true),
    ];
    vec![
        table("orders", "order_events", events, &["id", "at"]),
        table("orders", "orderxevents", vec![Field::new("id", DataType::Int64, true)], &[]),
        table("stock", "products", vec![Field::new("id", DataType::Int64, true)], &["id"]),
        table("system", "products", vec![Field::new("id", DataType::Int64, true)], &[]),
    ]
}

fn metadata() -> Metadata {
    Metadata::new(&Config::default()).unwrap()
}

/// The answer, whose schema must be the one announced.
fn answer(command: impl Into<Wrapped>) -> RecordBatch {
    let Wrapped(command) = command.into();
    let metadata = metadata();
    let batch = match metadata.fixed(&command) {
        Some(fixed) => fixed.unwrap(),
        None => of_tables(visible(), &command).unwrap().unwrap(),
    };
    assert_eq!(Metadata::schema(&command).unwrap(), batch.schema(), "{command:?}");
    batch
}

struct Wrapped(Command);

macro_rules! wrap {
    ($($name:ident),*) => { $(impl From<$name> for Wrapped {
        fn from(command: $name) -> Wrapped { Wrapped(Command::$name(command)) }
    })* };
}

wrap!(
    CommandGetCatalogs,
    CommandGetCrossReference,
    CommandGetDbSchemas,
    CommandGetExportedKeys,
    CommandGetImportedKeys,
    CommandGetPrimaryKeys,
    CommandGetSqlInfo,
    CommandGetTableTypes,
    CommandGetTables,
    CommandGetXdbcTypeInfo
);

/// The rows of a batch's text and number columns, values joined by a dot.
fn rows(batch: &RecordBatch) -> Vec<String> {
    let texts: Vec<_> = batch.columns().iter().filter_map(|column| cast(column, &DataType::Utf8).ok()).collect();
    let row = |row| texts.iter().map(|text| text.as_string::<i32>().value(row)).collect::<Vec<_>>().join(".");
    (0..batch.num_rows()).map(row).collect()
}

#[test]
fn catalogs_schemas_and_types() {
    assert_eq!(rows(&answer(CommandGetCatalogs {})), ["mesh"]);
    assert_eq!(rows(&answer(CommandGetTableTypes {})), ["SYSTEM TABLE", "TABLE"]);
    let schemas = |catalog: Option<&str>, pattern: Option<&str>| {
        rows(&answer(CommandGetDbSchemas {
            catalog: catalog.map(str::to_owned),
            db_schema_filter_pattern: pattern.map(str::to_owned),
        }))
    };
    assert_eq!(schemas(None, None), ["mesh.orders", "mesh.stock", "mesh.system"]);
    assert_eq!(schemas(Some("mesh"), Some("s%")), ["mesh.stock", "mesh.system"]);
    assert_eq!(schemas(Some("%"), Some("_tock")), ["mesh.stock"]);
    assert_eq!(schemas(Some("other"), None), [""; 0]);
    assert_eq!(schemas(Some(""), None), [""; 0], "an empty catalog means tables without one");
    let batch = answer(CommandGetDbSchemas::default());
    let names: Vec<_> = batch.schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(names, ["catalog_name", "db_schema_name"]);
}

#[test]
fn tables_by_pattern_and_type() {
    let tables = |schema: Option<&str>, table: Option<&str>, types: &[&str]| {
        rows(&answer(CommandGetTables {
            catalog: None,
            db_schema_filter_pattern: schema.map(str::to_owned),
            table_name_filter_pattern: table.map(str::to_owned),
            table_types: types.iter().map(|&name| name.to_owned()).collect(),
            include_schema: false,
        }))
    };
    assert_eq!(tables(None, None, &[]).len(), 4);
    assert_eq!(tables(None, None, &["SYSTEM TABLE"]), ["mesh.system.products.SYSTEM TABLE"]);
    assert_eq!(tables(None, None, &["VIEW"]), [""; 0]);
    assert_eq!(
        tables(Some("orders"), Some("order_events"), &[]),
        ["mesh.orders.order_events.TABLE", "mesh.orders.orderxevents.TABLE"],
        "an underscore stands for any character"
    );
    assert_eq!(tables(Some("orders"), Some(r"order\_events"), &[]), ["mesh.orders.order_events.TABLE"]);
    assert_eq!(
        tables(None, Some("%ducts"), &["TABLE", "SYSTEM TABLE"]),
        ["mesh.stock.products.TABLE", "mesh.system.products.SYSTEM TABLE"]
    );
}

#[test]
fn the_schema_of_a_table_comes_only_when_asked_for_and_describes_its_columns() {
    assert_eq!(answer(CommandGetTables::default()).num_columns(), 4);
    let query = CommandGetTables {
        table_name_filter_pattern: Some(r"order\_events".to_owned()),
        include_schema: true,
        ..CommandGetTables::default()
    };
    let batch = answer(query);
    assert_eq!((batch.num_columns(), batch.num_rows()), (5, 1));
    let schemas: &BinaryArray = batch.column(4).as_binary();
    assert_eq!(schemas.value(0)[..4], [0xff; 4], "an encapsulated message starts with the continuation marker");
    let schema = try_schema_from_ipc_buffer(schemas.value(0)).unwrap();
    let get =
        |column: usize, key: &str| schema.field(column).metadata().get(&format!("ARROW:FLIGHT:SQL:{key}")).cloned();
    assert_eq!(get(0, "TYPE_NAME").as_deref(), Some("VARCHAR"));
    assert_eq!(get(0, "REMARKS").as_deref(), Some("the order's id"));
    assert_eq!(get(0, "SCHEMA_NAME").as_deref(), Some("orders"));
    assert_eq!(get(1, "TYPE_NAME").as_deref(), Some("TIMESTAMP WITH TIME ZONE"));
    assert_eq!(get(1, "PRECISION").as_deref(), Some("32"));
    assert_eq!((get(2, "PRECISION").as_deref(), get(2, "SCALE").as_deref()), (Some("12"), Some("2")));
    assert!(schema.fields().iter().all(|field| field.is_nullable()));
}

#[test]
fn keys() {
    let primary = |schema: Option<&str>, table: &str| {
        let query = CommandGetPrimaryKeys {
            catalog: Some("mesh".to_owned()),
            db_schema: schema.map(str::to_owned),
            table: table.to_owned(),
        };
        rows(&answer(query))
    };
    assert_eq!(
        primary(Some("orders"), "order_events"),
        ["mesh.orders.order_events.id.order_events_pk.1", "mesh.orders.order_events.at.order_events_pk.2"]
    );
    assert_eq!(primary(None, "products"), ["mesh.stock.products.id.products_pk.1"]);
    assert_eq!(primary(Some("stock"), "order_events"), [""; 0]);
    assert_eq!(answer(CommandGetImportedKeys::default()).num_rows(), 0);
    assert_eq!(answer(CommandGetExportedKeys::default()).num_rows(), 0);
    assert_eq!(answer(CommandGetCrossReference::default()).num_columns(), 13);
}

#[test]
fn every_code_of_the_protocol_is_answered() {
    let batch = answer(CommandGetSqlInfo::default());
    let answered: BTreeSet<u32> = batch.column(0).as_primitive::<UInt32Type>().values().iter().copied().collect();
    let protocol: BTreeSet<u32> =
        (0..2000).filter(|code| SqlInfo::try_from(*code).is_ok()).map(|code| u32::try_from(code).unwrap()).collect();
    assert_eq!(protocol.len(), 91);
    assert_eq!(answered, protocol);
    let one = answer(CommandGetSqlInfo { info: vec![SqlInfo::FlightSqlServerTransaction as u32] });
    let values: &UnionArray = one.column(1).as_any().downcast_ref().unwrap();
    assert_eq!(values.len(), 1);
    assert_eq!(values.value(0).as_primitive::<Int32Type>().value(0), 0, "or ADBC begins transactions");
    let one = answer(CommandGetSqlInfo { info: vec![SqlInfo::SqlSupportsConvert as u32] });
    let values: &UnionArray = one.column(1).as_any().downcast_ref().unwrap();
    let conversions = values.value(0);
    let conversions = conversions.as_map();
    assert_eq!(conversions.entries().column_names(), ["key", "value"], "as Java looks them up");
    assert!(conversions.keys().as_primitive::<Int32Type>().values().contains(&0));
}

#[test]
fn the_functions_named_exist() {
    let known: BTreeSet<String> = datafusion::execution::SessionStateDefaults::default_scalar_functions()
        .iter()
        .flat_map(|function| [vec![function.name().to_owned()], function.aliases().to_vec()].concat())
        .collect();
    let lists = [
        sql_info::NUMERIC_FUNCTIONS,
        sql_info::STRING_FUNCTIONS,
        sql_info::SYSTEM_FUNCTIONS,
        sql_info::DATETIME_FUNCTIONS,
    ];
    let unknown: Vec<_> = lists.into_iter().flatten().filter(|name| !known.contains(**name)).collect();
    assert_eq!(unknown, [&""; 0]);
}

#[test]
fn types_are_those_that_columns_are_said_to_have() {
    let batch = answer(CommandGetXdbcTypeInfo::default());
    let names: BTreeSet<_> = batch.column(0).as_string::<i32>().iter().flatten().map(str::to_owned).collect();
    let micros = TimeUnit::Microsecond;
    let item = Arc::new(Field::new("item", DataType::Int32, true));
    let types = [
        DataType::Boolean,
        DataType::Int8,
        DataType::Int16,
        DataType::Int32,
        DataType::Int64,
        DataType::Float32,
        DataType::Float64,
        DataType::Decimal128(12, 2),
        DataType::Date32,
        DataType::Time64(micros),
        DataType::Timestamp(micros, None),
        DataType::Timestamp(micros, Some("+00:00".into())),
        DataType::Utf8,
        DataType::Binary,
        DataType::FixedSizeBinary(16),
        DataType::List(Arc::clone(&item)),
        DataType::Struct(vec![item].into()),
    ];
    for data_type in types {
        assert!(names.contains(column::sql_type(&data_type).name), "{data_type}");
    }
    assert_eq!(answer(CommandGetXdbcTypeInfo { data_type: Some(93) }).num_rows(), 2);
    let codes = batch.column(1).as_primitive::<Int32Type>().values();
    assert!(codes.is_sorted());
}
