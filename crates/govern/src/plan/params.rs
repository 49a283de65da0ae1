//! Parameters of a statement: their types are inferred where the statement tells them, and bound values are brought to
//! those types where nothing of them is lost, so that describing and running a statement give the same columns. A
//! parameter whose type nothing tells is described as text, and has the type of the value bound.

use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::metadata::ScalarAndMetadata;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{ParamValues, Result, ScalarValue, plan_err};
use datafusion::logical_expr::{Expr, LogicalPlan};

use super::context::refusal;
use super::verdict::ReasonKind;

/// A parameter of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// `$1`, `$2`, …
    pub name: String,
    /// Its type where the statement tells it.
    pub data_type: Option<DataType>,
}

/// Parameters as Arrow fields in their order: text where the type is not known.
pub fn parameter_schema(parameters: &[Parameter]) -> SchemaRef {
    let fields = parameters.iter().map(|parameter| {
        let data_type = parameter.data_type.clone().unwrap_or(DataType::Utf8);
        Field::new(&parameter.name, data_type, true)
    });
    Schema::new(fields.collect::<Vec<_>>()).into()
}

/// The greatest number that a parameter may have.
pub(crate) const MAX_PARAMETERS: usize = 4096;

/// All parameters of a plan up to the greatest number used.
pub(crate) fn parameters(plan: &LogicalPlan) -> Result<Vec<Parameter>> {
    let fields = plan.get_parameter_fields()?;
    let mut all: Vec<Parameter> = Vec::new();
    for (name, field) in fields {
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
            parameter.data_type = field.map(|field| field.data_type().clone()).filter(|known| *known != DataType::Null);
        }
    }
    limits(plan, &mut all)?;
    Ok(all)
}

/// LIMIT and OFFSET take whole numbers, which the planner does not infer.
fn limits(plan: &LogicalPlan, all: &mut [Parameter]) -> Result<()> {
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::Limit(limit) = node {
            for expr in [&limit.skip, &limit.fetch].into_iter().flatten() {
                let Expr::Placeholder(placeholder) = expr.as_ref() else { continue };
                let named = all.iter_mut().filter(|parameter| parameter.name == placeholder.id);
                named.for_each(|parameter| parameter.data_type = Some(DataType::Int64));
            }
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(())
}

/// The plan with values for all its parameters.
pub(crate) fn bind(plan: LogicalPlan, parameters: &[Parameter], values: ParamValues) -> Result<LogicalPlan> {
    let ParamValues::List(values) = values else {
        return Err(refusal(ReasonKind::Invalid, "parameters are bound by position, not by name"));
    };
    if values.len() != parameters.len() {
        let message = format!("the statement has {} parameters, {} values were bound", parameters.len(), values.len());
        return Err(refusal(ReasonKind::Invalid, message));
    }
    if parameters.is_empty() {
        return Ok(plan);
    }
    let values = values.into_iter().zip(parameters).map(|(value, parameter)| match &parameter.data_type {
        Some(wanted) => ScalarAndMetadata::new(lossless(value.value, wanted), value.metadata),
        None => value,
    });
    plan.with_param_values(ParamValues::List(values.collect()))
}

/// The plan with a NULL of its type for every parameter: only to ask for the answer's columns.
pub(crate) fn bind_nulls(plan: LogicalPlan, parameters: &[Parameter]) -> Result<LogicalPlan> {
    if parameters.is_empty() {
        return Ok(plan);
    }
    let nulls = parameters.iter().map(|parameter| {
        let data_type = parameter.data_type.as_ref().unwrap_or(&DataType::Utf8);
        Ok(ScalarAndMetadata::new(ScalarValue::try_from(data_type)?, None))
    });
    plan.with_param_values(ParamValues::List(nulls.collect::<Result<_>>()?))
}

fn lossless(value: ScalarValue, wanted: &DataType) -> ScalarValue {
    let given = value.data_type();
    if given == *wanted {
        return value;
    }
    match value.cast_to(wanted) {
        Ok(cast) if value.is_null() || cast.cast_to(&given).is_ok_and(|back| back == value) => cast,
        _ => value,
    }
}
