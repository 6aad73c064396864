//! From names to places: walks through a model's layers and finds the tensors of each.

use std::collections::BTreeSet;

use format::{Catalog, DType, RecordFile, TensorInfo};
use store::Extent;

use super::{
    FullSource, LayerSource, LinearSource, MatrixSource, MixerSource, Projection, RowOrder,
    SharedSource, VectorSource, Weights, experts, matrix, repacked, unused,
};
use crate::config::{Config, Mixer};
use crate::error::ModelError;

/// What comes before the names of the trunk; the embedding shows which it is.
const TRUNKS: [&str; 3] = ["model.language_model.", "language_model.model.", "model."];

/// What the output matrix is called where it is not the embedding.
const HEADS: [&str; 2] = ["lm_head", "language_model.lm_head"];

pub(super) fn bind(config: &Config, catalog: &Catalog) -> Result<Weights, ModelError> {
    unused::refuse_foreign(catalog)?;
    let mut binder = Binder::new(config, catalog)?;
    let (vocab, hidden) = (config.vocab_size, config.hidden_size);
    let trunk = binder.trunk;
    let embed = binder.matrix(&format!("{trunk}embed_tokens"), vocab, hidden)?;
    let mut layers = Vec::with_capacity(config.layers());
    // Layers that use the tensors of another are of the same kind, and bound to the same bytes.
    for (mixer, stored) in config.mixers.iter().zip(&config.layer_alias) {
        layers.push(binder.layer(&format!("{trunk}layers.{stored}."), *mixer)?);
    }
    let norm = binder.norm(&format!("{trunk}norm"), hidden)?;
    let head = match config.tie_word_embeddings {
        true => None,
        false => Some(binder.head(vocab, hidden)?),
    };
    repacked::check_used(&binder)?;
    let unused = unused::rest(config, catalog, trunk, &binder.used)?;
    Ok(Weights { embed, layers, norm, head, unused })
}

/// The catalog, and which of its tensors were found a place for.
pub(super) struct Binder<'a> {
    pub(super) config: &'a Config,
    pub(super) catalog: &'a Catalog,
    trunk: &'static str,
    /// How the experts are stored, which goes with whether the norms hold `1 + w`.
    form: experts::Form,
    used: BTreeSet<&'a str>,
    /// The record file whose planes have their names just now.
    pub(super) record: Option<&'a RecordFile>,
    /// The layers whose record files are used.
    pub(super) used_records: BTreeSet<usize>,
}

