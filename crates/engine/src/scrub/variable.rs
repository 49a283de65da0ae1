//! Strings and binary values.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, ByteView, GenericByteArray};
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
    let buffers = typed.data_buffers();
    let total = typed.lengths().map(|len| len as usize).sum::<usize>();
    let mut kept = Kept::<T>::with_capacity(typed.len(), total + INLINE);
    let mut copy = |view: u128, visible: bool| {
        let ByteView { length, buffer_index, offset, .. } = ByteView::from(view);
        let len = if visible { length as usize } else { 0 };
        if len <= INLINE {
            // A copy of constant length, then cut: several times as fast as one of variable length.
            let end = kept.values.len() + len;
            let [_, _, _, _, inline @ ..] = view.to_le_bytes();
            kept.values.extend_from_slice(&inline);
            kept.values.truncate(end);
        } else {
            let buffer = buffers.get(buffer_index as usize).ok_or_else(malformed)?;
            kept.values.extend_from_slice(slice(buffer, offset as usize, offset as usize + len)?);
        }
        kept.push_end(kept.values.len())
    };
    match &slots.visible {
        None => typed.views().iter().try_for_each(|view| copy(*view, true))?,
        Some(visible) => {
            typed.views().iter().zip(visible.iter()).try_for_each(|(view, visible)| copy(*view, visible))?;
        }
    }
    kept.finish(typed.len(), slots)
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
