use super::*;

fn kept(deleted: &[u64], rows: u64) -> Vec<u64> {
    let selection = selection(&deleted.iter().copied().collect(), rows).unwrap();
    let (mut kept, mut at) = (Vec::new(), 0);
    for selector in selection.iter() {
        let end = at + selector.row_count as u64;
        if !selector.skip {
            kept.extend(at..end);
        }
        at = end;
    }
    assert_eq!(at, rows, "a selection covers the whole file");
    kept
}

#[test]
fn selections_keep_what_is_not_deleted() {
    for (deleted, rows) in [
        (vec![], 4),
        (vec![0], 4),
        (vec![3], 4),
        (vec![0, 1, 2, 3], 4),
        (vec![1, 2, 4, 5, 9], 10),
        (vec![0, 2, 4, 6, 8], 10),
        ((0..1000).filter(|row| row % 3 != 1).collect(), 1000),
    ] {
        let expected: Vec<u64> = (0..rows).filter(|row| !deleted.contains(row)).collect();
        assert_eq!(kept(&deleted, rows), expected, "{deleted:?} of {rows}");
    }
}

#[test]
fn deletes_beyond_the_file_are_refused() {
    let error = selection(&[4u64].into_iter().collect(), 4).unwrap_err();
    assert!(matches!(error, Fault::Corrupt(_)));
}

#[test]
fn bitmaps_need_their_magic_number_and_their_end() {
    let rows: RoaringTreemap = [1u64, 5, 1 << 40].into_iter().collect();
    let mut bytes = MAGIC.to_vec();
    rows.serialize_into(&mut bytes).unwrap();
    assert_eq!(parse_bitmap(&bytes).unwrap(), rows);
    assert!(parse_bitmap(bytes.get(1..).unwrap()).is_err());
    assert!(parse_bitmap(bytes.get(..bytes.len() - 1).unwrap()).is_err());
}

#[test]
fn the_checksum_is_the_usual_one() {
    assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
}
