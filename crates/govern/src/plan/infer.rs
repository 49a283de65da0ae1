//! Which types a statement tells of its parameters: what they are compared with, cast to, given to a function with,
//! chosen between, or limit the rows by.

use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::{Case, ScalarFunction};
use datafusion::logical_expr::type_coercion::functions::fields_with_udf;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan};

/// Every placeholder of the plan and of its subqueries by name, each once, with the first type that is told of it.
pub(crate) fn placeholders(plan: &LogicalPlan) -> Result<Vec<(String, Option<DataType>)>> {
    let mut found = Found::default();
    plan.apply_with_subqueries(|node| {
        let inputs = merge_schema(&node.inputs());
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                found.expression(expr, &inputs);
                Ok(TreeNodeRecursion::Continue)
            })
        })?;
        if let LogicalPlan::Limit(limit) = node {
            // They take whole numbers.
            let rows = [&limit.skip, &limit.fetch].into_iter().flatten();
            rows.for_each(|expr| found.told(expr, &DataType::Int64));
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found.0)
}

#[derive(Default)]
struct Found(Vec<(String, Option<DataType>)>);

impl Found {
    fn expression(&mut self, expr: &Expr, inputs: &DFSchema) {
        match expr {
            Expr::Placeholder(placeholder) => {
                let known = placeholder.field.as_ref().map_or(DataType::Null, |field| field.data_type().clone());
                self.told(expr, &known);
            }
            Expr::Cast(cast) => self.told(&cast.expr, cast.field.data_type()),
            Expr::TryCast(cast) => self.told(&cast.expr, cast.field.data_type()),
            Expr::ScalarFunction(call) => self.call(call, inputs),
            Expr::Case(case) => self.case(case, inputs),
            _ => {}
        }
    }

    /// If `expr` is a placeholder, it is there, and of this type if none was told before.
    fn told(&mut self, expr: &Expr, data_type: &DataType) {
        let Expr::Placeholder(placeholder) = expr else { return };
        let told = (*data_type != DataType::Null).then(|| data_type.clone());
        match self.0.iter_mut().find(|(name, _)| *name == placeholder.id) {
            Some((_, known)) if known.is_none() => *known = told,
            Some(_) => {}
            None => self.0.push((placeholder.id.clone(), told)),
        }
    }

    /// Arguments of a function have the types that it takes, beside those of the other arguments.
    fn call(&mut self, call: &ScalarFunction, inputs: &DFSchema) {
        if !call.args.iter().any(is_placeholder) {
            return;
        }
        let field = |arg: &Expr| Some(FieldRef::new(Field::new("", arg.get_type(inputs).ok()?, true)));
        let Some(fields) = call.args.iter().map(field).collect::<Option<Vec<_>>>() else { return };
        let Ok(taken) = fields_with_udf(&fields, call.func.as_ref()) else { return };
        for (arg, field) in call.args.iter().zip(taken) {
            self.told(arg, field.data_type());
        }
    }

    /// What is chosen between is of one type; what is compared with the operand is of the operand's.
    fn case(&mut self, case: &Case, inputs: &DFSchema) {
        let (conditions, results): (Vec<_>, Vec<_>) = case.when_then_expr.iter().map(|(w, t)| (&**w, &**t)).unzip();
        let results: Vec<_> = results.into_iter().chain(case.else_expr.as_deref()).collect();
        let known = |expr: &Expr| expr.get_type(inputs).ok().filter(|known| *known != DataType::Null);
        if let Some(data_type) = results.iter().find_map(|result| known(result)) {
            results.iter().for_each(|result| self.told(result, &data_type));
        }
        if let Some(data_type) = case.expr.as_deref().and_then(known) {
            conditions.iter().for_each(|condition| self.told(condition, &data_type));
        }
    }
}

fn is_placeholder(expr: &Expr) -> bool {
    matches!(expr, Expr::Placeholder(_))
}
