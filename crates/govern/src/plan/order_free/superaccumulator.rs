//! Sums of floating-point numbers that are the same in whatever order, and from whatever parts, they are added up.
//!
//! A number of 64 bits is a whole multiple of 2⁻¹⁰⁷⁴. Its digits are added, as whole numbers, to bins of 64 bits at fixed places; a bin has
//! 63 bits more than it needs for one number. Whole numbers have no order of addition. Not all bins are kept, but those below the largest
//! number's first digit: of a smaller number what lies below is cut off, and which bins are below follows from the largest number alone.
//! This is the binned form of reproducible summation (Demmel, Ahrens, Nguyen: "Efficient Reproducible Floating Point Summation and BLAS",
//! UCB/EECS-2016-121), with whole numbers in place of floating-point bins.

use datafusion::common::{Result, internal_datafusion_err};

/// Bits of a bin.
const WIDTH: u64 = 64;

/// Bins that every finite number has room in: 2,098 bits.
pub(super) const ALL: usize = 33;

/// The exponent of the first bin's unit.
const SMALLEST: i64 = -1074;

const FRACTION_BITS: u64 = 52;

/// The sum of the numbers so far, exact but for `count` times less than 2⁻⁶⁴ of the largest number; with [`ALL`] bins, exact.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Superaccumulator<const BINS: usize> {
    bins: [i128; BINS],
    count: u64,
    /// Numbers that are not finite: NaN, +∞, -∞.
    special: [u32; 3],
    /// The place of the first bin that is kept.
    base: u8,
}

impl<const BINS: usize> Default for Superaccumulator<BINS> {
    fn default() -> Self {
        Self { bins: [0; BINS], count: 0, special: [0; 3], base: 0 }
    }
}

impl<const BINS: usize> Superaccumulator<BINS> {
    /// Length in bytes of what [`Self::to_bytes`] gives.
    pub const SIZE: usize = 16 * BINS + 8 + 12 + 1;

    pub fn count(&self) -> u64 {
        self.count
    }

    pub fn add(&mut self, value: f64) {
        self.count += 1;
        match special(value).and_then(|kind| self.special.get_mut(kind)) {
            Some(count) => *count = count.saturating_add(1),
            None => self.put(value),
        }
    }

    /// Takes back a number that was added. Only with [`ALL`] bins is it as if the number had never been there.
    pub fn remove(&mut self, value: f64) {
        self.count = self.count.saturating_sub(1);
        match special(value).and_then(|kind| self.special.get_mut(kind)) {
            Some(count) => *count = count.saturating_sub(1),
            None => self.put(-value),
        }
    }

    pub fn merge(&mut self, other: &Self) {
        self.count += other.count;
        for (mine, more) in self.special.iter_mut().zip(other.special) {
            *mine = mine.saturating_add(more);
        }
        self.rise(other.base);
        for (place, bin) in (usize::from(other.base)..).zip(other.bins) {
            if let Some(mine) = self.bin(place) {
                *mine += bin;
            }
        }
    }

    /// The sum, rounded once to the nearest number; `None` of no numbers.
    pub fn sum(&self) -> Option<f64> {
        match self.special {
            _ if self.count == 0 => None,
            [0, 0, 0] => Some(self.finite()),
            [0, _, 0] => Some(f64::INFINITY),
            [0, 0, _] => Some(f64::NEG_INFINITY),
            _ => Some(f64::NAN),
        }
    }

    fn put(&mut self, value: f64) {
        let bits = value.to_bits();
        let (exponent, fraction) = ((bits >> FRACTION_BITS) & 0x7ff, bits & ((1 << FRACTION_BITS) - 1));
        let (mantissa, position) = match exponent {
            0 => (fraction, 0),
            _ => (fraction | 1 << FRACTION_BITS, exponent - 1),
        };
        if mantissa == 0 {
            return;
        }
        let digits = i128::from(mantissa) << (position % WIDTH);
        let (low, high) = (digits & i128::from(u64::MAX), digits >> WIDTH);
        let place = (position / WIDTH) as u8;
        // A number that has its first digit in the one bin has 64 more below.
        self.rise(if high == 0 { place.saturating_sub(1) } else { place });
        for (place, piece) in [(place, low), (place + 1, high)] {
            if let Some(bin) = self.bin(usize::from(place)) {
                *bin += if value < 0.0 { -piece } else { piece };
            }
        }
    }

