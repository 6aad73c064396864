//! Why a checkpoint was not repacked, or is not what it should be.

use std::io;
use std::path::PathBuf;

use format::FormatError;

use crate::error::{ModelError, quoted};

/// The end of a repack or of a check. Each prints as one line.
#[derive(Debug, thiserror::Error)]
pub enum RepackError {
    #[error("{path}: cannot {action}: {error}")]
    Io { path: PathBuf, action: &'static str, error: io::Error },

    #[error("{path}: is the checkpoint itself, accepted: another directory")]
    Same { path: PathBuf },

    #[error("{path}: is repacked already, accepted: a checkpoint as it was published")]
    Repacked { path: PathBuf },

    #[error("{path}: holds {}, accepted: a new or empty directory, or one that a repack left", quoted(.found))]
    NotEmpty { path: PathBuf, found: String },

    #[error("{path}: holds another checkpoint: {what}, accepted: a new or empty directory")]
    Other { path: PathBuf, what: String },

    #[error("{path}: another repack writes into this directory")]
    Busy { path: PathBuf },

    #[error("{path}: {needed_bytes} bytes are needed, {free_bytes} bytes are free")]
    Full { path: PathBuf, needed_bytes: u64, free_bytes: u64 },

    #[error("{path}: changed while it was read")]
    Changed { path: PathBuf },

    /// Bytes that are not what a checksum or the source says. `at` is where they are, in words.
    #[error("{path}: {at}: {what}")]
    Damaged { path: PathBuf, at: String, what: String },

    #[error("{path}: is not repacked, accepted: a repacked checkpoint where a source is named")]
    NothingToCompare { path: PathBuf },

    #[error("cancelled")]
    Cancelled,

    #[error(transparent)]
    Model(Box<ModelError>),

    #[error(transparent)]
    Format(#[from] FormatError),
}

impl RepackError {
    pub(super) fn io(
        path: &std::path::Path,
        action: &'static str,
    ) -> impl FnOnce(io::Error) -> RepackError {
        move |error| RepackError::Io { path: path.into(), action, error }
    }
}

impl From<ModelError> for RepackError {
    fn from(error: ModelError) -> RepackError {
        RepackError::Model(Box::new(error))
    }
}
