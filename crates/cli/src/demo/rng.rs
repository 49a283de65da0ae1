//! A small counter-based random number generator (SplitMix64): row `i` of stream `s` has the same numbers on every
//! machine, in whatever order and in however many batches rows are made.

/// The seed of the demo's data; a change of it is a change of [`super::lake::GENERATOR`].
const SEED: u64 = 0x7072_7463_756C_6C73;

/// The random numbers of one row.
pub struct Rng(u64);

impl Rng {
    /// The numbers of row `index` in stream `stream` (one stream for each kind of thing).
    pub fn at(stream: u64, index: u64) -> Self {
        let mut rng =
            Self(SEED ^ stream.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ index.wrapping_mul(0xD1B5_4A32_D192_ED03));
        rng.next();
        rng
    }

    /// The next 64 bits.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number in `0..bound`; 0 if `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.next() % bound }
    }

    /// A number in `low..=high`.
    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        let span = high.saturating_sub(low).unsigned_abs().saturating_add(1);
        low.saturating_add_unsigned(self.below(span))
    }

    /// A number in `[0, 1)`.
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// True in `percent` of 100 cases.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of `choices`, each as likely as the next.
    pub fn pick<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        let index = self.below(choices.len() as u64) as usize;
        choices.get(index).copied().unwrap_or_default()
    }

    /// A number in `0..bound`, small ones more often: a few customers order a lot.
    pub fn skewed(&mut self, bound: u64) -> u64 {
        let u = self.unit();
        ((u * u) * bound as f64) as u64
    }
}
