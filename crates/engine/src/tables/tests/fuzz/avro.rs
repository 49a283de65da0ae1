//! Avro files taken apart, so that changes reach what is compressed in them.

use std::io::Read;

use flate2::read::DeflateDecoder;

use super::mutate::{self, Rng, varint};

/// A file of records.
struct Container {
    header: Vec<(Vec<u8>, Vec<u8>)>,
    mark: Vec<u8>,
    /// How many records each block says to have, and its bytes.
    blocks: Vec<(i64, Vec<u8>)>,
}

/// The same file with a few changes, in its records or what its header says of them.
pub(super) fn changed(rng: &mut Rng, file: &[u8]) -> Vec<u8> {
    let Some(mut container) = Container::read(file).filter(|_| !rng.one_in(4)) else {
        return mutate::bytes(rng, file);
    };
    for _ in 0..=rng.below(2) {
        if rng.one_in(4) && !container.header.is_empty() {
            let at = rng.below(container.header.len());
            let value = &mut container.header[at].1;
            *value = mutate::text(rng, value);
        } else if !container.blocks.is_empty() {
            let at = rng.below(container.blocks.len());
            let (count, records) = &mut container.blocks[at];
            match rng.below(12) {
                0 => *count = *rng.pick(&[0, -1, 1, 1 << 20, i64::MAX]),
                _ => *records = mutate::bytes(rng, records),
            }
        }
    }
    container.write()
}

fn number(rest: &mut &[u8]) -> Option<i64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (first, others) = rest.split_first()?;
        *rest = others;
        value |= u64::from(first & 0x7F) << shift;
        if first & 0x80 == 0 {
            return Some((value >> 1) as i64 ^ -((value & 1) as i64));
        }
    }
    None
}

fn part(rest: &mut &[u8]) -> Option<Vec<u8>> {
    let length = usize::try_from(number(rest)?).ok()?;
    let (part, others) = rest.split_at_checked(length)?;
    *rest = others;
    Some(part.to_vec())
}

impl Container {
    /// Without compression.
    fn read(file: &[u8]) -> Option<Self> {
        let mut rest = file.strip_prefix(b"Obj\x01")?;
        let mut header = Vec::new();
        loop {
            let count = number(&mut rest)?;
            if count == 0 {
                break;
            }
            if count < 0 {
                number(&mut rest)?;
            }
            for _ in 0..count.unsigned_abs() {
                header.push((part(&mut rest)?, part(&mut rest)?));
            }
        }
        let (mark, mut rest) = rest.split_at_checked(16)?;
        let codec = header.iter_mut().find(|(key, _)| key == b"avro.codec");
        let codec = codec.map(|(_, codec)| std::mem::replace(codec, b"null".to_vec()));
        let mut blocks = Vec::new();
        while !rest.is_empty() {
            let count = number(&mut rest)?;
            let bytes = part(&mut rest)?;
            let plain = match codec.as_deref() {
                Some(b"deflate") => {
                    let mut plain = Vec::new();
                    DeflateDecoder::new(bytes.as_slice()).read_to_end(&mut plain).ok()?;
                    plain
                }
                None | Some(b"null") => bytes,
                Some(_) => return None,
            };
            blocks.push((count, plain));
            rest = rest.get(16..)?;
        }
        Some(Self { header, mark: mark.to_vec(), blocks })
    }

    fn write(&self) -> Vec<u8> {
        let sized = |out: &mut Vec<u8>, part: &[u8]| {
            out.extend(varint(part.len() as i64));
            out.extend_from_slice(part);
        };
        let mut out = b"Obj\x01".to_vec();
        out.extend(varint(self.header.len() as i64));
        for (key, value) in &self.header {
            sized(&mut out, key);
            sized(&mut out, value);
        }
        out.push(0);
        out.extend_from_slice(&self.mark);
        for (count, records) in &self.blocks {
            out.extend(varint(*count));
            sized(&mut out, records);
            out.extend_from_slice(&self.mark);
        }
        out
    }
}
