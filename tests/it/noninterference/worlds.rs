//! Two worlds for each principal: meshes that differ in nothing but what is hidden from it.
//!
//! The first world is the same for everybody. In the second, rows that the principal does not see are dropped, added and changed,
//! and values that it sees masked are others with the same mask. The first is tame, the second wild: where numbers fit and texts
//! are numerals in the one, the other has extremes, zeros and what cannot be cast.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use super::mesh::{self, Principal, Shown};
use super::rng::Rng;
use super::tables::{AT_LEAST, LARGE, Role, TABLES, TableDef};
use super::values::{Kind, Value};

/// A row of a table.
pub type Row = Vec<Value>;

/// The rows of a table, in their order.
#[derive(Debug, Clone)]
pub struct Rows {
    pub rows: Vec<Row>,
    /// How many of them the table's first version has.
    pub cut: usize,
}

/// The rows of each table.
pub type Data = Vec<Rows>;

/// What is in the first world.
pub fn first(seed: u64) -> Data {
    let table = |(at, table): (u64, &TableDef)| {
        let mut rng = Rng::new(seed, &[2, at]);
        let rows = (0..table.rows).map(|row| tame_row(table, row as i64, &mut rng)).collect();
        Rows { rows, cut: table.rows / 2 }
    };
    (0..).zip(TABLES).map(table).collect()
}

/// What is in the second world of a principal.
pub fn second(first: &Data, principal: &Principal, seed: u64) -> Data {
    let number = mesh::RULES.iter().position(|rule| *rule == principal.rule).unwrap_or(0) as u64;
    let mut rng = Rng::new(seed, &[3, number]);
    let each = TABLES.iter().zip(first).zip(&principal.shown);
    each.map(|((table, rows), shown)| match table.role {
        Role::Open => rows.clone(),
        _ => other_rows(table, rows, shown, principal, &mut rng),
    })
    .collect()
}

fn other_rows(table: &TableDef, first: &Rows, shown: &[Shown], principal: &Principal, rng: &mut Rng) -> Rows {
    let (mut rows, mut cut) = (Vec::new(), 0);
    let hidden_row = |rng: &mut Rng| {
        (0..50).find_map(|_| {
            let row = wild_row(table, rng);
            (!principal.sees(table, &row)).then_some(row)
        })
    };
    // Some principals find many more hidden rows than there were, some find few.
    let (drop, add) = *rng.pick(&[(2, 3), (5, 2), (2, 30), (3, 8)]);
    for (at, row) in first.rows.iter().enumerate() {
        // What is visible is in the same versions.
        if at == first.cut {
            cut = rows.len();
        }
        if principal.sees(table, row) {
            rows.push(masked_otherwise(table, row, shown, principal, rng));
        } else if !rng.once_in(drop) {
            rows.extend(hidden_row(rng));
        }
        while rng.once_in(add) {
            match hidden_row(rng) {
                Some(row) => rows.push(row),
                None => break,
            }
        }
    }
    Rows { rows, cut }
}

/// The row with other values where masks say nothing about them.
fn masked_otherwise(table: &TableDef, row: &Row, shown: &[Shown], principal: &Principal, rng: &mut Rng) -> Row {
    let mut changed = row.clone();
    for (at, (_, kind)) in table.columns.iter().enumerate() {
        let old = std::mem::replace(&mut changed[at], Value::Null);
        changed[at] = match shown[at] {
            Shown::JoinOnly if principal.matches_blindly() => renamed(&old),
            _ => same_mask(*kind, &old, shown[at], rng),
        };
        // What the policy looks at must still say the same.
        if !principal.sees(table, &changed) {
            changed[at] = old;
        }
    }
    changed
}

/// Another text for each text, in all tables: what was equal stays equal.
fn renamed(value: &Value) -> Value {
    let Value::Text(text) = value else { return value.clone() };
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    Value::Text(format!("NEEDLE{:016x}", hasher.finish()))
}

