//! Random changes to bytes and texts: as disks, networks and those who mean harm make them.

/// Numbers from a seed, the same each time.
#[derive(Debug)]
pub(in crate::tables) struct Rng(u64);

impl Rng {
    /// From a seed.
    pub(in crate::tables) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Any number (SplitMix64).
    pub(in crate::tables) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`; 0 if there is none.
    pub(in crate::tables) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % (end.max(1) as u64)).unwrap()
    }

    /// Whether one time in so many.
    pub(in crate::tables) fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// One of these.
    pub(in crate::tables) fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

/// What lengths, counts and places are replaced by.
const NUMBERS: &[i64] = &[
    0,
    1,
    -1,
    2,
    127,
    128,
    255,
    256,
    32_767,
    65_535,
    65_536,
    1 << 24,
    1 << 28,
    (1 << 31) - 1,
    1 << 31,
    -(1 << 31),
    (1 << 32) - 1,
    1 << 40,
    1 << 62,
    i64::MAX,
    i64::MIN,
];

/// What tokens of JSON and YAML are replaced by.
const TOKENS: &[&str] = &[
    "0",
    "-0",
    "1",
    "-1",
    "2",
    "3",
    "4",
    "128",
    "2147483647",
    "2147483648",
    "-2147483649",
    "4294967296",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "1e308",
    "1e-308",
    "-1e999",
    "0.1",
    "1.5",
    "null",
    "true",
    "false",
    "{}",
    "[]",
    "[{}]",
    "\"\"",
    "\" \"",
    "\"0\"",
    "\"-1\"",
    "\"NaN\"",
    "\"a/../../b\"",
    "\"file:///etc/hostname\"",
    "\"s3://other/x\"",
    "\"\\u0000\"",
    "\"\\ud83d\\ude00\"",
    "\"9999-12-31\"",
    "\"+262143-12-31\"",
    "\"-262144-01-01T00:00:00\"",
    "\"1969-12-31T23:59:59.999999Z\"",
    "\"decimal(39,40)\"",
    "\"decimal(0,0)\"",
    "\"fixed[0]\"",
    "\"fixed[99999999999]\"",
    "\"list<list<list<int>>>\"",
    "\"struct<a:int,a:int>\"",
    "\"variant\"",
    "\"bucket[0]\"",
    "\"truncate[0]\"",
    "\"truncate[4294967295]\"",
    "\"void\"",
    "\"99999999999999999999999999\"",
];

/// The same bytes with a few changes.
pub(in crate::tables) fn bytes(rng: &mut Rng, of: &[u8]) -> Vec<u8> {
    let mut bytes = of.to_vec();
    for _ in 0..=rng.below(3) {
        change(rng, &mut bytes);
    }
    bytes
}

fn change(rng: &mut Rng, bytes: &mut Vec<u8>) {
    let at = rng.below(bytes.len());
    let end = (at + 1 + rng.below(64)).min(bytes.len());
    let number = *rng.pick(NUMBERS);
    match rng.below(10) {
        0 | 1 if !bytes.is_empty() => bytes[at] ^= 1 << rng.below(8),
        2 if !bytes.is_empty() => bytes[at] = *rng.pick(&[0, 1, 0x7F, 0x80, 0xFE, 0xFF]),
        3 => bytes.truncate(at),
        4 => drop(bytes.drain(at..end)),
        5 => {
            let again = bytes[at..end].to_vec();
            bytes.splice(at..at, again);
        }
        6 => overwrite(bytes, at, &number.to_le_bytes()[..*rng.pick(&[2, 4, 8])]),
        7 => overwrite(bytes, at, &number.to_be_bytes()[8 - *rng.pick(&[2, 4, 8])..]),
        8 => overwrite(bytes, at, &varint(number)),
        _ => drop(bytes.splice(at..(at + 1).min(bytes.len()), varint(number))),
    }
}

fn overwrite(bytes: &mut [u8], at: usize, by: &[u8]) {
    for (byte, by) in bytes[at..].iter_mut().zip(by) {
        *byte = *by;
    }
}

/// A number as Avro and Thrift write it: zigzag, seven bits a byte, the lowest first.
pub(super) fn varint(number: i64) -> Vec<u8> {
    let mut value = ((number << 1) ^ (number >> 63)) as u64;
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// The same text with a few of its tokens or lines changed; at times, with changes to its bytes.
pub(in crate::tables) fn text(rng: &mut Rng, of: &[u8]) -> Vec<u8> {
    if rng.one_in(6) {
        return bytes(rng, of);
    }
    let mut text = of.to_vec();
    for _ in 0..=rng.below(3) {
        let tokens = tokens(&text);
        if tokens.is_empty() {
            return text;
        }
        let (start, end) = *rng.pick(&tokens);
        match rng.below(12) {
            0 => drop(text.drain(start..end)),
            1 => {
                let (from, to) = *rng.pick(&tokens);
                let other = text[from..to].to_vec();
                text.splice(start..end, other);
            }
            2 | 3 => change_lines(rng, &mut text),
            4 => {
                let open = *rng.pick(&["[", "{\"a\":", "- ", "&a [*a, "]);
                let deep = open.repeat(1 + rng.below(400));
                text.splice(start..end, deep.into_bytes());
            }
            5 => {
                let long = format!("\"{}\"", "x".repeat(rng.below(20_000)));
                text.splice(start..end, long.into_bytes());
            }
            _ => drop(text.splice(start..end, rng.pick(TOKENS).bytes())),
        }
    }
    text
}

fn change_lines(rng: &mut Rng, text: &mut Vec<u8>) {
    let mut lines: Vec<Vec<u8>> = text.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    let (one, other) = (rng.below(lines.len()), rng.below(lines.len()));
    match rng.below(3) {
        0 => drop(lines.remove(one)),
        1 => lines.swap(one, other),
        _ => lines.insert(one, lines[other].clone()),
    }
    *text = lines.join(&b'\n');
}

/// Where the strings, numbers and words of a text are. A text within JSON's strings has tokens of its own.
fn tokens(text: &[u8]) -> Vec<(usize, usize)> {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'+' | b'_' | b'/' | b'%');
    let (mut found, mut at) = (Vec::new(), 0);
    while at < text.len() {
        let start = at;
        if text[at] == b'"' {
            let end = text[at + 1..].iter().position(|byte| *byte == b'"').map_or(text.len(), |end| at + end + 2);
            found.push((start, end));
            // What is within is a token, too.
            at += 1;
        } else if is_word(text[at]) {
            while at < text.len() && is_word(text[at]) {
                at += 1;
            }
            found.push((start, at));
        } else {
            at += 1;
        }
    }
    found
}
