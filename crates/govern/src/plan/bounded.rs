//! Functions whose results may be larger than their arguments by any factor, as `repeat('x', 2000000000)`. DataFusion makes such a
//! result before anybody counts it, and what cannot be allocated ends the process instead of the query.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Float64Array};
use datafusion::arrow::compute::kernels::length::length;
use datafusion::arrow::compute::{cast, concat};
use datafusion::arrow::datatypes::{
    DataType, FieldRef, Float64Type, Int64Type, IntervalMonthDayNanoType, IntervalUnit, TimeUnit,
};
use datafusion::common::{Result, ScalarValue, exec_err, resources_err};
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::sort_properties::{ExprProperties, SortProperties};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};

/// The most bytes that one call may make, for all rows of a batch.
const LIMIT: f64 = (512_u64 << 20) as f64;

const NANOSECONDS_OF_A_DAY: f64 = 86_400e9;

/// How large a result may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Growth {
    /// `repeat(text, times)`
    Repeat,
    /// `lpad(text, length, …)`
    Pad,
    /// `array_repeat(value, times)`
    ArrayRepeat,
    /// `array_resize(array, length, …)`
    ArrayResize,
    /// `range(start, stop, step)`
    Range,
    /// `replace(text, from, to)`
    Replace,
    /// `regexp_replace(text, pattern, replacement, …)`
    RegexpReplace,
    /// `array_to_string(array, delimiter, …)`
    Join,
}

/// The functions, by DataFusion's names.
const GROWING: [(&str, Growth); 10] = [
    ("repeat", Growth::Repeat),
    ("lpad", Growth::Pad),
    ("rpad", Growth::Pad),
    ("array_repeat", Growth::ArrayRepeat),
    ("array_resize", Growth::ArrayResize),
    ("range", Growth::Range),
    ("generate_series", Growth::Range),
    ("replace", Growth::Replace),
    ("regexp_replace", Growth::RegexpReplace),
    ("array_to_string", Growth::Join),
];

/// DataFusion's function, asked for no more than [`LIMIT`].
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Bounded {
    function: Arc<ScalarUDF>,
    growth: Growth,
}

impl Bounded {
    /// `None`: the function's results are about as large as its arguments.
    pub(super) fn of(function: &Arc<ScalarUDF>) -> Option<Bounded> {
        let (_, growth) = GROWING.iter().find(|(name, _)| *name == function.name())?;
        Some(Bounded { function: Arc::clone(function), growth: *growth })
    }

    /// Calls the function for some rows at a time, no more than may make [`LIMIT`] bytes.
    fn in_parts(&self, call: &ScalarFunctionArgs, sizes: &[f64]) -> Result<ColumnarValue> {
        let (mut parts, mut start, mut bytes) = (Vec::new(), 0, 0.0);
        let mut made = 0.0;
        let mut part = |start: usize, end: usize| -> Result<()> {
            let some = |value: &ColumnarValue| match value {
                ColumnarValue::Array(array) => ColumnarValue::Array(array.slice(start, end - start)),
                ColumnarValue::Scalar(value) => ColumnarValue::Scalar(value.clone()),
            };
            let args = call.args.iter().map(some).collect();
            let call = ScalarFunctionArgs { args, number_rows: end - start, ..call.clone() };
            let part = self.function.invoke_with_args(call)?.into_array(end - start)?;
            made += part.get_array_memory_size() as f64;
            parts.push(part);
            if made > LIMIT { self.too_large() } else { Ok(()) }
        };
        for (row, size) in sizes.iter().enumerate() {
            if *size > LIMIT {
                return self.too_large();
            }
            if bytes + size > LIMIT {
                part(start, row)?;
                (start, bytes) = (row, 0.0);
            }
            bytes += size;
        }
        part(start, sizes.len())?;
        let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
        Ok(ColumnarValue::Array(concat(&parts)?))
    }

