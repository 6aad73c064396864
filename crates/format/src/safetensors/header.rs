//! One safetensors header: its frame, then every rule that makes its byte ranges safe to read.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::entries::{Entries, Entry};
use crate::{DType, FileInfo, FormatError, TensorInfo, json};

/// The longest header that is accepted, as in the reference implementation.
pub const MAX_HEADER_BYTES: u64 = 100_000_000;

/// The most dimensions a tensor may have; published models use up to five.
pub const MAX_DIMS: usize = 8;

/// The file begins with the header's length as a little-endian u64.
const LENGTH_BYTES: u64 = 8;

/// What a header says, all of it checked.
pub(super) struct Header {
    /// In ascending order of their offsets.
    pub(super) tensors: Vec<TensorInfo>,
    pub(super) metadata: BTreeMap<String, String>,
}

/// The tensors that a safetensors header declares, in ascending order of their offsets, with 0 as
/// their file. `header` is the beginning of the file, up to the end of the header or further;
/// `file_bytes` is the length of the whole file; `path` is where they come from, for errors.
///
/// # Errors
/// When the header is cut, is not the JSON it should be, declares a tensor twice or in a way that
/// does not hold together, or when the tensors do not cover the rest of the file exactly.
pub fn parse_header(
    path: &Path,
    header: &[u8],
    file_bytes: u64,
) -> Result<Vec<TensorInfo>, FormatError> {
    parse(path, header, file_bytes).map(|header| header.tensors)
}

/// The header of the file at `path`, its tensors marked as lying in file number `file`.
pub(super) fn read(path: &Path, file: usize) -> Result<(FileInfo, Vec<TensorInfo>), FormatError> {
    let io = |error| FormatError::Io { path: path.into(), action: "read", error };
    let (mut source, bytes) = json::open_file(path)?;
    let mut content = Vec::new();
    take(&mut source, LENGTH_BYTES, &mut content).map_err(io)?;
    let header_bytes = length(path, &content, bytes)?;
    take(&mut source, header_bytes, &mut content).map_err(io)?;
    let Header { mut tensors, metadata } = parse(path, &content, bytes)?;
    for tensor in &mut tensors {
        tensor.file = file;
    }
    Ok((FileInfo { path: path.into(), bytes, metadata }, tensors))
}

/// The next `bytes` bytes, or what there is of them: the parser says what a lack of them means.
fn take(source: &mut File, bytes: u64, content: &mut Vec<u8>) -> std::io::Result<usize> {
    source.take(bytes).read_to_end(content)
}

pub(super) fn parse(path: &Path, header: &[u8], file_bytes: u64) -> Result<Header, FormatError> {
    let header_bytes = length(path, header, file_bytes)?;
    let rest = &header[LENGTH_BYTES as usize..];
    let cut = || FormatError::HeaderCut {
        path: path.into(),
        claimed: header_bytes,
        found: rest.len() as u64,
    };
    let end = usize::try_from(header_bytes).map_err(|_| cut())?;
    let json = json::text(path, rest.get(..end).ok_or_else(cut)?, LENGTH_BYTES)?;
    let entries: Entries =
        serde_json::from_str(json).map_err(|error| json::fault(path, "header ", &error))?;
    if let Some(tensor) = declared_twice(&entries.tensors) {
        return Err(FormatError::DuplicateTensor { path: path.into(), tensor });
    }
    let data_begin = LENGTH_BYTES + header_bytes;
    let mut tensors = Vec::with_capacity(entries.tensors.len());
    for entry in entries.tensors {
        tensors.push(describe(path, entry)?);
    }
    tensors.sort_by(|a, b| order(a).cmp(&order(b)));
    cover(path, &tensors, data_begin, file_bytes)?;
    for tensor in &mut tensors {
        tensor.offset += data_begin;
    }
    Ok(Header { tensors, metadata: entries.metadata })
}

