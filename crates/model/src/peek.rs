//! A look at what a sequence keeps of one layer, for comparisons with an oracle.

use kernels::DeltaUpdate;

use crate::loaded::CpuModel;
use crate::sizes::Sizes;
use crate::state::{CUT_MAX, LayerState, Sequence};

/// What one layer keeps, with everything pending taken as standing.
#[derive(Clone, Debug, PartialEq)]
pub enum LayerValues {
    /// Both `[kv_heads, position, head_dim]`.
    Full { keys: Vec<f32>, values: Vec<f32> },
    /// `state` is `[value_heads, key_dim, value_dim]`; `columns` are the last before the
    /// convolution, oldest first, `[conv_kernel - 1, channels]`.
    Linear { state: Vec<f32>, columns: Vec<f32> },
}

impl CpuModel {
    /// What `sequence` keeps of layer `layer`.
    ///
    /// # Panics
    /// When the model has no such layer.
    pub fn peek(&self, sequence: &Sequence, layer: usize) -> LayerValues {
        let config = &self.config;
        match &sequence.layers[layer] {
            LayerState::Full(cache) => {
                let (room, used) =
                    (sequence.capacity * config.head_dim, sequence.position * config.head_dim);
                let used = |array: &[f32]| -> Vec<f32> {
                    array
                        .chunks_exact(room.max(1))
                        .flat_map(|head| &head[..used])
                        .copied()
                        .collect()
                };
                LayerValues::Full { keys: used(&cache.keys), values: used(&cache.values) }
            }
            LayerState::Linear(kept) => {
                let sizes = Sizes::of(config);
                let (key_dim, dim) = (config.linear_key_dim, config.linear_value_dim);
                let mut state = kept.state.clone();
                for (h, state) in state.chunks_exact_mut(key_dim * dim).enumerate() {
                    for n in 0..sequence.pending {
                        let key = n * sizes.key_floats + config.key_head(h) * key_dim;
                        let key = &kept.pending.keys[key..key + key_dim];
                        let place = h * CUT_MAX + n;
                        let update = &kept.pending.updates[place * dim..][..dim];
                        let decay = kept.pending.decays[place];
                        let update = DeltaUpdate { k: key, u: update, decay };
                        self.cpu.kernels().delta_apply(state, &update);
                    }
                }
                let pending = &kept.pending.columns[..sequence.pending * sizes.channels];
                let mut columns = kept.columns.clone();
                columns.extend_from_slice(pending);
                columns.drain(..pending.len());
                LayerValues::Linear { state, columns }
            }
        }
    }
}
