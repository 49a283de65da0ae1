//! Masks as functions in plans. They have names there, but are not registered: SQL cannot call them.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::{MaskKey, mask};
use crate::policy::Disclosure;

/// One function for each level that masks, with one key.
#[derive(Debug)]
pub(crate) struct Masks {
    functions: Vec<(Disclosure, Arc<ScalarUDF>)>,
}

impl Masks {
    pub(crate) fn new(key: &MaskKey) -> Self {
        let masking = Disclosure::LADDER.into_iter().filter(|level| level.masking().is_some());
        let functions = masking.map(|level| (level, Arc::new(ScalarUDF::from(MaskFunction::new(level, key)))));
        Masks { functions: functions.collect() }
    }

    /// The function for a level; `None` where nothing is to be masked.
    pub(crate) fn for_disclosure(&self, disclosure: Disclosure) -> Option<&Arc<ScalarUDF>> {
        self.functions.iter().find(|(level, _)| *level == disclosure).map(|(_, function)| function)
    }
}

/// Whether `expr` is the mask of `disclosure` over the column `name`, and nothing else.
pub(crate) fn is_mask_call(expr: &Expr, disclosure: Disclosure, name: &str) -> bool {
    let Expr::ScalarFunction(call) = expr else { return false };
    let is_mask = call.func.inner().downcast_ref::<MaskFunction>().is_some_and(|mask| mask.level == disclosure);
    is_mask && matches!(call.args.as_slice(), [Expr::Column(column)] if column.name == name)
}

#[derive(Clone)]
struct MaskFunction {
    level: Disclosure,
    name: &'static str,
    key: MaskKey,
    signature: Signature,
}

impl MaskFunction {
    fn new(level: Disclosure, key: &MaskKey) -> Self {
        let name = match level {
            Disclosure::Clear => "mask_clear",
            Disclosure::Partial => "mask_partial",
            Disclosure::Bucket => "mask_bucket",
            Disclosure::Hash => "mask_hash",
            Disclosure::Redact => "mask_redact",
            Disclosure::Null | Disclosure::JoinOnly | Disclosure::Denied => "mask_null",
        };
        MaskFunction { level, name, key: key.clone(), signature: Signature::any(1, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for MaskFunction {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        match arg_types {
            [data_type] => Ok(data_type.clone()),
            _ => internal_err!("`{}` takes one column", self.name),
        }
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        match args.arg_fields {
            [field] => Ok(Arc::new(Field::new(self.name, field.data_type().clone(), true))),
            _ => internal_err!("`{}` takes one column", self.name),
        }
    }

    /// NULL is what it is whatever the column has: optimisers go by that.
    fn simplify(&self, args: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        match (self.level, args.as_slice()) {
            (Disclosure::Null, [column]) => {
                let null = ScalarValue::try_from(&info.get_data_type(column)?)?;
                Ok(ExprSimplifyResult::Simplified(Expr::Literal(null, None)))
            }
            _ => Ok(ExprSimplifyResult::Original(args)),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match args.args.as_slice() {
            [ColumnarValue::Array(column)] => Ok(ColumnarValue::Array(mask(self.level, &self.key, column))),
            [ColumnarValue::Scalar(value)] => {
                let masked = mask(self.level, &self.key, &value.to_array_of_size(args.number_rows)?);
                Ok(ColumnarValue::Array(masked))
            }
            _ => internal_err!("`{}` takes one column", self.name),
        }
    }
}

impl fmt::Debug for MaskFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl PartialEq for MaskFunction {
    fn eq(&self, other: &Self) -> bool {
        self.level == other.level && self.key.fingerprint() == other.key.fingerprint()
    }
}

impl Eq for MaskFunction {}

impl Hash for MaskFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.level.hash(state);
        self.key.fingerprint().hash(state);
    }
}
