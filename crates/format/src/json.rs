//! Bounded reading of small JSON files, with errors that say where in the file the fault is.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use serde_json::Value;

use crate::FormatError;

/// The JSON value in the file at `path`.
///
/// # Errors
/// When the file cannot be read, has more than `max_bytes` bytes, is not UTF-8 or is not one JSON
/// value.
pub fn read_json(path: &Path, max_bytes: u64) -> Result<Value, FormatError> {
    parse_json(path, &read_small(path, max_bytes)?)
}

/// The JSON value in `bytes`; `path` is where they came from, for errors.
///
/// # Errors
/// When `bytes` is not UTF-8 or not one JSON value.
pub fn parse_json(path: &Path, bytes: &[u8]) -> Result<Value, FormatError> {
    serde_json::from_str(text(path, bytes, 0)?).map_err(|error| fault(path, "", &error))
}

/// The whole file at `path`.
pub(crate) fn read_small(path: &Path, max_bytes: u64) -> Result<Vec<u8>, FormatError> {
    let (file, bytes) = open_file(path)?;
    let too_large = |found| FormatError::TooLarge { path: path.into(), found, accepted: max_bytes };
    if bytes > max_bytes {
        return Err(too_large(bytes));
    }
    let mut content = Vec::new();
    // The file may grow while it is read: the bound holds for what is read, not for what was said.
    let read = file.take(max_bytes.saturating_add(1)).read_to_end(&mut content);
    read.map_err(|error| FormatError::Io { path: path.into(), action: "read", error })?;
    match content.len() as u64 {
        found if found > max_bytes => Err(too_large(found)),
        _ => Ok(content),
    }
}

/// A regular file and its length.
pub(crate) fn open_file(path: &Path) -> Result<(File, u64), FormatError> {
    let io = |action| move |error| FormatError::Io { path: path.into(), action, error };
    // Asked before it is opened: opening a named pipe would wait for a writer for ever.
    let kind = fs::metadata(path).map_err(io("open"))?;
    if !kind.is_file() {
        let found = if kind.is_dir() { "a directory" } else { "no regular file" };
        return Err(io("open")(io::Error::other(format!("it is {found}"))));
    }
    let file = File::open(path).map_err(io("open"))?;
    let bytes = file.metadata().map_err(io("open"))?.len();
    Ok((file, bytes))
}

/// `bytes` as text; `offset` is where they begin in the file.
pub(crate) fn text<'a>(path: &Path, bytes: &'a [u8], offset: u64) -> Result<&'a str, FormatError> {
    str::from_utf8(bytes).map_err(|error| FormatError::NotUtf8 {
        path: path.into(),
        at: offset + error.valid_up_to() as u64,
    })
}

/// The parser's error with its position taken out of the sentence.
pub(crate) fn fault(path: &Path, place: &'static str, error: &serde_json::Error) -> FormatError {
    let (line, column) = (error.line(), error.column());
    let mut what = error.to_string();
    if let Some(sentence) = what.strip_suffix(&format!(" at line {line} column {column}")) {
        what.truncate(sentence.len());
    }
    FormatError::Json { path: path.into(), place, line, column, what }
}