/// Another value that the mask makes the same of.
fn same_mask(kind: Kind, value: &Value, shown: Shown, rng: &mut Rng) -> Value {
    match (shown, value) {
        (Shown::Clear | Shown::Hash | Shown::JoinOnly, _) => value.clone(),
        (Shown::Redact | Shown::Null | Shown::Denied, _) => wild(kind, rng),
        (Shown::Partial | Shown::Bucket, Value::Null) => Value::Null,
        (Shown::Partial, Value::Text(text)) => {
            let letters: Vec<char> = text.chars().collect();
            if letters.len() <= 8 {
                return Value::Text(needle(rng).chars().take(rng.below(9)).collect());
            }
            let end: String = letters[letters.len() - 4..].iter().collect();
            let length = 5 + rng.below(20);
            Value::Text(needle(rng).chars().cycle().take(length).chain(end.chars()).collect())
        }
        (Shown::Partial, Value::Date(day)) => Value::Date(day_of_year(*day, rng)),
        (Shown::Partial, Value::Micros(micros)) => {
            let day = day_of_year(i32::try_from(micros.div_euclid(DAY)).unwrap(), rng);
            Value::Micros(i64::from(day) * DAY + rng.range(0, DAY))
        }
        (Shown::Bucket, Value::Int(value)) => {
            Value::Int(i32::try_from(same_digit((*value).into(), i32::MAX.into(), rng)).unwrap())
        }
        (Shown::Bucket, Value::Long(value)) => {
            Value::Long(i64::try_from(same_digit((*value).into(), i64::MAX.into(), rng)).unwrap())
        }
        (Shown::Bucket, Value::Decimal(value)) => {
            let (whole, sign) = (value.abs() / 100, value.signum());
            let kept = if whole == 0 { 0 } else { same_digit(whole, 9_999_999_999, rng) };
            let kept = kept * 100 + i128::from(rng.range(0, 100));
            // 0 has no sign, and a small negative number is shown as 0 too.
            Value::Decimal(if sign == 0 { kept } else { kept * sign })
        }
        (Shown::Bucket, Value::Double(value)) if value.is_finite() && value.abs() < 1e15 => {
            Value::Double(same_digit_of_float(*value, rng))
        }
        (Shown::Bucket, Value::Float(value)) if value.is_finite() && value.abs() < 1e6 => {
            Value::Float(same_digit_of_float((*value).into(), rng) as f32)
        }
        (Shown::Bucket, Value::Date(day)) => Value::Date(day_of_month(*day, rng)),
        (Shown::Bucket, Value::Micros(micros)) if kind == Kind::Time => {
            Value::Micros(micros - micros % HOUR + rng.range(0, HOUR))
        }
        (Shown::Bucket, Value::Micros(micros)) => {
            let day = day_of_month(i32::try_from(micros.div_euclid(DAY)).unwrap(), rng);
            Value::Micros(i64::from(day) * DAY + rng.range(0, DAY))
        }
        _ => value.clone(),
    }
}

const HOUR: i64 = 3_600_000_000;
const DAY: i64 = 24 * HOUR;

/// A number with the same leading digit and as many digits.
fn same_digit(value: i128, most: i128, rng: &mut Rng) -> i128 {
    let magnitude = value.abs();
    let unit = if magnitude == 0 { 1 } else { 10_i128.pow(magnitude.ilog10()) };
    let low = magnitude - magnitude % unit;
    let high = (low + unit - 1).min(most);
    let kept = low + i128::from(rng.next()) % (high - low + 1);
    if value < 0 { -kept } else { kept }
}

fn same_digit_of_float(value: f64, rng: &mut Rng) -> f64 {
    let magnitude = value.abs();
    let fraction = rng.range(0, 512) as f64 / 1024.0;
    let kept = if magnitude < 1.0 {
        fraction
    } else {
        same_digit(magnitude.floor() as i128, 1 << 50, rng) as f64 + if magnitude < 1e5 { fraction } else { 0.0 }
    };
    kept.copysign(value)
}

