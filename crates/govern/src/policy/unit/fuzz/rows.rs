//! Random rows, as Arrow arrays and as Cedar entities.

use std::sync::Arc;

use cedar_policy::Entities;
use datafusion::arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Int32Array, Int32Builder, Int64Array, ListBuilder,
    RecordBatch, StringViewArray, StringViewBuilder, TimestampMicrosecondArray, TimestampNanosecondArray,
};
use portcullis_contract::Table;
use serde_json::{Map, Value, json};

use super::generate::Rng;
use crate::policy::entities::EntityData;
use crate::schema::arrow_schema;

pub(super) const ROW_ID: &str = "?row";

/// Columns that the schema says are always there, though some rows have NULL in them.
pub(super) const UNGUARDED: [(&str, &str); 9] = [
    ("s", "String"),
    ("n", "Long"),
    ("m", "Long"),
    ("ok", "Bool"),
    ("p", "decimal"),
    ("c", "decimal"),
    ("day", "datetime"),
    ("ts", "datetime"),
    ("ns", "datetime"),
];

pub(super) fn table() -> Arc<Table> {
    let columns = [
        ("s", "string"),
        ("n", "int"),
        ("m", "long"),
        ("o", "long"),
        ("ok", "boolean"),
        ("p", "decimal(5,2)"),
        ("c", "decimal(9,4)"),
        ("day", "date"),
        ("ts", "timestamptz"),
        ("ns", "timestamptz_ns"),
        ("labels", "list<string>"),
        ("numbers", "list<int>"),
    ];
    super::table("shop.orders", columns.into_iter().map(|(name, t)| super::field(name, t)).collect())
}

const TEXTS: [&str; 10] = ["EU", "US", "a_b", "a%b", "aXb", "a\nb", "it's", "", "é\\", "*x"];
const LONGS: [i64; 6] = [-1, 0, 1, 2, 2_147_483_647, -2_147_483_648];
const CENTS: [i128; 8] = [0, 100, 101, 150, -100, -101, 99_999, -99_999];
const DAYS: [i32; 5] = [20_454, 20_453, 20_455, -1, -3_594];
/// Milliseconds: Cedar has nothing finer.
const INSTANTS: [i64; 6] = [1_767_225_600_000, 1_767_268_800_000, 1_767_268_800_001, -3_600_000, 0, 1_767_096_000_000];

#[derive(Default)]
struct Row {
    s: Option<&'static str>,
    n: Option<i32>,
    m: Option<i64>,
    o: Option<i64>,
    ok: Option<bool>,
    p: Option<i128>,
    c: Option<i128>,
    day: Option<i32>,
    ts: Option<i64>,
    ns: Option<i64>,
    /// A null among the items is no member.
    labels: Option<Vec<Option<&'static str>>>,
    numbers: Option<Vec<Option<i32>>>,
}

pub(super) struct Rows {
    rows: Vec<Row>,
    pub(super) batch: RecordBatch,
}

/// One of these, or nothing once in five times.
fn any<T: Copy>(rng: &mut Rng, items: &[T]) -> Option<T> {
    (rng.below(5) > 0).then(|| items[usize::try_from(rng.below(items.len() as u64)).unwrap()])
}

fn list<T: Copy>(rng: &mut Rng, items: &[T]) -> Option<Vec<Option<T>>> {
    let length = any(rng, &[0, 1, 2, 3])?;
    Some((0..length).map(|_| any(rng, items)).collect())
}

