//! What somebody may have meant.

/// Longest name that is compared: names from files may be of any length.
const MAX_CHARS: usize = 64;

/// The candidate most like `given`, if one is close: a few letters off, or equal but for case, `_` and `-`.
pub fn nearest<'a>(given: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let given_chars: Vec<char> = given.chars().take(MAX_CHARS + 1).collect();
    if given_chars.is_empty() || given_chars.len() > MAX_CHARS {
        return None;
    }
    let folded = fold(given);
    let limit = (given_chars.len() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let distance = if fold(candidate) == folded { 0 } else { distance(&given_chars, candidate) };
            (distance <= limit).then_some((distance, candidate))
        })
        .min()
        .map(|(_, candidate)| candidate)
}

/// The hint for a name that does not exist: the nearest candidate, or all of them where they are few.
pub fn did_you_mean<'a>(given: &str, candidates: &[&'a str]) -> Option<String> {
    match nearest(given, candidates.iter().copied()) {
        Some(candidate) => Some(format!("did you mean `{candidate}`?")),
        None if candidates.is_empty() || candidates.len() > 40 => None,
        None => {
            let mut sorted: Vec<&'a str> = candidates.to_vec();
            sorted.sort_unstable();
            sorted.dedup();
            Some(format!("known: {}", sorted.join(", ")))
        }
    }
}

fn fold(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, '_' | '-' | ' ')).flat_map(char::to_lowercase).collect()
}

/// Edit distance with transpositions of neighbours (optimal string alignment).
fn distance(given: &[char], candidate: &str) -> usize {
    let other: Vec<char> = candidate.chars().take(MAX_CHARS).collect();
    let at = |row: &[usize], index: usize| row.get(index).copied().unwrap_or(usize::MAX / 2);
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in given.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in other.iter().enumerate() {
            let mut best = (at(&above, j) + usize::from(a != b)).min(at(&above, j + 1) + 1).min(at(&row, j) + 1);
            let swapped = i > 0 && j > 0 && given.get(i - 1) == Some(b) && other.get(j - 1) == Some(a);
            if swapped {
                best = best.min(at(&before, j - 1) + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut above, row);
    }
    at(&above, other.len())
}
