//! Why a tiny model cannot be written, with the field or the file it is about.

use std::path::PathBuf;

/// A refusal of [`super::write`].
#[derive(Debug, thiserror::Error)]
pub enum TinyError {
    /// Dimensions that no model can have, or a form that the layout was never published in.
    #[error("tiny model, {field}: found {found}, expected {expected}")]
    Spec { field: &'static str, found: String, expected: String },
    #[error("tiny model, {}: cannot write: {source}", path.display())]
    Write { path: PathBuf, source: std::io::Error },
    #[error("tiny model, {}: {source}", path.display())]
    Serialize { path: PathBuf, source: safetensors::SafeTensorError },
}

/// `Ok` where `holds`, otherwise a [`TinyError::Spec`].
pub(crate) fn require(
    holds: bool,
    field: &'static str,
    found: impl ToString,
    expected: impl ToString,
) -> Result<(), TinyError> {
    if holds {
        return Ok(());
    }
    Err(TinyError::Spec { field, found: found.to_string(), expected: expected.to_string() })
}
