//! Random and special numbers for tests, and how two results are compared bit for bit.

/// Xorshift: the same numbers everywhere.
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Rng {
        Rng(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// From -1 to 1.
    pub(crate) fn float(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    pub(crate) fn floats(&mut self, len: usize) -> Vec<f32> {
        (0..len).map(|_| self.float()).collect()
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| (self.next() >> 32) as u8).collect()
    }
}

/// What may go wrong in one number.
pub(crate) const SPECIALS: [f32; 16] = [
    0.0,
    -0.0,
    1.0,
    f32::MIN_POSITIVE,
    -f32::MIN_POSITIVE,
    1e-45,
    -1e-45,
    3e-39,
    f32::MAX,
    f32::MIN,
    88.8,
    -103.9,
    20.0,
    f32::INFINITY,
    f32::NEG_INFINITY,
    f32::NAN,
];

/// Kinds of input: ordinary, subnormal, huge, and with every special number strewn in.
pub(crate) const KINDS: usize = 4;

pub(crate) fn kind(rng: &mut Rng, kind: usize, len: usize) -> Vec<f32> {
    let mut numbers = rng.floats(len);
    for x in &mut numbers {
        match kind {
            0 => *x *= 4.0,
            1 => *x *= 1e-38,
            2 => *x *= 1e19,
            _ if rng.next().is_multiple_of(4) => *x = SPECIALS[rng.next() as usize % 16],
            _ => {}
        }
    }
    numbers
}

/// Equal bits; a NaN equals every NaN.
#[track_caller]
pub(crate) fn assert_same_bits(found: &[f32], expected: &[f32], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}: lengths");
    for (i, (a, b)) in found.iter().zip(expected).enumerate() {
        let same = a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
        assert!(same, "{what}, element {i}: {a:e} ({:#010x}) is not {b:e}", a.to_bits());
    }
}
