//! The header of a record file: which records it holds, what each is made of, and their checksums.

use std::path::Path;

use super::fields::{refuse, unhex};
use super::written::{HeaderJson, MatrixJson, PlaneJson};
use crate::error::quoted;
use crate::safetensors::count;
use crate::{DType, FormatError, MAX_DIMS, TensorInfo, json};

/// Every record begins at a multiple of this, so that it can be read past the page cache.
pub const RECORD_ALIGN_BYTES: u64 = 4096;
/// Every plane of a record begins at a multiple of this: a cache line.
pub const PLANE_ALIGN_BYTES: usize = 64;
/// What the file begins with: four letters, and the version as a little-endian u32.
pub const RECORD_PREFIX: [u8; 8] = *b"FMRF\x01\0\0\0";
/// Letters, version, and the length of the JSON as a little-endian u64.
pub(super) const PREFIX_BYTES: u64 = 16;

/// A header has some hundred bytes and 19 for each record.
const MAX_JSON_BYTES: u64 = 16 << 20;
const MAX_RECORDS: u64 = 65_536;
const MAX_RECORD_BYTES: u64 = 1 << 32;
const MAX_LAYER: u64 = 65_535;
const MAX_NAME_BYTES: usize = 256;
pub(super) const CHECKSUM: &str = "xxh3-64";

/// The matrices of a record, in their order: what needs the third needs the others first.
pub(super) const MATRICES: [&str; 3] = ["gate_proj", "up_proj", "down_proj"];
/// What a matrix may be made of.
const PLANES: [&str; 4] = ["weight", "scales", "biases", "weight_scale_inv"];

/// What a record file says of itself, all of it checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordHeader {
    /// The layer whose tensors they are.
    pub layer: usize,
    /// What the names of the planes begin with, as MLX names them: `….layers.0.mlp.switch_mlp`.
    pub module: String,
    pub records: usize,
    /// From the first plane to the end of the last one.
    pub record_bytes: usize,
    /// Where the header ends and the first record begins: a multiple of [`RECORD_ALIGN_BYTES`].
    /// Record `i` begins `i * stride_bytes` behind it.
    pub data_offset: u64,
    /// `record_bytes` rounded up to [`RECORD_ALIGN_BYTES`].
    pub stride_bytes: u64,
    /// Gate, up and down.
    pub matrices: [RecordMatrix; 3],
    /// XXH3-64, without seed, of the `record_bytes` bytes of each record.
    pub checksums: Vec<u64>,
}

/// One matrix of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordMatrix {
    /// How the weights are stored, in the words of whoever wrote it, such as `4-bit g64 bf16`.
    pub storage: String,
    /// The weights, then scales and biases as far as there are any. Their names are whole; their
    /// offsets count from the beginning of the record.
    pub planes: Vec<TensorInfo>,
}

impl RecordHeader {
    /// Length of the whole file.
    pub fn file_bytes(&self) -> u64 {
        self.data_offset + self.records as u64 * self.stride_bytes
    }

    /// Every plane of a record, in the order of their offsets.
    pub fn planes(&self) -> impl Iterator<Item = &TensorInfo> {
        self.matrices.iter().flat_map(|matrix| &matrix.planes)
    }
}

/// Reads the header of a record file. `begin` is the beginning of the file, up to the end of the
/// JSON or further; `file_bytes` is the length of the whole file; `path` is where they come from,
/// for errors.
///
/// # Errors
/// When the header is cut or is not what it should be, when anything in it contradicts the rest or
/// the length of the file.
pub fn parse_record_header(
    path: &Path,
    begin: &[u8],
    file_bytes: u64,
) -> Result<RecordHeader, FormatError> {
    let data_offset = data_offset(path, begin, file_bytes)?;
    let rest = &begin[PREFIX_BYTES as usize..];
    let end = (data_offset - PREFIX_BYTES) as usize;
    let cut = || FormatError::HeaderCut {
        path: path.into(),
        claimed: end as u64,
        found: rest.len() as u64,
    };
    let text = json::text(path, rest.get(..end).ok_or_else(cut)?, PREFIX_BYTES)?;
    let said: HeaderJson =
        serde_json::from_str(text).map_err(|error| json::fault(path, "header ", &error))?;
    read(path, said, data_offset, file_bytes)
}

