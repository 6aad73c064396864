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
                let (kv, dim) = (cache.kind, config.head_dim);
                let row_bytes = kv.row_bytes(dim);
                let used = |array: &[u8]| -> Vec<f32> {
                    let heads = array.chunks_exact((sequence.capacity * row_bytes).max(1));
                    let rows =
                        heads.flat_map(|head| head.chunks_exact(row_bytes).take(sequence.position));
                    let mut floats = vec![0.0; rows.clone().count() * dim];
                    rows.zip(floats.chunks_exact_mut(dim)).for_each(|(row, to)| kv.read(row, to));
                    floats
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
