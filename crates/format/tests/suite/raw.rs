//! Safetensors files written by hand, so that tests can make them lie, and a small seeded generator.

use std::path::Path;

use format::{FormatError, TensorInfo};

/// The file name that errors of `parse` must carry.
pub(crate) const NAME: &str = "dir/lie.safetensors";

/// A file with this header and that many bytes of data.
pub(crate) fn file(json: &str, data_bytes: usize) -> Vec<u8> {
    let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(json.as_bytes());
    bytes.resize(bytes.len() + data_bytes, 0x5a);
    bytes
}

/// The header of a file that is given whole.
pub(crate) fn parse(file: &[u8]) -> Result<Vec<TensorInfo>, FormatError> {
    format::parse_header(Path::new(NAME), file, file.len() as u64)
}

/// What an error must be: one line of readable length that says all of `parts`.
pub(crate) fn check_message(case: &str, error: &FormatError, parts: &[&str]) {
    let message = error.to_string();
    for part in parts {
        assert!(message.contains(part), "{case}: {part:?} is not in {message:?}");
    }
    assert!(!message.contains(['\n', '\r', '\0']), "{case}: more than one line: {message:?}");
    assert!(message.chars().count() < 800, "{case}: too long: {message:?}");
}

/// SplitMix64: the same numbers on every machine.
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 up to, not including, `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}