/// Length of the JSON. Afterwards it is known that it ends inside the file.
fn json_bytes(path: &Path, begin: &[u8], file_bytes: u64) -> Result<u64, FormatError> {
    let (prefix, rest) = begin.split_at_checked(RECORD_PREFIX.len()).unwrap_or((begin, &[]));
    if prefix != RECORD_PREFIX {
        let found = prefix.escape_ascii();
        let accepted = format!("\"{}\", version 1", RECORD_PREFIX.escape_ascii());
        return Err(refuse(path, "first bytes", format!("\"{found}\""), accepted));
    }
    let cut = |claimed, found| FormatError::HeaderCut { path: path.into(), claimed, found };
    let Some(length) = rest.first_chunk().filter(|_| file_bytes >= PREFIX_BYTES) else {
        return Err(cut(PREFIX_BYTES, file_bytes.min(begin.len() as u64)));
    };
    let length = u64::from_le_bytes(*length);
    let accepted = MAX_JSON_BYTES;
    if !(1..=accepted).contains(&length) {
        return Err(FormatError::HeaderLength { path: path.into(), found: length, accepted });
    }
    match file_bytes - PREFIX_BYTES {
        found if length > found => Err(cut(length, found)),
        _ => Ok(length),
    }
}

/// Where the records begin, after the prefix was read.
pub(super) fn data_offset(path: &Path, begin: &[u8], file_bytes: u64) -> Result<u64, FormatError> {
    let end = PREFIX_BYTES + json_bytes(path, begin, file_bytes)?;
    match end.is_multiple_of(RECORD_ALIGN_BYTES) {
        true => Ok(end),
        false => Err(refuse(path, "end of the header", end, "a multiple of 4096")),
    }
}

fn read(
    path: &Path,
    said: HeaderJson,
    data_offset: u64,
    file_bytes: u64,
) -> Result<RecordHeader, FormatError> {
    let bounded = |field: &str, found: u64, least: u64, most: u64| match found {
        found if (least..=most).contains(&found) => Ok(found),
        found => Err(refuse(path, field, found, format!("{least} to {most}"))),
    };
    let layer = bounded("layer", said.layer, 0, MAX_LAYER)?;
    let records = bounded("records", said.records, 1, MAX_RECORDS)?;
    let record_bytes = bounded("record_bytes", said.record_bytes, 1, MAX_RECORD_BYTES)?;
    let stride_bytes = record_bytes.next_multiple_of(RECORD_ALIGN_BYTES);
    if said.stride_bytes != stride_bytes {
        let accepted = format!("{stride_bytes}, record_bytes rounded up to 4096");
        return Err(refuse(path, "stride_bytes", said.stride_bytes, accepted));
    }
    let end = data_offset + records * stride_bytes;
    if file_bytes != end {
        let found = format!("{file_bytes} bytes");
        return Err(refuse(
            path,
            "length of the file",
            found,
            format!("{end}, as its header says"),
        ));
    }
    if said.checksum != CHECKSUM {
        return Err(refuse(path, "checksum", quoted(&said.checksum), format!("{CHECKSUM:?}")));
    }
    check_module(path, &said.module, layer)?;
    let (matrices, planes_end) = matrices(path, &said.module, said.matrices)?;
    if planes_end != record_bytes {
        let accepted = format!("{planes_end}, where the last plane ends");
        return Err(refuse(path, "record_bytes", record_bytes, accepted));
    }
    let checksums = checksums(path, &said.checksums, records)?;
    Ok(RecordHeader {
        layer: layer as usize,
        module: said.module,
        records: records as usize,
        record_bytes: usize::try_from(record_bytes).map_err(|_| {
            refuse(path, "record_bytes", record_bytes, "what this machine can address")
        })?,
        data_offset,
        stride_bytes,
        matrices,
        checksums,
    })
}

/// A name of some length that is that of the layer.
fn check_module(path: &Path, module: &str, layer: u64) -> Result<(), FormatError> {
    let suffix = format!("layers.{layer}.mlp.switch_mlp");
    let whole = module.strip_suffix(&suffix).is_some_and(|at| at.is_empty() || at.ends_with('.'));
    if whole && module.len() <= MAX_NAME_BYTES && !module.contains(char::is_control) {
        return Ok(());
    }
    Err(refuse(path, "module", quoted(module), format!("a name that ends with {suffix}")))
}

