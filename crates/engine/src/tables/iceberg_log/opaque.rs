//! Types that the Iceberg library does not parse: `unknown`, `variant`, `geometry`, `geography`, and whatever comes.
//!
//! A table that has such a column is readable as long as nobody declares it. The library is given `binary` in its place, in
//! the table's metadata and in its manifests, and the true name is kept by the field's id.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::Value;

/// Names of types that cannot be read, by field id.
pub(super) type Opaque = BTreeMap<i32, String>;

/// How Avro files begin.
pub(super) const AVRO: &[u8] = b"Obj\x01";

/// A key and a value of an Avro file's header.
pub(super) type Entry<'a> = (&'a [u8], &'a [u8]);

/// The type of columns without a value: all are null, and no file has them.
pub(super) const UNKNOWN: &str = "unknown";

const KNOWN: &[&str] = &[
    "boolean",
    "int",
    "long",
    "float",
    "double",
    "date",
    "time",
    "timestamp",
    "timestamptz",
    "timestamp_ns",
    "timestamptz_ns",
    "string",
    "uuid",
    "binary",
];

/// What the library does not know in the schemas of a table's metadata, taken out of it.
pub(super) fn of_metadata(metadata: &mut Value) -> Opaque {
    let mut found = Opaque::new();
    let old = metadata.get_mut("schema").and_then(|schema| schema.get_mut("fields")).into_iter();
    for fields in old {
        of_fields(fields, &mut found);
    }
    for schema in metadata.get_mut("schemas").and_then(Value::as_array_mut).into_iter().flatten() {
        schema.get_mut("fields").into_iter().for_each(|fields| of_fields(fields, &mut found));
    }
    found
}

fn of_fields(fields: &mut Value, found: &mut Opaque) {
    for field in fields.as_array_mut().into_iter().flatten() {
        of_type(field, "id", "type", found);
    }
}

/// Below `owner`: its type, and the id of the field that has the type.
fn of_type(owner: &mut Value, id: &str, key: &str, found: &mut Opaque) {
    let id = owner.get(id).and_then(Value::as_i64).and_then(|id| i32::try_from(id).ok());
    let Some(of) = owner.get_mut(key) else { return };
    match of {
        Value::String(name) => {
            let is_known = KNOWN.contains(&name.as_str()) || name.starts_with("decimal(") || name.starts_with("fixed[");
            if let (false, Some(id)) = (is_known, id) {
                found.insert(id, std::mem::replace(name, "binary".to_owned()));
            }
        }
        Value::Object(_) => {
            of.get_mut("fields").into_iter().for_each(|fields| of_fields(fields, found));
            of_type(of, "element-id", "element", found);
            of_type(of, "value-id", "value", found);
        }
        _ => {}
    }
}

/// A manifest whose header the library can read: without types that it does not know, and without fields of partitions that
/// were dropped and kept the name of their column. None if it is no Avro file, or has nothing to change.
pub(super) fn of_manifest(file: &[u8]) -> Option<Bytes> {
    let (entries, rest) = header(file)?;
    let changed: Vec<Option<String>> = entries.iter().map(|(key, value)| changed(key, value)).collect();
    if changed.iter().all(Option::is_none) {
        return None;
    }
    let mut out = AVRO.to_vec();
    write_long(&mut out, i64::try_from(entries.len()).ok()?);
    for ((key, value), changed) in entries.into_iter().zip(&changed) {
        for part in [key, changed.as_ref().map_or(value, |changed| changed.as_bytes())] {
            write_long(&mut out, i64::try_from(part.len()).ok()?);
            out.extend_from_slice(part);
        }
    }
    write_long(&mut out, 0);
    out.extend_from_slice(rest);
    Some(Bytes::from(out))
}

/// The entries of an Avro file's header, and what follows them. None if it is no Avro file.
pub(super) fn header(file: &[u8]) -> Option<(Vec<Entry<'_>>, &[u8])> {
    let mut rest = file.strip_prefix(AVRO)?;
    let mut entries = Vec::new();
    loop {
        let count = match long(&mut rest)? {
            0 => return Some((entries, rest)),
            count if count < 0 => {
                long(&mut rest)?;
                count.checked_neg()?
            }
            count => count,
        };
        for _ in 0..count {
            entries.push((text(&mut rest)?, text(&mut rest)?));
        }
    }
}

