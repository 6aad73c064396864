//! Why a tokenizer could not be loaded or a text not be encoded.

use std::path::PathBuf;

use crate::brief::brief;

/// What can go wrong with a tokenizer. Each message is one line: where, what was found, what is
/// accepted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenizerError {
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is larger than any tokenizer is.
    #[error("{}: {found_bytes} bytes; a tokenizer has at most {limit_bytes}", path.display())]
    Size {
        /// The file.
        path: PathBuf,
        /// Its length.
        found_bytes: u64,
        /// The most that is read.
        limit_bytes: u64,
    },
    /// The file is not text.
    #[error("{origin}: not UTF-8 at byte {at}")]
    NotUtf8 {
        /// Where the bytes came from.
        origin: String,
        /// The first byte that cannot be.
        at: usize,
    },
    /// The file is not JSON of the known form.
    #[error("{origin}: {}", brief(.source))]
    Json {
        /// Where the bytes came from.
        origin: String,
        /// What the parser said, with line and column.
        source: serde_json::Error,
    },
    /// A tokenizer of another kind.
    #[error("{origin}: {} is {}; accepted: {accepted}", brief(.what), brief(.found))]
    Unsupported {
        /// Where the bytes came from.
        origin: String,
        /// The part that is not supported.
        what: String,
        /// What it is.
        found: String,
        /// What would be accepted.
        accepted: &'static str,
    },
    /// A vocabulary that contradicts itself.
    #[error("{origin}: {}", brief(.what))]
    Vocabulary {
        /// Where the bytes came from.
        origin: String,
        /// What is wrong with it.
        what: String,
    },
    /// The split pattern gave up in the middle of a text.
    #[error("the tokenizer cannot split this text, it gives up at byte {at} of {len}: {why}")]
    Pattern {
        /// Where in the text.
        at: usize,
        /// Length of the text in bytes.
        len: usize,
        /// What the pattern's engine said.
        why: String,
    },
    /// The encoder failed.
    #[error("the tokenizer cannot encode this text: {0}")]
    Encode(String),
}

impl TokenizerError {
    /// A [`TokenizerError::Unsupported`] for something found in a file.
    pub(super) fn unsupported(
        origin: &str,
        what: impl Into<String>,
        found: impl ToString,
        accepted: &'static str,
    ) -> Self {
        let (origin, found) = (origin.to_owned(), found.to_string());
        Self::Unsupported { origin, what: what.into(), found, accepted }
    }

    /// A [`TokenizerError::Vocabulary`].
    pub(super) fn vocabulary(origin: &str, what: impl Into<String>) -> Self {
        Self::Vocabulary { origin: origin.to_owned(), what: what.into() }
    }
}
