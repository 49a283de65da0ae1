//! Candidate rows for two row filters: one of each kind that the filters can tell apart.
//!
//! Row filters compare columns with constants, and columns with columns. So the values of a column fall into few kinds:
//! for an ordered type those before, at and between the constants, for a text each constant and anything else, for a
//! list each set of the elements asked for; and NULL. All combinations of one value of each kind are every row that
//! such filters can tell apart. Where there are too many, or a column is matched with several patterns, the search is
//! not complete, and says so.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::execution_props::ExecutionProps;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Expr, Operator};
use datafusion::physical_expr::create_physical_expr;
use portcullis_contract::Table;

use crate::policy::render;
use crate::schema::arrow_schema;

/// Rows that are tried at most.
const MOST_ROWS: usize = 20_000;
/// Elements of a list column of which every set is tried.
const MOST_ELEMENTS: usize = 4;

/// Candidate rows over the columns that the filters read.
pub(super) struct Grid {
    batch: RecordBatch,
    /// Whether there is a row of every kind.
    pub(super) complete: bool,
}

impl Grid {
    /// The grid for two filters; `None` where the tables do not agree about the columns' types.
    pub(super) fn over(filters: [Option<&Expr>; 2], old: &Table, new: &Table) -> Option<Grid> {
        let mut asked = Asked { complete: true, ..Asked::default() };
        filters.into_iter().flatten().for_each(|filter| asked.read(filter));
        asked.share();
        let (old, new) = (arrow_schema(old), arrow_schema(new));
        // What lies between two points of one column's grid may be a point of the other's.
        let scale = |name: &str| match new.field_with_name(name).map(Field::data_type) {
            Ok(DataType::Decimal128(_, scale)) => Some(*scale),
            _ => None,
        };
        asked.complete &= asked.pairs.iter().all(|(left, right)| scale(left) == scale(right));
        let mut columns = Vec::new();
        for (name, kinds) in &asked.columns {
            let types = (old.field_with_name(name).ok(), new.field_with_name(name).ok());
            let data_type = match types {
                (Some(before), Some(after)) if before.data_type() != after.data_type() => return None,
                (Some(field), _) | (None, Some(field)) => field.data_type().clone(),
                (None, None) => return None,
            };
            let (values, complete) = kinds.values(&data_type);
            asked.complete &= complete;
            columns.push((Field::new(name, data_type, true), values));
        }
        let sizes: Vec<usize> = columns.iter().map(|(_, values)| values.len()).collect();
        let all = sizes.iter().try_fold(1_usize, |all, size| all.checked_mul(*size)).unwrap_or(usize::MAX);
        let batch = batch(columns, &sizes, all)?;
        Some(Grid { batch, complete: asked.complete && all <= MOST_ROWS })
    }

    /// Which rows a filter keeps.
    pub(super) fn keeps(&self, filter: Option<&Expr>) -> Option<Vec<bool>> {
        let rows = self.batch.num_rows();
        let Some(filter) = filter else { return Some(vec![true; rows]) };
        let schema = DFSchema::try_from(self.batch.schema()).ok()?;
        let filter =
            create_physical_expr(filter, &schema, &ExecutionProps::new(), &PhysicalPlanningContext::default()).ok()?;
        let kept = filter.evaluate(&self.batch).and_then(|kept| kept.into_array(rows)).ok()?;
        let kept = kept.as_boolean_opt()?;
        Some((0..rows).map(|row| kept.is_valid(row) && kept.value(row)).collect())
    }

    /// A row as text: `region = 'EU', n = NULL`.
    pub(super) fn describe(&self, row: usize) -> String {
        let schema: SchemaRef = self.batch.schema();
        let columns = schema.fields().iter().zip(self.batch.columns()).map(|(field, column)| {
            let value = ScalarValue::try_from_array(column, row).unwrap_or(ScalarValue::Null);
            format!("{} = {}", render::identifier(field.name()), render::literal(&value))
        });
        let text = columns.collect::<Vec<_>>().join(", ");
        if text.is_empty() { "any row".to_owned() } else { text }
    }
}

/// Every combination of the columns' values, the first column's changing first; evenly thinned out where there are
/// too many.
fn batch(columns: Vec<(Field, Vec<ScalarValue>)>, sizes: &[usize], all: usize) -> Option<RecordBatch> {
    let rows = all.min(MOST_ROWS);
    let step = all.div_ceil(rows.max(1)).max(1);
    // A step that shares no factor with a size keeps no column fixed.
    let step =
        (step..).find(|step| step % 2 == 1 && sizes.iter().all(|size| *size < 2 || step % size != 0)).unwrap_or(1);
    let step = if all <= MOST_ROWS { 1 } else { step };
    let mut arrays: Vec<ArrayRef> = Vec::new();
    let mut repeat = 1_usize;
    let mut fields = Vec::new();
    for (field, values) in columns {
        let at = |row: usize| values.get((row.wrapping_mul(step) / repeat) % values.len().max(1)).cloned();
        let cells: Option<Vec<ScalarValue>> = (0..rows).map(at).collect();
        arrays.push(ScalarValue::iter_to_array(cells?).ok()?);
        repeat = repeat.saturating_mul(values.len()).max(1);
        fields.push(field);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows.max(1)));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options).ok()
}

