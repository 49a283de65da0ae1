//! Structs, lists and maps: their own slots, then their children's.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, FixedSizeListArray, GenericListArray, MapArray, MutableArrayData, OffsetSizeTrait,
    StructArray, make_array,
};
use datafusion::arrow::buffer::{NullBuffer, OffsetBuffer};
use datafusion::arrow::datatypes::{FieldRef, Fields};
use datafusion::arrow::error::ArrowError;

use super::array;
use super::validity::Slots;
use super::wire::retyped;

pub(super) fn structure(parent: &ArrayRef, fields: &Fields, slots: &Slots) -> Result<ArrayRef, ArrowError> {
    let typed = parent.as_struct();
    let columns = typed
        .columns()
        .iter()
        .zip(fields)
        .map(|(column, field)| array(column, slots.visible.as_ref(), field.is_nullable()))
        .collect::<Result<Vec<_>, _>>()?;
    let fields: Fields = fields.iter().zip(&columns).map(|(field, c)| retyped(field, c.data_type())).collect();
    Ok(Arc::new(StructArray::try_new_with_length(fields, columns, slots.written.clone(), typed.len())?))
}

pub(super) fn list<O: OffsetSizeTrait>(
    parent: &ArrayRef,
    field: &FieldRef,
    slots: &Slots,
) -> Result<ArrayRef, ArrowError> {
    let typed = parent.as_list::<O>();
    let (offsets, values) = visible(typed.offsets(), typed.values(), slots.visible.as_ref())?;
    let values = array(&values, None, field.is_nullable())?;
    let field = retyped(field, values.data_type());
    Ok(Arc::new(GenericListArray::<O>::try_new(field, offsets, values, slots.written.clone())?))
}

pub(super) fn fixed_size_list(
    parent: &ArrayRef,
    field: &FieldRef,
    size: i32,
    slots: &Slots,
) -> Result<ArrayRef, ArrowError> {
    let typed = parent.as_fixed_size_list();
    let children = slots.visible.as_ref().map(|n| n.expand(usize::try_from(size).unwrap_or(0)));
    let values = array(typed.values(), children.as_ref(), field.is_nullable())?;
    let field = retyped(field, values.data_type());
    let written = slots.written.clone();
    Ok(Arc::new(FixedSizeListArray::try_new_with_length(field, size, values, written, typed.len())?))
}

pub(super) fn map(parent: &ArrayRef, field: &FieldRef, sorted: bool, slots: &Slots) -> Result<ArrayRef, ArrowError> {
    let typed = parent.as_map();
    let entries: ArrayRef = Arc::new(typed.entries().clone());
    let (offsets, entries) = visible(typed.offsets(), &entries, slots.visible.as_ref())?;
    let entries = array(&entries, None, field.is_nullable())?;
    let field = retyped(field, entries.data_type());
    let entries = entries.as_struct().clone();
    Ok(Arc::new(MapArray::try_new(field, offsets, entries, slots.written.clone(), sorted)?))
}

/// Offsets from zero, and the children of visible slots only.
fn visible<O: OffsetSizeTrait>(
    offsets: &OffsetBuffer<O>,
    values: &ArrayRef,
    visible: Option<&NullBuffer>,
) -> Result<(OffsetBuffer<O>, ArrayRef), ArrowError> {
    let (Some(first), Some(last)) = (offsets.first(), offsets.last()) else {
        return Err(ArrowError::ComputeError("a list without offsets".into()));
    };
    let (start, end) = (first.as_usize(), last.as_usize());
    let is_long = |i: usize| offsets.get(i) != offsets.get(i + 1);
    let hiding = visible.filter(|n| (!n.inner()).set_indices().any(is_long));
    let Some(visible) = hiding else {
        let rebased = match start {
            0 => offsets.clone(),
            _ => OffsetBuffer::new(offsets.iter().map(|offset| *offset - *first).collect::<Vec<_>>().into()),
        };
        return Ok((rebased, values.slice(start, end - start)));
    };
    let data = values.to_data();
    let mut children = MutableArrayData::new(vec![&data], false, end - start);
    let mut rebased = Vec::with_capacity(offsets.len());
    let mut len = 0;
    for (from, to) in visible.valid_slices() {
        rebased.resize(from + 1, O::usize_as(len));
        let run = offsets.get(from..=to).unwrap_or_default();
        let (Some(first), Some(last)) = (run.first(), run.last()) else { continue };
        children.try_extend(0, first.as_usize(), last.as_usize())?;
        rebased.extend(run.iter().skip(1).map(|offset| O::usize_as(offset.as_usize() - first.as_usize() + len)));
        len += last.as_usize() - first.as_usize();
    }
    rebased.resize(offsets.len(), O::usize_as(len));
    Ok((OffsetBuffer::new(rebased.into()), make_array(children.freeze())))
}
