//! The oracle of equality: the gateway's answer is that of another engine over a copy from which everything hidden was taken out.
//!
//! The copy is made here, row by row and value by value: of the gateway's own only the keyed hash is used, which has its test
//! against another implementation elsewhere (tests/python/differential.py).

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{Field, Schema};
use datafusion::catalog::{MemTable, MemorySchemaProvider, SchemaProvider};
use datafusion::prelude::{SessionConfig, SessionContext};
use portcullis_contract::FieldType;
use portcullis_engine::Guards;
use portcullis_govern::schema::arrow_type;
use portcullis_govern::{Disclosure, MaskKey, mask};

use super::generator::{Ask, common};
use super::lakes::MASK_KEY;
use super::mesh::{Principal, Shown};
use super::run::{Runner, Worlds};
use super::tables::{Role, TABLES, TableDef};
use super::values::{Kind, Value, array};
use super::wire::rows_of;
use super::worlds;
use crate::support::{self, block_on};

/// Questions to each engine, of all principals together.
const QUERIES: u64 = 240;

const DAY: i64 = 86_400_000_000;

/// The principal's view of a table, as rows of another table.
fn copy(table: &TableDef, rows: &[Vec<Value>], shown: &[Shown], principal: &Principal) -> RecordBatch {
    let rows: Vec<&Vec<Value>> = rows.iter().filter(|row| principal.sees(table, row)).collect();
    let (mut fields, mut columns): (Vec<Field>, Vec<ArrayRef>) = (Vec::new(), Vec::new());
    for (at, (name, kind)) in
        table.columns.iter().enumerate().filter(|(at, _)| !matches!(shown[*at], Shown::Denied | Shown::JoinOnly))
    {
        let values: Vec<Value> = rows.iter().map(|row| masked(*kind, &row[at], shown[at])).collect();
        let written = array(*kind, &values.iter().collect::<Vec<_>>());
        let declared: FieldType = kind.name().parse().unwrap();
        let mut column = cast(&written, &arrow_type(&declared)).unwrap();
        if shown[at] == Shown::Hash {
            column = mask::mask(Disclosure::Hash, &MaskKey::new(MASK_KEY.as_bytes()), &column);
        }
        fields.push(Field::new(*name, column.data_type().clone(), true));
        columns.push(column);
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

/// The mask, by hand. A hash is made of the column as a whole.
fn masked(kind: Kind, value: &Value, shown: Shown) -> Value {
    match (shown, value) {
        (Shown::Clear | Shown::Hash | Shown::JoinOnly | Shown::Denied, _) => value.clone(),
        (Shown::Null, _) => Value::Null,
        (Shown::Redact, _) => constant(kind),
        (_, Value::Null) => Value::Null,
        (Shown::Partial, Value::Text(text)) => {
            let letters: Vec<char> = text.chars().collect();
            let end: String =
                if letters.len() > 8 { letters[letters.len() - 4..].iter().collect() } else { String::new() };
            Value::Text(format!("****{end}"))
        }
        (Shown::Partial, Value::Date(day)) => Value::Date(first_day(*day, 12)),
        (Shown::Partial, Value::Micros(at)) => Value::Micros(i64::from(first_day((at / DAY) as i32, 12)) * DAY),
        (Shown::Bucket, Value::Date(day)) => Value::Date(first_day(*day, 1)),
        (Shown::Bucket, Value::Micros(at)) if kind == Kind::Time => Value::Micros(at - at % (DAY / 24)),
        (Shown::Bucket, Value::Micros(at)) => Value::Micros(i64::from(first_day((at / DAY) as i32, 1)) * DAY),
        (Shown::Bucket, Value::Int(value)) => Value::Int(leading(i128::from(*value)) as i32),
        (Shown::Bucket, Value::Long(value)) => Value::Long(leading(i128::from(*value)) as i64),
        (Shown::Bucket, Value::Decimal(value)) => Value::Decimal(leading(value / 100) * 100),
        (Shown::Bucket, Value::Double(value)) => Value::Double(leading(value.trunc() as i128) as f64),
        (Shown::Bucket, Value::Float(value)) => Value::Float(leading(value.trunc() as i128) as f32),
        (Shown::Partial | Shown::Bucket, _) => panic!("{shown:?} of {kind:?}"),
    }
}

fn constant(kind: Kind) -> Value {
    match kind {
        Kind::Boolean => Value::Boolean(false),
        Kind::Int => Value::Int(0),
        Kind::Long => Value::Long(0),
        Kind::Float => Value::Float(0.0),
        Kind::Double => Value::Double(0.0),
        Kind::Decimal => Value::Decimal(0),
        Kind::Date => Value::Date(0),
        Kind::Time | Kind::Timestamp | Kind::TimestampTz => Value::Micros(0),
        Kind::Text => Value::Text("[redacted]".into()),
        Kind::Binary => Value::Bytes(Vec::new()),
        Kind::Uuid => Value::Bytes(vec![0; 16]),
        Kind::Longs | Kind::Texts => Value::List(Vec::new()),
        Kind::Place => Value::Place(Box::new(constant(Kind::Text)), Box::new(constant(Kind::Int))),
        Kind::Tags => Value::Tags(Vec::new()),
    }
}

/// The leading digit of a whole number.
fn leading(value: i128) -> i128 {
    let digits = value.abs().to_string();
    let kept: i128 = format!("{}{}", &digits[..1], "0".repeat(digits.len() - 1)).parse().unwrap();
    if value < 0 { -kept } else { kept }
}

/// The first day of the month, or of the year (`months` is 12), by counting days.
fn first_day(day: i32, months: i32) -> i32 {
    let (mut start, mut year, mut month) = (0, 1970, 0);
    let mut year_start = 0;
    loop {
        let leap = year % 4 == 0;
        let length = [31, 28 + i32::from(leap), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month];
        if day < start + length {
            return if months == 12 { year_start } else { start };
        }
        start += length;
        month += 1;
        if month == 12 {
            (month, year, year_start) = (0, year + 1, start);
        }
    }
}

fn is_copied(table: &TableDef) -> bool {
    matches!(table.role, Role::Governed | Role::Unfiltered | Role::Open)
}

fn copies(principal: &Principal) -> Vec<(&'static TableDef, RecordBatch)> {
    let data = worlds::first(Worlds::get().seed);
    let each = TABLES.iter().zip(data).zip(&principal.shown).filter(|((table, _), _)| is_copied(table));
    each.map(|((table, rows), shown)| (table, copy(table, &rows.rows, shown, principal))).collect()
}

fn plain_datafusion(principal: &Principal) -> SessionContext {
    let config = SessionConfig::new()
        .with_target_partitions(1)
        .with_batch_size(16)
        .set_str("datafusion.execution.time_zone", "UTC");
    let context = SessionContext::new_with_config(config);
    let catalog = context.catalog("datafusion").unwrap();
    for (table, batch) in copies(principal) {
        let schema = catalog.schema(table.domain).unwrap_or_else(|| {
            let schema: Arc<dyn SchemaProvider> = Arc::new(MemorySchemaProvider::new());
            catalog.register_schema(table.domain, Arc::clone(&schema)).unwrap();
            schema
        });
        let rows = MemTable::try_new(batch.schema(), vec![vec![batch]]).unwrap();
        schema.register_table(table.name.to_owned(), Arc::new(rows)).unwrap();
    }
    context
}

async fn plain_answer(context: &SessionContext, sql: &str) -> Result<Vec<String>, String> {
    let frame = context.sql(sql).await.map_err(|error| error.to_string())?;
    let batches = frame.collect().await.map_err(|error| error.to_string())?;
    let mut rows: Vec<String> = batches.iter().flat_map(rows_of).collect();
    rows.sort_unstable();
    Ok(rows)
}

#[test]
fn answers_equal_those_of_plain_datafusion_over_a_masked_copy() {
    let worlds = Worlds::get();
    eprintln!("oracle of equality: seed {}", worlds.seed);
    let runner = Runner::new(Guards::default());
    let (mut compared, mut with_rows) = (0, 0);
    for (number, principal) in worlds.principals.iter().enumerate() {
        let context = plain_datafusion(principal);
        let each = QUERIES / worlds.principals.len() as u64;
        for index in (0..each).map(|index| number as u64 * each + index) {
            let sql = common(worlds.seed, index, principal);
            let answer = block_on(runner.answer(number, &Ask::Sql(sql.clone())));
            let expected = block_on(plain_answer(&context, &sql));
            let Ok(expected) = expected else {
                assert!(!answer.succeeded, "{}: only the gateway answers\n{sql}\n{expected:?}", principal.name);
                continue;
            };
            assert!(answer.succeeded, "{}, seed {}: {sql}\n{:?}", principal.name, worlds.seed, answer.parts.last());
            let mut rows = answer.rows();
            rows.sort_unstable();
            assert_eq!(rows, expected, "{}, seed {}: {sql}", principal.name, worlds.seed);
            compared += 1;
            with_rows += u64::from(!rows.is_empty());
        }
    }
    eprintln!("oracle of equality: {compared} answers equal, {with_rows} with rows");
    assert!(compared * 10 > QUERIES * 8 && with_rows * 3 > QUERIES, "{compared} compared, {with_rows} with rows");
}

#[test]
fn external_answers_equal_those_of_duckdb_over_a_masked_copy() {
    let Some(python) = support::python() else { return };
    let worlds = Worlds::get();
    let runner = Runner::new(Guards::default());
    let directory = tempfile::tempdir().unwrap();
    let mut cases = Vec::new();
    for (number, principal) in worlds.principals.iter().enumerate() {
        let context = plain_datafusion(principal);
        let mut tables = serde_json::Map::new();
        for (table, batch) in copies(principal) {
            let path = directory.path().join(format!("{}-{}-{}.parquet", principal.name, table.domain, table.name));
            let mut writer =
                parquet::arrow::ArrowWriter::try_new(std::fs::File::create(&path).unwrap(), batch.schema(), None)
                    .unwrap();
            writer.write(&batch).unwrap();
            writer.close().unwrap();
            tables.insert(table.full_name(), path.to_str().unwrap().into());
        }
        let each = QUERIES / worlds.principals.len() as u64;
        let mut queries = Vec::new();
        for index in (0..each).map(|index| 1_000 + number as u64 * each + index) {
            let sql = common(worlds.seed, index, principal);
            let answer = block_on(runner.answer(number, &Ask::Sql(sql.clone())));
            if answer.succeeded {
                // Engines differ in what an expression means: a difference is ours only where both others agree.
                let mut rows = answer.rows();
                rows.sort_unstable();
                let confirmed = block_on(plain_answer(&context, &sql)).is_ok_and(|plain| plain == rows);
                queries.push(serde_json::json!({"sql": sql, "rows": rows, "confirmed": confirmed}));
            }
        }
        cases.push(serde_json::json!({"name": principal.name, "tables": tables, "queries": queries}));
    }
    let path = directory.path().join("cases.json");
    std::fs::write(&path, serde_json::to_vec(&cases).unwrap()).unwrap();
    eprintln!("oracle of equality, DuckDB: seed {}", worlds.seed);
    let compared = support::run_python(&python, "copy_oracle.py", &[path.to_str().unwrap()]);
    let compared: u64 = compared.trim().parse().unwrap();
    assert!(compared * 10 > QUERIES * 7, "{compared} of {QUERIES} were answered by both");
}
