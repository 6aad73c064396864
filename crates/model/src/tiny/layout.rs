//! How a checkpoint is stored: which layout, which dtype, in how many files.

use safetensors::Dtype;

use super::affine;
use super::error::{TinyError, require};

/// A floating-point dtype of a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Float {
    Bf16,
    F16,
    F32,
}

impl Float {
    pub(super) const fn dtype(self) -> Dtype {
        match self {
            Float::Bf16 => Dtype::BF16,
            Float::F16 => Dtype::F16,
            Float::F32 => Dtype::F32,
        }
    }

    /// As `config.json` spells it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Float::Bf16 => "bfloat16",
            Float::F16 => "float16",
            Float::F32 => "float32",
        }
    }

    /// `value` rounded to this dtype.
    pub(super) fn round(self, value: f32) -> f32 {
        match self {
            Float::Bf16 => half::bf16::from_f32(value).to_f32(),
            Float::F16 => half::f16::from_f32(value).to_f32(),
            Float::F32 => value,
        }
    }

    /// The bytes of `values`, each rounded to this dtype.
    pub(super) fn bytes(self, values: &[f32]) -> Vec<u8> {
        match self {
            Float::Bf16 => {
                values.iter().flat_map(|&x| half::bf16::from_f32(x).to_le_bytes()).collect()
            }
            Float::F16 => {
                values.iter().flat_map(|&x| half::f16::from_f32(x).to_le_bytes()).collect()
            }
            Float::F32 => values.iter().flat_map(|x| x.to_le_bytes()).collect(),
        }
    }
}

/// The published layouts. Names, shapes and dtypes are those of the real checkpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layout {
    /// Qwen3.5: the trunk's experts stacked, those of the `mtp` block one by one.
    HfStacked { dtype: Float },
    /// Qwen3.5 names, every expert's matrices tensors of their own.
    HfPerExpert { dtype: Float },
    /// mlx-lm affine: `weight`, `scales`, `biases`, norms as `1 + w`. A matrix whose rows are not
    /// whole groups stays a float, as with mlx-lm. With `router_bits` the router and the shared
    /// expert's gate get a width of their own, in groups of 64 where they have them, and the
    /// config lists them. The `mtp` block is kept, with `fc` as a float.
    Mlx { bits: u32, group: usize, router_bits: Option<u32>, dtype: Float },
    /// The official block-FP8: per expert, 128 x 128 blocks, the rest BF16.
    Fp8,
    /// Qwen3-Next: flat config, per expert, `in_proj_qkvz` and `in_proj_ba` grouped by key head.
    Qwen3Next { dtype: Float },
}

impl Layout {
    /// The dtype of what is not quantised.
    pub(super) const fn float(self) -> Float {
        match self {
            Layout::HfStacked { dtype }
            | Layout::HfPerExpert { dtype }
            | Layout::Mlx { dtype, .. }
            | Layout::Qwen3Next { dtype } => dtype,
            Layout::Fp8 => Float::Bf16,
        }
    }

    pub(super) const fn is_mlx(self) -> bool {
        matches!(self, Layout::Mlx { .. })
    }

    pub(super) const fn is_next(self) -> bool {
        matches!(self, Layout::Qwen3Next { .. })
    }
}

/// A layout and the choices that do not change a tensor. Made from a [`Layout`] it has the form
/// in which that layout is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Form {
    pub layout: Layout,
    /// The text config inside a multimodal one, with longer tensor names; else flat, with the
    /// names of a text-only export. Qwen3-Next is flat only.
    pub multimodal: bool,
    /// 1 writes `model.safetensors` without an index, more write
    /// `model.safetensors-0000i-of-0000n.safetensors` and the index.
    pub shards: usize,
}

impl From<Layout> for Form {
    fn from(layout: Layout) -> Form {
        let shards = if layout.is_mlx() { 1 } else { 2 };
        Form { layout, multimodal: !layout.is_next(), shards }
    }
}

impl Form {
    pub(super) fn check(&self) -> Result<(), TinyError> {
        require(self.shards > 0, "shards", self.shards, "at least 1")?;
        let wrong = self.layout.is_next() && self.multimodal;
        require(!wrong, "multimodal", true, "false: Qwen3-Next has a flat config only")?;
        let Layout::Mlx { bits, group, router_bits, .. } = self.layout else { return Ok(()) };
        for bits in [Some(bits), router_bits].into_iter().flatten() {
            require(affine::BITS.contains(&bits), "bits", bits, "2, 3, 4, 5, 6 or 8")?;
        }
        require(affine::GROUPS.contains(&group), "group", group, "32, 64 or 128")
    }
}
