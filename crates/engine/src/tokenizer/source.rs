//! Where a tokenizer comes from: a tokenizer.json today, other containers later.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use super::TokenizerError;

/// No published tokenizer comes near; a file beyond it is not one.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// What a tokenizer is made from.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum TokenizerSource {
    /// A tokenizer.json as the `tokenizers` library writes it.
    Json {
        /// What messages call it: a path, mostly.
        origin: String,
        /// The file's bytes.
        bytes: Vec<u8>,
    },
}

impl TokenizerSource {
    /// Reads a tokenizer.json.
    ///
    /// # Errors
    /// [`TokenizerError::Read`], and [`TokenizerError::Size`] for files over 256 MiB.
    pub fn json_file(path: &Path) -> Result<Self, TokenizerError> {
        let read = |source| TokenizerError::Read { path: path.to_owned(), source };
        let file = File::open(path).map_err(read)?;
        let found_bytes = file.metadata().map_err(read)?.len();
        if found_bytes > FILE_BYTES_MAX {
            let (path, limit_bytes) = (path.to_owned(), FILE_BYTES_MAX);
            return Err(TokenizerError::Size { path, found_bytes, limit_bytes });
        }
        let mut bytes = Vec::new();
        file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).map_err(read)?;
        Ok(Self::Json { origin: path.display().to_string(), bytes })
    }
}
