//! A table's metadata, from its file or from a catalogue.

use std::io::Read;
use std::sync::Arc;

use flate2::read::GzDecoder;
use iceberg::spec::{TableMetadata, TableMetadataRef};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use serde_json::Value;

use super::opaque::{self, Opaque};
use crate::tables::fault::Fault;
use crate::tables::store::TableRoot;

/// Longer metadata is not read.
const LONGEST: u64 = 256 << 20;
/// How a compressed file begins, whatever its name is.
const GZIP: &[u8] = &[0x1F, 0x8B];

/// Metadata, and the types in it that the library does not know.
pub(super) type Parsed = (TableMetadataRef, Arc<Opaque>);

/// The metadata in a file.
pub(super) async fn read(root: &TableRoot, path: &Path) -> Result<Parsed, Fault> {
    let failed = |error: object_store::Error| Fault::store(&root.root.connection, &error);
    let bytes = root.store.get(path).await.map_err(failed)?.bytes().await.map_err(failed)?;
    parse(&bytes, LONGEST).ok_or_else(|| invalid().in_file(path.as_ref()))
}

/// Of metadata that cannot be understood.
pub(super) fn invalid() -> Fault {
    Fault::Corrupt("its Iceberg metadata is invalid".into())
}

fn parse(bytes: &[u8], longest: u64) -> Option<Parsed> {
    let mut plain = Vec::new();
    let text = if bytes.starts_with(GZIP) {
        GzDecoder::new(bytes).take(longest + 1).read_to_end(&mut plain).ok()?;
        plain.as_slice()
    } else {
        bytes
    };
    if text.len() as u64 > longest {
        return None;
    }
    match serde_json::from_slice::<TableMetadata>(text) {
        Ok(metadata) => Some((Arc::new(metadata), Arc::default())),
        Err(_) => with_opaque(serde_json::from_slice(text).ok()?),
    }
}

/// The same of metadata that the library does not understand as it is, if that is for types that it does not know.
pub(super) fn with_opaque(mut metadata: Value) -> Option<Parsed> {
    let opaque = opaque::of_metadata(&mut metadata);
    if opaque.is_empty() {
        return None;
    }
    let metadata: TableMetadata = serde_json::from_value(metadata).ok()?;
    Some((Arc::new(metadata), Arc::new(opaque)))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn metadata(of: &str) -> String {
        let field =
            |id: i32, name: &str, of: &str| format!(r#"{{"id":{id},"name":"{name}","required":false,"type":"{of}"}}"#);
        let fields = [field(1, "id", "long"), field(2, "v", of)].join(",");
        format!(
            r#"{{"format-version":3,"table-uuid":"9c12d441-03fe-4693-9a96-a0705ddf69c1","location":"s3://b/t","last-sequence-number":0,
            "last-updated-ms":1,"last-column-id":2,"next-row-id":0,"current-schema-id":0,
            "schemas":[{{"type":"struct","schema-id":0,"fields":[{fields}]}}],"default-spec-id":0,
            "partition-specs":[{{"spec-id":0,"fields":[]}}],"last-partition-id":999,"default-sort-order-id":0,
            "sort-orders":[{{"order-id":0,"fields":[]}}]}}"#
        )
    }

    fn compressed(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn compressed_metadata_is_read_and_its_types_are_known_by_name() {
        for (of, expected) in [("string", None), ("variant", Some("variant")), ("unknown", Some("unknown"))] {
            let plain = metadata(of).into_bytes();
            for bytes in [plain.clone(), compressed(&plain)] {
                let (metadata, opaque) = parse(&bytes, LONGEST).unwrap();
                assert_eq!(metadata.current_schema().as_struct().fields().len(), 2);
                assert_eq!(opaque.get(&2).map(String::as_str), expected);
            }
        }
    }

    #[test]
    fn what_is_no_metadata_is_nothing() {
        let whole = compressed(metadata("variant").as_bytes());
        for length in 0..whole.len() {
            assert!(parse(&whole[..length], LONGEST).is_none(), "cut at {length}");
        }
        for bytes in [b"", b"{}".as_slice(), GZIP] {
            assert!(parse(bytes, LONGEST).is_none());
        }
    }

    #[test]
    fn a_file_that_grows_without_end_is_not_read() {
        let long = metadata("string") + &" ".repeat(10_000);
        let limit = long.len() as u64;
        for bytes in [long.clone().into_bytes(), compressed(long.as_bytes())] {
            assert!(parse(&bytes, limit).is_some() && parse(&bytes, limit - 1).is_none());
        }
    }
}
