//! Parameters of a statement: each has a type, told by the statement or else text, and values are bound so that the
//! answer has the columns that were announced. A value is brought to its parameter's type where nothing of it is lost;
//! what would give other columns is refused, never changed.

use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::metadata::ScalarAndMetadata;
use datafusion::common::{ParamValues, Result, ScalarValue, plan_err};
use datafusion::logical_expr::LogicalPlan;

use super::context::refusal;
use super::infer;
use super::verdict::ReasonKind;
use crate::wire::wire_type;

/// A parameter of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// `$1`, `$2`, …
    pub name: String,
    /// Its type where the statement tells it.
    pub data_type: Option<DataType>,
}

impl Parameter {
    fn announced(&self) -> DataType {
        self.data_type.clone().unwrap_or(DataType::Utf8)
    }
}

/// Parameters as Arrow fields in their order: text where the type is not known.
pub fn parameter_schema(parameters: &[Parameter]) -> SchemaRef {
    let fields = parameters.iter().map(|parameter| Field::new(&parameter.name, parameter.announced(), true));
    Schema::new(fields.collect::<Vec<_>>()).into()
}

/// The greatest number that a parameter may have.
pub(crate) const MAX_PARAMETERS: usize = 4096;

/// All parameters of a plan up to the greatest number used.
pub(crate) fn parameters(plan: &LogicalPlan) -> Result<Vec<Parameter>> {
    let mut all: Vec<Parameter> = Vec::new();
    for (name, data_type) in infer::placeholders(plan)? {
        let Some(number) = name.strip_prefix('$').and_then(|digits| digits.parse::<usize>().ok()) else {
            return plan_err!("parameter `{name}` has no number; write `?` or `$1`, `$2`, …");
        };
        if number == 0 || number > MAX_PARAMETERS {
            return plan_err!("parameter `{name}` is out of range; use $1 to ${MAX_PARAMETERS}");
        }
        while all.len() < number {
            all.push(Parameter { name: format!("${}", all.len() + 1), data_type: None });
        }
        if let Some(parameter) = all.get_mut(number - 1) {
            parameter.data_type = data_type;
        }
    }
    Ok(all)
}

/// The plan with values for all its parameters, such that its columns are those that were `announced`.
///
/// `columns` tells those of a plan. A parameter whose type nothing tells keeps the type of its value if that gives the
/// announced columns (`? IS NULL`, `lag(x, ?)`), and is text otherwise (`SELECT ?`).
pub(crate) fn bind(
    plan: &LogicalPlan,
    parameters: &[Parameter],
    values: ParamValues,
    announced: &Schema,
    columns: impl Fn(&LogicalPlan) -> Result<SchemaRef>,
) -> Result<LogicalPlan> {
    let ParamValues::List(values) = values else {
        return Err(refusal(ReasonKind::Invalid, "parameters are bound by position, not by name"));
    };
    if values.len() != parameters.len() {
        let message = format!("the statement has {} parameters, {} values were bound", parameters.len(), values.len());
        return Err(refusal(ReasonKind::Invalid, message));
    }
    let bindings: Vec<Binding<'_>> = parameters.iter().zip(values).map(Binding::new).collect();
    let attempt = |as_text: bool| {
        let values = bindings.iter().map(|binding| ScalarAndMetadata::new(binding.value(as_text), None)).collect();
        let bound = plan.clone().with_param_values(ParamValues::List(values))?;
        let same = same_columns(columns(&bound)?.as_ref(), announced);
        Ok(same.then_some(bound))
    };
    let natural = attempt(false);
    if let Ok(Some(bound)) = natural {
        return Ok(bound);
    }
    let text = if bindings.iter().any(Binding::may_be_text) { attempt(true) } else { Ok(None) };
    match (natural, text) {
        (_, Ok(Some(bound))) => Ok(bound),
        (Err(error), _) => Err(error),
        _ => Err(refusal(ReasonKind::Invalid, misfit(&bindings))),
    }
}

/// A value for a parameter.
struct Binding<'a> {
    parameter: &'a Parameter,
    given: ScalarValue,
    /// The value in the announced type, if that is lossless.
    converted: Option<ScalarValue>,
}

impl<'a> Binding<'a> {
    fn new((parameter, value): (&'a Parameter, ScalarAndMetadata)) -> Self {
        let given = value.value;
        let converted = lossless(&given, &parameter.announced());
        Binding { parameter, given, converted }
    }

    fn may_be_text(&self) -> bool {
        self.parameter.data_type.is_none() && self.converted.as_ref().is_some_and(|text| *text != self.given)
    }

    fn value(&self, as_text: bool) -> ScalarValue {
        let wanted = self.parameter.data_type.is_some() || as_text;
        self.converted.clone().filter(|_| wanted).unwrap_or_else(|| self.given.clone())
    }
}

/// What to do about values that would give other columns. Says types, no values.
fn misfit(bindings: &[Binding<'_>]) -> String {
    let wrong =
        |binding: &&Binding<'_>| wire_type(&binding.given.data_type()) != wire_type(&binding.parameter.announced());
    let named = bindings.iter().filter(wrong).map(|binding| {
        let (announced, given) = (wire_type(&binding.parameter.announced()), wire_type(&binding.given.data_type()));
        let name = &binding.parameter.name;
        format!("parameter `{name}` is {announced} here and its value, {given}, is not one without loss")
    });
    let named: Vec<_> = named.collect();
    format!("{}: give the parameter the value's type, as in `CAST($1 AS BIGINT)`", named.join(", "))
}

fn same_columns(one: &Schema, other: &Schema) -> bool {
    let column = |field: &Field| (field.name().clone(), wire_type(field.data_type()));
    one.fields().iter().map(|field| column(field)).eq(other.fields().iter().map(|field| column(field)))
}

/// The plan with a NULL of its type for every parameter: only to ask for the answer's columns.
pub(crate) fn bind_nulls(plan: LogicalPlan, parameters: &[Parameter]) -> Result<LogicalPlan> {
    if parameters.is_empty() {
        return Ok(plan);
    }
    let nulls = parameters
        .iter()
        .map(|parameter| Ok(ScalarAndMetadata::new(ScalarValue::try_from(&parameter.announced())?, None)));
    plan.with_param_values(ParamValues::List(nulls.collect::<Result<_>>()?))
}

/// Which values may stand for each other at all: 1 is not `true`, and 42 is no point in time.
#[derive(PartialEq, Eq)]
enum Family {
    Text,
    Number,
    Truth,
    Time,
    Bytes,
    Other,
}

fn family(data_type: &DataType) -> Family {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Family::Text,
        DataType::Boolean => Family::Truth,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => Family::Bytes,
        DataType::Dictionary(_, values) => family(values),
        numeric if numeric.is_numeric() => Family::Number,
        time if time.is_temporal() => Family::Time,
        _ => Family::Other,
    }
}

/// The value in another type, if it comes back the same from there.
fn lossless(value: &ScalarValue, wanted: &DataType) -> Option<ScalarValue> {
    let given = value.data_type();
    if value.is_null() {
        return ScalarValue::try_from(wanted).ok();
    }
    if given == *wanted {
        return Some(value.clone());
    }
    let related = match (family(&given), family(wanted)) {
        (Family::Text, Family::Number | Family::Truth | Family::Time)
        | (Family::Number | Family::Truth | Family::Time, Family::Text) => true,
        (one, other) => one == other,
    };
    let cast = related.then(|| value.cast_to(wanted).ok()).flatten()?;
    cast.cast_to(&given).is_ok_and(|back| back == *value).then_some(cast)
}
