//! Random numbers that are the same on every machine: integers and `libm`, nothing of the system's.

/// One stream of numbers (xoshiro256++).
pub(crate) struct Noise {
    state: [u64; 4],
}

impl Noise {
    /// The stream that belongs to `name`. It does not depend on what else is drawn, so a tensor
    /// keeps its values when the tensors around it are stored differently or left out.
    pub(crate) fn named(seed: u64, name: &str) -> Noise {
        let mut mixed = seed;
        for byte in name.bytes() {
            mixed = splitmix(mixed ^ u64::from(byte));
        }
        let mut state = [0; 4];
        for word in &mut state {
            mixed = mixed.wrapping_add(0x9E37_79B9_7F4A_7C15);
            *word = splitmix(mixed);
        }
        Noise { state }
    }

    pub(crate) fn next(&mut self) -> u64 {
        let s = &mut self.state;
        let value = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let shifted = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= shifted;
        s[3] = s[3].rotate_left(45);
        value
    }

    /// Uniform in `low..high`.
    pub(super) fn uniform(&mut self, low: f64, high: f64) -> f64 {
        // 53 bits: the quotient is exact.
        let unit = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        low + unit * (high - low)
    }

    /// Gaussian with mean 0 and variance 1, as near as the sum of twelve uniform numbers is.
    pub(super) fn gaussian(&mut self) -> f64 {
        let mut sum = 0_u32;
        for _ in 0..3 {
            let drawn = self.next();
            sum += (0..4).map(|n| (drawn >> (16 * n)) as u32 & 0xFFFF).sum::<u32>();
        }
        // Twelve numbers of 16 bits: mean 12 * 65535 / 2, variance 12 * 2^32 / 12. All exact.
        (f64::from(sum) - 393_210.0) / 65_536.0
    }
}

pub(crate) fn splitmix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_numbers_never_change() {
        let mut noise = Noise::named(1, "layers.0.mlp.gate.weight");
        let bits: Vec<u64> = (0..3).map(|_| noise.gaussian().to_bits()).collect();
        assert_eq!(
            bits,
            [4_606_868_645_669_240_832, 4_610_123_337_526_411_264, 4_604_947_111_660_748_800],
            "bytes of every tiny model rest on these"
        );
    }

    #[test]
    fn gaussian_has_its_moments() {
        // The fourth moment of the sum is 2.9, a true Gaussian's 3.
        let mut noise = Noise::named(7, "moments");
        let drawn: Vec<f64> = (0..40_000).map(|_| noise.gaussian()).collect();
        let mean = |power: i32| drawn.iter().map(|x| x.powi(power)).sum::<f64>() / 40_000.0;
        // Standard errors: 0.005, 0.007 and 0.05.
        assert!(mean(1).abs() < 0.02, "mean {}", mean(1));
        assert!((mean(2) - 1.0).abs() < 0.03, "variance {}", mean(2));
        assert!((mean(4) - 2.9).abs() < 0.2, "fourth moment {}", mean(4));
    }

    #[test]
    fn streams_differ_by_name_and_seed() {
        let first = |seed, name| Noise::named(seed, name).next();
        assert_eq!(first(1, "a"), first(1, "a"), "same name, same stream");
        assert_ne!(first(1, "a"), first(1, "b"), "names");
        assert_ne!(first(1, "a"), first(2, "a"), "seeds");
        assert_ne!(first(1, "ab"), first(1, "ba"), "order of letters");
    }
}
