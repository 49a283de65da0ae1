//! Which slots of an array are visible, and bitmaps without stray bits.

use datafusion::arrow::array::{Array, ArrayRef};
use datafusion::arrow::buffer::{BooleanBuffer, Buffer, NullBuffer};

/// The visible slots of an array.
pub(super) struct Slots {
    /// Slots that are valid in the array and in all its parents; `None` where all are.
    pub visible: Option<NullBuffer>,
    /// The validity to write.
    pub written: Option<NullBuffer>,
}

impl Slots {
    pub fn of(array: &ArrayRef, parent: Option<&NullBuffer>, nullable: bool) -> Self {
        let visible = NullBuffer::union(array.nulls(), parent).filter(|n| n.null_count() > 0);
        // A field without nulls below a null parent keeps its own validity: its slots are zeroed all the same.
        let written = match nullable || array.null_count() > 0 {
            true => visible.as_ref().map(|n| NullBuffer::new(exact(n.inner()))),
            false => None,
        };
        Self { visible, written }
    }

    /// Positions of the hidden slots.
    pub fn hidden(&self) -> Option<BooleanBuffer> {
        self.visible.as_ref().map(|n| !n.inner())
    }

    /// Whether the array's own bitmap is the one to write, down to its last bit.
    pub fn unchanged(&self, array: &ArrayRef) -> bool {
        match (array.nulls(), &self.written) {
            (None, None) => true,
            (Some(has), Some(written)) => {
                let (has, written) = (has.inner(), written.inner());
                has.offset() == 0 && has.inner().ptr_eq(written.inner())
            }
            _ => false,
        }
    }
}

/// The same bits, with nothing before the first and after the last.
pub(super) fn exact(bits: &BooleanBuffer) -> BooleanBuffer {
    let (len, bytes) = (bits.len(), bits.len().div_ceil(8));
    if bits.offset() == 0 {
        let last = bytes.checked_sub(1).and_then(|i| bits.values().get(i)).copied().unwrap_or(0);
        if len % 8 == 0 || last >> (len % 8) == 0 {
            return BooleanBuffer::new(bits.inner().slice_with_length(0, bytes), 0, len);
        }
    }
    let words: Vec<u64> = bits.bit_chunks().iter_padded().map(u64::to_le).take(len.div_ceil(64)).collect();
    BooleanBuffer::new(Buffer::from_vec(words).slice_with_length(0, bytes), 0, len)
}
