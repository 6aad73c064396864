//! MLX affine quantisation, the rule and the packing, value by value.

/// The widths and group lengths that MLX publishes.
pub const BITS: [u32; 6] = [2, 3, 4, 5, 6, 8];
pub const GROUPS: [usize; 3] = [32, 64, 128];

/// One or more quantised rows: `w = scale * q + bias`, one scale and bias a group.
#[derive(Clone, Debug, PartialEq)]
pub struct Affine {
    /// `[rows, in * bits / 32]`: each row is a string of `bits`-wide numbers, lowest bit first,
    /// cut into words. A number of 3, 5 or 6 bits may lie across two words.
    pub words: Vec<u32>,
    /// `[rows, in / group]`, not yet rounded to the dtype they are stored in.
    pub scales: Vec<f32>,
    /// `[rows, in / group]`, likewise.
    pub biases: Vec<f32>,
}

/// Quantises `values`, whole rows of a multiple of `group` values; `group * bits` must be a
/// multiple of 32, as it is for all of [`BITS`] and [`GROUPS`].
pub fn quantize(values: &[f32], bits: u32, group: usize) -> Affine {
    let mut affine = Affine { words: Vec::new(), scales: Vec::new(), biases: Vec::new() };
    for group in values.chunks_exact(group) {
        let (scale, bias) = fit(group, bits);
        // MLX takes the unrounded scale here, whatever is stored.
        let top = ((1_u32 << bits) - 1) as f32;
        let steps = group.iter().map(|w| {
            // The clamp makes the cast exact.
            ((w - bias) / scale).round_ties_even().clamp(0.0, top) as u32
        });
        affine.words.extend(pack(steps, bits));
        affine.scales.push(scale);
        affine.biases.push(bias);
    }
    affine
}

/// Scale and bias of one group: the extreme of larger magnitude is met exactly, and zero too
/// where a step can reach it.
fn fit(group: &[f32], bits: u32) -> (f32, f32) {
    let steps = ((1_u32 << bits) - 1) as f32;
    let low = group.iter().copied().fold(f32::INFINITY, f32::min);
    let high = group.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let width = ((high - low) / steps).max(1e-7);
    let (edge, scale) = if low.abs() > high.abs() { (low, width) } else { (high, -width) };
    let at = (edge / scale).round_ties_even();
    if at == 0.0 { (scale, 0.0) } else { (edge / at, edge) }
}

/// The numbers as one string of bits in 32-bit words.
fn pack(numbers: impl Iterator<Item = u32>, bits: u32) -> Vec<u32> {
    let mut words = Vec::new();
    let (mut held, mut length) = (0_u64, 0);
    for number in numbers {
        held |= u64::from(number) << length;
        length += bits;
        if length >= 32 {
            words.push(held as u32);
            held >>= 32;
            length -= 32;
        }
    }
    words
}

/// The values back, in f32: number `j` of a row lies at bit `j * bits`.
/// Scales and biases are those given, rounded or not.
pub fn dequantize(affine: &Affine, bits: u32, group: usize) -> Vec<f32> {
    let words_a_group = group * bits as usize / 32;
    let mut values = Vec::with_capacity(affine.scales.len() * group);
    for (n, words) in affine.words.chunks_exact(words_a_group).enumerate() {
        for j in 0..group {
            let mut number = 0;
            for bit in 0..bits as usize {
                let at = j * bits as usize + bit;
                number |= (words[at / 32] >> (at % 32) & 1) << bit;
            }
            values.push(number as f32 * affine.scales[n] + affine.biases[n]);
        }
    }
    values
}
