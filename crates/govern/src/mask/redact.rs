//! `redact`: a constant that tells nothing, not even which rows are NULL.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BinaryArray, BinaryViewArray, BooleanArray, FixedSizeBinaryArray, LargeBinaryArray, LargeListArray,
    LargeStringArray, ListArray, MapArray, PrimitiveArray, StringArray, StringViewArray, StructArray,
    downcast_primitive, new_empty_array,
};
use datafusion::arrow::buffer::{Buffer, OffsetBuffer};
use datafusion::arrow::datatypes::{ArrowPrimitiveType, DataType, Fields};

const TEXT: &str = "[redacted]";

/// `len` constants of a type; `None` for types that have none here.
pub(super) fn redact(data_type: &DataType, len: usize) -> Option<ArrayRef> {
    macro_rules! zeros {
        ($t:ty) => {
            zeros::<$t>(data_type, len)
        };
    }
    let repeated = || std::iter::repeat_n(TEXT, len);
    let empty = || std::iter::repeat_n(b"", len);
    downcast_primitive! {
        data_type => (zeros),
        DataType::Boolean => Some(Arc::new(BooleanArray::from(vec![false; len]))),
        DataType::Utf8View => Some(Arc::new(StringViewArray::from_iter_values(repeated()))),
        DataType::Utf8 => Some(Arc::new(StringArray::from_iter_values(repeated()))),
        DataType::LargeUtf8 => Some(Arc::new(LargeStringArray::from_iter_values(repeated()))),
        DataType::BinaryView => Some(Arc::new(BinaryViewArray::from_iter_values(empty()))),
        DataType::Binary => Some(Arc::new(BinaryArray::from_iter_values(empty()))),
        DataType::LargeBinary => Some(Arc::new(LargeBinaryArray::from_iter_values(empty()))),
        DataType::FixedSizeBinary(width) => {
            let bytes = usize::try_from(*width).ok()?.checked_mul(len)?;
            let array = FixedSizeBinaryArray::try_new(*width, Buffer::from(vec![0_u8; bytes]), None).ok()?;
            Some(Arc::new(array))
        }
        DataType::List(field) => {
            let values = new_empty_array(field.data_type());
            Some(Arc::new(ListArray::try_new(Arc::clone(field), OffsetBuffer::new_zeroed(len), values, None).ok()?))
        }
        DataType::LargeList(field) => {
            let values = new_empty_array(field.data_type());
            Some(Arc::new(LargeListArray::try_new(Arc::clone(field), OffsetBuffer::new_zeroed(len), values, None).ok()?))
        }
        DataType::Map(field, sorted) => {
            let DataType::Struct(fields) = field.data_type() else { return None };
            let children = fields.iter().map(|field| new_empty_array(field.data_type())).collect();
            let entries = StructArray::try_new_with_length(fields.clone(), children, None, 0).ok()?;
            let offsets = OffsetBuffer::new_zeroed(len);
            Some(Arc::new(MapArray::try_new(Arc::clone(field), offsets, entries, None, *sorted).ok()?))
        }
        DataType::Struct(fields) => structs(fields, len),
        _ => None
    }
}

fn structs(fields: &Fields, len: usize) -> Option<ArrayRef> {
    let children = fields.iter().map(|field| redact(field.data_type(), len)).collect::<Option<Vec<_>>>()?;
    Some(Arc::new(StructArray::try_new_with_length(fields.clone(), children, None, len).ok()?))
}

fn zeros<T: ArrowPrimitiveType>(data_type: &DataType, len: usize) -> Option<ArrayRef> {
    let zeros = PrimitiveArray::<T>::from_value(T::default_value(), len);
    Some(Arc::new(zeros.with_data_type(data_type.clone())))
}
