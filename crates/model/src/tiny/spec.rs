//! The dimensions of a tiny model, and a shelf of odd ones.

use super::error::{TinyError, require};
use super::tokenizer;
use crate::config::Mixer;

/// Every dimension of a tiny model and the seed of its noise.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    pub hidden_size: usize,
    pub layers: usize,
    /// Layer `i` has full attention where `(i + 1) % interval == 0`.
    pub interval: usize,
    /// Overrides `interval`; the config then has no interval. One for each layer.
    pub layer_types: Option<Vec<Mixer>>,
    pub heads: usize,
    pub kv_heads: usize,
    pub head_dim: usize,
    /// Share of a head's dimensions that RoPE turns.
    pub rotary_factor: f64,
    pub rope_theta: f64,
    pub rms_norm_eps: f64,
    pub linear_key_heads: usize,
    pub linear_value_heads: usize,
    pub linear_key_dim: usize,
    pub linear_value_dim: usize,
    pub conv_kernel: usize,
    pub experts: usize,
    pub experts_per_token: usize,
    pub moe_intermediate_size: usize,
    pub shared_intermediate_size: usize,
    /// Rows of the embedding; the tokenizer names all but the last few, as far as its words reach.
    pub vocab_size: usize,
    pub tie_word_embeddings: bool,
    pub max_positions: usize,
    pub seed: u64,
    /// With the block that drafts a further token.
    pub mtp: bool,
    /// With a tensor of a vision tower, which a text engine has to pass over.
    pub vision: bool,
}

impl Default for Spec {
    fn default() -> Spec {
        Spec {
            hidden_size: 64,
            layers: 8,
            interval: 4,
            layer_types: None,
            heads: 4,
            kv_heads: 2,
            head_dim: 32,
            rotary_factor: 0.25,
            rope_theta: 1e7,
            rms_norm_eps: 1e-6,
            linear_key_heads: 2,
            linear_value_heads: 8,
            linear_key_dim: 16,
            linear_value_dim: 16,
            conv_kernel: 4,
            experts: 8,
            experts_per_token: 3,
            moe_intermediate_size: 32,
            shared_intermediate_size: 48,
            vocab_size: 512,
            tie_word_embeddings: false,
            max_positions: 4096,
            seed: 1,
            mtp: true,
            vision: true,
        }
    }
}

impl Spec {
    /// Every row is whole groups of 128, so that MLX quantises every matrix at every group.
    pub fn wide() -> Spec {
        Spec {
            hidden_size: 128,
            layers: 4,
            heads: 8,
            linear_value_heads: 4,
            linear_key_dim: 32,
            linear_value_dim: 32,
            experts: 16,
            experts_per_token: 4,
            moe_intermediate_size: 128,
            shared_intermediate_size: 128,
            ..Spec::default()
        }
    }

    /// 192 = 1.5 blocks of FP8: rows and columns end in a partial block.
    pub fn partial_blocks() -> Spec {
        Spec { hidden_size: 192, layers: 4, heads: 6, ..Spec::default() }
    }

    /// Value heads of linear attention that are wider than its key heads.
    pub fn uneven_value_dim() -> Spec {
        Spec { layers: 4, linear_key_dim: 16, linear_value_dim: 24, ..Spec::default() }
    }

    /// Full attention in every third layer, and the last layer linear.
    pub fn interval_three() -> Spec {
        Spec { layers: 7, interval: 3, ..Spec::default() }
    }

    /// Listed layers that no interval describes; the first is full attention.
    pub fn listed_layers() -> Spec {
        use Mixer::{Full, Linear};
        let layer_types = Some(vec![Full, Linear, Full, Full, Linear]);
        Spec { layers: 5, layer_types, ..Spec::default() }
    }

    /// 7 experts, 2 of them for each token.
    pub fn seven_experts() -> Spec {
        Spec { layers: 4, experts: 7, experts_per_token: 2, ..Spec::default() }
    }

    /// 6 heads on 3 KV heads, half of each head turned, 3 value heads for each key head.
    pub fn six_heads() -> Spec {
        Spec {
            layers: 4,
            heads: 6,
            kv_heads: 3,
            rotary_factor: 0.5,
            rope_theta: 1e4,
            linear_value_heads: 6,
            ..Spec::default()
        }
    }

    /// The embedding is the output matrix too.
    pub fn tied_head() -> Spec {
        Spec { layers: 4, tie_word_embeddings: true, ..Spec::default() }
    }