/// What filters ask about their columns.
#[derive(Default)]
struct Asked {
    columns: BTreeMap<String, Kinds>,
    /// Columns that are compared with each other.
    pairs: Vec<(String, String)>,
    complete: bool,
}

/// What is asked about one column.
#[derive(Default, Clone)]
struct Kinds {
    constants: Vec<ScalarValue>,
    patterns: BTreeSet<String>,
    /// Columns that it is compared with, itself included; 0 if there are none.
    compared: usize,
}

impl Asked {
    fn column(&mut self, e: &Expr) -> Option<&mut Kinds> {
        name(e).map(|name| self.columns.entry(name.to_owned()).or_default())
    }

    fn constant(&mut self, column: &Expr, value: &Expr) {
        match (self.column(column), value) {
            (Some(kinds), Expr::Literal(value, _)) if !kinds.constants.contains(value) => {
                kinds.constants.push(value.clone());
            }
            (Some(_), Expr::Literal(..)) => {}
            _ => self.complete = false,
        }
    }

    fn read(&mut self, e: &Expr) {
        match e {
            Expr::Literal(..) => {}
            Expr::Column(_) => {
                self.column(e);
            }
            Expr::Not(inner) | Expr::IsNull(inner) | Expr::IsNotNull(inner) => self.read(inner),
            Expr::BinaryExpr(b) if matches!(b.op, Operator::And | Operator::Or) => {
                self.read(&b.left);
                self.read(&b.right);
            }
            Expr::BinaryExpr(b) => match (name(&b.left), name(&b.right)) {
                (Some(left), Some(right)) => {
                    self.pairs.push((left.to_owned(), right.to_owned()));
                    self.column(&b.left);
                    self.column(&b.right);
                }
                (Some(_), None) => self.constant(&b.left, &b.right),
                _ => self.complete = false,
            },
            Expr::InList(list) => list.list.iter().for_each(|item| self.constant(&list.expr, item)),
            Expr::Like(like) => match (self.column(&like.expr), like.pattern.as_ref()) {
                (Some(kinds), Expr::Literal(pattern, _)) => {
                    kinds.patterns.extend(text_of(pattern).map(str::to_owned));
                }
                _ => self.complete = false,
            },
            Expr::ScalarFunction(call) => match call.args.as_slice() {
                [list, item] if call.name() == "array_has" => self.constant(list, item),
                _ => self.complete = false,
            },
            _ => self.complete = false,
        }
    }

    /// Columns that are compared with each other share their constants.
    fn share(&mut self) {
        let mut clusters: Vec<BTreeSet<String>> = Vec::new();
        for (left, right) in &self.pairs {
            let mut cluster = BTreeSet::from([left.clone(), right.clone()]);
            clusters.retain(|other| {
                let joined = !other.is_disjoint(&cluster);
                if joined {
                    cluster.extend(other.iter().cloned());
                }
                !joined
            });
            clusters.push(cluster);
        }
        for cluster in clusters {
            let of = |name: &String| self.columns.get(name).map(|kinds| kinds.constants.clone()).unwrap_or_default();
            let shared: Vec<ScalarValue> = cluster.iter().flat_map(of).collect();
            for name in &cluster {
                let Some(kinds) = self.columns.get_mut(name) else { continue };
                kinds.compared = cluster.len();
                kinds.constants = shared.clone();
                // A pattern on one side asks about the other side too.
                self.complete &= kinds.patterns.is_empty();
            }
        }
    }
}

/// The name of a column, also of one that is widened.
fn name(e: &Expr) -> Option<&str> {
    match e {
        Expr::Column(column) => Some(&column.name),
        Expr::Cast(cast) => name(&cast.expr),
        _ => None,
    }
}

fn text_of(value: &ScalarValue) -> Option<&str> {
    match value {
        ScalarValue::Utf8View(Some(s)) | ScalarValue::Utf8(Some(s)) | ScalarValue::LargeUtf8(Some(s)) => Some(s),
        _ => None,
    }
}

impl Kinds {
    /// A value of each kind, the telling ones first, and whether that is all kinds.
    fn values(&self, data_type: &DataType) -> (Vec<ScalarValue>, bool) {
        let (mut values, complete) = match data_type {
            DataType::Boolean => (vec![ScalarValue::from(true), ScalarValue::from(false)], true),
            DataType::Utf8View => self.texts(),
            DataType::List(element) => self.lists(element.data_type()),
            _ => self.numbers(data_type),
        };
        values.extend(ScalarValue::try_new_null(data_type).ok());
        (values, complete)
    }