/// The header's length. Afterwards it is known that 8 + length ends inside the file.
fn length(path: &Path, header: &[u8], file_bytes: u64) -> Result<u64, FormatError> {
    let Some(length) = header.first_chunk().filter(|_| file_bytes >= LENGTH_BYTES) else {
        let found = file_bytes.min(header.len() as u64);
        return Err(FormatError::NoHeader { path: path.into(), found });
    };
    let length = u64::from_le_bytes(*length);
    let accepted = MAX_HEADER_BYTES;
    if !(1..=accepted).contains(&length) {
        return Err(FormatError::HeaderLength { path: path.into(), found: length, accepted });
    }
    let found = file_bytes - LENGTH_BYTES;
    if length > found {
        return Err(FormatError::HeaderCut { path: path.into(), claimed: length, found });
    }
    Ok(length)
}

/// The first name that two entries have, in ascending order of the names.
fn declared_twice(entries: &[Entry]) -> Option<String> {
    let mut names: Vec<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
    names.sort_unstable();
    names.array_windows().find(|[a, b]| a == b).map(|[name, _]| (*name).to_owned())
}

/// One entry by itself: known dtype, countable shape, a length that fits both. The offset still
/// counts from the beginning of the data.
fn describe(path: &Path, entry: Entry) -> Result<TensorInfo, FormatError> {
    let Entry { name: tensor, fields } = entry;
    let path = path.to_path_buf();
    let Some(dtype) = DType::parse(&fields.dtype) else {
        return Err(FormatError::UnknownDType { path, tensor, found: fields.dtype });
    };
    let (shape, dims) = (fields.shape.kept, fields.shape.count);
    if dims > MAX_DIMS {
        return Err(FormatError::TooManyDims { path, tensor, found: dims, accepted: MAX_DIMS });
    }
    let Some((dims, expected)) = count(&shape, dtype) else {
        return Err(FormatError::ShapeOverflow { path, tensor, dtype, shape });
    };
    let (begin, end) = (fields.begin, fields.end);
    let Some(bytes) = end.checked_sub(begin) else {
        return Err(FormatError::OffsetsDescend { path, tensor, begin, end });
    };
    if bytes != expected {
        let found = bytes;
        return Err(FormatError::WrongLength { path, tensor, dtype, shape, found, expected });
    }
    Ok(TensorInfo { name: tensor, dtype, shape: dims, file: 0, offset: begin, bytes })
}

/// The shape as this machine counts, and the bytes it needs. The dimensions beside a zero must be
/// countable too: whoever multiplies them in another order must not overflow.
pub(crate) fn count(shape: &[u64], dtype: DType) -> Option<(Vec<usize>, u64)> {
    let mut bytes = dtype.bytes() as u64;
    let mut dims = Vec::with_capacity(shape.len());
    for &dim in shape {
        bytes = bytes.checked_mul(dim.max(1))?;
        dims.push(usize::try_from(dim).ok()?);
    }
    if shape.contains(&0) {
        bytes = 0;
    }
    Some((dims, bytes))
}

/// Empty tensors lie at the begin of what follows them; the name makes the order a total one.
fn order(tensor: &TensorInfo) -> (u64, u64, &str) {
    (tensor.offset, tensor.bytes, &tensor.name)
}

/// All entries together: side by side, without a gap, up to the end of the file.
fn cover(
    path: &Path,
    tensors: &[TensorInfo],
    data_begin: u64,
    file_bytes: u64,
) -> Result<(), FormatError> {
    let path = path.to_path_buf();
    let mut covered = 0;
    let mut before = "";
    for TensorInfo { name, offset: begin, bytes, .. } in tensors {
        let tensor = name.clone();
        match begin.cmp(&covered) {
            Ordering::Less => {
                let (begin, other, other_end) = (*begin, before.to_owned(), covered);
                return Err(FormatError::Overlap { path, tensor, begin, other, other_end });
            }
            Ordering::Greater => {
                return Err(FormatError::Hole { path, tensor, from: covered, to: *begin });
            }
            Ordering::Equal => covered = begin + bytes,
        }
        if covered > file_bytes - data_begin {
            let needs = u128::from(data_begin) + u128::from(covered);
            return Err(FormatError::Truncated { path, tensor, ends_at: file_bytes, needs });
        }
        before = name;
    }
    let expected = data_begin + covered;
    if expected < file_bytes {
        return Err(FormatError::TooLong { path, found: file_bytes, expected });
    }
    Ok(())
}
