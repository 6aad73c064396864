//! What the tensors hold: random bits of any place in a file, without what lies before it.

use safetensors::Dtype;

use super::{GROUP, Order};
use crate::tiny::arrange::prefix;
use crate::tiny::encode::{Stored, affine_of, encode, module};
use crate::tiny::noise::{Noise, splitmix};
use crate::tiny::weights::{Fill, Kind, Outline, outline};

/// Scales that one tensor has, with their biases.
const SCALES: usize = 256;

/// A tensor as it will lie in a file.
pub(super) struct Tensor {
    pub(super) name: String,
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<usize>,
    content: Content,
}

enum Content {
    /// A short one, drawn.
    Whole(Vec<u8>),
    /// Packed weights: bits of the stream with this key.
    Bits(u64),
    /// Scales or biases: which of the table each group has, the stream with this key says. Both
    /// tensors of a matrix have the same key.
    Choices(u64, Box<[u16; SCALES]>),
}

impl Tensor {
    pub(super) fn bytes(&self) -> u64 {
        let values: u64 = self.shape.iter().map(|side| *side as u64).product();
        values * self.dtype.bitsize() as u64 / 8
    }

    /// The bytes from `offset` on, as many as `into` takes.
    pub(super) fn fill(&self, offset: u64, into: &mut [u8]) {
        match &self.content {
            Content::Whole(bytes) => {
                let start = usize::try_from(offset).expect("it lies in memory");
                into.copy_from_slice(&bytes[start..start + into.len()]);
            }
            Content::Bits(key) => fill_words(*key, offset, into, |word| word),
            Content::Choices(key, table) => fill_words(*key, offset, into, |word| {
                let [a, b, c, d, ..] = word.to_le_bytes();
                let chosen = [a, b, c, d].map(|choice| u64::from(table[usize::from(choice)]));
                chosen[0] | chosen[1] << 16 | chosen[2] << 32 | chosen[3] << 48
            }),
        }
    }
}

/// How far the state of a stream moves from word to word (SplitMix64: any word can be had without
/// those before it).
const STRIDE: u64 = 0x9E37_79B9_7F4A_7C15;

/// Bytes of the stream with this key, each word of it turned, from byte `offset` on.
fn fill_words(key: u64, offset: u64, into: &mut [u8], turn: impl Fn(u64) -> u64) {
    let skipped = (offset % 8) as usize;
    let head = if skipped == 0 { 0 } else { into.len().min(8 - skipped) };
    let mut state = key.wrapping_add((offset / 8).wrapping_mul(STRIDE));
    let mut next = || {
        state = state.wrapping_add(STRIDE);
        turn(splitmix(state)).to_le_bytes()
    };
    let (begun, rest) = into.split_at_mut(head);
    if head > 0 {
        begun.copy_from_slice(&next()[skipped..][..head]);
    }
    let (words, tail) = rest.as_chunks_mut::<8>();
    for word in words {
        *word = next();
    }
    if !tail.is_empty() {
        let bytes = tail.len();
        tail.copy_from_slice(&next()[..bytes]);
    }
}

/// The tensors of the stored `layers` and of what stands around them, under the names that MLX's
/// converter gives, stacks of experts cut by matrix.
pub(super) fn outlines(order: &Order, layers: &[usize]) -> Vec<Outline> {
    let form = order.form();
    let named = |mut outline: Outline| {
        outline.name = format!("{}{}", prefix(&form, outline.part), outline.name);
        outline
    };
    outline(&order.spec, layers).into_iter().flat_map(cut).map(named).collect()
}

/// A stack of experts as one stack a matrix; any other tensor as it is.
fn cut(outline: Outline) -> Vec<Outline> {
    let names: &[&str] = match outline.kind {
        Kind::GateUp => &["gate_proj", "up_proj"],
        Kind::Down => &["down_proj"],
        _ => return vec![outline],
    };
    let at = outline.name.rsplit_once("experts.").map_or("", |(at, _)| at);
    let part = |name: &&str| {
        let mut part = outline.clone();
        part.name = format!("{at}switch_mlp.{name}.weight");
        part.shape[1] /= names.len();
        part
    };
    names.iter().map(part).collect()
}

/// Every tensor of the checkpoint, in the order of its files.
pub(super) fn tensors(order: &Order, layers: &[usize]) -> Vec<Tensor> {
    let (layout, seed) = (order.layout(), order.spec.seed);
    let mut tensors = Vec::new();
    for outline in outlines(order, layers) {
        match (affine_of(layout, outline.kind, &outline.shape), outline.fill) {
            (Some((bits, _)), Fill::Gaussian { spread, .. }) => {
                tensors.extend(quantized(seed, &outline, bits, spread));
            }
            _ => tensors.extend(encode(layout, &outline.draw(seed)).into_iter().map(whole)),
        }
    }
    tensors
}

fn whole(stored: Stored) -> Tensor {
    let Stored { name, dtype, shape, bytes } = stored;
    Tensor { name, dtype, shape, content: Content::Whole(bytes) }
}

