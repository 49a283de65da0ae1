//! Arrays that occupy what their values need.
//!
//! What a query occupies is seen: a sort of few bytes is done at once and one of many in runs, which is another order among equal
//! keys; memory runs out, or rows go to disk. Decoders and filters leave buffers as large as they happened to grow, and that hangs on
//! the rows that were dropped.

use datafusion::arrow::array::{Array, ArrayData, ArrayRef, MutableArrayData, make_array};
use datafusion::arrow::buffer::Buffer;
use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::error::ArrowError;

/// The same array in buffers without room to spare. Nothing is copied that has none.
pub(super) fn fitted(array: ArrayRef) -> Result<ArrayRef, ArrowError> {
    let data = array.to_data();
    if fits(&data) {
        return Ok(array);
    }
    let mut copy = MutableArrayData::new(vec![&data], false, data.len());
    copy.try_extend(0, 0, data.len())?;
    let mut own = make_array(copy.freeze());
    own.shrink_to_fit();
    Ok(own)
}

fn fits(data: &ArrayData) -> bool {
    let no_spare = |buffer: &Buffer| buffer.capacity() == buffer.len();
    let bitmap = data.nulls().is_none_or(|nulls| {
        nulls.offset() == 0 && nulls.buffer().len() == nulls.len().div_ceil(8) && no_spare(nulls.buffer())
    });
    bitmap
        && data.offset() == 0
        && data.buffers().iter().all(no_spare)
        && shows_all(data)
        && data.child_data().iter().all(fits)
}

/// Whether the offsets of text and binary values leave out no byte.
fn shows_all(data: &ArrayData) -> bool {
    let [offsets, values] = data.buffers() else { return true };
    let (first, last) = match data.data_type() {
        DataType::Utf8 | DataType::Binary => {
            let offsets = offsets.typed_data::<i32>();
            (offsets.first().copied().map(i64::from), offsets.last().copied().map(i64::from))
        }
        DataType::LargeUtf8 | DataType::LargeBinary => {
            let offsets = offsets.typed_data::<i64>();
            (offsets.first().copied(), offsets.last().copied())
        }
        _ => return true,
    };
    first == Some(0) && last == i64::try_from(values.len()).ok()
}