impl<'a> Binder<'a> {
    fn new(config: &'a Config, catalog: &'a Catalog) -> Result<Binder<'a>, ModelError> {
        let embed = |trunk: &str| format!("{trunk}embed_tokens.weight");
        let trunk = TRUNKS.into_iter().find(|trunk| catalog.get(&embed(trunk)).is_some());
        let trunk = trunk.ok_or_else(|| {
            unknown(catalog, "the embedding", TRUNKS.iter().map(|trunk| embed(trunk)))
        })?;
        let form =
            experts::Form::of(catalog, &format!("{trunk}layers.{}.", config.layer_alias[0]))?;
        let (used, used_records) = (BTreeSet::new(), BTreeSet::new());
        Ok(Binder { config, catalog, trunk, form, used, record: None, used_records })
    }

    /// The tensor `name`, which is there, or the plane of that name.
    pub(super) fn take(&mut self, name: &str) -> Result<&'a TensorInfo, ModelError> {
        if let Some(record) = self.record {
            return repacked::plane(self.catalog, record, name);
        }
        let tensor = self.catalog.require(name)?;
        self.used.insert(&tensor.name);
        Ok(tensor)
    }

    fn head(&mut self, vocab: usize, hidden: usize) -> Result<MatrixSource, ModelError> {
        let named = |module: &&str| self.catalog.get(&format!("{module}.weight")).is_some();
        let module = HEADS.into_iter().find(named).ok_or_else(|| {
            let names = HEADS.iter().map(|module| format!("{module}.weight"));
            let part = "the output matrix, which tie_word_embeddings false asks for";
            unknown(self.catalog, part, names)
        })?;
        self.matrix(module, vocab, hidden)
    }

    fn layer(&mut self, at: &str, mixer: Mixer) -> Result<LayerSource, ModelError> {
        let Config { hidden_size: hidden, experts, shared_intermediate_size: shared, .. } =
            *self.config;
        Ok(LayerSource {
            input_norm: self.norm(&format!("{at}input_layernorm"), hidden)?,
            mixer: match mixer {
                Mixer::Linear => MixerSource::Linear(self.linear(&format!("{at}linear_attn."))?),
                Mixer::Full => MixerSource::Full(self.full(&format!("{at}self_attn."))?),
            },
            post_norm: self.norm(&format!("{at}post_attention_layernorm"), hidden)?,
            router: self.matrix(&format!("{at}mlp.gate"), experts, hidden)?,
            shared: SharedSource {
                gate: self.matrix(&format!("{at}mlp.shared_expert.gate_proj"), shared, hidden)?,
                up: self.matrix(&format!("{at}mlp.shared_expert.up_proj"), shared, hidden)?,
                down: self.matrix(&format!("{at}mlp.shared_expert.down_proj"), hidden, shared)?,
            },
            shared_gate: self.matrix(&format!("{at}mlp.shared_expert_gate"), 1, hidden)?,
            experts: experts::bind(self, self.form, &format!("{at}mlp."))?,
        })
    }

    fn linear(&mut self, at: &str) -> Result<LinearSource, ModelError> {
        let config = self.config;
        let (channels, kernel) = (config.conv_channels(), config.conv_kernel);
        let heads = config.linear_value_heads;
        // The order of the last two dimensions goes with whether the norms hold `1 + w`: a file
        // that mixes them was converted halfway, and nothing says what its norms hold.
        let conv = match self.form.is_mlx() {
            true => [channels, kernel, 1],
            false => [channels, 1, kernel],
        };
        Ok(LinearSource {
            projection: self.projection(at)?,
            conv: self.vector(&format!("{at}conv1d.weight"), &conv, false)?,
            a_log: self.vector(&format!("{at}A_log"), &[heads], false)?,
            dt_bias: self.vector(&format!("{at}dt_bias"), &[heads], false)?,
            norm: self.vector(&format!("{at}norm.weight"), &[config.linear_value_dim], false)?,
            out: self.matrix(
                &format!("{at}out_proj"),
                config.hidden_size,
                config.linear_values(),
            )?,
        })
    }

    /// In the fused form where its first tensor is there, else in the other.
    fn projection(&mut self, at: &str) -> Result<Projection, ModelError> {
        let config = self.config;
        let (hidden, heads) = (config.hidden_size, config.linear_value_heads);
        if self.catalog.get(&format!("{at}in_proj_qkvz.weight")).is_some() {
            let (qkvz_order, ba_order) = (RowOrder::qkvz(config), RowOrder::ba(config));
            return Ok(Projection::Fused {
                qkvz: self.matrix(&format!("{at}in_proj_qkvz"), qkvz_order.rows(), hidden)?,
                ba: self.matrix(&format!("{at}in_proj_ba"), ba_order.rows(), hidden)?,
                qkvz_order,
                ba_order,
            });
        }
        Ok(Projection::Split {
            qkv: self.matrix(&format!("{at}in_proj_qkv"), config.conv_channels(), hidden)?,
            z: self.matrix(&format!("{at}in_proj_z"), config.linear_values(), hidden)?,
            b: self.matrix(&format!("{at}in_proj_b"), heads, hidden)?,
            a: self.matrix(&format!("{at}in_proj_a"), heads, hidden)?,
        })
    }

    fn full(&mut self, at: &str) -> Result<FullSource, ModelError> {
        let Config { hidden_size: hidden, heads, kv_heads, head_dim, .. } = *self.config;
        Ok(FullSource {
            q: self.matrix(&format!("{at}q_proj"), heads * 2 * head_dim, hidden)?,
            k: self.matrix(&format!("{at}k_proj"), kv_heads * head_dim, hidden)?,
            v: self.matrix(&format!("{at}v_proj"), kv_heads * head_dim, hidden)?,
            o: self.matrix(&format!("{at}o_proj"), hidden, heads * head_dim)?,
            q_norm: self.norm(&format!("{at}q_norm"), head_dim)?,
            k_norm: self.norm(&format!("{at}k_norm"), head_dim)?,
        })
    }

    /// The weight of a norm that is zero-centred in training.
    fn norm(&mut self, module: &str, len: usize) -> Result<VectorSource, ModelError> {
        let plus_one = !self.form.is_mlx();
        self.vector(&format!("{module}.weight"), &[len], plus_one)
    }

    fn vector(
        &mut self,
        name: &str,
        shape: &[usize],
        plus_one: bool,
    ) -> Result<VectorSource, ModelError> {
        let tensor = self.take(name)?;
        if !matches!(tensor.dtype, DType::F64 | DType::F32 | DType::F16 | DType::BF16) {
            return Err(wrong_dtype(self.catalog, tensor, "F64, F32, F16, BF16"));
        }
        check_shape(self.catalog, tensor, shape)?;
        Ok(VectorSource {
            name: tensor.name.clone(),
            dtype: tensor.dtype,
            extent: whole(self.catalog, tensor)?,
            len: shape.iter().product(),
            plus_one,
        })
    }

    fn matrix(
        &mut self,
        module: &str,
        rows: usize,
        cols: usize,
    ) -> Result<MatrixSource, ModelError> {
        let found = matrix::find(self, module, &[], rows, cols)?;
        let place = |tensor| whole(self.catalog, tensor);
        Ok(MatrixSource {
            name: found.weights.name.clone(),
            quant: found.quant,
            rows,
            cols,
            weights: place(found.weights)?,
            scales: found.scales.map(place).transpose()?,
            biases: found.biases.map(place).transpose()?,
        })
    }
}

