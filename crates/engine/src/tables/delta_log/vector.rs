//! Deletion vectors of Delta: where a descriptor says that the bitmap is.

use bytes::Bytes;
use deltalake::kernel::{DeletionVectorDescriptor, StorageType};

use crate::tables::deletes::DeleteSource;
use crate::tables::fault::Fault;
use crate::tables::store::TableRoot;

/// The alphabet of Z85.
const ALPHABET: &[u8; 85] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";
/// Length of a UUID in Z85.
const UUID_LENGTH: usize = 20;

/// The source that a descriptor names.
pub(super) fn source(root: &TableRoot, descriptor: &DeletionVectorDescriptor) -> Result<DeleteSource, Fault> {
    let damaged = || Fault::Corrupt("one of its deletion vectors has no place".into());
    let size = u64::try_from(descriptor.size_in_bytes).map_err(|_| damaged())?;
    let rows = Some(u64::try_from(descriptor.cardinality).map_err(|_| damaged())?);
    let text = &descriptor.path_or_inline_dv;
    let path = match descriptor.storage_type {
        StorageType::Inline => {
            let mut bytes = decode(text.as_bytes()).ok_or_else(damaged)?;
            bytes.truncate(usize::try_from(size).map_err(|_| damaged())?);
            return Ok(DeleteSource::Inline { bytes: Bytes::from(bytes), rows });
        }
        StorageType::AbsolutePath => root.locate(text)?,
        StorageType::UuidRelativePath => {
            let start = text.len().checked_sub(UUID_LENGTH).ok_or_else(damaged)?;
            let (prefix, uuid) = text.split_at_checked(start).ok_or_else(damaged)?;
            let uuid = hyphenated(&decode(uuid.as_bytes()).ok_or_else(damaged)?);
            let directory = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
            root.below(&format!("{directory}deletion_vector_{uuid}.bin"))?
        }
    };
    // The size, the bitmap, the checksum.
    let start = descriptor.offset.map_or(Ok(1), u64::try_from).map_err(|_| damaged())?;
    Ok(DeleteSource::Vector { path, range: start..start + 4 + size + 4, rows })
}

fn decode(text: &[u8]) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(5) {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len() / 5 * 4);
    for group in text.chunks_exact(5) {
        let value = group.iter().try_fold(0u64, |value, character| {
            let digit = ALPHABET.iter().position(|known| known == character)?;
            Some(value * 85 + digit as u64)
        })?;
        bytes.extend(u32::try_from(value).ok()?.to_be_bytes());
    }
    Some(bytes)
}

fn hyphenated(uuid: &[u8]) -> String {
    let mut text = String::with_capacity(36);
    for (at, byte) in uuid.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_decoded_as_the_protocol_shows_them() {
        let uuid = decode(b"^-aqEH.-t@S}K{vb[*k^").unwrap();
        assert_eq!(hyphenated(&uuid), "d2c639aa-8816-431a-aaf6-d3fe2512ff61");
        assert_eq!(decode(b"HelloWorld").unwrap(), [0x86, 0x4F, 0xD2, 0x6F, 0xB5, 0x59, 0xF7, 0x5B]);
        assert_eq!(decode(b"abc"), None);
        assert_eq!(decode(b"#####"), None);
    }
}
