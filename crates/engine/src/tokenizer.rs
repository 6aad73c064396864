//! Text to ids and back, exactly as the checkpoint's tokenizer has it, with the choice of whether added tokens are matched left to the caller.

mod added;
mod bytes;
mod error;
mod file;
mod plain;
mod source;
mod stop;
mod stream;

use std::ops::Range;

pub use added::AddedToken;
use added::{AddedTokens, Piece};
use bytes::{TokenBytes, byte_level};
pub use error::TokenizerError;
use plain::Plain;
pub use source::TokenizerSource;
pub use stop::{starts_thinking, stop_ids};
pub use stream::DecodeStream;

use crate::chat::Rendered;

/// A byte-level BPE tokenizer with its added tokens.
///
/// Text between two matched added tokens is always encoded as one piece, so that merges next to
/// content are those of the plain encoder.
#[derive(Debug)]
pub struct Tokenizer {
    plain: Plain,
    added: AddedTokens,
    bytes: TokenBytes,
}

impl Tokenizer {
    /// Reads and checks a tokenizer.
    ///
    /// # Errors
    /// Everything that is not a byte-level BPE tokenizer of the known form is refused by name.
    pub fn load(source: TokenizerSource) -> Result<Self, TokenizerError> {
        match source {
            TokenizerSource::Json { origin, bytes } => {
                let file = file::parse(&origin, &bytes)?;
                drop(bytes);
                Self::from_file(&origin, file)
            }
        }
    }

    fn from_file(origin: &str, file: file::TokenizerFile) -> Result<Self, TokenizerError> {
        let base: Vec<(&str, u32)> =
            file.model.vocab.iter().map(|(text, id)| (text.as_str(), *id)).collect();
        let added = AddedTokens::new(file.added_tokens);
        let bytes = TokenBytes::new(&base, added.tokens());
        let plain = Plain::new(origin, file.normalizer, file.pre_tokenizer, file.model)?;
        Ok(Self { plain, added, bytes })
    }

    /// The ids of text in which nothing is an added token, whatever it looks like.
    ///
    /// # Errors
    /// [`TokenizerError::Pattern`] when the split pattern cannot get through the text.
    pub fn encode_text(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        let mut ids = Vec::new();
        self.plain.encode(text, &mut ids)?;
        Ok(ids)
    }

    /// The ids of text in which every added token is matched, wherever it stands.
    ///
    /// # Errors
    /// As [`Tokenizer::encode_text`].
    pub fn encode_markup(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        self.encode_pieces(text, &[])
    }

    /// The ids of a rendered conversation: added tokens are matched where the template (or the
    /// model itself, earlier) wrote them, and nowhere in content.
    ///
    /// # Errors
    /// As [`Tokenizer::encode_text`].
    pub fn encode(&self, rendered: &Rendered) -> Result<Vec<u32>, TokenizerError> {
        self.encode_pieces(&rendered.text, &rendered.content)
    }

    fn encode_pieces(
        &self,
        text: &str,
        content: &[Range<usize>],
    ) -> Result<Vec<u32>, TokenizerError> {
        let mut ids = Vec::new();
        for piece in self.added.pieces(text, content) {
            match piece {
                Piece::Token(id) => ids.push(id),
                Piece::Text(range) => self.plain.encode(&text[range], &mut ids)?,
            }
        }
        Ok(ids)
    }

    /// The text of ids. Unknown ids give nothing; bytes that are no UTF-8 become U+FFFD.
    #[must_use]
    pub fn decode(&self, ids: &[u32], skip_special: bool) -> String {
        let kept = ids.iter().filter(|id| !(skip_special && self.is_special(**id)));
        let bytes: Vec<u8> =
            kept.filter_map(|id| self.token_bytes(*id)).flatten().copied().collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// A decoder that is fed id by id.
    #[must_use]
    pub fn stream(&self, skip_special: bool) -> DecodeStream<'_> {
        DecodeStream::new(self, skip_special)
    }

    /// One more than the highest id; ids from here on are padding and never sampled.
    #[must_use]
    pub fn size(&self) -> usize {
        self.bytes.size()
    }

    /// The single id of this very text: an added token, else a token of the vocabulary.
    #[must_use]
    pub fn id_of(&self, text: &str) -> Option<u32> {
        self.added.id_of(text).or_else(|| self.plain.id_of(&byte_level(text)))
    }

    /// The bytes that a token stands for; `None` where the vocabulary has a hole.
    #[must_use]
    pub fn token_bytes(&self, id: u32) -> Option<&[u8]> {
        self.bytes.get(id)
    }

    /// Whether the id is an added token that is left out of text for people.
    #[must_use]
    pub fn is_special(&self, id: u32) -> bool {
        self.added.get(id).is_some_and(|token| token.special)
    }

    /// The added tokens, by id.
    #[must_use]
    pub fn added(&self) -> &[AddedToken] {
        self.added.tokens()
    }

    /// The ids of `<think>` and `</think>`, where the tokenizer has both.
    #[must_use]
    pub fn think_ids(&self) -> Option<(u32, u32)> {
        Some((self.added.id_of("<think>")?, self.added.id_of("</think>")?))
    }
}
