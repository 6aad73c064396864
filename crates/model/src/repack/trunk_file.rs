//! Writes the trunk: a safetensors file of every tensor that is no routed expert's.

use std::io::Write;

use format::{TensorInfo, WrittenFile};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::RepackError;
use super::output::{Output, TRUNK};
use super::source::Source;
use super::work::Work;

/// The data begins at a multiple of this.
const DATA_ALIGN_BYTES: usize = 4096;

/// Writes the trunk, unless it is there.
pub(super) fn write(
    source: &Source,
    output: &Output,
    work: &Work<'_>,
) -> Result<WrittenFile, RepackError> {
    let name = TRUNK.to_owned();
    if output.trunk_is_kept(source) {
        let (sha256, bytes) = work.sha256(&output.dir.join(TRUNK))?;
        return Ok(WrittenFile { name, bytes, sha256 });
    }
    let (mut part, path) = output.begin_file(TRUNK)?;
    let mut sum = Sha256::new();
    let mut bytes = 0;
    let mut write = |piece: &[u8]| {
        sum.update(piece);
        bytes += piece.len() as u64;
        part.write_all(piece).map_err(RepackError::io(&path, "write"))
    };
    let header = header(source);
    write(&header)?;
    work.advance(header.len() as u64)?;
    for tensor in &source.trunk {
        work.read(&source.files[tensor.file], tensor.offset, tensor.bytes, &mut write)?;
    }
    output.end_file(&part, TRUNK)?;
    Ok(WrittenFile { name, bytes, sha256: sum.finalize().into() })
}

/// Length of the whole file.
pub(super) fn bytes(source: &Source) -> u64 {
    let data: u64 = source.trunk.iter().map(|tensor| tensor.bytes).sum();
    header(source).len() as u64 + data
}

/// The file up to its data: names, dtypes and shapes as the source has them.
pub(super) fn header(source: &Source) -> Vec<u8> {
    let mut tensors = Map::new();
    let metadata = source.catalog.files.first().map(|file| &file.metadata);
    if let Some(metadata) = metadata.filter(|metadata| !metadata.is_empty()) {
        tensors.insert("__metadata__".to_owned(), json!(metadata));
    }
    let mut end = 0;
    for TensorInfo { name, dtype, shape, bytes, .. } in &source.trunk {
        let offsets = [end, end + bytes];
        end += bytes;
        let entry = json!({ "dtype": dtype.name(), "shape": shape, "data_offsets": offsets });
        tensors.insert(name.clone(), entry);
    }
    let mut json = Value::Object(tensors).to_string().into_bytes();
    let length = (8 + json.len()).next_multiple_of(DATA_ALIGN_BYTES) - 8;
    json.resize(length, b' ');
    [&(length as u64).to_le_bytes()[..], &json].concat()
}
