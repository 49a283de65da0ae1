//! `hash`: a keyed BLAKE3, so that equal values stay equal and nobody without the key can try guesses.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, FixedSizeBinaryBuilder, GenericBinaryBuilder, GenericStringBuilder, OffsetSizeTrait,
};
use datafusion::arrow::datatypes::{BinaryViewType, DataType, Int32Type, Int64Type, StringViewType};

use super::digests::Digests;
use super::key::MaskKey;
use super::partial::map_valid;

pub(super) fn hash(key: &MaskKey, column: &ArrayRef) -> Option<ArrayRef> {
    Some(match column.data_type() {
        DataType::Utf8View => {
            let digests = Digests::of(column.as_string_view(), |text: &str, digits: &mut [u8; 32]| {
                hex(key, text, digits);
            });
            Arc::new(digests.into_array::<StringViewType>()?)
        }
        DataType::Utf8 => strings::<i32>(key, column),
        DataType::LargeUtf8 => strings::<i64>(key, column),
        DataType::Int32 => map_valid::<Int32Type>(column, |value| {
            let [a, b, c, d, ..] = number(key, value.into());
            i32::from_le_bytes([a, b, c, d])
        }),
        DataType::Int64 => map_valid::<Int64Type>(column, |value| i64::from_le_bytes(number(key, value))),
        DataType::BinaryView => {
            let digests = Digests::of(column.as_binary_view(), |bytes: &[u8], hash: &mut [u8; 16]| {
                *hash = short(&key.bytes, bytes);
            });
            Arc::new(digests.into_array::<BinaryViewType>()?)
        }
        DataType::Binary => binaries::<i32>(key, column),
        DataType::LargeBinary => binaries::<i64>(key, column),
        DataType::FixedSizeBinary(width) => return fixed(key, column, *width),
        DataType::Dictionary(_, _) => {
            let dictionary = column.as_any_dictionary_opt()?;
            dictionary.with_values(hash(key, dictionary.values())?)
        }
        _ => return None,
    })
}

fn strings<O: OffsetSizeTrait>(key: &MaskKey, column: &ArrayRef) -> ArrayRef {
    let mut builder = GenericStringBuilder::<O>::with_capacity(column.len(), column.len() * 32);
    let mut digits = [0; 32];
    for value in column.as_string::<O>() {
        builder.append_option(value.map(|text| hex(key, text, &mut digits)));
    }
    Arc::new(builder.finish())
}

fn binaries<O: OffsetSizeTrait>(key: &MaskKey, column: &ArrayRef) -> ArrayRef {
    let mut builder = GenericBinaryBuilder::<O>::with_capacity(column.len(), column.len() * 16);
    for value in column.as_binary::<O>() {
        builder.append_option(value.map(|bytes| short(&key.bytes, bytes)));
    }
    Arc::new(builder.finish())
}

fn fixed(key: &MaskKey, column: &ArrayRef, width: i32) -> Option<ArrayRef> {
    let mut builder = FixedSizeBinaryBuilder::with_capacity(column.len(), width);
    let mut filled = vec![0; usize::try_from(width).ok()?];
    for value in column.as_fixed_size_binary() {
        match value {
            Some(bytes) => {
                blake3::Hasher::new_keyed(&key.bytes).update(bytes).finalize_xof().fill(&mut filled);
                builder.append_value(&filled).ok()?;
            }
            None => builder.append_null(),
        }
    }
    Some(Arc::new(builder.finish()))
}

fn number(key: &MaskKey, value: i64) -> [u8; 8] {
    let hash = blake3::keyed_hash(&key.number, &value.to_le_bytes());
    hash.as_bytes().first_chunk().copied().unwrap_or_default()
}

fn short(key: &[u8; 32], bytes: &[u8]) -> [u8; 16] {
    blake3::keyed_hash(key, bytes).as_bytes().first_chunk().copied().unwrap_or_default()
}

/// Two digits for every byte.
static HEX: [[u8; 2]; 256] = hex_table();

const fn hex_table() -> [[u8; 2]; 256] {
    const fn digit(nibble: u8) -> u8 {
        if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 }
    }
    let mut table = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        #[expect(clippy::indexing_slicing, reason = "the index is below the length, and this runs at compile time")]
        {
            table[byte] = [digit((byte >> 4) as u8), digit((byte & 15) as u8)];
        }
        byte += 1;
    }
    table
}

fn hex<'a>(key: &MaskKey, text: &str, digits: &'a mut [u8; 32]) -> &'a str {
    let hash = short(&key.text, text.as_bytes());
    for (pair, byte) in digits.chunks_exact_mut(2).zip(hash) {
        pair.copy_from_slice(HEX.get(usize::from(byte)).unwrap_or(&[b'0'; 2]));
    }
    std::str::from_utf8(digits).unwrap_or_default()
}
