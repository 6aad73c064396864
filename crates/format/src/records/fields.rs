//! Small pieces that headers and manifests are made of: hashes as text, and refusals of a field.

use std::fmt::{Display, Write as _};
use std::path::Path;

use crate::FormatError;

/// A field that says something else than it may.
pub(super) fn refuse(
    path: &Path,
    field: impl Display,
    found: impl Display,
    accepted: impl Display,
) -> FormatError {
    FormatError::Field {
        path: path.into(),
        field: field.to_string(),
        found: found.to_string(),
        accepted: accepted.to_string(),
    }
}

/// Bytes as lower-case digits, the first byte first.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// What [`hex`] wrote; `None` for anything else, upper case too.
pub(super) fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != N || !rest.is_empty() {
        return None;
    }
    let digit = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}