    /// Lengths that DataFusion takes for defects of its own: no text is shorter than none, and no array at all.
    fn checked(&self, call: &mut ScalarFunctionArgs) -> Result<()> {
        let Some(length) = call.args.get_mut(1) else { return Ok(()) };
        let is_constant = matches!(length, ColumnarValue::Scalar(_));
        let lengths = length.to_array(if is_constant { 1 } else { call.number_rows })?;
        let Some(whole) = cast(&lengths, &DataType::Int64)?.as_primitive_opt::<Int64Type>().cloned() else {
            return Ok(());
        };
        if !whole.iter().flatten().any(|length| length < 0) {
            return Ok(());
        }
        match self.growth {
            Growth::ArrayResize => exec_err!("`{}` to a length below 0", self.function.name()),
            Growth::Pad => {
                let lengths = cast(&whole.unary::<_, Int64Type>(|length| length.max(0)), lengths.data_type())?;
                *length = match is_constant {
                    true => ColumnarValue::Scalar(ScalarValue::try_from_array(&lengths, 0)?),
                    false => ColumnarValue::Array(lengths),
                };
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn too_large<T>(&self) -> Result<T> {
        resources_err!("the result of `{}` is larger than {LIMIT} bytes", self.function.name())
    }
}

impl Growth {
    /// Whether a result is about as large as [`Growth::sizes`] says, or may be much smaller.
    fn is_exact(self) -> bool {
        !matches!(self, Growth::Replace | Growth::RegexpReplace | Growth::Join)
    }

    /// At least the bytes of the result, for each row; one row where all arguments are constants.
    fn sizes(self, args: &[ColumnarValue], rows: usize) -> Result<Vec<f64>> {
        let arguments = args.iter().map(|value| match value {
            ColumnarValue::Array(array) => Ok(Arc::clone(array)),
            ColumnarValue::Scalar(value) => value.to_array(),
        });
        let arguments = arguments.collect::<Result<Vec<ArrayRef>>>()?;
        let of = |at: usize, read: fn(&ArrayRef) -> Result<Float64Array>| match arguments.get(at) {
            Some(argument) => read(argument).map(Some),
            None => Ok(None),
        };
        // By row: the first value, and those that it is multiplied with.
        let (first, second, third): (_, _, _) = match self {
            Growth::Repeat => (of(0, lengths)?, of(1, numbers)?, None),
            Growth::Pad | Growth::ArrayResize => (None, of(1, numbers)?, None),
            Growth::ArrayRepeat => (of(0, widths)?, of(1, numbers)?, None),
            Growth::Join => (of(0, lengths)?, of(1, lengths)?, of(0, widths)?),
            Growth::Replace | Growth::RegexpReplace => (of(0, lengths)?, of(1, lengths)?, of(2, lengths)?),
            Growth::Range => (of(0, numbers)?, of(1, numbers)?, of(2, numbers)?),
        };
        let is_one = arguments.len() == 1;
        let size = |row: usize| {
            let [a, b, c] = [&first, &second, &third].map(|values| value(values.as_ref(), row));
            let size = match self {
                Growth::Repeat | Growth::ArrayRepeat => a.unwrap_or(0.0) * b.unwrap_or(0.0),
                // A character has four bytes, an element of an array at most a few more.
                Growth::Pad => 4.0 * b.unwrap_or(0.0),
                Growth::ArrayResize => 16.0 * b.unwrap_or(0.0),
                Growth::Join => a.unwrap_or(0.0) * b.unwrap_or(0.0) + 4.0 * c.unwrap_or(0.0),
                Growth::Replace => {
                    let found = a.unwrap_or(0.0) / b.unwrap_or(0.0).max(1.0) + 1.0;
                    found * c.unwrap_or(0.0) + a.unwrap_or(0.0)
                }
                // Each match may be repeated as often as the replacement has characters.
                Growth::RegexpReplace => (a.unwrap_or(0.0) + 1.0) * (2.0 * c.unwrap_or(0.0) + 1.0),
                Growth::Range if is_one => 8.0 * a.unwrap_or(0.0),
                Growth::Range => {
                    let far = (b.unwrap_or(0.0) - a.unwrap_or(0.0)).abs();
                    8.0 * (far / c.unwrap_or(1.0).abs().max(1.0) + 1.0)
                }
            };
            size.max(0.0)
        };
        Ok((0..rows).map(size).collect())
    }
}

/// A constant has one row.
fn value(values: Option<&Float64Array>, row: usize) -> Option<f64> {
    let values = values?;
    let row = if values.len() == 1 { 0 } else { row };
    (row < values.len() && values.is_valid(row)).then(|| values.value(row))
}

/// Bytes of texts, elements of lists. Of anything else nothing is known, and no function here is about it.
fn lengths(array: &ArrayRef) -> Result<Float64Array> {
    match array.data_type() {
        DataType::Null => numbers(array),
        _ => numbers(&length(array)?),
    }
}

/// Bytes of the values, on average.
fn widths(array: &ArrayRef) -> Result<Float64Array> {
    let bytes = array.to_data().get_slice_memory_size()? as f64;
    Ok(vec![bytes / array.len().max(1) as f64; array.len()].into())
}

/// Whole numbers as they are; times and intervals in nanoseconds.
fn numbers(array: &ArrayRef) -> Result<Float64Array> {
    if *array.data_type() == DataType::Interval(IntervalUnit::MonthDayNano) {
        let intervals = array.as_primitive::<IntervalMonthDayNanoType>();
        return Ok(intervals.unary::<_, Float64Type>(|step| {
            let days = f64::from(step.months) * 28.0 + f64::from(step.days);
            days * NANOSECONDS_OF_A_DAY + step.nanoseconds as f64
        }));
    }
    let (whole, unit) = match array.data_type() {
        DataType::Date32 => (DataType::Int32, NANOSECONDS_OF_A_DAY),
        DataType::Date64 | DataType::Timestamp(TimeUnit::Millisecond, _) => (DataType::Int64, 1e6),
        DataType::Timestamp(TimeUnit::Second, _) => (DataType::Int64, 1e9),
        DataType::Timestamp(TimeUnit::Microsecond, _) => (DataType::Int64, 1e3),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => (DataType::Int64, 1.0),
        other => (other.clone(), 1.0),
    };
    let numbers = cast(&cast(array, &whole)?, &DataType::Float64)?;
    Ok(numbers.as_primitive::<Float64Type>().unary(|number| number * unit))
}

impl ScalarUDFImpl for Bounded {
    fn name(&self) -> &str {
        self.function.name()
    }

    fn aliases(&self) -> &[String] {
        self.function.aliases()
    }

    fn signature(&self) -> &Signature {
        self.function.signature()
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        self.function.coerce_types(arguments)
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        self.function.return_type(arguments)
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        self.function.return_field_from_args(arguments)
    }

    fn simplify(&self, arguments: Vec<Expr>, context: &SimplifyContext) -> Result<ExprSimplifyResult> {
        self.function.simplify(arguments, context)
    }

    fn output_ordering(&self, input: &[ExprProperties]) -> Result<SortProperties> {
        self.function.output_ordering(input)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.function.documentation()
    }

    fn invoke_with_args(&self, mut call: ScalarFunctionArgs) -> Result<ColumnarValue> {
        if matches!(self.growth, Growth::Pad | Growth::ArrayResize) {
            self.checked(&mut call)?;
        }
        let is_constant = call.args.iter().all(|value| matches!(value, ColumnarValue::Scalar(_)));
        let sizes = self.growth.sizes(&call.args, if is_constant { 1 } else { call.number_rows })?;
        // Whoever asked for a constant repeats it for each row.
        let times = if is_constant { call.number_rows.max(1) as f64 } else { 1.0 };
        if sizes.iter().sum::<f64>() * times <= LIMIT {
            return self.function.invoke_with_args(call);
        }
        if is_constant || self.growth.is_exact() { self.too_large() } else { self.in_parts(&call, &sizes) }
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_types, reason = "a session reads the expressions that are tried")]
mod tests {
    use datafusion::arrow::array::{Int64Array, RecordBatch, StringArray, StringViewArray};
    use datafusion::common::{DFSchema, DataFusionError};
    use datafusion::prelude::SessionContext;

    use super::*;
    use crate::plan::functions::functions;

    /// Of an expression over 8,192 rows of `s`, `x` to `xxx`, and `n`, 0 and on.
    fn answer(call: &str) -> Result<ArrayRef> {
        let context = SessionContext::new();
        for name in GROWING.map(|(name, _)| name) {
            context.register_udf(functions().scalar[name].as_ref().clone());
        }
        let texts: ArrayRef = Arc::new(StringViewArray::from_iter_values((0..8192).map(|row| "x".repeat(1 + row % 3))));
        let many: ArrayRef = Arc::new(Int64Array::from_iter_values(0..8192));
        let batch = RecordBatch::try_from_iter([("s", texts), ("n", many)])?;
        let schema = DFSchema::try_from(batch.schema())?;
        let expr = context.parse_sql_expr(call, &schema)?;
        context.create_physical_expr(expr, &schema)?.evaluate(&batch)?.into_array(batch.num_rows())
    }

    #[test]
    fn results_that_no_machine_holds_are_refused() {
        for call in [
            "repeat('x', 2000000000)",
            "repeat(s, 1000000)",
            "repeat(s, n * 1000000000)",
            "lpad(s, 2000000000)",
            "rpad(s, 1000000, 'ab')",
            "array_repeat(s, 1000000000)",
            "array_repeat(array_repeat(n, 10000), n)",
            "array_resize([n], 1000000000, 1)",
            "range(n * 1000000000)",
            "generate_series(0, 100000000000, 1)",
            "range(DATE '0001-01-01', DATE '9999-01-01' + CAST(n AS INT), INTERVAL '1' DAY)",
            "range(TIMESTAMP '1970-01-01', TIMESTAMP '2200-01-01', INTERVAL '1' SECOND)",
            "replace(repeat('x', 10000000), 'x', repeat(s, 1000))",
            "regexp_replace(repeat('x', 10000000), 'x', repeat('y', 1000), 'g')",
            "array_to_string(range(1000 + n), repeat('x', 10000))",
        ] {
            let error = answer(call).unwrap_err();
            let error = error.find_root();
            assert!(matches!(error, DataFusionError::ResourcesExhausted(_)), "{call}: {error}");
        }
    }

    #[test]
    fn others_are_the_function_s_own() {
        for (call, expected) in [
            ("repeat('ab', 3)", "ababab"),
            ("lpad('x', 3, '-')", "--x"),
            ("array_to_string(array_repeat('a', 2), '+')", "a+a"),
            ("array_to_string(array_resize([1], 3, 7), ',')", "1,7,7"),
            ("array_to_string(range(1, 7, 2), ',')", "1,3,5"),
            (
                "array_to_string(generate_series(DATE '2024-01-01', DATE '2024-03-01', INTERVAL '1' MONTH), ' ')",
                "2024-01-01 2024-02-01 2024-03-01",
            ),
            ("replace('aXa', 'X', '--')", "a--a"),
            ("regexp_replace('abc', '(b)', '[\\1]')", "a[b]c"),
            ("repeat('x', -1)", ""),
            ("lpad('x', -1)", ""),
            ("rpad('x', -2, 'ab')", ""),
            ("lpad(s, -2, s) || rpad(s, -n, s) || lpad('abc', 2 - n, s)", "ab"),
            ("CAST(repeat('x', NULL) IS NULL AND range(NULL) IS NULL AND lpad(NULL, 3) IS NULL AS VARCHAR)", "true"),
        ] {
            let answer = answer(&format!("CAST({call} AS VARCHAR)")).unwrap();
            let text = ScalarValue::try_from_array(&answer, 0).unwrap().to_string();
            assert_eq!(text, expected, "{call}");
        }
    }

    #[test]
    fn no_array_is_shorter_than_empty() {
        for call in ["array_resize([1, 2], -1)", "array_resize([n], -n, 0)", "array_resize([], -2, 0)"] {
            let error = answer(call).unwrap_err();
            assert!(matches!(error.find_root(), DataFusionError::Execution(_)), "{call}: {error}");
        }
    }

    /// What may be larger is made in parts, and kept if it is not.
    #[test]
    fn estimates_refuse_nothing_that_is_small() {
        let call = "regexp_replace(repeat(s, 2000), 'y', 'a replacement that is longer than what it replaces', 'g')";
        let parts = answer(&format!("octet_length({call})")).unwrap();
        let lengths: Vec<i64> = cast(&parts, &DataType::Int64).unwrap().as_primitive::<Int64Type>().values().to_vec();
        assert_eq!(lengths, (0..8192).map(|row| 2_000 * (1 + row % 3)).collect::<Vec<i64>>());
        let texts = StringArray::from(vec!["a"; 3]);
        let sizes = Growth::RegexpReplace.sizes(&[ColumnarValue::Array(Arc::new(texts))], 3).unwrap();
        assert_eq!(sizes, [2.0; 3]);
    }
}