impl Rows {
    pub(super) fn random(rng: &mut Rng, count: usize) -> Self {
        let row = |rng: &mut Rng| Row {
            s: any(rng, &TEXTS),
            n: any(rng, &LONGS).map(|n| i32::try_from(n).unwrap()),
            m: any(rng, &LONGS),
            o: any(rng, &LONGS),
            ok: any(rng, &[true, false]),
            p: any(rng, &CENTS),
            c: any(rng, &CENTS).map(|cents| cents * 100 + i128::from(rng.below(2)) * 50),
            day: any(rng, &DAYS),
            ts: any(rng, &INSTANTS),
            ns: any(rng, &INSTANTS),
            labels: list(rng, &TEXTS),
            numbers: list(rng, &[1, 2, 3]),
        };
        let rows: Vec<Row> = (0..count).map(|_| row(rng)).collect();
        let batch = batch(&rows);
        Rows { rows, batch }
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn describe(&self, row: usize) -> String {
        Value::Object(attributes(&self.rows[row])).to_string()
    }

    /// The row together with the principal, its groups, the table and its domain.
    pub(super) fn entities(&self, row: usize, known: &[EntityData]) -> Entities {
        let parent = json!({"type": "Table", "id": "shop.orders"});
        let uid = json!({"type": "Row::shop_orders", "id": ROW_ID});
        let row = json!([{"uid": uid, "attrs": attributes(&self.rows[row]), "parents": [parent]}]);
        let others = known.iter().map(|e| e.concrete().unwrap());
        Entities::from_json_value(row, None).unwrap().add_entities(others, None).unwrap()
    }
}

fn attributes(row: &Row) -> Map<String, Value> {
    let extension = |name: &str, text: String| json!({"__extn": {"fn": name, "arg": text}});
    let datetime = |ms: i64| {
        let offset = json!({"__extn": {"fn": "duration", "arg": format!("{ms}ms")}});
        let epoch = json!({"__extn": {"fn": "datetime", "arg": "1970-01-01"}});
        json!({"__extn": {"fn": "offset", "args": [epoch, offset]}})
    };
    let decimal = |ten_thousandths: i128| {
        let sign = if ten_thousandths < 0 { "-" } else { "" };
        let n = ten_thousandths.abs();
        extension("decimal", format!("{sign}{}.{:04}", n / 10_000, n % 10_000))
    };
    let values = [
        ("s", row.s.map(Value::from)),
        ("n", row.n.map(Value::from)),
        ("m", row.m.map(Value::from)),
        ("o", row.o.map(Value::from)),
        ("ok", row.ok.map(Value::from)),
        ("p", row.p.map(|cents| decimal(cents * 100))),
        ("c", row.c.map(decimal)),
        ("day", row.day.map(|day| datetime(i64::from(day) * 86_400_000))),
        ("ts", row.ts.map(datetime)),
        ("ns", row.ns.map(datetime)),
        ("labels", row.labels.as_ref().map(|items| items.iter().flatten().copied().collect())),
        ("numbers", row.numbers.as_ref().map(|items| items.iter().flatten().copied().collect())),
    ];
    values.into_iter().filter_map(|(name, value)| value.map(|value| (name.to_owned(), value))).collect()
}

fn batch(rows: &[Row]) -> RecordBatch {
    let decimals = |value: fn(&Row) -> Option<i128>, precision, scale| {
        let array: Decimal128Array = rows.iter().map(value).collect();
        Arc::new(array.with_precision_and_scale(precision, scale).unwrap()) as ArrayRef
    };
    let mut labels = ListBuilder::new(StringViewBuilder::new());
    let mut numbers = ListBuilder::new(Int32Builder::new());
    for row in rows {
        match &row.labels {
            Some(items) => labels.append_value(items.iter().copied()),
            None => labels.append_null(),
        }
        match &row.numbers {
            Some(items) => numbers.append_value(items.iter().copied()),
            None => numbers.append_null(),
        }
    }
    let instants: TimestampMicrosecondArray = rows.iter().map(|r| r.ts.map(|ms| ms * 1000)).collect();
    let nanoseconds: TimestampNanosecondArray = rows.iter().map(|r| r.ns.map(|ms| ms * 1_000_000)).collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(rows.iter().map(|r| r.s).collect::<StringViewArray>()),
        Arc::new(rows.iter().map(|r| r.n).collect::<Int32Array>()),
        Arc::new(rows.iter().map(|r| r.m).collect::<Int64Array>()),
        Arc::new(rows.iter().map(|r| r.o).collect::<Int64Array>()),
        Arc::new(rows.iter().map(|r| r.ok).collect::<BooleanArray>()),
        decimals(|r| r.p, 5, 2),
        decimals(|r| r.c, 9, 4),
        Arc::new(rows.iter().map(|r| r.day).collect::<Date32Array>()),
        Arc::new(instants.with_timezone("+00:00")),
        Arc::new(nanoseconds.with_timezone("+00:00")),
        Arc::new(labels.finish()),
        Arc::new(numbers.finish()),
    ];
    RecordBatch::try_new(arrow_schema(&table()), columns).unwrap()
}
