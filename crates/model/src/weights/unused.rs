//! What is left of a catalog when the trunk and its experts have their tensors: kept, ignored or refused.

use std::collections::BTreeSet;

use format::{Catalog, DType, TensorInfo};

use crate::config::Config;
use crate::error::ModelError;

/// A tensor that no part of the model reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unused {
    pub kind: UnusedKind,
    pub name: String,
    pub dtype: DType,
    pub shape: Vec<usize>,
    pub bytes: u64,
}

/// Why it is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum UnusedKind {
    /// The vision tower: text is all that is run.
    Vision,
    /// Blocks that draft further ids: not run yet.
    Mtp,
    /// No part of a model is known by this name.
    Other,
}

impl UnusedKind {
    fn of(name: &str) -> UnusedKind {
        const VISION: [&str; 4] =
            ["model.visual.", "visual.", "vision_tower.", "model.vision_tower."];
        const MTP: [&str; 4] =
            ["mtp.", "model.mtp.", "language_model.mtp.", "model.language_model.mtp."];
        let begins = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
        if begins(&VISION) {
            UnusedKind::Vision
        } else if begins(&MTP) {
            UnusedKind::Mtp
        } else {
            UnusedKind::Other
        }
    }
}

/// Last parts of names that belong to quantisations which are not run.
const FOREIGN: [&str; 17] = [
    "weight_packed",
    "weight_scale",
    "weight_scale_2",
    "weight_global_scale",
    "weight_zero_point",
    "weight_shape",
    "weight_g_idx",
    "input_scale",
    "input_global_scale",
    "qweight",
    "qzeros",
    "g_idx",
    "absmax",
    "quant_map",
    "nested_absmax",
    "SCB",
    "weight_format",
];

const RUN: &str = "F32, F16, BF16, MLX affine (U32 weight, scales, biases), block-FP8 (F8_E4M3 weight, weight_scale_inv)";

/// Quantisations that are not run show themselves by tensors beside or in place of the weights.
/// Asked first: what else would be reported is a weight that is missing under its usual name.
pub(super) fn refuse_foreign(catalog: &Catalog) -> Result<(), ModelError> {
    let of_text = |tensor: &&TensorInfo| UnusedKind::of(&tensor.name) == UnusedKind::Other;
    for tensor in catalog.iter().filter(of_text) {
        let last = tensor.name.rsplit_once('.').map_or(tensor.name.as_str(), |(_, last)| last);
        let foreign = FOREIGN.contains(&last);
        if foreign || matches!(tensor.dtype, DType::U8 | DType::F8E8M0) {
            let what = if foreign { "quantisation data" } else { "packed data" };
            return Err(ModelError::WrongQuantization {
                path: catalog.path_of(tensor).into(),
                tensor: tensor.name.clone(),
                found: format!("{what} of dtype {}", tensor.dtype),
                accepted: RUN.to_owned(),
            });
        }
    }
    Ok(())
}

/// The tensors that are not in `used`. Those which show that the config describes a smaller model,
/// or that would change a result, are refused.
pub(super) fn rest(
    config: &Config,
    catalog: &Catalog,
    trunk: &str,
    used: &BTreeSet<&str>,
) -> Result<Vec<Unused>, ModelError> {
    let mut rest = Vec::new();
    for tensor in catalog.iter().filter(|tensor| !used.contains(tensor.name.as_str())) {
        if let Some(why) = why_refused(config, trunk, used, &tensor.name) {
            let (path, tensor) = (catalog.path_of(tensor).into(), tensor.name.clone());
            return Err(ModelError::Unexpected { path, tensor, why });
        }
        rest.push(Unused {
            kind: UnusedKind::of(&tensor.name),
            name: tensor.name.clone(),
            dtype: tensor.dtype,
            shape: tensor.shape.clone(),
            bytes: tensor.bytes,
        });
    }
    Ok(rest)
}

fn why_refused(config: &Config, trunk: &str, used: &BTreeSet<&str>, name: &str) -> Option<String> {
    let below = name.strip_prefix(trunk)?;
    if let Some(module) = name.strip_suffix(".bias")
        && used.contains(format!("{module}.weight").as_str())
    {
        return Some("biases of matrices and norms are not run".to_owned());
    }
    let (layer, below) = below.strip_prefix("layers.")?.split_once('.')?;
    if layer.parse().is_ok_and(|layer: usize| layer >= config.layers()) {
        return Some(format!("config.json has num_hidden_layers {}", config.layers()));
    }
    let (expert, _) = below.strip_prefix("mlp.experts.")?.split_once('.')?;
    let beyond = expert.parse().is_ok_and(|expert: usize| expert >= config.experts);
    beyond.then(|| format!("config.json has num_experts {}", config.experts))
}
