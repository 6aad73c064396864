//! Where every weight of a model lies, by the names that each published layout has for it.

mod bind;
mod experts;
mod matrix;
mod order;
mod repacked;
mod unused;

use std::ops::Range;
use std::sync::Arc;

use format::{Catalog, DType};
use kernels::Quant;
use store::{Bank, Extent};

pub use order::RowOrder;
pub use unused::{Unused, UnusedKind};

use crate::config::Config;
use crate::error::ModelError;

/// The weights of a whole model. Nothing of it was read yet but the headers.
#[derive(Clone, Debug)]
pub struct Weights {
    /// `[vocab_size, hidden_size]`.
    pub embed: MatrixSource,
    /// One a layer, first layer first.
    pub layers: Vec<LayerSource>,
    /// Of the last hidden state: `[hidden_size]`.
    pub norm: VectorSource,
    /// `[vocab_size, hidden_size]`; `None` where the embedding is the output matrix too.
    pub head: Option<MatrixSource>,
    /// Tensors of the catalog that the trunk and its experts do not use, by ascending name.
    pub unused: Vec<Unused>,
}

/// A matrix of the trunk: up to three planes, each one extent of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct MatrixSource {
    /// The tensor that holds the weights.
    pub name: String,
    pub quant: Quant,
    /// Values that a product gives.
    pub rows: usize,
    /// Values that a product takes.
    pub cols: usize,
    pub weights: Extent,
    /// Floats: a NaN among them spoils rows, not a single weight.
    pub scales: Option<Extent>,
    pub biases: Option<Extent>,
}

/// A short tensor of floats that is not multiplied as a matrix.
#[derive(Clone, Debug, PartialEq)]
pub struct VectorSource {
    pub name: String,
    /// One of the floats that `format::decode_floats` reads.
    pub dtype: DType,
    pub extent: Extent,
    /// How many floats there are.
    pub len: usize,
    /// The file holds what has to be added to one.
    pub plus_one: bool,
}

/// One layer.
#[derive(Clone, Debug)]
pub struct LayerSource {
    pub input_norm: VectorSource,
    pub mixer: MixerSource,
    pub post_norm: VectorSource,
    /// `[experts, hidden_size]`.
    pub router: MatrixSource,
    pub shared: SharedSource,
    /// `[1, hidden_size]`.
    pub shared_gate: MatrixSource,
    pub experts: ExpertSource,
}

/// What mixes the positions.
#[derive(Clone, Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "one a layer: what a box saves is not worth its dereference"
)]
pub enum MixerSource {
    Linear(LinearSource),
    Full(FullSource),
}

/// Gated DeltaNet.
#[derive(Clone, Debug)]
pub struct LinearSource {
    pub projection: Projection,
    /// `[channels, conv_kernel]`, the oldest position's tap first.
    pub conv: VectorSource,
    /// `[value_heads]`: the logarithm of minus the decay's rate.
    pub a_log: VectorSource,
    /// `[value_heads]`.
    pub dt_bias: VectorSource,
    /// `[value_dim]`, as it stands.
    pub norm: VectorSource,
    /// `[hidden_size, value_heads * value_dim]`.
    pub out: MatrixSource,
}

/// The projections that a Gated DeltaNet layer begins with.
#[derive(Clone, Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "one a layer: what a box saves is not worth its dereference"
)]
pub enum Projection {
    /// `qkv` gives all queries, all keys, all values; `z` the output gates; `b` the betas, `a`
    /// the decays.
    Split { qkv: MatrixSource, z: MatrixSource, b: MatrixSource, a: MatrixSource },
    /// The same rows grouped by key head. After `qkvz_order` the output is that of `qkv`, then
    /// that of `z`; after `ba_order` that of `b`, then that of `a`.
    Fused { qkvz: MatrixSource, qkvz_order: RowOrder, ba: MatrixSource, ba_order: RowOrder },
}

/// Gated attention.
#[derive(Clone, Debug)]
pub struct FullSource {
    /// `[heads * 2 * head_dim, hidden_size]`: for each head its query, then its gate.
    pub q: MatrixSource,
    /// `[kv_heads * head_dim, hidden_size]`.
    pub k: MatrixSource,
    /// `[kv_heads * head_dim, hidden_size]`.
    pub v: MatrixSource,
    /// `[hidden_size, heads * head_dim]`.
    pub o: MatrixSource,
    /// `[head_dim]`.
    pub q_norm: VectorSource,
    /// `[head_dim]`.
    pub k_norm: VectorSource,
}

/// The expert that every id passes through.
#[derive(Clone, Debug)]
pub struct SharedSource {
    /// `[shared_intermediate_size, hidden_size]`.
    pub gate: MatrixSource,
    /// `[shared_intermediate_size, hidden_size]`.
    pub up: MatrixSource,
    /// `[hidden_size, shared_intermediate_size]`.
    pub down: MatrixSource,
}

/// The experts of one layer: records of the same form, each a few extents.
#[derive(Clone, Debug)]
pub struct ExpertSource {
    /// `[moe_intermediate_size, hidden_size]`.
    pub gate: Piece,
    /// `[moe_intermediate_size, hidden_size]`.
    pub up: Piece,
    /// `[hidden_size, moe_intermediate_size]`.
    pub down: Piece,
    /// 1 of a repacked checkpoint, 2 where gate and up lie together, up to 9.
    pub extents_per_record: usize,
    /// `[experts, extents_per_record]`; all records have the same lengths.
    pub extents: Vec<Extent>,
    /// How many tensors the extents are parts of.
    pub tensors: usize,
    /// Of each record's bytes ([`crate::checksum`]); empty where the files have none.
    pub checksums: Arc<[u64]>,
}

impl ExpertSource {
    /// Gate, up and down.
    pub fn pieces(&self) -> [&Piece; 3] {
        [&self.gate, &self.up, &self.down]
    }
}

/// One matrix inside a record.
#[derive(Clone, Debug, PartialEq)]
pub struct Piece {
    pub quant: Quant,
    pub rows: usize,
    pub cols: usize,
    pub weights: Plane,
    pub scales: Option<Plane>,
    pub biases: Option<Plane>,
}

/// Part of an extent of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plane {
    /// Which extent of the record.
    pub extent: usize,
    /// Bytes of that extent.
    pub range: Range<usize>,
}

impl Weights {
    /// Finds every tensor that `config` asks for, in whatever published layout `catalog` has.
    ///
    /// # Errors
    /// When a tensor is missing, has another shape or dtype than the config asks for, or is
    /// quantised in a way that is not run or not the one that the config describes; the error
    /// names the tensor.
    pub fn bind(config: &Config, catalog: &Catalog) -> Result<Weights, ModelError> {
        bind::bind(config, catalog)
    }
}

impl ExpertSource {
    /// How many experts there are.
    pub fn records(&self) -> usize {
        self.extents.len() / self.extents_per_record
    }

    /// Bytes that are read for one expert.
    pub fn record_bytes(&self) -> usize {
        self.extents[..self.extents_per_record].iter().map(|extent| extent.bytes).sum()
    }

    /// The bank that the store reads the experts from.
    ///
    /// # Errors
    /// Those of [`Bank::new`].
    pub fn bank(&self) -> Result<Bank, ModelError> {
        Ok(Bank::new(self.extents_per_record, self.extents.clone())?)
    }
}
