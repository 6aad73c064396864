//! The byte-level alphabet: which bytes a token's printed form stands for.

use super::AddedToken;

/// The bytes of every token, in one block.
#[derive(Debug)]
pub(super) struct TokenBytes {
    block: Vec<u8>,
    /// `ends[id]` closes the bytes of `id`; an id without bytes is a hole.
    ends: Vec<u32>,
}

impl TokenBytes {
    /// Takes (printed form, id) of the vocabulary and the added tokens; ids are unique.
    pub(super) fn new(base: &[(&str, u32)], added: &[AddedToken]) -> Self {
        let alphabet = Alphabet::new();
        let all = base.iter().copied().chain(added.iter().map(|t| (t.content.as_str(), t.id)));
        let size = all.clone().map(|(_, id)| id as usize + 1).max().unwrap_or(0);
        let mut printed: Vec<&str> = vec![""; size];
        for (text, id) in all {
            printed[id as usize] = text;
        }
        let mut block = Vec::new();
        let mut ends = Vec::with_capacity(size);
        for text in printed {
            alphabet.append_bytes(text, &mut block);
            ends.push(u32::try_from(block.len()).unwrap_or(u32::MAX));
        }
        Self { block, ends }
    }

    pub(super) fn size(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn get(&self, id: u32) -> Option<&[u8]> {
        let id = id as usize;
        let end = *self.ends.get(id)? as usize;
        let start = if id == 0 { 0 } else { self.ends[id - 1] as usize };
        Some(&self.block[start..end]).filter(|bytes| !bytes.is_empty())
    }
}

/// Both directions of the map between bytes and the characters that print them.
struct Alphabet {
    /// Character codes are below 512; `u16::MAX` where no byte is printed so.
    byte_of: [u16; 512],
}

impl Alphabet {
    fn new() -> Self {
        let mut byte_of = [u16::MAX; 512];
        for byte in 0..=255u8 {
            byte_of[char_of(byte) as usize] = u16::from(byte);
        }
        Self { byte_of }
    }

    /// A token with any character outside the alphabet stands for its own UTF-8 bytes.
    fn append_bytes(&self, printed: &str, out: &mut Vec<u8>) {
        let start = out.len();
        for c in printed.chars() {
            let byte = self.byte_of.get(c as usize).and_then(|byte| u8::try_from(*byte).ok());
            let Some(byte) = byte else {
                out.truncate(start);
                out.extend_from_slice(printed.as_bytes());
                return;
            };
            out.push(byte);
        }
    }
}

/// The character that prints a byte: itself where it is visible, else the next free one from
/// U+0100 on.
pub(super) fn char_of(byte: u8) -> char {
    let visible = |b: u8| matches!(b, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
    if visible(byte) {
        return char::from(byte);
    }
    let unseen_before = (0..byte).filter(|b| !visible(*b)).count();
    // At most 68 bytes are not visible.
    char::from_u32(0x100 + unseen_before as u32).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// A text as the vocabulary prints it.
pub(super) fn byte_level(text: &str) -> String {
    text.bytes().map(char_of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alphabet_is_a_bijection_with_the_known_marks() {
        let chars: std::collections::HashSet<char> = (0..=255).map(char_of).collect();
        assert_eq!(chars.len(), 256, "every byte has a character of its own");
        for (byte, c) in [(b' ', 'Ġ'), (b'\n', 'Ċ'), (b'a', 'a'), (0xAD, 'Ń'), (0, 'Ā')] {
            assert_eq!(char_of(byte), c, "byte {byte:#x}");
        }
        let alphabet = Alphabet::new();
        for byte in 0..=255u8 {
            let mut out = Vec::new();
            alphabet.append_bytes(&char_of(byte).to_string(), &mut out);
            assert_eq!(out, [byte], "byte {byte:#x} and back");
        }
    }

    #[test]
    fn holes_and_foreign_characters() {
        let added = [AddedToken { id: 4, content: "<｜end｜>".to_owned(), special: true }];
        let table = TokenBytes::new(&[("Ġa", 0), ("b", 2)], &added);
        assert_eq!(table.size(), 5, "one more than the highest id");
        assert_eq!(table.get(0), Some(&b" a"[..]), "first");
        assert_eq!(table.get(1), None, "hole");
        assert_eq!(table.get(2), Some(&b"b"[..]), "after a hole");
        assert_eq!(table.get(4), Some("<｜end｜>".as_bytes()), "outside the alphabet");
        assert_eq!(table.get(5), None, "beyond the end");
    }
}