/// All days of tests lie in years of 1970 to 2037, where the year of a day is found by counting.
fn day_of_year(day: i32, rng: &mut Rng) -> i32 {
    let (mut start, mut year) = (0, 1970);
    let length = |year: i32| if year % 4 == 0 { 366 } else { 365 };
    while start + length(year) <= day {
        start += length(year);
        year += 1;
    }
    start + rng.range(0, length(year).into()) as i32
}

fn day_of_month(day: i32, rng: &mut Rng) -> i32 {
    let (mut start, mut year) = (0, 1970);
    let length = |year: i32| if year % 4 == 0 { 366 } else { 365 };
    while start + length(year) <= day {
        start += length(year);
        year += 1;
    }
    let february = length(year) - 337;
    for days in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if day < start + days {
            return start + rng.range(0, days.into()) as i32;
        }
        start += days;
    }
    day
}

/// A text that stands nowhere else.
fn needle(rng: &mut Rng) -> String {
    format!("NEEDLE{:016x}", rng.next())
}

fn tame_row(table: &TableDef, id: i64, rng: &mut Rng) -> Row {
    let value = |(column, kind): &(&str, Kind), rng: &mut Rng| match *column {
        "id" => Value::Long(id),
        "level" if !rng.once_in(12) => Value::Int(rng.range(0, 10) as i32),
        "region" if !rng.once_in(12) => Value::Text((*rng.pick(&["EU", "US", "APAC", "LATAMS"])).into()),
        "kind" => Value::Text((*rng.pick(&["a", "b", "c", "open", "shut"])).into()),
        "digits" if !rng.once_in(12) => Value::Text(rng.range(-50, 2_000).to_string()),
        "n" => Value::Long(id),
        "badge" if !rng.once_in(12) => Value::Text(badge(rng)),
        "who" => Value::Text(format!("W{}", rng.below(40))),
        _ => tame(*kind, rng),
    };
    let row = table.columns.iter().map(|column| value(column, rng)).collect();
    few_entities(table, row, rng)
}

fn badge(rng: &mut Rng) -> String {
    format!("B-{}", rng.below(25))
}

/// Entities of groups that are too small are some of few, whichever way these groups are taken together.
fn few_entities(table: &TableDef, mut row: Row, rng: &mut Rng) -> Row {
    let is_small = match table.role {
        Role::Tiny => true,
        Role::Grouped => {
            let region = table.index("region").map(|at| &row[at]);
            !matches!(region, Some(Value::Text(region)) if LARGE.contains(&region.as_str()))
        }
        _ => false,
    };
    if let (true, Some(who)) = (is_small, table.index("who")) {
        row[who] = Value::Text(format!("W{}", rng.below(AT_LEAST - 1)));
    }
    row
}

fn wild_row(table: &TableDef, rng: &mut Rng) -> Row {
    let value = |(column, kind): &(&str, Kind), rng: &mut Rng| match *column {
        "id" => Value::Long(*rng.pick(&[-1, 7, i64::MIN, i64::MAX])),
        "level" if !rng.once_in(4) => Value::Int(rng.range(-2, 10) as i32),
        "region" if !rng.once_in(4) => Value::Text((*rng.pick(&["EU", "US", "APAC", "XS", "eu", ""])).into()),
        // One that others have: whoever joins with it would notice.
        "badge" if !rng.once_in(4) => Value::Text(badge(rng)),
        _ => wild(*kind, rng),
    };
    let row = table.columns.iter().map(|column| value(column, rng)).collect();
    few_entities(table, row, rng)
}

