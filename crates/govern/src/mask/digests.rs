//! The hashes of a column of views, each distinct value hashed once.
//!
//! Views into the same place are equal, and so are views that hold equal short values: a column that was dictionary
//! encoded in its file has as many different views as values. A small direct-mapped table remembers them; two values that
//! meet in one slot cost a second hash, never a wrong one.

use datafusion::arrow::array::{Array, GenericByteViewArray, GenericByteViewBuilder};
use datafusion::arrow::buffer::Buffer;
use datafusion::arrow::datatypes::ByteViewType;

const SLOTS: usize = 4096;

/// Hashes of `N` bytes, one after the other, and which of them each row has.
pub(super) struct Digests<const N: usize> {
    bytes: Vec<u8>,
    rows: Vec<Option<u32>>,
}

impl<const N: usize> Digests<N> {
    /// `digest` writes the hash of one value.
    pub(super) fn of<T: ByteViewType>(
        array: &GenericByteViewArray<T>,
        mut digest: impl FnMut(&T::Native, &mut [u8; N]),
    ) -> Self {
        let mut known: Vec<(u128, u32)> = vec![(0, u32::MAX); SLOTS.min(array.len().next_power_of_two())];
        let shift = 64 - known.len().trailing_zeros().clamp(1, 63);
        let (mut bytes, mut rows, mut count) = (Vec::new(), Vec::with_capacity(array.len()), 0_u32);
        let mut hash = [0; N];
        for (view, value) in array.views().iter().zip(array.iter()) {
            let Some(value) = value else {
                rows.push(None);
                continue;
            };
            let mixed = ((*view as u64) ^ ((*view >> 64) as u64).rotate_left(29)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let slot = known.get_mut((mixed >> shift) as usize);
            if let Some((_, row)) = slot.as_ref().filter(|(seen, row)| seen == view && *row != u32::MAX) {
                rows.push(Some(*row));
                continue;
            }
            digest(value, &mut hash);
            bytes.extend_from_slice(&hash);
            if let Some(slot) = slot {
                *slot = (*view, count);
            }
            rows.push(Some(count));
            count = count.saturating_add(1);
        }
        Digests { bytes, rows }
    }

    /// How many values were hashed.
    #[cfg(test)]
    pub(super) fn computed(&self) -> usize {
        self.bytes.len() / N
    }

    /// The column of hashes. `None` if they do not fit into one buffer, or are no values of the type.
    pub(super) fn into_array<T: ByteViewType>(self) -> Option<GenericByteViewArray<T>> {
        if u32::try_from(self.bytes.len()).is_err() {
            return None;
        }
        let width = u32::try_from(N).ok()?;
        let mut builder = GenericByteViewBuilder::<T>::with_capacity(self.rows.len());
        let block = builder.append_block(Buffer::from_vec(self.bytes));
        for row in self.rows {
            match row {
                Some(row) => builder.try_append_view(block, row * width, width).ok()?,
                None => builder.append_null(),
            }
        }
        Some(builder.finish())
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{StringArray, StringViewArray};
    use datafusion::arrow::compute::cast;
    use datafusion::arrow::datatypes::{DataType, Int32Type, StringViewType};

    use super::*;

    fn digests(array: &StringViewArray) -> Digests<4> {
        Digests::of(array, |text: &str, hash: &mut [u8; 4]| {
            let sum: u32 = text.bytes().map(u32::from).sum();
            hash.copy_from_slice(&format!("{sum:04}").as_bytes()[..4]);
        })
    }

    #[test]
    fn a_value_that_repeats_is_hashed_once() {
        let values = ["short", "a value that is too long for a view", "", "another long value that lies in a buffer"];
        let rows = (0..10_000).map(|row| (row % 7 != 3).then(|| values[row % values.len()]));
        let dictionary: datafusion::arrow::array::DictionaryArray<Int32Type> = rows.collect();
        let views = cast(&dictionary, &DataType::Utf8View).unwrap();
        let views = views.as_any().downcast_ref::<StringViewArray>().unwrap();
        let digests = digests(views);
        assert_eq!(digests.computed(), values.len());
        let hashed = digests.into_array::<StringViewType>().unwrap();
        for (value, hash) in views.iter().zip(hashed.iter()) {
            let expected = value.map(|text| format!("{:04}", text.bytes().map(u32::from).sum::<u32>()));
            assert_eq!(hash.map(str::to_owned), expected);
        }
    }

    #[test]
    fn values_that_do_not_repeat_are_each_their_own() {
        let texts: StringArray = (0..20_000).map(|row| Some(format!("{row}-{}", "x".repeat(row % 20)))).collect();
        let views = cast(&texts, &DataType::Utf8View).unwrap();
        let views = views.as_any().downcast_ref::<StringViewArray>().unwrap();
        let mut seen = 0;
        let digests: Digests<8> = Digests::of(views, |text: &str, hash: &mut [u8; 8]| {
            let row: u64 = text.split('-').next().unwrap().parse().unwrap();
            hash.copy_from_slice(&format!("{row:08}").as_bytes()[..8]);
            seen += 1;
        });
        let hashed = digests.into_array::<StringViewType>().unwrap();
        assert!(hashed.iter().enumerate().all(|(row, hash)| hash == Some(format!("{row:08}").as_str())));
        assert_eq!(seen, 20_000);
        for empty in [StringViewArray::new_null(3), StringViewArray::from(Vec::<&str>::new())] {
            let digests: Digests<4> = Digests::of(&empty, |_: &str, _| panic!());
            assert_eq!(digests.into_array::<StringViewType>().unwrap().null_count(), empty.len());
        }
    }
}
