//! Durations in manifests: `15m`, `24h`, `1h30m`, `15 minutes`, `PT15M`, `P1D`.

use std::time::Duration;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const WEEK: u64 = 7 * DAY;

/// The duration that a text means. Months and years are no durations.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    let text = text.trim();
    match text.strip_prefix('P') {
        Some(iso) => parse_iso(iso),
        None => sum(text, unit),
    }
}

/// ISO 8601 after its `P`: days and weeks, then `T` and the time.
fn parse_iso(text: &str) -> Option<Duration> {
    let day = |name: &str| match name {
        "W" => Some(WEEK),
        "D" => Some(DAY),
        _ => None,
    };
    let time = |name: &str| match name {
        "H" => Some(HOUR),
        "M" => Some(MINUTE),
        "S" => Some(1),
        _ => None,
    };
    match text.split_once('T') {
        None => sum(text, day),
        Some(("", clock)) => sum(clock, time),
        Some((days, clock)) => sum(days, day)?.checked_add(sum(clock, time)?),
    }
}

fn unit(name: &str) -> Option<u64> {
    match name.to_ascii_lowercase().as_str() {
        "s" | "sec" | "second" | "seconds" => Some(1),
        "m" | "min" | "minute" | "minutes" => Some(MINUTE),
        "h" | "hour" | "hours" => Some(HOUR),
        "d" | "day" | "days" => Some(DAY),
        "w" | "week" | "weeks" => Some(WEEK),
        _ => None,
    }
}

/// Pairs of a whole number and a unit, added up; at least one.
fn sum(text: &str, unit: impl Fn(&str) -> Option<u64>) -> Option<Duration> {
    let mut rest = text;
    let mut seconds = 0u64;
    loop {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, after) = rest.split_at(digits);
        let after = after.trim_start();
        let end = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (name, remaining) = after.split_at(end);
        let part = number.parse::<u64>().ok()?.checked_mul(unit(name)?)?;
        seconds = seconds.checked_add(part)?;
        rest = remaining.trim_start();
        if rest.is_empty() {
            return Some(Duration::from_secs(seconds));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_usual_forms() {
        for (text, seconds) in [
            ("15m", 900),
            ("24h", 86_400),
            ("1h30m", 5_400),
            ("90 s", 90),
            ("15 minutes", 900),
            ("1 hour 1 sec", 3_601),
            ("7d", 604_800),
            ("PT15M", 900),
            ("P1D", 86_400),
            ("P1DT12H", 129_600),
            ("P2W", 1_209_600),
            ("0s", 0),
        ] {
            assert_eq!(parse(text), Some(Duration::from_secs(seconds)), "{text}");
        }
    }

    #[test]
    fn refuses_the_rest() {
        for text in ["", "15", "m", "P", "PT", "P1M", "PT1D", "-5m", "1.5h", "5 lightyears", "99999999999999999999s"] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(parse("18446744073709551615w"), None);
    }
}
