//! Numbers that look random and are the same for the same seed on every machine.

/// A counter whose bits are mixed (SplitMix64).
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Of its own for each pair of numbers: what is drawn for one does not depend on the others.
    pub(super) fn of(seed: u64, a: u64, b: u64) -> Self {
        let mut mixed = Self(seed ^ a.rotate_left(32));
        Self(mixed.bits() ^ b)
    }

    pub(super) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^ (bits >> 31)
    }

    /// From 0 to below `end`, which is at least 1.
    pub(super) fn below(&mut self, end: usize) -> usize {
        ((u128::from(self.bits()) * end as u128) >> 64) as usize
    }

    /// From 0 to below 1.
    pub(super) fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Mean 0 and variance 1, nearly normal: the sum of four numbers of 16 bits.
    pub(super) fn normal(&mut self) -> f32 {
        const MEAN: f32 = 131_070.0;
        const DEVIATION: f32 = 37_837.0;
        let bits = self.bits();
        let sum: u64 = (0..4).map(|n| (bits >> (16 * n)) & 0xFFFF).sum();
        (sum as f32 - MEAN) / DEVIATION
    }
}