    fn texts(&self) -> (Vec<ScalarValue>, bool) {
        let mut texts: Vec<String> = Vec::new();
        let mut add = |text: String| {
            if !texts.contains(&text) {
                texts.push(text);
            }
        };
        let constants: Vec<&str> = self.constants.iter().filter_map(text_of).collect();
        constants.iter().for_each(|text| add((*text).to_owned()));
        for pattern in &self.patterns {
            add(example(pattern, ""));
            add(example(pattern, OTHER));
        }
        // As many others as there are columns to be told apart.
        for nth in 0..self.compared.max(1) {
            let mut other = OTHER.repeat(nth + 1);
            while constants.contains(&other.as_str()) {
                other.push_str(OTHER);
            }
            add(other);
        }
        (texts.into_iter().map(|text| ScalarValue::Utf8View(Some(text))).collect(), self.patterns.len() <= 1)
    }

    /// Before, at and after each constant. Columns that are compared with each other may lie between two constants in
    /// any order, so there is room for all of them.
    fn numbers(&self, data_type: &DataType) -> (Vec<ScalarValue>, bool) {
        let mut constants: Vec<i128> = self.constants.iter().filter_map(|c| number(c, data_type)).collect();
        if constants.is_empty() {
            constants.push(0);
        }
        let reach = i128::try_from(self.compared.max(1)).unwrap_or(1);
        let mut values: Vec<i128> = constants.clone();
        for constant in constants {
            for step in (1..=reach).flat_map(|step| [-step, step]) {
                let value = constant.saturating_add(step);
                if !values.contains(&value) {
                    values.push(value);
                }
            }
        }
        let scalars: Vec<ScalarValue> = values.into_iter().filter_map(|value| scalar(value, data_type)).collect();
        let complete = !scalars.is_empty();
        (scalars, complete)
    }

    fn lists(&self, element: &DataType) -> (Vec<ScalarValue>, bool) {
        let list = |items: &[ScalarValue]| ScalarValue::List(ScalarValue::new_list_nullable(items, element));
        let known = self.constants.get(..self.constants.len().min(MOST_ELEMENTS)).unwrap_or_default();
        let sets = (1..1_usize << known.len()).map(|set| {
            let chosen = known.iter().enumerate().filter(|(nth, _)| set >> nth & 1 == 1);
            chosen.map(|(_, item)| item.clone()).collect::<Vec<_>>()
        });
        let rest = self.constants.iter().skip(MOST_ELEMENTS).map(|item| vec![item.clone()]);
        let lists = sets.chain(rest).chain([Vec::new()]).map(|items| list(&items)).collect();
        (lists, self.constants.len() <= MOST_ELEMENTS)
    }
}

/// A text that nobody has in mind.
const OTHER: &str = "…";

/// A text that a pattern matches, with `filling` for each `%`.
fn example(pattern: &str, filling: &str) -> String {
    let mut text = String::new();
    let mut rest = pattern.chars();
    while let Some(c) = rest.next() {
        match c {
            '\\' => text.extend(rest.next()),
            '%' => text.push_str(filling),
            c => text.push(c),
        }
    }
    text
}

/// A constant in the unit of a column's type.
fn number(value: &ScalarValue, data_type: &DataType) -> Option<i128> {
    Some(match value {
        ScalarValue::Int32(Some(n)) => i128::from(*n),
        ScalarValue::Int64(Some(n)) => i128::from(*n),
        ScalarValue::Date32(Some(n)) => i128::from(*n),
        ScalarValue::TimestampMicrosecond(Some(n), _) | ScalarValue::TimestampNanosecond(Some(n), _) => i128::from(*n),
        ScalarValue::Decimal128(Some(n), _, scale) => {
            let DataType::Decimal128(_, own) = data_type else { return None };
            let digits = i32::from(*own) - i32::from(*scale);
            let power = 10_i128.checked_pow(digits.unsigned_abs())?;
            if digits >= 0 { n.checked_mul(power)? } else { n.div_euclid(power) }
        }
        _ => return None,
    })
}

/// A value of an ordered type; `None` beyond its range.
fn scalar(value: i128, data_type: &DataType) -> Option<ScalarValue> {
    Some(match data_type {
        DataType::Int32 => ScalarValue::Int32(Some(i32::try_from(value).ok()?)),
        DataType::Int64 => ScalarValue::Int64(Some(i64::try_from(value).ok()?)),
        DataType::Date32 => ScalarValue::Date32(Some(i32::try_from(value).ok()?)),
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            ScalarValue::TimestampMicrosecond(Some(i64::try_from(value).ok()?), zone.clone())
        }
        DataType::Timestamp(TimeUnit::Nanosecond, zone) => {
            ScalarValue::TimestampNanosecond(Some(i64::try_from(value).ok()?), zone.clone())
        }
        DataType::Decimal128(precision, scale) => {
            let most = 10_i128.checked_pow(u32::from(*precision))?;
            (value.abs() < most).then_some(ScalarValue::Decimal128(Some(value), *precision, *scale))?
        }
        _ => return None,
    })
}
