//! What Avro files say of themselves, looked at before the library believes it.

use std::io::{self, Read};

use flate2::read::DeflateDecoder;
use serde_json::{Value, json};

use super::opaque::{self, AVRO, Entry};

/// Values of one list, and bytes of one block before they are unpacked: writers end blocks at some ten thousand bytes.
const MOST_VALUES: usize = 16 << 20;
/// Bytes of a file when it is unpacked.
const LONGEST: u64 = 512 << 20;
/// What follows the header, and each block.
const MARK: usize = 16;

/// Whether the library can be given a file. It makes room for as many values as a file says to have (of what is compressed in it, at most
/// so many, and of its header, as many as there can be), and unpacks blocks to whatever length they have.
pub(super) fn is_harmless(file: &[u8]) -> bool {
    apache_avro::util::max_allocation_bytes(MOST_VALUES);
    !file.starts_with(AVRO) || is_bounded(file, LONGEST).is_some()
}

fn is_bounded(file: &[u8], mut left: u64) -> Option<()> {
    let (entries, rest) = opaque::header(file)?;
    entries.iter().all(is_known).then_some(())?;
    let codec = entries.iter().find(|(key, _)| *key == b"avro.codec").map_or(b"null".as_slice(), |(_, codec)| *codec);
    let mut rest = rest.get(MARK..)?;
    while codec != b"null" && !rest.is_empty() {
        opaque::long(&mut rest)?;
        let block = opaque::text(&mut rest)?;
        rest = rest.get(MARK..)?;
        left = left.checked_sub(unpacked(codec, block, left)?)?;
    }
    Some(())
}

/// How long a block is when it is unpacked; more than `most` is as good as any.
fn unpacked(codec: &[u8], block: &[u8], most: u64) -> Option<u64> {
    let most = most.checked_add(1)?;
    match codec {
        b"deflate" => io::copy(&mut DeflateDecoder::new(block).take(most), &mut io::sink()).ok(),
        b"zstandard" => io::copy(&mut zstd::Decoder::new(block).ok()?.take(most), &mut io::sink()).ok(),
        // A checksum is behind it, and its length before it.
        b"snappy" => snap::raw::decompress_len(block.split_last_chunk::<4>()?.0).ok()?.try_into().ok(),
        _ => None,
    }
}

/// No list in Iceberg's files has values that take no bytes, of which there could be any number.
fn is_known((key, schema): &Entry<'_>) -> bool {
    *key != b"avro.schema" || serde_json::from_slice(schema).is_ok_and(|schema| takes_bytes(&schema))
}

fn takes_bytes(schema: &Value) -> bool {
    match schema {
        Value::Array(parts) => parts.iter().all(takes_bytes),
        Value::Object(parts) => {
            let is_list = parts.get("type").is_some_and(|of| of == "array" || of == "map");
            let listed = parts.get("items").or_else(|| parts.get("values"));
            let is_empty = |of: &Value| {
                of == "null"
                    || of.get("type").is_some_and(|of| of == "null")
                    || of.get("fields").is_some_and(|of| *of == json!([]))
                    || of.get("size").is_some_and(|size| *size == json!(0))
            };
            !(is_list && listed.is_none_or(is_empty)) && parts.values().all(takes_bytes)
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_nothing_are_refused() {
        for (schema, expected) in [
            (
                json!({"type": "record", "fields": [{"name": "a", "type": ["null", {"type": "array", "items": "long"}]}]}),
                true,
            ),
            (json!({"type": "record", "fields": [{"name": "a", "type": ["null", "int"]}]}), true),
            (json!({"type": "array", "items": "null"}), false),
            (json!({"type": "array", "items": {"type": "null"}}), false),
            (json!({"type": "map", "values": "string"}), true),
            (json!({"type": "array"}), false),
            (
                json!({"type": "record", "fields": [{"name": "a", "type": {"type": "array", "items": {"type": "record", "fields": []}}}]}),
                false,
            ),
            (json!({"type": "array", "items": {"type": "fixed", "size": 0}}), false),
        ] {
            assert_eq!(takes_bytes(&schema), expected, "{schema}");
        }
    }

    #[test]
    fn a_header_has_no_more_entries_than_it_has_bytes() {
        let mut file = b"Obj\x01".to_vec();
        file.extend([0x80, 0x80, 0x80, 0x80, 0x02]);
        assert!(!is_harmless(&file));
        assert!(is_harmless(b"no Avro at all"));
    }

    /// A file of one block.
    fn file(codec: &str, block: &[u8]) -> Vec<u8> {
        let mut file = b"Obj\x01\x02".to_vec();
        let text = |file: &mut Vec<u8>, text: &[u8]| {
            let mut length = text.len() << 1;
            while length >= 0x80 {
                file.push(length as u8 | 0x80);
                length >>= 7;
            }
            file.push(length as u8);
            file.extend_from_slice(text);
        };
        text(&mut file, b"avro.codec");
        text(&mut file, codec.as_bytes());
        file.extend([0; 17]);
        file.push(2);
        text(&mut file, block);
        file.extend([0; 16]);
        file
    }

    #[test]
    fn blocks_are_no_longer_than_a_manifest_can_be() {
        use std::io::Write;
        let plain = vec![0u8; 100_000];
        let mut deflate = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
        deflate.write_all(&plain).unwrap();
        let snappy = [snap::raw::Encoder::new().compress_vec(&plain).unwrap(), vec![0; 4]].concat();
        for (codec, block) in [
            ("deflate", deflate.finish().unwrap()),
            ("zstandard", zstd::encode_all(plain.as_slice(), 0).unwrap()),
            ("snappy", snappy),
        ] {
            assert!(block.len() < 10_000, "{codec}");
            let whole = file(codec, &block);
            assert!(is_bounded(&whole, 100_000).is_some(), "{codec}");
            assert!(is_bounded(&whole, 99_999).is_none(), "{codec}");
            // All blocks count.
            let again = [whole.clone(), whole[file(codec, b"").len() - 18..].to_vec()].concat();
            assert!(is_bounded(&again, 200_000).is_some() && is_bounded(&again, 199_999).is_none(), "{codec}");
            for length in whole.len() - 30..whole.len() {
                assert!(is_bounded(&whole[..length], 100_000).is_none(), "{codec} cut at {length}");
            }
        }
        assert!(!is_harmless(&file("bzip2", b"")), "the library does not know it either");
        assert!(is_harmless(&file("null", b"whatever")));
    }
}
