//! The shapes of the published models.

use crate::tiny::Spec;

/// A published model whose shape can be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Like {
    /// Qwen3.5-397B-A17B.
    Qwen397B,
    /// Qwen3.5-122B-A10B.
    Qwen122B,
    /// Qwen3.5-35B-A3B.
    Qwen35B,
}

impl Like {
    pub const ALL: [Like; 3] = [Like::Qwen397B, Like::Qwen122B, Like::Qwen35B];

    /// As a command line names it.
    pub const fn name(self) -> &'static str {
        match self {
            Like::Qwen397B => "397b",
            Like::Qwen122B => "122b",
            Like::Qwen35B => "35b",
        }
    }

    /// Its dimensions, without the vision tower and the block that drafts.
    pub fn spec(self) -> Spec {
        let base = Spec {
            interval: 4,
            layer_types: None,
            heads: 32,
            kv_heads: 2,
            head_dim: 256,
            rotary_factor: 0.25,
            rope_theta: 1e7,
            rms_norm_eps: 1e-6,
            linear_key_heads: 16,
            linear_value_heads: 64,
            linear_key_dim: 128,
            linear_value_dim: 128,
            conv_kernel: 4,
            experts: 256,
            experts_per_token: 8,
            moe_intermediate_size: 1024,
            shared_intermediate_size: 1024,
            vocab_size: 248_320,
            tie_word_embeddings: false,
            max_positions: 262_144,
            seed: 1,
            mtp: false,
            vision: false,
            hidden_size: 3072,
            layers: 48,
        };
        match self {
            Like::Qwen397B => {
                Spec { hidden_size: 4096, layers: 60, experts: 512, experts_per_token: 10, ..base }
            }
            Like::Qwen122B => base,
            Like::Qwen35B => Spec {
                hidden_size: 2048,
                layers: 40,
                heads: 16,
                linear_value_heads: 32,
                moe_intermediate_size: 512,
                shared_intermediate_size: 512,
                ..base
            },
        }
    }
}