/// Weights, scales and biases of a matrix or a stack of them, around 0 with this spread.
fn quantized(seed: u64, outline: &Outline, bits: u32, spread: f64) -> [Tensor; 3] {
    let module = module(&outline.name);
    let (&cols, rows) = outline.shape.split_last().expect("a matrix has two dimensions");
    let key = |part: &str| Noise::named(seed, &format!("{module}.{part}")).next();
    let tensor = |part: &str, dtype: Dtype, last: usize, content: Content| Tensor {
        name: format!("{module}.{part}"),
        dtype,
        shape: [rows, &[last]].concat(),
        content,
    };
    let choice = key("scales");
    let (scales, biases) = tables(bits, spread);
    let choices = |table| Content::Choices(choice, Box::new(table));
    [
        tensor("weight", Dtype::U32, cols / 32 * bits as usize, Content::Bits(key("weight"))),
        tensor("scales", Dtype::BF16, cols / GROUP, choices(scales)),
        tensor("biases", Dtype::BF16, cols / GROUP, choices(biases)),
    ]
}

/// Scales, half of them negative as MLX has them, and the biases that put the middle of what a
/// weight can be at 0, as BF16. Scales vary by a quarter around the one that gives `spread`.
fn tables(bits: u32, spread: f64) -> ([u16; SCALES], [u16; SCALES]) {
    // Random bits are uniform in 0..=top.
    let top = f64::from((1_u32 << bits) - 1);
    let deviation = ((top + 1.0) * (top + 1.0) - 1.0) / 12.0;
    let middle = spread / libm::sqrt(deviation);
    let (mut scales, mut biases) = ([0; SCALES], [0; SCALES]);
    for n in 0..SCALES {
        // The squares of these are 1 on average, within a thousandth.
        let factor = 0.74 + (n / 2) as f64 / SCALES as f64;
        let sign = if n % 2 == 0 { 1.0 } else { -1.0 };
        let scale = half::bf16::from_f64(sign * factor * middle);
        scales[n] = scale.to_bits();
        biases[n] = half::bf16::from_f64(-scale.to_f64() * top / 2.0).to_bits();
    }
    (scales, biases)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> [Tensor; 3] {
        let fill = Fill::Gaussian { mean: 0.0, spread: 0.5 };
        let (part, kind) = (crate::tiny::weights::Part::Trunk, Kind::Matrix);
        let (name, shape) = ("a.weight".to_owned(), vec![8, 128]);
        quantized(1, &Outline { part, kind, name, shape, fill }, 4, 0.5)
    }

    fn all(tensor: &Tensor) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(tensor.bytes()).expect("it is small")];
        tensor.fill(0, &mut bytes);
        bytes
    }

    #[test]
    fn any_part_is_that_part_of_the_whole() {
        for tensor in some() {
            let whole = all(&tensor);
            for start in 0..whole.len().min(40) {
                for end in (start..whole.len()).step_by(7).chain([whole.len()]) {
                    let mut part = vec![0xAA; end - start];
                    tensor.fill(start as u64, &mut part);
                    assert!(part == whole[start..end], "{}: {start}..{end}", tensor.name);
                }
            }
        }
    }

    #[test]
    fn weights_have_the_mean_and_the_spread_that_were_asked_for() {
        for (bits, spread) in [(2, 1.0), (4, 0.02), (8, 3.0)] {
            let (scales, biases) = tables(bits, spread);
            let float = |bits: u16| half::bf16::from_bits(bits).to_f64();
            let (mut sum, mut squares, mut count) = (0.0, 0.0, 0.0);
            for (scale, bias) in scales.into_iter().zip(biases) {
                for code in 0..1_u32 << bits {
                    let weight = float(scale) * f64::from(code) + float(bias);
                    (sum, squares, count) = (sum + weight, squares + weight * weight, count + 1.0);
                }
            }
            let (mean, found) = (sum / count / spread, libm::sqrt(squares / count) / spread);
            assert!(mean.abs() < 0.001, "{bits} bits: mean {mean}");
            assert!((found - 1.0).abs() < 0.01, "{bits} bits: spread {found}");
        }
    }

    #[test]
    fn a_scale_and_its_bias_belong_together() {
        let [_, scales, biases] = some();
        let floats = |tensor: &Tensor| -> Vec<f32> {
            let bytes = all(tensor);
            bytes.as_chunks().0.iter().map(|b| half::bf16::from_le_bytes(*b).to_f32()).collect()
        };
        for (scale, bias) in floats(&scales).into_iter().zip(floats(&biases)) {
            let middle = (7.5 * scale + bias) / scale;
            assert!(middle.abs() < 0.05, "{scale} and {bias}");
        }
    }

    #[test]
    fn first_bytes_never_change() {
        let [weights, scales, _] = some();
        let first = |tensor: &Tensor| all(tensor)[..6].to_vec();
        assert_eq!(
            first(&weights),
            [241, 47, 5, 95, 253, 55],
            "a new VERSION is needed where these change"
        );
        assert_eq!(
            first(&scales),
            [234, 189, 212, 189, 211, 61],
            "a new VERSION is needed where these change"
        );
    }
}
