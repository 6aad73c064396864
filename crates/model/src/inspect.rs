//! What a model is made of and what a step of it costs: the numbers behind the command `inspect`.

mod json;

use std::collections::BTreeMap;

use format::{Catalog, TensorInfo};

use crate::config::Config;
use crate::weights::{
    LayerSource, MatrixSource, MixerSource, Projection, UnusedKind, VectorSource, Weights,
};

/// A model as its files describe it.
#[derive(Clone, Debug)]
pub struct Inspection {
    pub config: Config,
    /// Every tensor of the catalog counts in one of them, and once for each layer that uses it.
    pub classes: Vec<ClassSize>,
    /// What stays in memory.
    pub trunk_bytes: u64,
    /// All experts of all layers.
    pub expert_bytes: u64,
    /// One expert, the largest where layers differ.
    pub record_bytes: u64,
    /// Reads that one expert takes, the most where layers differ.
    pub record_extents: usize,
    /// Weights that one id meets: the trunk, of which the embedding counts as one row unless it is
    /// the output matrix too, and the chosen experts of every layer.
    pub touched_bytes_per_token: u64,
    /// The trunk's share of that.
    pub trunk_bytes_per_token: u64,
    /// Tensors that nothing reads.
    pub ignored: Vec<Ignored>,
    /// Tensors that lie in a file but not in the index, which nothing can read.
    pub unlisted: Vec<TensorInfo>,
}

/// A tensor that nothing reads, and its class.
pub type Ignored = crate::weights::Unused;

/// Tensors of one class that are stored alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassSize {
    pub class: Class,
    /// Such as `bf16` or `4-bit g64 bf16`.
    pub dtype: String,
    /// Tensors of the catalog, scales and biases counted too.
    pub tensors: usize,
    /// Weights that they hold; for tensors that are not read, elements.
    pub weights: u64,
    /// Scales and biases counted too.
    pub bytes: u64,
}

impl ClassSize {
    /// Bits that a weight takes, its share of scales and biases counted too.
    pub fn bits_per_weight(&self) -> f64 {
        match self.weights {
            0 => 0.0,
            weights => 8.0 * self.bytes as f64 / weights as f64,
        }
    }
}

/// What a tensor is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    Embed,
    Norms,
    LinearAttention,
    FullAttention,
    Router,
    SharedExpert,
    Experts,
    Head,
    Mtp,
    Vision,
    Other,
}

impl Class {
    pub const fn name(self) -> &'static str {
        match self {
            Class::Embed => "embed",
            Class::Norms => "norms",
            Class::LinearAttention => "linear_attention",
            Class::FullAttention => "full_attention",
            Class::Router => "router",
            Class::SharedExpert => "shared_expert",
            Class::Experts => "experts",
            Class::Head => "head",
            Class::Mtp => "mtp",
            Class::Vision => "vision",
            Class::Other => "other",
        }
    }
}

impl From<UnusedKind> for Class {
    fn from(kind: UnusedKind) -> Class {
        match kind {
            UnusedKind::Vision => Class::Vision,
            UnusedKind::Mtp => Class::Mtp,
            UnusedKind::Other => Class::Other,
        }
    }
}

impl Inspection {
    /// Counts what `weights`, bound to `catalog`, are made of.
    pub fn new(config: &Config, catalog: &Catalog, weights: &Weights) -> Inspection {
        let mut count = Count::default();
        count.matrix(Class::Embed, &weights.embed);
        for layer in &weights.layers {
            count.layer(layer);
        }
        count.vector(Class::Norms, &weights.norm);
        if let Some(head) = &weights.head {
            count.matrix(Class::Head, head);
        }
        let trunk_bytes = count.bytes();
        for layer in &weights.layers {
            count.experts(layer, config.experts as u64);
        }
        let expert_bytes = count.bytes() - trunk_bytes;
        for unused in &weights.unused {
            let dtype = unused.dtype.name().to_lowercase();
            let elements = unused.bytes / unused.dtype.bytes() as u64;
            count.add(unused.kind.into(), dtype, 1, elements, unused.bytes);
        }
        let records = || weights.layers.iter().map(|layer| layer.experts.record_bytes() as u64);
        let embed_bytes = matrix_bytes(&weights.embed);
        // A tied embedding is read whole, as the output matrix.
        let skipped = match weights.head {
            Some(_) => embed_bytes - embed_bytes / config.vocab_size as u64,
            None => 0,
        };
        let chosen: u64 = records().map(|bytes| bytes * config.experts_per_token as u64).sum();
        let extents = weights.layers.iter().map(|layer| layer.experts.extents_per_record);
        Inspection {
            config: config.clone(),
            classes: count.classes(),
            trunk_bytes,
            expert_bytes,
            record_bytes: records().max().unwrap_or(0),
            record_extents: extents.max().unwrap_or(0),
            touched_bytes_per_token: trunk_bytes - skipped + chosen,
            trunk_bytes_per_token: trunk_bytes - skipped,
            ignored: weights.unused.clone(),
            unlisted: catalog.unlisted.clone(),
        }
    }

