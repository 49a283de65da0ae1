//! Strings and binary values.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, ByteView, GenericByteArray, GenericByteViewArray};
use datafusion::arrow::buffer::{Buffer, OffsetBuffer};
use datafusion::arrow::datatypes::{ArrowNativeType, ByteArrayType, ByteViewType};
use datafusion::arrow::error::ArrowError;

use super::validity::Slots;

/// The longest value that a view holds itself.
const INLINE: usize = 12;

/// Only values below null slots can hide something: offsets are contiguous, and the writer cuts off what lies outside them.
pub(super) fn bytes<T: ByteArrayType>(array: &ArrayRef, slots: &Slots) -> Result<ArrayRef, ArrowError> {
    let typed = array.as_bytes::<T>();
    let offsets = typed.offsets();
    let is_long = |i: usize| offsets.get(i) != offsets.get(i + 1);
    let hides = slots.hidden().is_some_and(|hidden| hidden.set_indices().any(is_long));
    let Some(visible) = slots.visible.as_ref().filter(|_| hides) else {
        if slots.unchanged(array) {
            return Ok(Arc::clone(array));
        }
        let (offsets, values) = (offsets.clone(), typed.values().clone());
        return Ok(Arc::new(GenericByteArray::<T>::try_new(offsets, values, slots.written.clone())?));
    };
    let mut kept = Kept::<T>::with_capacity(typed.len(), typed.value_data().len());
    for (start, end) in visible.valid_slices() {
        kept.skip_to(start)?;
        let run = offsets.get(start..=end).unwrap_or_default();
        let (Some(first), Some(last)) = (run.first(), run.last()) else { continue };
        let base = kept.values.len();
        kept.values.extend_from_slice(slice(typed.values(), first.as_usize(), last.as_usize())?);
        for offset in run.iter().skip(1) {
            kept.push_end(base + offset.as_usize() - first.as_usize())?;
        }
    }
    kept.finish(typed.len(), slots)
}

/// The values of a view array, and nothing of the buffers behind it.
pub(super) fn views<V: ByteViewType, T: ByteArrayType>(
    array: &ArrayRef,
    slots: &Slots,
) -> Result<ArrayRef, ArrowError> {
    let typed = array.as_byte_view::<V>();
    let rows = typed.len();
    // Where nothing is visible, an empty view.
    let shown = |(view, visible): (&u128, bool)| if visible { *view } else { 0 };
    match &slots.visible {
        None => laid_out::<V, T>(typed, typed.views().iter().copied(), slots, rows),
        Some(visible) => laid_out::<V, T>(typed, typed.views().iter().zip(visible.iter()).map(shown), slots, rows),
    }
}

/// The same views before nothing but their own values.
pub(super) fn own_views<V: ByteViewType>(array: &ArrayRef, slots: &Slots) -> Result<ArrayRef, ArrowError> {
    let typed = array.as_byte_view::<V>();
    let is_empty = |i: usize| typed.views().get(i).is_some_and(|view| *view == 0);
    let hides = slots.hidden().is_some_and(|hidden| !hidden.set_indices().all(is_empty));
    if !hides && slots.unchanged(array) {
        return Ok(Arc::new(typed.gc()));
    }
    let views = match slots.visible.as_ref().filter(|_| hides) {
        Some(visible) => {
            typed.views().iter().zip(visible.iter()).map(|(view, shown)| if shown { *view } else { 0 }).collect()
        }
        None => typed.views().clone(),
    };
    let clean = GenericByteViewArray::<V>::try_new(views, typed.data_buffers().to_vec(), slots.written.clone())?;
    Ok(Arc::new(clean.gc()))
}

/// The values of `views` one after the other: their ends first, so that each is copied to its place in memory that is there already.
fn laid_out<V: ByteViewType, T: ByteArrayType>(
    array: &GenericByteViewArray<V>,
    views: impl Iterator<Item = u128> + Clone,
    slots: &Slots,
    rows: usize,
) -> Result<ArrayRef, ArrowError> {
    let mut offsets = Vec::with_capacity(rows + 1);
    offsets.push(T::Offset::default());
    let mut total = 0;
    offsets.extend(views.clone().map(|view| {
        total += ByteView::from(view).length as usize;
        T::Offset::usize_as(total)
    }));
    if T::Offset::from_usize(total).is_none() {
        return Err(ArrowError::OffsetOverflowError(total));
    }
    let (buffers, mut start) = (array.data_buffers(), 0);
    let mut values = vec![0; total + INLINE];
    for view in views {
        let ByteView { length, buffer_index, offset, .. } = ByteView::from(view);
        let (len, offset) = (length as usize, offset as usize);
        let space = if len <= INLINE { INLINE } else { len };
        let place = values.get_mut(start..start + space).ok_or_else(malformed)?;
        if len <= INLINE {
            // A copy of constant length is several times as fast; what is too much, the next value overwrites or the end cuts off.
            let [_, _, _, _, inline @ ..] = view.to_le_bytes();
            place.copy_from_slice(&inline);
        } else {
            let buffer = buffers.get(buffer_index as usize).ok_or_else(malformed)?;
            place.copy_from_slice(slice(buffer, offset, offset + len)?);
        }
        start += len;
    }
    values.truncate(total);
    let offsets = OffsetBuffer::new(offsets.into());
    Ok(Arc::new(GenericByteArray::<T>::try_new(offsets, Buffer::from_vec(values), slots.written.clone())?))
}

fn slice(buffer: &Buffer, start: usize, end: usize) -> Result<&[u8], ArrowError> {
    buffer.as_slice().get(start..end).ok_or_else(malformed)
}

fn malformed() -> ArrowError {
    ArrowError::ComputeError("a value lies outside of its buffer".into())
}

/// Values one after the other.
struct Kept<T: ByteArrayType> {
    offsets: Vec<T::Offset>,
    values: Vec<u8>,
}

impl<T: ByteArrayType> Kept<T> {
    fn with_capacity(rows: usize, bytes: usize) -> Self {
        let mut offsets = Vec::with_capacity(rows + 1);
        offsets.push(T::Offset::default());
        Self { offsets, values: Vec::with_capacity(bytes) }
    }

    #[inline]
    fn push_end(&mut self, end: usize) -> Result<(), ArrowError> {
        let end = T::Offset::from_usize(end).ok_or(ArrowError::OffsetOverflowError(end))?;
        self.offsets.push(end);
        Ok(())
    }

    /// Empty values up to row `row`.
    fn skip_to(&mut self, row: usize) -> Result<(), ArrowError> {
        let end = self.values.len();
        let end = T::Offset::from_usize(end).ok_or(ArrowError::OffsetOverflowError(end))?;
        self.offsets.resize(row + 1, end);
        Ok(())
    }

    fn finish(mut self, rows: usize, slots: &Slots) -> Result<ArrayRef, ArrowError> {
        self.skip_to(rows)?;
        let offsets = OffsetBuffer::new(self.offsets.into());
        Ok(Arc::new(GenericByteArray::<T>::try_new(offsets, Buffer::from_vec(self.values), slots.written.clone())?))
    }
}