/// The three matrices, and where the last plane ends.
fn matrices(
    path: &Path,
    module: &str,
    said: Vec<MatrixJson>,
) -> Result<([RecordMatrix; 3], u64), FormatError> {
    let names: Vec<&str> = said.iter().map(|matrix| matrix.name.as_str()).collect();
    if names != MATRICES {
        let found = names.iter().take(4).map(|name| quoted(name)).collect::<Vec<_>>().join(", ");
        return Err(refuse(
            path,
            "matrices",
            found,
            format!("{}, in this order", MATRICES.join(", ")),
        ));
    }
    let mut end = 0;
    let mut matrices = Vec::with_capacity(MATRICES.len());
    for (name, matrix) in MATRICES.into_iter().zip(said) {
        let MatrixJson { storage, planes: listed, .. } = matrix;
        if storage.is_empty() || storage.len() > MAX_NAME_BYTES {
            let accepted = format!("1 to {MAX_NAME_BYTES} bytes");
            return Err(refuse(path, format!("{name}.storage"), quoted(&storage), accepted));
        }
        let mut planes: Vec<TensorInfo> = Vec::with_capacity(PLANES.len());
        if listed.first().is_none_or(|first| first.name != PLANES[0]) || listed.len() > PLANES.len()
        {
            let found = format!("{} planes", listed.len());
            let accepted = format!("{}, of which the first is there", PLANES.join(", "));
            return Err(refuse(path, format!("{name}.planes"), found, accepted));
        }
        for said in listed {
            let plane = plane(path, &format!("{module}.{name}"), said, end)?;
            if planes.iter().any(|other| other.name == plane.name) {
                let (path, tensor) = (path.into(), plane.name);
                return Err(FormatError::DuplicateTensor { path, tensor });
            }
            end = plane.offset + plane.bytes;
            planes.push(plane);
        }
        matrices.push(RecordMatrix { storage, planes });
    }
    let matrices = matrices.try_into().expect("as many as names");
    Ok((matrices, end))
}

/// One plane, which begins where the one before it ends, or up to 63 bytes later.
fn plane(path: &Path, matrix: &str, said: PlaneJson, end: u64) -> Result<TensorInfo, FormatError> {
    let PlaneJson { name, dtype, shape, offset, bytes } = said;
    let tensor = format!("{matrix}.{name}");
    let field = |field: &str| format!("{}.{field}", quoted(&tensor));
    if !PLANES.contains(&name.as_str()) {
        return Err(refuse(path, field("name"), quoted(&name), PLANES.join(", ")));
    }
    let Some(known) = DType::parse(&dtype) else {
        return Err(FormatError::UnknownDType { path: path.into(), tensor, found: dtype });
    };
    if shape.len() > MAX_DIMS {
        let (found, path) = (shape.len(), path.into());
        return Err(FormatError::TooManyDims { path, tensor, found, accepted: MAX_DIMS });
    }
    let Some((dims, expected)) = count(&shape, known) else {
        return Err(FormatError::ShapeOverflow { path: path.into(), tensor, dtype: known, shape });
    };
    if bytes != expected || bytes == 0 || bytes > MAX_RECORD_BYTES {
        let accepted = format!("{expected}, 1 to {MAX_RECORD_BYTES}: shape {shape:?} of {known}");
        return Err(refuse(path, field("bytes"), bytes, accepted));
    }
    // At most twelve planes of at most 2^32 bytes: the sum is far from overflowing.
    let accepted = end.next_multiple_of(PLANE_ALIGN_BYTES as u64);
    if offset != accepted {
        let accepted = format!("{accepted}, the end of the plane before it rounded up to 64");
        return Err(refuse(path, field("offset"), offset, accepted));
    }
    Ok(TensorInfo { name: tensor, dtype: known, shape: dims, file: 0, offset, bytes })
}

fn checksums(path: &Path, said: &[String], records: u64) -> Result<Vec<u64>, FormatError> {
    if said.len() as u64 != records {
        let accepted = format!("{records}, one a record");
        return Err(refuse(path, "checksums", format!("{} of them", said.len()), accepted));
    }
    let sum = |(record, text): (usize, &String)| {
        unhex(text).map(u64::from_be_bytes).ok_or_else(|| {
            let field = format!("checksums[{record}]");
            refuse(path, field, quoted(text), "16 hexadecimal digits in lower case")
        })
    };
    said.iter().enumerate().map(sum).collect()
}
