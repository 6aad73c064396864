//! Lengths of the arrays that a config asks for, worked out once and in one place.

use kernels::KvType;

use crate::config::Config;
use crate::state::CUT_MAX;

/// Counts of f32 values, each for one layer of its kind.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    /// Keys of one position (as many values), and each one's elements.
    pub(crate) kv_heads: usize,
    pub(crate) head_dim: usize,
    /// Channels of the convolution: queries, keys, values.
    pub(crate) channels: usize,
    /// All key heads of one position.
    pub(crate) key_floats: usize,
    /// All value heads of one position.
    pub(crate) value_floats: usize,
    pub(crate) value_heads: usize,
    /// All states of one layer.
    pub(crate) state_floats: usize,
    /// The columns that the convolution looks back on.
    pub(crate) columns_floats: usize,
}

impl Sizes {
    pub(crate) fn of(config: &Config) -> Sizes {
        let key_floats = config.linear_key_heads * config.linear_key_dim;
        let value_floats = config.linear_value_heads * config.linear_value_dim;
        let channels = 2 * key_floats + value_floats;
        Sizes {
            kv_heads: config.kv_heads,
            head_dim: config.head_dim,
            channels,
            key_floats,
            value_floats,
            value_heads: config.linear_value_heads,
            state_floats: value_floats * config.linear_key_dim,
            columns_floats: channels * (config.conv_kernel - 1),
        }
    }

    /// Bytes of everything one sequence keeps in one Gated DeltaNet layer.
    pub(crate) fn recurrent_bytes(&self) -> u64 {
        let a_pending = self.channels + self.key_floats + self.value_floats + self.value_heads;
        let floats = self.state_floats + self.columns_floats + CUT_MAX * a_pending;
        4 * floats as u64
    }

    /// Bytes of keys and values that one position takes in one full-attention layer.
    pub(crate) fn kv_bytes_per_position(&self, kv: KvType) -> u64 {
        2 * (self.kv_heads * kv.row_bytes(self.head_dim)) as u64
    }
}