    /// The same as one JSON object, under the names that all commands share.
    pub fn to_json(&self) -> serde_json::Value {
        json::inspection(self)
    }
}

/// Bytes of all planes.
fn matrix_bytes(matrix: &MatrixSource) -> u64 {
    let planes = [Some(matrix.weights), matrix.scales, matrix.biases];
    planes.into_iter().flatten().map(|plane| plane.bytes as u64).sum()
}

/// Tensors, weights and bytes, by class and storage.
#[derive(Default)]
struct Count(BTreeMap<(Class, String), (usize, u64, u64)>);

impl Count {
    fn add(&mut self, class: Class, dtype: String, tensors: usize, weights: u64, bytes: u64) {
        let sizes = self.0.entry((class, dtype)).or_default();
        sizes.0 += tensors;
        sizes.1 += weights;
        sizes.2 += bytes;
    }

    fn bytes(&self) -> u64 {
        self.0.values().map(|(_, _, bytes)| bytes).sum()
    }

    fn classes(self) -> Vec<ClassSize> {
        let class = |((class, dtype), (tensors, weights, bytes))| ClassSize {
            class,
            dtype,
            tensors,
            weights,
            bytes,
        };
        self.0.into_iter().map(class).collect()
    }

    fn matrix(&mut self, class: Class, matrix: &MatrixSource) {
        let planes = 1 + matrix.scales.iter().len() + matrix.biases.iter().len();
        let weights = matrix.rows as u64 * matrix.cols as u64;
        self.add(class, matrix.quant.to_string(), planes, weights, matrix_bytes(matrix));
    }

    fn vector(&mut self, class: Class, vector: &VectorSource) {
        let dtype = vector.dtype.name().to_lowercase();
        self.add(class, dtype, 1, vector.len as u64, vector.extent.bytes as u64);
    }

    fn layer(&mut self, layer: &LayerSource) {
        self.vector(Class::Norms, &layer.input_norm);
        self.vector(Class::Norms, &layer.post_norm);
        self.mixer(&layer.mixer);
        self.matrix(Class::Router, &layer.router);
        let shared = &layer.shared;
        for matrix in [&shared.gate, &shared.up, &shared.down, &layer.shared_gate] {
            self.matrix(Class::SharedExpert, matrix);
        }
    }

    fn mixer(&mut self, mixer: &MixerSource) {
        match mixer {
            MixerSource::Full(full) => {
                for matrix in [&full.q, &full.k, &full.v, &full.o] {
                    self.matrix(Class::FullAttention, matrix);
                }
                self.vector(Class::Norms, &full.q_norm);
                self.vector(Class::Norms, &full.k_norm);
            }
            MixerSource::Linear(linear) => {
                let matrices = match &linear.projection {
                    Projection::Split { qkv, z, b, a } => vec![qkv, z, b, a, &linear.out],
                    Projection::Fused { qkvz, ba, .. } => vec![qkvz, ba, &linear.out],
                };
                for matrix in matrices {
                    self.matrix(Class::LinearAttention, matrix);
                }
                for vector in [&linear.conv, &linear.a_log, &linear.dt_bias] {
                    self.vector(Class::LinearAttention, vector);
                }
                self.vector(Class::Norms, &linear.norm);
            }
        }
    }

    /// The tensors of a layer's experts are shared out over its matrices by their planes.
    fn experts(&mut self, layer: &LayerSource, records: u64) {
        let experts = &layer.experts;
        // In one piece lie several tensors: as many as there are planes.
        let whole = experts.extents_per_record == 1;
        let per_extent = if whole { 1 } else { experts.tensors / experts.extents_per_record };
        let mut seen = vec![false; experts.extents_per_record];
        for piece in [&experts.gate, &experts.up, &experts.down] {
            let planes = [Some(&piece.weights), piece.scales.as_ref(), piece.biases.as_ref()];
            let (mut tensors, mut bytes) = (0, 0);
            for plane in planes.into_iter().flatten() {
                bytes += records * plane.range.len() as u64;
                if !std::mem::replace(&mut seen[plane.extent], true) || whole {
                    tensors += per_extent;
                }
            }
            let weights = records * piece.rows as u64 * piece.cols as u64;
            self.add(Class::Experts, piece.quant.to_string(), tensors, weights, bytes);
        }
    }
}
