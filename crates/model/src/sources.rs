//! Every matrix and vector of the trunk, one after the other, in the order of the walk.

use crate::weights::{
    LayerSource, MatrixSource, MixerSource, Projection, SharedSource, VectorSource, Weights,
};

impl Weights {
    /// Every matrix of the trunk once: a tied embedding is not named again as the head.
    pub fn matrices(&self) -> impl Iterator<Item = &MatrixSource> {
        let layers = self.layers.iter().flat_map(LayerSource::matrices);
        std::iter::once(&self.embed).chain(layers).chain(&self.head)
    }

    /// Every short vector of the trunk.
    pub fn vectors(&self) -> impl Iterator<Item = &VectorSource> {
        let layers = self.layers.iter().flat_map(LayerSource::vectors);
        layers.chain([&self.norm])
    }
}

impl LayerSource {
    /// The matrices of one layer, its experts' apart.
    pub fn matrices(&self) -> Vec<&MatrixSource> {
        let mut matrices = match &self.mixer {
            MixerSource::Full(full) => vec![&full.q, &full.k, &full.v, &full.o],
            MixerSource::Linear(linear) => {
                let mut matrices = match &linear.projection {
                    Projection::Split { qkv, z, b, a } => vec![qkv, z, b, a],
                    Projection::Fused { qkvz, ba, .. } => vec![qkvz, ba],
                };
                matrices.push(&linear.out);
                matrices
            }
        };
        let SharedSource { gate, up, down } = &self.shared;
        matrices.extend([&self.router, gate, up, down, &self.shared_gate]);
        matrices
    }

    /// The short vectors of one layer.
    pub fn vectors(&self) -> Vec<&VectorSource> {
        let mut vectors = vec![&self.input_norm, &self.post_norm];
        match &self.mixer {
            MixerSource::Full(full) => vectors.extend([&full.q_norm, &full.k_norm]),
            MixerSource::Linear(linear) => {
                vectors.extend([&linear.conv, &linear.a_log, &linear.dt_bias, &linear.norm]);
            }
        }
        vectors
    }
}