/// What becomes of an entry of a manifest's header, if something does.
fn changed(key: &[u8], value: &[u8]) -> Option<String> {
    let mut changed: Value = serde_json::from_slice(value).ok()?;
    match key {
        b"schema" => {
            let mut found = Opaque::new();
            of_fields(changed.get_mut("fields")?, &mut found);
            (!found.is_empty()).then(|| changed.to_string())
        }
        b"partition-spec" => {
            let mut found = false;
            for (at, field) in changed.as_array_mut()?.iter_mut().enumerate() {
                if field.get("transform").is_some_and(|transform| transform == "void") {
                    *field.get_mut("name")? = format!("void_{at}").into();
                    found = true;
                }
            }
            found.then(|| changed.to_string())
        }
        _ => None,
    }
}

/// A number as Avro writes it: zigzag, seven bits a byte, the lowest first.
pub(super) fn long(rest: &mut &[u8]) -> Option<i64> {
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

fn write_long(out: &mut Vec<u8>, value: i64) {
    let mut value = ((value << 1) ^ (value >> 63)) as u64;
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Bytes with their length before them.
pub(super) fn text<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(long(rest)?).ok()?;
    let (text, others) = rest.split_at_checked(length)?;
    *rest = others;
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_types_are_taken_out_at_any_depth() {
        let fields = serde_json::json!([
            {"id": 1, "name": "a", "type": "long"},
            {"id": 2, "name": "v", "type": "variant"},
            {"id": 3, "name": "l", "type": {"type": "list", "element-id": 4, "element": "geometry(srid:4326)"}},
            {"id": 5, "name": "m", "type": {"type": "map", "key-id": 6, "key": "string", "value-id": 7, "value":
                {"type": "struct", "fields": [{"id": 8, "name": "u", "type": "unknown"}, {"id": 9, "name": "d", "type": "decimal(9, 2)"}]}}},
        ]);
        let mut metadata = serde_json::json!({"schemas": [{"fields": fields}], "properties": {"type": "variant"}});
        let found = of_metadata(&mut metadata);
        let shown: Vec<String> = found.iter().map(|(id, name)| format!("{id} {name}")).collect();
        assert_eq!(shown, ["2 variant", "4 geometry(srid:4326)", "8 unknown"]);
        assert_eq!(metadata["schemas"][0]["fields"][1]["type"], "binary");
        assert_eq!(metadata["properties"]["type"], "variant", "no type of a column");
        assert!(of_metadata(&mut metadata).is_empty());
    }

    #[test]
    fn numbers_are_as_avro_writes_them() {
        for value in [0, 1, -1, 63, 64, -64, -65, 300, i64::MAX, i64::MIN] {
            let mut bytes = Vec::new();
            write_long(&mut bytes, value);
            let mut rest = bytes.as_slice();
            assert_eq!((long(&mut rest), rest.len()), (Some(value), 0), "{value}");
        }
        assert_eq!(long(&mut [0x80u8; 12].as_slice()), None);
    }

    #[test]
    fn dropped_fields_of_partitions_lose_their_names() {
        let spec = br#"[{"name":"region","transform":"void","source-id":2},{"name":"n","transform":"bucket[2]"}]"#;
        let expected = r#"[{"name":"void_0","transform":"void","source-id":2},{"name":"n","transform":"bucket[2]"}]"#;
        assert_eq!(changed(b"partition-spec", spec).as_deref(), Some(expected));
        assert_eq!(changed(b"partition-spec", br#"[{"name":"void","transform":"identity"}]"#), None);
        assert_eq!((changed(b"schema-id", b"0"), changed(b"schema", b"{")), (None, None));
    }

    #[test]
    fn headers_are_changed_and_nothing_else() {
        let schema = br#"{"type":"struct","fields":[{"id":1,"name":"v","required":false,"type":"variant"}]}"#;
        let mut file = b"Obj\x01".to_vec();
        write_long(&mut file, 2);
        for part in [b"avro.codec".as_slice(), b"deflate", b"schema", schema] {
            write_long(&mut file, part.len() as i64);
            file.extend_from_slice(part);
        }
        write_long(&mut file, 0);
        let blocks = b"0123456789abcdefblocks";
        file.extend_from_slice(blocks);
        let changed = of_manifest(&file).unwrap();
        assert!(changed.ends_with(blocks));
        assert!(String::from_utf8_lossy(&changed).contains("\"type\":\"binary\""));
        assert_eq!(of_manifest(&changed), None, "nothing is left to change");
        for length in 0..file.len() - blocks.len() {
            assert_eq!(of_manifest(&file[..length]), None, "cut at {length}");
        }
    }
}
