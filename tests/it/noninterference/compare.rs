//! Whether two responses are the same, and where they are not.

use super::wire::Response;

/// What of the rows is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// Every byte of every message.
    Ordered,
    /// The rows, sorted: what runs side by side gives them no order. How they were put into messages is not compared; nor are those
    /// that came before an error, for how many is a matter of time.
    Sorted,
    /// How many there are: a function of rows in the order in which partitions were ready.
    Counted,
}

/// The first difference of two responses, in words; none if everything that is to be compared is the same.
pub fn difference(one: &Response, other: &Response, compared: Rows) -> Option<String> {
    let ordered = compared == Rows::Ordered;
    let of_rows = |name: &str| name.starts_with("message ") && !ordered;
    let parts = |response: &Response| -> Vec<(String, Vec<u8>)> {
        let mut first = true;
        let kept = response.parts.iter().filter(|(name, _)| {
            // The first message is the schema: that is compared in any case.
            let schema = std::mem::take(&mut first) && name.starts_with("message ");
            schema || !of_rows(name)
        });
        kept.cloned().collect()
    };
    let (left, right) = (parts(one), parts(other));
    for at in 0..left.len().max(right.len()) {
        let nothing = ("nothing more".to_owned(), Vec::new());
        let (a, b) = (left.get(at).unwrap_or(&nothing), right.get(at).unwrap_or(&nothing));
        if a == b {
            continue;
        }
        if a.0.starts_with("message ") && b.0.starts_with("message ") {
            return Some(rows(one, other).unwrap_or_else(|| format!("{} differs: {}", a.0, bytes(&a.1, &b.1))));
        }
        return Some(format!("{}\n  and\n{}", shown(a), shown(b)));
    }
    let failed = one.parts.iter().any(|(name, _)| name == "error");
    if ordered || failed {
        return None;
    }
    let (mut left, mut right) = (one.rows(), other.rows());
    if compared == Rows::Counted {
        return (left.len() != right.len()).then(|| format!("{} rows and {} rows", left.len(), right.len()));
    }
    left.sort_unstable();
    right.sort_unstable();
    first(&left, &right)
}

fn rows(one: &Response, other: &Response) -> Option<String> {
    first(&one.rows(), &other.rows())
}

fn first(left: &[String], right: &[String]) -> Option<String> {
    let counts = format!("{} rows and {} rows", left.len(), right.len());
    for at in 0..left.len().max(right.len()) {
        let (a, b) = (left.get(at), right.get(at));
        if a != b {
            return Some(format!("{counts}; row {at} is\n{}\n  and\n{}", clipped(a), clipped(b)));
        }
    }
    None
}

fn clipped(row: Option<&String>) -> String {
    row.map_or("missing".to_owned(), |row| row.chars().take(600).collect())
}

fn shown((name, bytes): &(String, Vec<u8>)) -> String {
    let text = String::from_utf8_lossy(bytes);
    format!("{name}: {}", text.chars().take(1_000).collect::<String>())
}

fn bytes(one: &[u8], other: &[u8]) -> String {
    let at = one.iter().zip(other).take_while(|(a, b)| a == b).count();
    let around = |bytes: &[u8]| {
        let window = bytes.get(at.saturating_sub(8)..(at + 40).min(bytes.len())).unwrap_or_default();
        String::from_utf8_lossy(window).into_owned()
    };
    format!("{} and {} bytes, from byte {at}: {:?} and {:?}", one.len(), other.len(), around(one), around(other))
}

#[cfg(test)]
mod tests {
    use super::super::wire::Response;
    use super::{Rows, difference};

    fn response(parts: &[(&str, &str)]) -> Response {
        let parts = parts.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.as_bytes().to_vec())).collect();
        Response { parts, ..Response::default() }
    }

    #[test]
    fn every_part_counts() {
        let one = response(&[("flight info", "a"), ("message header", "b"), ("message body", "c")]);
        assert_eq!(difference(&one, &one, Rows::Ordered), None);
        for other in [
            response(&[("flight info", "a"), ("message header", "b"), ("message body", "d")]),
            response(&[("flight info", "x"), ("message header", "b"), ("message body", "c")]),
            response(&[("flight info", "a"), ("message header", "b")]),
            response(&[("flight info", "a"), ("error", "b")]),
        ] {
            assert!(difference(&one, &other, Rows::Ordered).is_some(), "{other:?}");
            assert!(difference(&other, &one, Rows::Ordered).is_some(), "{other:?}");
        }
    }
}