/// Values that casts and arithmetic get along with; NULL now and then.
pub fn tame(kind: Kind, rng: &mut Rng) -> Value {
    if rng.once_in(10) {
        return Value::Null;
    }
    let day = |rng: &mut Rng| rng.range(365, 20_000);
    match kind {
        Kind::Boolean => Value::Boolean(rng.once_in(2)),
        Kind::Int => Value::Int(rng.range(-20, 120) as i32),
        Kind::Long => Value::Long(rng.range(1, 5_000)),
        Kind::Float => Value::Float(rng.range(-2_000, 80_000) as f32 / 16.0),
        Kind::Double => Value::Double(rng.range(-20_000, 900_000) as f64 / 64.0),
        Kind::Decimal => Value::Decimal(rng.range(-5_000, 90_000).into()),
        Kind::Date => Value::Date(day(rng) as i32),
        Kind::Time => Value::Micros(rng.range(0, DAY)),
        Kind::Timestamp | Kind::TimestampTz => Value::Micros(day(rng) * DAY + rng.range(0, DAY)),
        Kind::Text => Value::Text(match rng.below(4) {
            0 => (*rng.pick(&["alpha", "beta", "gamma", "Ünï", "x y", "", "%_"])).into(),
            1 => rng.range(0, 300).to_string(),
            _ => format!("{}@{}.example.com", rng.pick(&["ann", "bob", "cy", "dee"]), rng.below(20)),
        }),
        Kind::Binary => Value::Bytes((0..rng.below(20)).map(|_| rng.next() as u8).collect()),
        Kind::Uuid => Value::Bytes((0..16).map(|at| if at < 14 { 7 } else { rng.next() as u8 }).collect()),
        Kind::Longs => Value::List((0..rng.below(5)).map(|_| tame(Kind::Long, rng)).collect()),
        Kind::Texts => Value::List((0..rng.below(4)).map(|_| tame(Kind::Text, rng)).collect()),
        Kind::Place => Value::Place(Box::new(tame(Kind::Text, rng)), Box::new(tame(Kind::Int, rng))),
        Kind::Tags => Value::Tags(tags(rng, |rng| rng.below(100).to_string())),
    }
}

fn tags(rng: &mut Rng, value: impl Fn(&mut Rng) -> String) -> Vec<(String, String)> {
    let keys: Vec<_> = ["a", "b", "c"].into_iter().filter(|_| rng.once_in(2)).collect();
    keys.into_iter().map(|key| (key.to_owned(), value(rng))).collect()
}

/// Values that betray themselves: they cannot be cast, overflow, divide by zero, or stand nowhere else.
pub fn wild(kind: Kind, rng: &mut Rng) -> Value {
    if rng.once_in(5) {
        return Value::Null;
    }
    let day = |rng: &mut Rng| rng.range(0, 24_000);
    match kind {
        Kind::Boolean => Value::Boolean(rng.once_in(2)),
        Kind::Int => Value::Int(*rng.pick(&[0, 1, -1, 5, i32::MIN, i32::MAX, 123_456_789])),
        Kind::Long => Value::Long(*rng.pick(&[0, 1, -1, 42, 1_501, i64::MIN, i64::MAX, 1 << 40])),
        Kind::Float => Value::Float(*rng.pick(&[0.0, -0.0, f32::NAN, f32::INFINITY, f32::MAX, 1.5])),
        Kind::Double => Value::Double(*rng.pick(&[0.0, -0.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300, 2.5])),
        Kind::Decimal => Value::Decimal(*rng.pick(&[0, 1, -1, 999_999_999_999, -999_999_999_999, 100])),
        Kind::Date => Value::Date(day(rng) as i32),
        Kind::Time => Value::Micros(rng.range(0, DAY)),
        Kind::Timestamp | Kind::TimestampTz => Value::Micros(day(rng) * DAY + rng.range(0, DAY)),
        Kind::Text => Value::Text(match rng.below(5) {
            0 => (*rng.pick(&["", "(", "1e999", "9999-99-99", "[", "\\", "99999999999999999999"])).into(),
            1 => needle(rng).repeat(1 + rng.below(40)),
            _ => needle(rng),
        }),
        Kind::Binary => Value::Bytes(needle(rng).into_bytes()),
        Kind::Uuid => Value::Bytes(needle(rng).into_bytes()[..16].to_vec()),
        Kind::Longs => Value::List((0..rng.below(9)).map(|_| wild(Kind::Long, rng)).collect()),
        Kind::Texts => Value::List((0..rng.below(9)).map(|_| wild(Kind::Text, rng)).collect()),
        Kind::Place => Value::Place(Box::new(wild(Kind::Text, rng)), Box::new(wild(Kind::Int, rng))),
        Kind::Tags => Value::Tags(tags(rng, needle)),
    }
}