    /// Hidden states of 96: whole groups of 32, not of 64; and other lengths that are no powers
    /// of two.
    pub fn hidden_96() -> Spec {
        Spec {
            hidden_size: 96,
            layers: 4,
            conv_kernel: 3,
            moe_intermediate_size: 40,
            shared_intermediate_size: 56,
            vocab_size: 500,
            ..Spec::default()
        }
    }

    /// All of them, by name.
    pub fn presets() -> Vec<(&'static str, Spec)> {
        vec![
            ("default", Spec::default()),
            ("wide", Spec::wide()),
            ("partial_blocks", Spec::partial_blocks()),
            ("uneven_value_dim", Spec::uneven_value_dim()),
            ("interval_three", Spec::interval_three()),
            ("listed_layers", Spec::listed_layers()),
            ("seven_experts", Spec::seven_experts()),
            ("six_heads", Spec::six_heads()),
            ("tied_head", Spec::tied_head()),
            ("hidden_96", Spec::hidden_96()),
        ]
    }

    /// What mixes the positions, layer by layer.
    pub fn mixers(&self) -> Vec<Mixer> {
        let by_interval = |i: usize| {
            if (i + 1).is_multiple_of(self.interval) { Mixer::Full } else { Mixer::Linear }
        };
        let listed = self.layer_types.clone();
        listed.unwrap_or_else(|| (0..self.layers).map(by_interval).collect())
    }

    /// Dimensions of a head that RoPE turns.
    pub fn rotary_dim(&self) -> usize {
        // The product is a small whole number (checked): the cast is exact.
        (self.head_dim as f64 * self.rotary_factor) as usize
    }

    /// Rows of `in_proj_qkv` that are queries, which are as many as are keys.
    pub(super) fn key_rows(&self) -> usize {
        self.linear_key_heads * self.linear_key_dim
    }

    /// Rows of `in_proj_qkv` that are values, and of `in_proj_z`.
    pub(crate) fn value_rows(&self) -> usize {
        self.linear_value_heads * self.linear_value_dim
    }

    pub(crate) fn check(&self) -> Result<(), TinyError> {
        let sizes = [
            ("hidden_size", self.hidden_size),
            ("layers", self.layers),
            ("interval", self.interval),
            ("heads", self.heads),
            ("kv_heads", self.kv_heads),
            ("head_dim", self.head_dim),
            ("linear_key_heads", self.linear_key_heads),
            ("linear_value_heads", self.linear_value_heads),
            ("linear_key_dim", self.linear_key_dim),
            ("linear_value_dim", self.linear_value_dim),
            ("conv_kernel", self.conv_kernel),
            ("experts_per_token", self.experts_per_token),
            ("moe_intermediate_size", self.moe_intermediate_size),
            ("shared_intermediate_size", self.shared_intermediate_size),
            ("max_positions", self.max_positions),
        ];
        for (field, size) in sizes {
            require(size > 0, field, size, "at least 1")?;
        }
        let multiple = |of: usize| format!("a multiple of {of}");
        let (heads, values) = (self.heads, self.linear_value_heads);
        require(heads.is_multiple_of(self.kv_heads), "heads", heads, multiple(self.kv_heads))?;
        let whole = values.is_multiple_of(self.linear_key_heads);
        require(whole, "linear_value_heads", values, multiple(self.linear_key_heads))?;
        let chosen = self.experts_per_token;
        let most = format!("at most {}", self.experts);
        require(chosen <= self.experts, "experts_per_token", chosen, most)?;
        let listed = self.layer_types.as_ref().map_or(self.layers, Vec::len);
        require(listed == self.layers, "layer_types", listed, format!("{} types", self.layers))?;
        let rotary = self.head_dim as f64 * self.rotary_factor;
        let pairs = rotary >= 2.0 && rotary % 2.0 == 0.0 && rotary <= self.head_dim as f64;
        let expected = format!("an even share of {} dimensions", self.head_dim);
        require(pairs, "rotary_factor", self.rotary_factor, expected)?;
        let theta = self.rope_theta;
        require(theta.is_finite() && theta > 0.0, "rope_theta", theta, "above 0")?;
        let eps = self.rms_norm_eps;
        require(eps.is_finite() && eps > 0.0, "rms_norm_eps", eps, "above 0")?;
        let least = tokenizer::SMALLEST_VOCAB;
        require(self.vocab_size >= least, "vocab_size", self.vocab_size, format!("{least} or more"))
    }
}
