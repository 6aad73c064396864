//! Bytes in, typed descriptions out: what a model's files say they hold, checked before it is used.
//!
//! A [`Catalog`] maps every tensor's name to its dtype, shape, file and byte range. It reads
//! headers only; the data stays on disk until another room asks for a range. Two readers fill it:
//! `safetensors` for checkpoints as they are published, `records` for those that were repacked.

#![forbid(unsafe_code)]

mod catalog;
mod dtype;
mod error;
mod floats;
pub mod json;
mod records;
mod safetensors;

pub use catalog::{Catalog, FileInfo, TensorInfo};
pub use dtype::DType;
pub use error::FormatError;
pub use floats::decode_floats;
pub use records::{
    JOURNAL, Journal, MANIFEST, Manifest, PLANE_ALIGN_BYTES, RECORD_ALIGN_BYTES, RECORD_PREFIX,
    RecordFile, RecordHeader, RecordMatrix, Repacked, SourceFile, SourceLayout, Stamp, WrittenFile,
    parse_journal, parse_manifest, parse_record_header,
};
pub use safetensors::{Index, MAX_DIMS, MAX_HEADER_BYTES, parse_header, parse_index};
