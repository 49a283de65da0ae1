//! `date_trunc` over times that have no answer: the first ones of a type's range are truncated to before it. DataFusion's
//! own subtracts without looking, in rows that are null, too: that is another time, or a panic where overflow is checked.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, PrimitiveArray};
use datafusion::arrow::datatypes::{
    ArrowTimestampType, DataType, FieldRef, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType,
};
use datafusion::arrow::error::ArrowError;
use datafusion::common::Result;
use datafusion::logical_expr::sort_properties::{ExprProperties, SortProperties};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};

const SECONDS_OF_A_DAY: i64 = 86_400;

/// DataFusion's function, asked for times only that it can truncate.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct DateTrunc(Arc<ScalarUDF>);

impl DateTrunc {
    pub(super) fn new() -> Self {
        Self(datafusion::functions::datetime::date_trunc())
    }
}

impl ScalarUDFImpl for DateTrunc {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn aliases(&self) -> &[String] {
        self.0.aliases()
    }

    fn signature(&self) -> &Signature {
        self.0.signature()
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        self.0.return_type(arguments)
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        self.0.return_field_from_args(arguments)
    }

    fn output_ordering(&self, input: &[ExprProperties]) -> Result<SortProperties> {
        self.0.output_ordering(input)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.0.documentation()
    }

    fn invoke_with_args(&self, mut call: ScalarFunctionArgs) -> Result<ColumnarValue> {
        if let Some(ColumnarValue::Array(times)) = call.args.get_mut(1)
            && let DataType::Timestamp(unit, _) = times.data_type()
        {
            let checked = match unit {
                TimeUnit::Second => checked::<TimestampSecondType>(times, 1),
                TimeUnit::Millisecond => checked::<TimestampMillisecondType>(times, 1_000),
                TimeUnit::Microsecond => checked::<TimestampMicrosecondType>(times, 1_000_000),
                TimeUnit::Nanosecond => checked::<TimestampNanosecondType>(times, 1_000_000_000),
            };
            if let Some(checked) = checked? {
                *times = checked;
            }
        }
        self.0.invoke_with_args(call)
    }
}

/// The same times, with others below nulls, where one is in the first day of the range; an error if it is not null.
fn checked<T: ArrowTimestampType>(times: &ArrayRef, second: i64) -> Result<Option<ArrayRef>> {
    let Some(typed) = times.as_primitive_opt::<T>() else { return Ok(None) };
    let first = i64::MIN + SECONDS_OF_A_DAY * second;
    if typed.values().iter().all(|time| *time >= first) {
        return Ok(None);
    }
    if typed.iter().flatten().any(|time| time < first) {
        return Err(ArrowError::ArithmeticOverflow("a time is too early for `date_trunc`".to_owned()).into());
    }
    let values = typed.iter().map(Option::unwrap_or_default).collect::<Vec<i64>>();
    let typed =
        PrimitiveArray::<T>::new(values.into(), typed.nulls().cloned()).with_data_type(times.data_type().clone());
    Ok(Some(Arc::new(typed)))
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::TimestampMicrosecondArray;
    use datafusion::arrow::buffer::NullBuffer;
    use datafusion::arrow::datatypes::Field;
    use datafusion::common::ScalarValue;
    use datafusion::config::ConfigOptions;

    use super::*;

    fn truncated(times: TimestampMicrosecondArray) -> Result<ArrayRef> {
        let rows = times.len();
        let kind = times.data_type().clone();
        let args = vec![ColumnarValue::Scalar(ScalarValue::from("day")), ColumnarValue::Array(Arc::new(times))];
        let fields = [DataType::Utf8, kind.clone()].map(|kind| Arc::new(Field::new("x", kind, true)));
        let call = ScalarFunctionArgs {
            args,
            arg_fields: fields.to_vec(),
            number_rows: rows,
            return_field: Arc::new(Field::new("x", kind, true)),
            config_options: Arc::new(ConfigOptions::default()),
        };
        DateTrunc::new().invoke_with_args(call)?.into_array(rows)
    }

    #[test]
    fn times_before_all_others_are_an_error_and_nulls_are_none() {
        const DAY: i64 = 86_400_000_000;
        let plain = truncated(vec![-1, 0, DAY + 5].into()).unwrap();
        assert_eq!(plain.as_primitive::<TimestampMicrosecondType>().values(), &[-DAY, 0, DAY]);
        assert!(truncated(vec![i64::MIN + DAY, i64::MAX].into()).is_ok());
        for early in [i64::MIN, i64::MIN + 1, i64::MIN + DAY - 1] {
            let error = truncated(vec![0, early].into()).unwrap_err().to_string();
            assert!(error.contains("too early for `date_trunc`"), "{error}");
            let hidden = NullBuffer::from(vec![true, false]);
            let times = TimestampMicrosecondArray::new(vec![DAY + 1, early].into(), Some(hidden)).with_timezone("UTC");
            let times = truncated(times).unwrap();
            assert_eq!((times.as_primitive::<TimestampMicrosecondType>().value(0), times.is_null(1)), (DAY, true));
            assert_eq!(times.data_type(), &DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())));
        }
    }
}