/// The bytes of a whole tensor.
pub(super) fn whole(catalog: &Catalog, tensor: &TensorInfo) -> Result<Extent, ModelError> {
    part(catalog, tensor, 1, 0)
}

/// The bytes of part `n` of the `parts` equal ones that a tensor is made of.
pub(super) fn part(
    catalog: &Catalog,
    tensor: &TensorInfo,
    parts: usize,
    n: usize,
) -> Result<Extent, ModelError> {
    let bytes = tensor.bytes / parts as u64;
    let offset = tensor.offset + n as u64 * bytes;
    let bytes = usize::try_from(bytes).map_err(|_| ModelError::Unexpected {
        path: catalog.path_of(tensor).into(),
        tensor: tensor.name.clone(),
        why: format!("{bytes} bytes are more than this machine can address"),
    })?;
    Ok(Extent { file: tensor.file, offset, bytes })
}

pub(super) fn check_shape(
    catalog: &Catalog,
    tensor: &TensorInfo,
    accepted: &[usize],
) -> Result<(), ModelError> {
    if tensor.shape == accepted {
        return Ok(());
    }
    Err(ModelError::WrongShape {
        path: catalog.path_of(tensor).into(),
        tensor: tensor.name.clone(),
        found: tensor.shape.clone(),
        accepted: accepted.to_vec(),
    })
}

pub(super) fn wrong_dtype(
    catalog: &Catalog,
    tensor: &TensorInfo,
    accepted: &'static str,
) -> ModelError {
    ModelError::WrongDType {
        path: catalog.path_of(tensor).into(),
        tensor: tensor.name.clone(),
        found: tensor.dtype,
        accepted,
    }
}

/// None of several names is there.
pub(super) fn unknown(
    catalog: &Catalog,
    part: &str,
    names: impl Iterator<Item = String>,
) -> ModelError {
    let accepted: Vec<String> = names.collect();
    ModelError::UnknownLayout {
        path: catalog.path.clone(),
        part: part.to_owned(),
        accepted: accepted.join(", "),
    }
}
