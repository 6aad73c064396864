//! From f32 to the bytes of a file: rounded, shifted or quantised as the layout says.

use std::borrow::Cow;

use safetensors::Dtype;

use super::layout::{Float, Layout};
use super::weights::{Kind, Tensor};
use super::{affine, fp8};

/// A tensor as it lies in a file.
pub(crate) struct Stored {
    pub(crate) name: String,
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<usize>,
    pub(crate) bytes: Vec<u8>,
}

impl safetensors::View for &Stored {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

/// The one to three tensors that `tensor` becomes.
pub(crate) fn encode(layout: Layout, tensor: &Tensor) -> Vec<Stored> {
    if let Some((bits, group)) = affine_of(layout, tensor.kind, &tensor.shape) {
        return encode_affine(layout.float(), tensor, bits, group);
    }
    if layout == Layout::Fp8 && is_fp8(tensor.kind) {
        return encode_fp8(tensor);
    }
    let dtype = if keeps_f32(layout, tensor.kind) { Float::F32 } else { layout.float() };
    let one = |value: &f32| 1.0 + dtype.round(*value);
    let (mut shape, mut values) = (tensor.shape.clone(), Cow::Borrowed(&tensor.values));
    if layout.is_mlx() {
        match tensor.kind {
            // [channels, 1, kernel] to [channels, kernel, 1].
            Kind::Conv => shape.swap(1, 2),
            Kind::Norm => values = Cow::Owned(tensor.values.iter().map(one).collect()),
            _ => {}
        }
    }
    let bytes = dtype.bytes(&values);
    vec![Stored { name: tensor.name.clone(), dtype: dtype.dtype(), shape, bytes }]
}

/// The larger releases keep these in F32 whatever the rest is; MLX casts all but the first.
fn keeps_f32(layout: Layout, kind: Kind) -> bool {
    match layout {
        Layout::Qwen3Next { .. } => false,
        Layout::Mlx { .. } => kind == Kind::DecayLog,
        _ => matches!(kind, Kind::DecayLog | Kind::GatedNorm),
    }
}

/// Whether FP8 checkpoints quantise it.
pub(super) const fn is_fp8(kind: Kind) -> bool {
    matches!(kind, Kind::Matrix | Kind::Qkv | Kind::OutputGate | Kind::GateUp | Kind::Down)
}

/// Bits and group of a tensor that an MLX layout quantises.
pub(crate) fn affine_of(layout: Layout, kind: Kind, shape: &[usize]) -> Option<(u32, usize)> {
    let Layout::Mlx { bits, group, router_bits, .. } = layout else { return None };
    let matrix = is_fp8(kind)
        || matches!(kind, Kind::Embedding | Kind::Head | Kind::Gate | Kind::Beta | Kind::Decay);
    let length = *shape.last()?;
    if !matrix || !length.is_multiple_of(group) {
        return None;
    }
    match router_bits {
        Some(bits) if kind == Kind::Gate => {
            Some((bits, if length.is_multiple_of(64) { 64 } else { group }))
        }
        _ => Some((bits, group)),
    }
}

/// The name of the module that a tensor is the weight of.
pub(crate) fn module(name: &str) -> &str {
    name.strip_suffix(".weight").unwrap_or(name)
}

fn encode_affine(dtype: Float, tensor: &Tensor, bits: u32, group: usize) -> Vec<Stored> {
    // A checkpoint of this dtype is what gets quantised.
    let values: Vec<f32> = tensor.values.iter().map(|&x| dtype.round(x)).collect();
    let quantized = affine::quantize(&values, bits, group);
    let module = module(&tensor.name);
    let (&length, rows) = tensor.shape.split_last().expect("a matrix has two dimensions");
    let stored = |name: &str, dtype: Dtype, columns: usize, bytes: Vec<u8>| Stored {
        name: format!("{module}.{name}"),
        dtype,
        shape: [rows, &[columns]].concat(),
        bytes,
    };
    let words = quantized.words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let groups = length / group;
    vec![
        stored("weight", Dtype::U32, length * bits as usize / 32, words),
        stored("scales", dtype.dtype(), groups, dtype.bytes(&quantized.scales)),
        stored("biases", dtype.dtype(), groups, dtype.bytes(&quantized.biases)),
    ]
}

fn encode_fp8(tensor: &Tensor) -> Vec<Stored> {
    let shape = &tensor.shape;
    let values: Vec<f32> = tensor.values.iter().map(|&x| Float::Bf16.round(x)).collect();
    let blocks = fp8::quantize(&values, shape[1]);
    let (name, scales) = (tensor.name.clone(), format!("{}_scale_inv", tensor.name));
    let scale_shape = shape.iter().map(|n| n.div_ceil(fp8::BLOCK)).collect();
    let bytes = blocks.scales.iter().flat_map(|scale| scale.to_le_bytes()).collect();
    vec![
        Stored { name, dtype: Dtype::F8_E4M3, shape: shape.clone(), bytes: blocks.codes },
        Stored { name: scales, dtype: Dtype::BF16, shape: scale_shape, bytes },
    ]
}