    /// The bin at a place; `None` below those that are kept.
    fn bin(&mut self, place: usize) -> Option<&mut i128> {
        self.bins.get_mut(place.checked_sub(usize::from(self.base))?)
    }

    /// Keeps the bins from a place on, or from a higher one if it does so already.
    fn rise(&mut self, base: u8) {
        let base = base.min((ALL - BINS) as u8);
        if base <= self.base {
            return;
        }
        let by = usize::from(base - self.base).min(BINS);
        self.bins.copy_within(by.., 0);
        self.bins.iter_mut().rev().take(by).for_each(|bin| *bin = 0);
        self.base = base;
    }

    fn finite(&self) -> f64 {
        let carry = self.bins.iter().fold(0, |carry, bin| (bin + carry) >> WIDTH);
        match carry < 0 {
            true => -rounded(self.bins.iter().map(|bin| -bin), self.base),
            false => rounded(self.bins.iter().copied(), self.base),
        }
    }

    pub fn to_bytes(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(Self::SIZE);
        self.bins.iter().for_each(|bin| bytes.extend(bin.to_le_bytes()));
        bytes.extend(self.count.to_le_bytes());
        self.special.iter().for_each(|count| bytes.extend(count.to_le_bytes()));
        bytes.push(self.base);
        bytes
    }

    /// # Errors
    /// Internal, if these are not the bytes of a sum.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let unfit = || internal_datafusion_err!("{} bytes are no state of a sum", bytes.len());
        let mut read = Self::default();
        let mut rest = bytes;
        for bin in &mut read.bins {
            *bin = i128::from_le_bytes(*rest.split_off(..16).and_then(|part| part.first_chunk()).ok_or_else(unfit)?);
        }
        read.count = u64::from_le_bytes(*rest.split_off(..8).and_then(|part| part.first_chunk()).ok_or_else(unfit)?);
        for count in &mut read.special {
            *count = u32::from_le_bytes(*rest.split_off(..4).and_then(|part| part.first_chunk()).ok_or_else(unfit)?);
        }
        match rest {
            [base] if usize::from(*base) <= ALL - BINS => Ok(Self { base: *base, ..read }),
            _ => Err(unfit()),
        }
    }
}

/// What kind of number it is, if it is not finite.
fn special(value: f64) -> Option<usize> {
    match value {
        _ if value.is_finite() => None,
        _ if value.is_nan() => Some(0),
        _ if value > 0.0 => Some(1),
        _ => Some(2),
    }
}

/// The number nearest to the sum of bins, the first of which is at `base`. The sum must not be negative.
fn rounded(bins: impl Iterator<Item = i128>, base: u8) -> f64 {
    let (mut carry, mut below, mut sticky) = (0_i128, None, false);
    // The first digit that is not 0, with the one below it, and whether there is more below that.
    let mut number = 0.0;
    for (place, bin) in (i64::from(base)..).zip(bins.chain([0])) {
        let total = bin + carry;
        carry = total >> WIDTH;
        let digit = total as u64;
        if digit != 0 {
            let places = u128::from(digit);
            number = match below {
                None => places as f64 * power(WIDTH as i64 * place + SMALLEST),
                Some(low) => {
                    let places = places << WIDTH | u128::from(low) | u128::from(sticky);
                    places as f64 * power(WIDTH as i64 * (place - 1) + SMALLEST)
                }
            };
        }
        sticky |= below.is_some_and(|low| low != 0);
        below = Some(digit);
    }
    number
}

/// Two to the power of an exponent from -1074 to 1023.
fn power(exponent: i64) -> f64 {
    match exponent {
        -1022.. => f64::from_bits(((exponent + 1023) as u64) << FRACTION_BITS),
        _ => f64::from_bits(1 << (exponent - SMALLEST)),
    }
}
