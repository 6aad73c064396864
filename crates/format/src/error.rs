//! One error for everything a file can get wrong: where it is, what was found, what is accepted.

use std::io;
use std::path::PathBuf;

use crate::DType;

/// What a file, a directory or an index got wrong. Each prints as one line.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    #[error("{path}: cannot {action}: {error}")]
    Io { path: PathBuf, action: &'static str, error: io::Error },

    #[error("{path}: found {found}, {expected}")]
    NotAModel { path: PathBuf, found: &'static str, expected: &'static str },

    #[error("{path}: the file has {found} bytes, accepted are at most {accepted}")]
    TooLarge { path: PathBuf, found: u64, accepted: u64 },

    #[error("{path}: byte {at} is not UTF-8")]
    NotUtf8 { path: PathBuf, at: u64 },

    /// JSON that cannot be read or is not of the expected form. `place` says in which part of the
    /// file lines and columns are counted; it is empty when that is the whole file.
    #[error("{path}: {place}line {line}, column {column}: {}", brief(.what))]
    Json { path: PathBuf, place: &'static str, line: usize, column: usize, what: String },

    #[error("{path}: the file has {found} bytes, a safetensors file has at least 8")]
    NoHeader { path: PathBuf, found: u64 },

    #[error("{path}: the header claims {found} bytes, accepted are 1 to {accepted}")]
    HeaderLength { path: PathBuf, found: u64, accepted: u64 },

    #[error("{path}: the header claims {claimed} bytes, the file has {found} left for it")]
    HeaderCut { path: PathBuf, claimed: u64, found: u64 },

    #[error("{path}: tensor {} is declared twice", quoted(.tensor))]
    DuplicateTensor { path: PathBuf, tensor: String },

    #[error(
        "{path}: tensor {}: dtype {} is unknown, accepted are {}",
        quoted(.tensor), quoted(.found), dtype_names()
    )]
    UnknownDType { path: PathBuf, tensor: String, found: String },

    #[error("{path}: tensor {}: {found} dimensions, accepted are at most {accepted}", quoted(.tensor))]
    TooManyDims { path: PathBuf, tensor: String, found: usize, accepted: usize },

    #[error("{path}: tensor {}: shape {shape:?} of {dtype} is too large to count", quoted(.tensor))]
    ShapeOverflow { path: PathBuf, tensor: String, dtype: DType, shape: Vec<u64> },

    #[error(
        "{path}: tensor {}: data_offsets [{begin}, {end}], the end may not come before the begin",
        quoted(.tensor)
    )]
    OffsetsDescend { path: PathBuf, tensor: String, begin: u64, end: u64 },

    #[error(
        "{path}: tensor {}: data_offsets give {found} bytes, shape {shape:?} of {dtype} needs {expected}",
        quoted(.tensor)
    )]
    WrongLength {
        path: PathBuf,
        tensor: String,
        dtype: DType,
        shape: Vec<u64>,
        found: u64,
        expected: u64,
    },

    #[error(
        "{path}: tensor {} begins at byte {begin} of the data, inside tensor {} that ends at {other_end}",
        quoted(.tensor), quoted(.other)
    )]
    Overlap { path: PathBuf, tensor: String, begin: u64, other: String, other_end: u64 },

    #[error("{path}: bytes {from} to {to} of the data, before tensor {}, belong to no tensor", quoted(.tensor))]
    Hole { path: PathBuf, tensor: String, from: u64, to: u64 },

    #[error("{path}: the file ends at byte {ends_at}, tensor {} needs it up to byte {needs}", quoted(.tensor))]
    Truncated { path: PathBuf, tensor: String, ends_at: u64, needs: u128 },

    #[error("{path}: the file has {found} bytes, longer than its header says: {expected}")]
    TooLong { path: PathBuf, found: u64, expected: u64 },

    #[error(
        "{path}: tensor {} is said to be in {}, expected the plain name of a file in the same directory",
        quoted(.tensor), quoted(.shard)
    )]
    ShardName { path: PathBuf, tensor: String, shard: String },

    #[error("{path}: shard {} is missing, it should hold {tensors} tensors", quoted(.shard))]
    MissingShard { path: PathBuf, shard: String, tensors: usize },

    #[error("{path}: tensor {} is not in this shard, {index} says that it is", quoted(.tensor))]
    NotInShard { path: PathBuf, tensor: String, index: PathBuf },

    #[error("{path}: tensor {} is in {other} too, and no index says which counts", quoted(.tensor))]
    InTwoShards { path: PathBuf, tensor: String, other: PathBuf },

    #[error("{path}: tensor {} is missing, found are {tensors} tensors in {files} file(s)", quoted(.tensor))]
    MissingTensor { path: PathBuf, tensor: String, tensors: usize, files: usize },

    /// A field of a record file's header or of a manifest.
    #[error("{path}: {field}: found {}, accepted: {accepted}", brief(.found))]
    Field { path: PathBuf, field: String, found: String, accepted: String },

    #[error(
        "{bytes} bytes of {dtype} cannot be read as floats, accepted are whole F64, F32, F16 and BF16"
    )]
    NotFloats { dtype: DType, bytes: usize },
}

/// Names from strangers, so that an error stays one line: control characters escaped, length cut.
pub(crate) fn quoted(name: &str) -> String {
    format!("{:?}", cut(name, 120))
}

/// A parser may quote what it found as it stands, and that may be megabytes or several lines.
fn brief(what: &str) -> String {
    let mut line = String::new();
    for letter in cut(what, 400).chars() {
        match letter.is_control() {
            true => line.extend(letter.escape_default()),
            false => line.push(letter),
        }
    }
    line
}

fn cut(text: &str, chars: usize) -> String {
    match text.char_indices().nth(chars) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

fn dtype_names() -> String {
    DType::ALL.map(DType::name).join(", ")
}
