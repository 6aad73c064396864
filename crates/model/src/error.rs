//! One error for whatever a model's config and weights get wrong: where, what was found, what is accepted.

use std::path::PathBuf;

use format::{DType, FormatError};
use kernels::KernelError;
use store::StoreError;

/// Why a model cannot be run. Each prints as one line.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// A field of `config.json` that is missing, out of bounds or not supported.
    #[error("{path}: {field}: found {found}, accepted: {accepted}")]
    Config { path: PathBuf, field: String, found: String, accepted: String },

    /// None of the names that a part of the model has in the layouts that are known.
    #[error("{path}: no tensor for {part}, accepted names: {accepted}")]
    UnknownLayout { path: PathBuf, part: String, accepted: String },

    #[error("{path}: tensor {}: dtype {found}, accepted: {accepted}", quoted(.tensor))]
    WrongDType { path: PathBuf, tensor: String, found: DType, accepted: &'static str },

    /// The shape that the config asks for, as the file should state it.
    #[error(
        "{path}: tensor {}: shape {found:?}, config.json asks for {accepted:?}",
        quoted(.tensor)
    )]
    WrongShape { path: PathBuf, tensor: String, found: Vec<usize>, accepted: Vec<usize> },

    /// A quantisation that is not run, or one that the config describes in another way.
    #[error("{path}: tensor {}: found {found}, accepted: {accepted}", quoted(.tensor))]
    WrongQuantization { path: PathBuf, tensor: String, found: String, accepted: String },

    /// A record file that is missing, or says something else than the config or the trunk.
    #[error("{path}: {what}: found {found}, accepted: {accepted}")]
    Records { path: PathBuf, what: String, found: String, accepted: String },

    /// A tensor that changes the result, in a place where the config knows of none.
    #[error("{path}: tensor {} is not expected: {why}", quoted(.tensor))]
    Unexpected { path: PathBuf, tensor: String, why: String },

    #[error("{path}: tensor {}: holds NaN or an infinity, accepted: finite numbers", quoted(.tensor))]
    NotFinite { path: PathBuf, tensor: String },

    #[error("{path}: layer {layer} gives NaN or an infinity, accepted: finite numbers")]
    NotFiniteLayer { path: PathBuf, layer: usize },

    #[error("{found} experts for each token, accepted: 1 to {experts}")]
    ExpertsPerToken { found: usize, experts: usize },

    /// What chose in place of the router named an expert twice, or one that is not there.
    #[error("a route names expert {found}, accepted: each of 0 to {} once", experts.saturating_sub(1))]
    Routing { found: u32, experts: usize },

    #[error(transparent)]
    Format(#[from] FormatError),

    #[error(transparent)]
    Store(#[from] StoreError),

    #[error(transparent)]
    Kernel(#[from] KernelError),
}

impl From<ModelError> for engine::ForwardError {
    fn from(error: ModelError) -> engine::ForwardError {
        engine::ForwardError::Failed(Box::new(error))
    }
}

/// Names from strangers, so that an error stays one line: control characters escaped, length cut.
pub(crate) fn quoted(name: &str) -> String {
    match name.char_indices().nth(120) {
        None => format!("{name:?}"),
        Some((end, _)) => format!("{:?}", format!("{}…", &name[..end])),
    }
}
