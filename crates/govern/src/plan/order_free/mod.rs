//! Aggregates of floating-point numbers whose results are the same in whatever order rows come.
//!
//! Which partition a visible row is in, and which batch, can follow from hidden ones: from where a file is cut, or which row group a
//! page is in. Sums of floating-point numbers that are added up one after the other differ in their last digits then, and DataFusion's
//! `min` and `max` of groups that have NaN or both zeros are what came last. So hidden rows would show.

mod accumulate;
mod superaccumulator;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::tree_node::TreeNode;
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::expr::{AggregateFunction, AggregateFunctionParams, WindowFunctionParams};
use datafusion::logical_expr::function::{AccumulatorArgs, AggregateFunctionSimplification, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, Expr, GroupsAccumulator, Operator, ReversedUDAF,
    SetMonotonicity, Signature, StatisticsArgs, WindowFunctionDefinition,
};

use accumulate::{Distinct, Extreme, Groups, One, STATE, Sliding, Sum};

/// Aggregates that are the same in any order of rows, or show one that nobody promised. All others may differ in their last digits:
/// moments, which are carried along, and sketches.
const SAME: [&str; 21] = [
    "any_value",
    "approx_distinct",
    "array_agg",
    "avg",
    "bit_and",
    "bit_or",
    "bit_xor",
    "bool_and",
    "bool_or",
    "count",
    "first_value",
    "grouping",
    "last_value",
    "max",
    "median",
    "min",
    "nth_value",
    "percentile_cont",
    "regr_count",
    "string_agg",
    "sum",
];

/// Whether the last digits of an expression's value follow from the order in which rows come.
pub(super) fn hangs_on_order(expr: &Expr) -> Result<bool> {
    expr.exists(|part| {
        let function = match part {
            Expr::AggregateFunction(call) => &call.func,
            Expr::WindowFunction(call) => match &call.fun {
                WindowFunctionDefinition::AggregateUDF(function) => function,
                WindowFunctionDefinition::WindowUDF(_) => return Ok(false),
            },
            _ => return Ok(false),
        };
        Ok(!SAME.contains(&function.name()))
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Sum,
    Mean,
    Min,
    Max,
}

/// DataFusion's aggregate, but for floating-point numbers.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct OrderFree {
    function: Arc<AggregateUDF>,
    kind: Kind,
}

impl OrderFree {
    /// `None`: an aggregate that is the same in any order, or one that is not known to be.
    pub(super) fn of(function: &Arc<AggregateUDF>) -> Option<OrderFree> {
        let kind = match function.name() {
            "sum" => Kind::Sum,
            "avg" => Kind::Mean,
            "min" => Kind::Min,
            "max" => Kind::Max,
            _ => return None,
        };
        Some(OrderFree { function: Arc::clone(function), kind })
    }

    /// Whether it adds up numbers of 64 bits, which all others are cast to by then.
    fn adds_up(&self, result: &DataType, argument: Option<&FieldRef>) -> bool {
        matches!(self.kind, Kind::Sum | Kind::Mean)
            && result == &DataType::Float64
            && argument.is_some_and(|field| field.data_type() == &DataType::Float64)
    }
}

impl AggregateUDFImpl for OrderFree {
    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        if !self.adds_up(args.return_type(), args.expr_fields.first()) {
            return self.function.accumulator(args);
        }
        Ok(match (self.kind, args.is_distinct) {
            (Kind::Mean, false) => Box::new(One::<Sum<true>>::default()),
            (_, false) => Box::new(One::<Sum<false>>::default()),
            (Kind::Mean, true) => Box::new(Distinct::<true>(self.function.accumulator(args)?)),
            (_, true) => Box::new(Distinct::<false>(self.function.accumulator(args)?)),
        })
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        if args.is_distinct || !self.adds_up(args.return_type(), args.input_fields.first()) {
            return self.function.state_fields(args);
        }
        Ok(vec![Arc::new(Field::new(format_state_name(args.name, "superaccumulator"), STATE, true))])
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        let result = args.return_type();
        if !result.is_floating() || !args.expr_fields.iter().all(|field| field.data_type() == result) {
            return self.function.create_groups_accumulator(args);
        }
        Ok(match self.kind {
            Kind::Sum => Box::new(Groups::<Sum<false>>::new(result)),
            Kind::Mean => Box::new(Groups::<Sum<true>>::new(result)),
            Kind::Min => Box::new(Groups::<Extreme<false>>::new(result)),
            Kind::Max => Box::new(Groups::<Extreme<true>>::new(result)),
        })
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        if args.is_distinct || !self.adds_up(args.return_type(), args.expr_fields.first()) {
            return self.function.create_sliding_accumulator(args);
        }
        Ok(match self.kind {
            Kind::Mean => Box::new(Sliding::<true>::default()),
            _ => Box::new(Sliding::<false>::default()),
        })
    }

    fn name(&self) -> &str {
        self.function.name()
    }

    fn aliases(&self) -> &[String] {
        self.function.aliases()
    }

    fn signature(&self) -> &Signature {
        self.function.signature()
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        self.function.return_type(arguments)
    }

    fn return_field(&self, arguments: &[FieldRef]) -> Result<FieldRef> {
        self.function.return_field(arguments)
    }

    fn is_nullable(&self) -> bool {
        self.function.is_nullable()
    }

    fn schema_name(&self, params: &AggregateFunctionParams) -> Result<String> {
        self.function.schema_name(params)
    }

    fn human_display(&self, params: &AggregateFunctionParams) -> Result<String> {
        self.function.human_display(params)
    }

    fn display_name(&self, params: &AggregateFunctionParams) -> Result<String> {
        self.function.display_name(params)
    }

    fn window_function_schema_name(&self, params: &WindowFunctionParams) -> Result<String> {
        self.function.window_function_schema_name(params)
    }

    fn window_function_display_name(&self, params: &WindowFunctionParams) -> Result<String> {
        self.function.window_function_display_name(params)
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        self.function.groups_accumulator_supported(args)
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        self.function.order_sensitivity()
    }

    fn simplify(&self) -> Option<AggregateFunctionSimplification> {
        self.function.simplify()
    }

    fn simplify_expr_op_literal(
        &self,
        function: &AggregateFunction,
        argument: &Expr,
        operator: Operator,
        literal: &Expr,
        argument_is_left: bool,
    ) -> Result<Option<Expr>> {
        self.function.inner().simplify_expr_op_literal(function, argument, operator, literal, argument_is_left)
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        self.function.reverse_udf()
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        self.function.coerce_types(arguments)
    }

    fn is_descending(&self) -> Option<bool> {
        self.function.is_descending()
    }

    fn value_from_stats(&self, statistics: &StatisticsArgs<'_>) -> Option<ScalarValue> {
        self.function.value_from_stats(statistics)
    }

    fn default_value(&self, data_type: &DataType) -> Result<ScalarValue> {
        self.function.default_value(data_type)
    }

    fn supports_null_handling_clause(&self) -> bool {
        self.function.supports_null_handling_clause()
    }

    fn supports_within_group_clause(&self) -> bool {
        self.function.supports_within_group_clause()
    }

    fn set_monotonicity(&self, data_type: &DataType) -> SetMonotonicity {
        self.function.inner().set_monotonicity(data_type)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.function.documentation()
    }
}
