//! Values of a fixed width.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, ArrowNativeTypeOp, ArrowPrimitiveType, AsArray, BooleanArray, FixedSizeBinaryArray, PrimitiveArray,
};
use datafusion::arrow::buffer::{Buffer, ScalarBuffer};
use datafusion::arrow::error::ArrowError;

use super::validity::{Slots, exact};

pub(super) fn boolean(array: &ArrayRef, slots: &Slots) -> ArrayRef {
    let values = array.as_boolean().values();
    let values = match &slots.visible {
        None => exact(values),
        Some(visible) => exact(&(values & visible.inner())),
    };
    Arc::new(BooleanArray::new(values, slots.written.clone()))
}

pub(super) fn primitive<T: ArrowPrimitiveType>(array: &ArrayRef, slots: &Slots) -> ArrayRef
where
    T::Native: ArrowNativeTypeOp,
{
    if slots.visible.is_none() && slots.unchanged(array) {
        return Arc::clone(array);
    }
    let typed = array.as_primitive::<T>();
    let values = match slots.hidden() {
        None => typed.values().clone(),
        Some(hidden) => {
            let zero = T::Native::default();
            // By bits: a hidden -0.0 equals 0.0.
            let dirty = |i: usize| typed.values().get(i).is_some_and(|v: &T::Native| v.is_ne(zero));
            if !hidden.set_indices().any(dirty) {
                if slots.unchanged(array) {
                    return Arc::clone(array);
                }
                typed.values().clone()
            } else {
                let mut values = typed.values().to_vec();
                for i in hidden.set_indices() {
                    if let Some(value) = values.get_mut(i) {
                        *value = zero;
                    }
                }
                ScalarBuffer::from(values)
            }
        }
    };
    Arc::new(PrimitiveArray::<T>::new(values, slots.written.clone()).with_data_type(typed.data_type().clone()))
}

pub(super) fn binary(array: &ArrayRef, width: i32, slots: &Slots) -> Result<ArrayRef, ArrowError> {
    if slots.visible.is_none() && slots.unchanged(array) {
        return Ok(Arc::clone(array));
    }
    let typed = array.as_fixed_size_binary();
    let size = usize::try_from(width).unwrap_or(0);
    let mut values = Vec::with_capacity(typed.len() * size);
    for i in 0..typed.len() {
        match slots.visible.as_ref().is_none_or(|n| n.is_valid(i)) {
            true => values.extend_from_slice(typed.value(i)),
            false => values.resize(values.len() + size, 0),
        }
    }
    let values = Buffer::from_vec(values);
    match size {
        // Without bytes the array cannot tell its length.
        0 => Ok(Arc::clone(array)),
        _ => Ok(Arc::new(FixedSizeBinaryArray::try_new(width, values, slots.written.clone())?)),
    }
}
