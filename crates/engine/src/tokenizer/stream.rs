//! Ids to text while they are being made, never half a character.

use super::Tokenizer;

/// Decodes id by id. All that was returned, joined, is what [`Tokenizer::decode`] gives for the
/// same ids.
#[derive(Clone, Debug)]
pub struct DecodeStream<'t> {
    tokenizer: &'t Tokenizer,
    skip_special: bool,
    /// The beginning of a character whose end has not come yet: at most 3 bytes.
    held: Vec<u8>,
}

impl<'t> DecodeStream<'t> {
    pub(super) fn new(tokenizer: &'t Tokenizer, skip_special: bool) -> Self {
        Self { tokenizer, skip_special, held: Vec::new() }
    }

    /// Takes one more id and returns the characters that are now whole, perhaps none.
    pub fn push(&mut self, id: u32) -> String {
        if self.skip_special && self.tokenizer.is_special(id) {
            return String::new();
        }
        let Some(bytes) = self.tokenizer.token_bytes(id) else { return String::new() };
        self.held.extend_from_slice(bytes);
        let mut out = String::new();
        let mut whole = 0;
        for chunk in self.held.utf8_chunks() {
            out.push_str(chunk.valid());
            whole += chunk.valid().len();
            let invalid = chunk.invalid();
            if whole + invalid.len() == self.held.len() && may_go_on(invalid) {
                break;
            }
            if !invalid.is_empty() {
                out.push(char::REPLACEMENT_CHARACTER);
                whole += invalid.len();
            }
        }
        self.held.drain(..whole);
        out
    }

    /// Ends the stream: a character that never became whole is U+FFFD.
    pub fn finish(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.held)).into_owned()
    }
}

/// Whether bytes at the end of a text are the beginning of a character.
fn may_go_on(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}
