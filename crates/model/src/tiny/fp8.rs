//! FP8 (e4m3, finite) with one scale for each block of 128 x 128 weights.

use half::bf16;

/// Rows and columns of a block.
pub const BLOCK: usize = 128;
/// The largest finite value.
pub const MAX: f32 = 448.0;

/// A quantised matrix: `w = value(code) * scale`.
#[derive(Clone, Debug, PartialEq)]
pub struct Blocks {
    /// `[rows, columns]`.
    pub codes: Vec<u8>,
    /// `[ceil(rows / 128), ceil(columns / 128)]`: what a code is multiplied with.
    pub scales: Vec<bf16>,
}

/// Quantises a matrix of `columns` columns. Blocks at the right and lower edge may be partial.
pub fn quantize(values: &[f32], columns: usize) -> Blocks {
    let (across, rows) = (columns.div_ceil(BLOCK), values.len() / columns);
    let mut largest = vec![0.0_f32; rows.div_ceil(BLOCK) * across];
    for (n, value) in values.iter().enumerate() {
        let block = block_of(n, columns);
        largest[block] = largest[block].max(value.abs());
    }
    let scale =
        |&largest: &f32| if largest > 0.0 { bf16::from_f32(largest / MAX) } else { bf16::ONE };
    let scales: Vec<bf16> = largest.iter().map(scale).collect();
    let code = |(n, value): (usize, &f32)| encode(value / scales[block_of(n, columns)].to_f32());
    Blocks { codes: values.iter().enumerate().map(code).collect(), scales }
}

/// The values back, in f32.
pub fn dequantize(blocks: &Blocks, columns: usize) -> Vec<f32> {
    let value = |(n, &code)| decode(code) * blocks.scales[block_of(n, columns)].to_f32();
    blocks.codes.iter().enumerate().map(value).collect()
}

fn block_of(n: usize, columns: usize) -> usize {
    let (row, column) = (n / columns, n % columns);
    (row / BLOCK) * columns.div_ceil(BLOCK) + column / BLOCK
}

/// The nearest code, the even one of two equally near; beyond the largest value, the largest.
/// `value` must not be NaN.
pub fn encode(value: f32) -> u8 {
    let sign = if value.is_sign_negative() { 0x80 } else { 0 };
    let size = value.abs().min(MAX);
    // The codes up to 0x7E, which is 448, ascend: halve them until two neighbours are left.
    let (mut below, mut above) = (0, 0x7E_u8);
    while above - below > 1 {
        let middle = below.midpoint(above);
        if decode(middle) <= size { below = middle } else { above = middle }
    }
    let (down, up) = (size - decode(below), decode(above) - size);
    let nearest = if down < up || (down == up && below % 2 == 0) { below } else { above };
    sign | nearest
}

/// The value of a code: sign, 4 bits of exponent (bias 7), 3 of fraction; no infinities.
pub fn decode(code: u8) -> f32 {
    let (exponent, fraction) = (i32::from(code >> 3 & 0xF), f32::from(code & 7));
    let size = match (exponent, code & 7) {
        (0xF, 7) => f32::NAN,
        (0, _) => fraction / 512.0,
        _ => libm::ldexpf(1.0 + fraction / 8.0, exponent - 7),
    };
    if code & 0x80 == 0 { size } else { -size }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_survive_a_round_trip() {
        for code in (0..=u8::MAX).filter(|code| code & 0x7F != 0x7F) {
            assert_eq!(encode(decode(code)), code, "code {code:#04x} is {}", decode(code));
        }
        assert!(decode(0x7F).is_nan() && decode(0xFF).is_nan(), "the two NaNs");
        assert_eq!(decode(0x7E), MAX, "largest");
        assert_eq!(decode(0x01), 1.0 / 512.0, "smallest");
        assert_eq!(decode(0x38), 1.0, "one");
    }

    /// The twin: round the value to a multiple of the step of its binade.
    fn rounded(value: f32) -> f32 {
        let size = value.abs().min(MAX);
        let (_, exponent) = libm::frexpf(size);
        let step = libm::ldexpf(1.0, (exponent - 1).max(-6) - 3);
        ((size / step).round_ties_even() * step).copysign(value)
    }

    #[test]
    fn encode_rounds_to_nearest_even_and_saturates() {
        for code in 0..0x7E_u8 {
            let (low, high) = (decode(code), decode(code + 1));
            let middle = (low + high) / 2.0;
            for value in [low, middle.next_down(), middle, middle.next_up(), high.next_down()] {
                for value in [value, -value] {
                    let got = decode(encode(value));
                    assert_eq!(got.to_bits(), rounded(value).to_bits(), "{value}");
                }
            }
        }
        for value in [448.0, 449.0, 480.0, 1e30, f32::INFINITY] {
            assert_eq!((encode(value), encode(-value)), (0x7E, 0xFE), "{value}");
        }
    }

    #[test]
    fn each_block_has_its_own_scale() {
        // 130 x 200: two by two blocks, three of them partial. Each holds one size of number.
        let sizes = [[1.0, 7.0], [0.01, 300.0]];
        let at = |n: usize| (n / 200, n % 200);
        let values: Vec<f32> = (0..130 * 200)
            .map(|n| sizes[at(n).0 / BLOCK][at(n).1 / BLOCK] * (1.0 - (n % 5) as f32 / 2.0))
            .collect();
        let blocks = quantize(&values, 200);
        assert_eq!(blocks.scales.len(), 4, "blocks");
        for (n, (got, want)) in dequantize(&blocks, 200).iter().zip(&values).enumerate() {
            // Three bits of fraction and a scale of eight bits.
            assert!((got - want).abs() <= want.abs() / 14.0, "{:?}: {got} for {want}", at(n));
        }
        let zero = quantize(&[0.0; 4], 2);
        assert_eq!(dequantize(&zero, 2), [0.0; 4], "a block of zeros");
    }
}
