//! The SQL functions that statements may call: DataFusion's own, less those that tell of files or schemas' metadata.
//! Masks are not among them: a hash that anyone may call is an oracle for guesses.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::catalog::TableProvider;
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::execution::SessionStateDefaults;
use datafusion::functions_table::generate_series::{GenSeriesArgs, GenerateSeriesTable};
use datafusion::logical_expr::planner::ExprPlanner;
use datafusion::logical_expr::{
    AggregateUDF, ColumnarValue, Expr, HigherOrderUDF, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility, WindowUDF,
};

use super::bounded::Bounded;
use super::date_trunc::DateTrunc;
use super::order_free::OrderFree;
use crate::wire::wire_type;

/// Left out: they read or write what describes files and fields, not values.
const WITHHELD: &[&str] = &["input_file_name", "file_row_index", "arrow_field", "arrow_metadata", "with_metadata"];

/// Names of the table functions that statements may call.
pub(crate) const TABLE_FUNCTIONS: &[&str] = &["generate_series", "range", "unnest"];

/// All functions, by name and alias.
pub(crate) struct Functions {
    pub(crate) scalar: HashMap<String, Arc<ScalarUDF>>,
    pub(crate) higher_order: HashMap<String, Arc<HigherOrderUDF>>,
    pub(crate) aggregate: HashMap<String, Arc<AggregateUDF>>,
    pub(crate) window: HashMap<String, Arc<WindowUDF>>,
    pub(crate) planners: Vec<Arc<dyn ExprPlanner>>,
}

/// The one set of functions, made once.
pub(crate) fn functions() -> &'static Functions {
    static FUNCTIONS: LazyLock<Functions> = LazyLock::new(|| Functions {
        scalar: {
            let mut all = by_name(SessionStateDefaults::default_scalar_functions(), |f| (f.name(), f.aliases()));
            all.insert(TypeOf::NAME.to_string(), Arc::new(ScalarUDF::new_from_impl(TypeOf::default())));
            for function in all.values_mut() {
                if let Some(bounded) = Bounded::of(function) {
                    *function = Arc::new(ScalarUDF::new_from_impl(bounded));
                }
            }
            let date_trunc = Arc::new(ScalarUDF::new_from_impl(DateTrunc::new()));
            for name in std::iter::once(date_trunc.name()).chain(date_trunc.aliases().iter().map(String::as_str)) {
                all.insert(name.to_string(), Arc::clone(&date_trunc));
            }
            all
        },
        higher_order: by_name(SessionStateDefaults::default_higher_order_functions(), |f| (f.name(), f.aliases())),
        aggregate: {
            let mut all = by_name(SessionStateDefaults::default_aggregate_functions(), |f| (f.name(), f.aliases()));
            for function in all.values_mut() {
                if let Some(order_free) = OrderFree::of(function) {
                    *function = Arc::new(AggregateUDF::new_from_impl(order_free));
                }
            }
            all
        },
        window: by_name(SessionStateDefaults::default_window_functions(), |f| (f.name(), f.aliases())),
        planners: SessionStateDefaults::default_expr_planners(),
    });
    &FUNCTIONS
}

/// Names of all functions that statements may call, sorted; aliases included.
pub fn function_names() -> Vec<String> {
    let all = functions();
    let names = all.scalar.keys().chain(all.higher_order.keys()).chain(all.aggregate.keys()).chain(all.window.keys());
    let mut names: Vec<String> = names.cloned().chain(TABLE_FUNCTIONS.iter().map(|name| name.to_string())).collect();
    names.sort();
    names.dedup();
    names
}

fn by_name<F>(all: Vec<Arc<F>>, names: impl Fn(&F) -> (&str, &[String])) -> HashMap<String, Arc<F>> {
    let mut map = HashMap::new();
    for function in all {
        let (name, aliases) = names(&function);
        if WITHHELD.contains(&name) {
            continue;
        }
        for alias in std::iter::once(name).chain(aliases.iter().map(String::as_str)) {
            map.insert(alias.to_string(), Arc::clone(&function));
        }
    }
    map
}

/// The table behind `generate_series(…)` or `range(…)` of whole numbers.
pub(crate) fn series(name: &str, args: &[Expr]) -> Result<Arc<dyn TableProvider>> {
    let (name, include_end) = match name {
        "generate_series" => ("generate_series", true),
        "range" => ("range", false),
        _ => return plan_err!("table function `{name}` does not exist; there are {}", TABLE_FUNCTIONS.join(", ")),
    };
    let mut numbers = Vec::new();
    for arg in args {
        match arg {
            Expr::Literal(ScalarValue::Int64(number), _) => numbers.push(*number),
            Expr::Literal(ScalarValue::Null, _) => numbers.push(None),
            _ => return plan_err!("arguments of table function `{name}` must be constant whole numbers"),
        }
    }
    let (start, end, step) = match (name, numbers.as_slice()) {
        ("range", [end]) => (Some(0), *end, Some(1)),
        ("generate_series", [end]) => (Some(0), *end, Some(1)),
        (_, [start, end]) => (*start, *end, Some(1)),
        (_, [start, end, step]) => (*start, *end, *step),
        _ => return plan_err!("table function `{name}` takes 1 to 3 arguments"),
    };
    let args = match (start, end, step) {
        (Some(_), Some(_), Some(0)) => return plan_err!("the step of table function `{name}` must not be 0"),
        (Some(start), Some(end), Some(step)) => GenSeriesArgs::Int64Args { start, end, step, include_end, name },
        _ => GenSeriesArgs::ContainsNull { name },
    };
    let schema = Arc::new(Schema::new(vec![Field::new("value", DataType::Int64, false)]));
    Ok(Arc::new(GenerateSeriesTable::new(schema, args)))
}

/// `arrow_typeof(x)`: the type in which `x` arrives, which for text and bytes is not the one that DataFusion works with.
#[derive(Debug, PartialEq, Eq, Hash)]
struct TypeOf {
    signature: Signature,
}

impl TypeOf {
    const NAME: &str = "arrow_typeof";
}

impl Default for TypeOf {
    fn default() -> Self {
        TypeOf { signature: Signature::any(1, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for TypeOf {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, call: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [field] = call.arg_fields.as_slice() else { return plan_err!("`{}` takes 1 argument", Self::NAME) };
        Ok(ColumnarValue::Scalar(ScalarValue::from(wire_type(field.data_type()).to_string())))
    }
}
