//! Why a synthetic checkpoint was not written.

use std::io;
use std::path::PathBuf;

use crate::error::ModelError;
use crate::tiny::TinyError;

/// A refusal or a failure of [`super::write`]. Each prints as one line.
#[derive(Debug, thiserror::Error)]
pub enum SynthError {
    /// Dimensions that no model can have.
    #[error(transparent)]
    Spec(#[from] TinyError),

    /// Dimensions that are not run.
    #[error(transparent)]
    Model(#[from] ModelError),

    /// An order that cannot be written.
    #[error("synthetic model: {field}: found {found}, accepted: {accepted}")]
    Order { field: &'static str, found: usize, accepted: String },

    #[error(
        "{}: is not of this synthetic model, accepted: an empty directory, or one that was begun \
         with the same arguments", path.display()
    )]
    Other { path: PathBuf },

    /// The disk has no room.
    #[error(
        "{}: {needed_bytes} bytes are needed, {free_bytes} bytes are free", path.display()
    )]
    Full { path: PathBuf, needed_bytes: u64, free_bytes: u64 },

    #[error("{}: cannot be read: {error}", path.display())]
    Read { path: PathBuf, error: io::Error },

    #[error("{}: cannot be written: {error}", path.display())]
    Write { path: PathBuf, error: io::Error },

    /// What was written so far is kept, for the next time.
    #[error("writing was cancelled")]
    Cancelled,
}
