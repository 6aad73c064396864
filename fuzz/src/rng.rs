//! A small seeded generator: the same seed breaks the same thing on every machine.

/// SplitMix64: one addition and three mixing steps a draw.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// The generator of one iteration of a run.
    #[must_use]
    pub fn new(seed: u64, iteration: u64) -> Self {
        let mut rng = Self(seed ^ iteration.wrapping_mul(0xD134_2543_DE82_EF95));
        rng.draw();
        rng
    }

    /// The next 64 bits.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Below `end`; 0 when `end` is 0, so that empty inputs need no case of their own.
    pub fn below(&mut self, end: usize) -> usize {
        if end == 0 { 0 } else { (self.draw() % end as u64) as usize }
    }

    /// Once in `n` draws.
    pub fn once_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// One of a list that is not empty.
    pub fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }

    /// A start and an end inside `len`, mostly close together.
    pub fn range(&mut self, len: usize) -> std::ops::Range<usize> {
        let start = self.below(len);
        let longest = if self.once_in(4) { len } else { 16 };
        start..(start + 1 + self.below(longest)).min(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers() {
        // The published first draws of SplitMix64 from the state 1234567.
        let mut rng = Rng(1_234_567);
        let draws: Vec<u64> = (0..3).map(|_| rng.draw()).collect();
        let want =
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!(draws, want, "SplitMix64");
    }

    #[test]
    fn ranges_stay_inside() {
        let mut rng = Rng::new(1, 2);
        for len in 0..200 {
            let range = rng.range(len);
            assert!(range.start <= range.end && range.end <= len, "{range:?} of {len}");
        }
    }
}
