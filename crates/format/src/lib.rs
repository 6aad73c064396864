//! Bytes in, typed descriptions out: what a model's files say they hold, checked before it is used.
//!
//! A [`Catalog`] maps every tensor's name to its dtype, shape, file and byte range. It reads
//! headers only; the data stays on disk until another room asks for a range. Today one reader
//! fills it, `safetensors`; a reader of another container fills the same catalog.

#![forbid(unsafe_code)]

mod catalog;
mod dtype;
mod error;
mod floats;
pub mod json;
mod safetensors;

pub use catalog::{Catalog, FileInfo, TensorInfo};
pub use dtype::DType;
pub use error::FormatError;
pub use floats::decode_floats;
pub use safetensors::{Index, MAX_DIMS, MAX_HEADER_BYTES, parse_header, parse_index};
