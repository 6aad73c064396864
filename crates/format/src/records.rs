//! Repacked checkpoints: record files that hold each record in one piece, and the manifest that makes them a model.
//!
//! The bytes are described in `docs/formats.md`.

mod fields;
mod header;
mod journal;
mod manifest;
mod written;

use std::fs;
use std::io::{ErrorKind, Read};
use std::path::Path;

use sha2::{Digest, Sha256};

pub use header::{
    PLANE_ALIGN_BYTES, RECORD_ALIGN_BYTES, RECORD_PREFIX, RecordHeader, RecordMatrix,
    parse_record_header,
};
pub use journal::{JOURNAL, Journal, parse_journal};
pub use manifest::{
    MANIFEST, Manifest, SourceFile, SourceLayout, Stamp, WrittenFile, parse_manifest,
};

use crate::{Catalog, FileInfo, FormatError, json, safetensors};
use fields::{hex, refuse};

/// A manifest names some hundred files; so does a journal.
const MAX_MANIFEST_BYTES: u64 = 16 << 20;

/// What a repacked checkpoint has beside the tensors of its trunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repacked {
    pub layout: SourceLayout,
    /// In ascending order of their layers.
    pub records: Vec<RecordFile>,
}

/// One record file of a catalog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordFile {
    /// Index into [`Catalog::files`].
    pub file: usize,
    pub header: RecordHeader,
}

/// The catalog of a repacked checkpoint; `None` where `dir` is none.
pub(crate) fn open(dir: &Path) -> Result<Option<Catalog>, FormatError> {
    let Some(manifest) = read_manifest(dir)? else { return Ok(None) };
    let path = dir.join(MANIFEST);
    let mut catalog = safetensors::from_files(dir, &[dir.join(&manifest.trunk.name)])?;
    let found = catalog.files[0].bytes;
    check_length(&path, &manifest.trunk, found)?;
    let mut records = Vec::with_capacity(manifest.records.len());
    for named in &manifest.records {
        let file = dir.join(&named.name);
        let (mut header, bytes) = read_record_header(&file, Some(named.sha256))?;
        check_length(&path, named, bytes)?;
        for plane in header.matrices.iter_mut().flat_map(|matrix| &mut matrix.planes) {
            plane.file = catalog.files.len();
        }
        records.push(RecordFile { file: catalog.files.len(), header });
        catalog.files.push(FileInfo { path: file, bytes, metadata: Default::default() });
    }
    if let Some([_, late]) = records.array_windows().find(|[a, b]| a.header.layer >= b.header.layer)
    {
        let found = format!("layer {}", late.header.layer);
        let file = &catalog.files[late.file].path;
        return Err(refuse(file, "layer", found, "layers in ascending order, none of them twice"));
    }
    catalog.repacked = Some(Repacked { layout: manifest.layout, records });
    Ok(Some(catalog))
}

impl Manifest {
    /// The manifest in `dir`, if there is one.
    ///
    /// # Errors
    /// Those of [`parse_manifest`]; a directory that a repack left unfinished.
    pub fn read(dir: &Path) -> Result<Option<Manifest>, FormatError> {
        read_manifest(dir)
    }
}

fn read_manifest(dir: &Path) -> Result<Option<Manifest>, FormatError> {
    let path = dir.join(MANIFEST);
    // A directory that cannot be looked into is reported by whoever lists it.
    if is_there(&path) {
        return Ok(Some(parse_manifest(&path, &json::read_small(&path, MAX_MANIFEST_BYTES)?)?));
    }
    if is_there(&dir.join(JOURNAL)) {
        let found = "a repacked checkpoint that is not finished";
        let expected = "repeat the repack that wrote it: it goes on where it ended";
        return Err(FormatError::NotAModel { path: dir.into(), found, expected });
    }
    Ok(None)
}

impl Journal {
    /// The journal in `dir`, if there is one.
    ///
    /// # Errors
    /// Those of [`parse_journal`], and a file that cannot be read.
    pub fn read(dir: &Path) -> Result<Option<Journal>, FormatError> {
        let path = dir.join(JOURNAL);
        match is_there(&path) {
            false => Ok(None),
            true => parse_journal(&path, &json::read_small(&path, MAX_MANIFEST_BYTES)?).map(Some),
        }
    }
}

impl RecordHeader {
    /// The header of the file at `path`, and the length of the file.
    ///
    /// # Errors
    /// Those of [`parse_record_header`], and a file that cannot be read.
    pub fn read(path: &Path) -> Result<(RecordHeader, u64), FormatError> {
        read_record_header(path, None)
    }
}

/// The header of a record file, which has to have that hash, and the length of the file.
fn read_record_header(
    path: &Path,
    sha256: Option<[u8; 32]>,
) -> Result<(RecordHeader, u64), FormatError> {
    let io = |error| FormatError::Io { path: path.into(), action: "read", error };
    let (file, file_bytes) = json::open_file(path)?;
    let mut content = Vec::new();
    (&file).take(header::PREFIX_BYTES).read_to_end(&mut content).map_err(io)?;
    let end = header::data_offset(path, &content, file_bytes)?;
    (&file).take(end - header::PREFIX_BYTES).read_to_end(&mut content).map_err(io)?;
    let header = parse_record_header(path, &content, file_bytes)?;
    if let Some(accepted) = sha256 {
        let found: [u8; 32] = Sha256::digest(&content).into();
        if found != accepted {
            let accepted = format!("{}, as {MANIFEST} says", hex(&accepted));
            return Err(refuse(path, "SHA-256 of the header", hex(&found), accepted));
        }
    }
    Ok((header, file_bytes))
}

fn check_length(manifest: &Path, named: &WrittenFile, found: u64) -> Result<(), FormatError> {
    if found == named.bytes {
        return Ok(());
    }
    let path = manifest.with_file_name(&named.name);
    Err(refuse(&path, "length", found, format!("{} bytes, as {MANIFEST} says", named.bytes)))
}

fn is_there(path: &Path) -> bool {
    match fs::metadata(path) {
        Ok(_) => true,
        Err(error) => !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory),
    }
}
