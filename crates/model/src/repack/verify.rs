//! Reads a repacked checkpoint again, byte by byte, and compares it with its sums and its source.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use format::{Manifest, RecordFile, TensorInfo, WrittenFile};

use super::assemble::Assembler;
use super::source::{Layer, Source};
use super::work::{COPY_BYTES, OpenFile, Work};
use super::{BATCH_BYTES, RepackError};
use crate::checksum::checksum;
use crate::opened::Opened;

/// What was found to be good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verified {
    /// Every byte of a repacked checkpoint, and, with a source, that it is the source's.
    Whole { records: usize, files: usize, bytes: u64, compared: bool },
    /// A checkpoint as it was published has no sums: headers, lengths, index and config fit.
    Headers { tensors: usize, files: usize },
}

/// Checks the checkpoint in `dir`. `progress` hears of (bytes done, bytes in all); `cancel` ends
/// it between two pieces.
///
/// # Errors
/// The first thing that is wrong: file, record, offset.
pub fn verify(
    dir: &Path,
    source: Option<&Path>,
    progress: &(dyn Fn(u64, u64) + Sync),
    cancel: &AtomicBool,
) -> Result<Verified, RepackError> {
    let opened = Opened::open(dir, None)?;
    let (catalog, manifest) = (&opened.catalog, Manifest::read(dir)?);
    let (Some(repacked), Some(manifest)) = (&catalog.repacked, manifest) else {
        return match source {
            Some(_) => Err(RepackError::NothingToCompare { path: dir.into() }),
            None => Ok(Verified::Headers { tensors: catalog.len(), files: catalog.files.len() }),
        };
    };
    let source = source.map(Source::open).transpose()?;
    let small: Vec<&WrittenFile> = manifest.copies.iter().chain([&manifest.trunk]).collect();
    let small_bytes: u64 = small.iter().map(|file| file.bytes).sum();
    let bytes = small_bytes + manifest.records.iter().map(|file| file.bytes).sum::<u64>();
    let twice = if source.is_some() { small_bytes } else { 0 };
    let work = Work::new(bytes + twice, progress, cancel);
    for file in small {
        check_file(&dir.join(&file.name), file, &work)?;
    }
    if let Some(source) = &source {
        compare_copies(dir, source, &manifest, &work)?;
        compare_trunk(&opened, source, &work)?;
        compare_layers(dir, source, repacked.records.len())?;
    }
    for record in &repacked.records {
        let path = &catalog.files[record.file].path;
        let layer = source.as_ref().map(|source| layer_of(path, source, record)).transpose()?;
        check_records(path, record, source.as_ref().zip(layer), &work)?;
    }
    let records = repacked.records.iter().map(|record| record.header.records).sum();
    let files = 1 + manifest.copies.len() + manifest.records.len();
    Ok(Verified::Whole { records, files, bytes, compared: source.is_some() })
}

fn damaged(path: &Path, at: impl Into<String>, what: impl Into<String>) -> RepackError {
    RepackError::Damaged { path: path.into(), at: at.into(), what: what.into() }
}

/// A file as a whole has the hash of the manifest.
fn check_file(path: &Path, said: &WrittenFile, work: &Work<'_>) -> Result<(), RepackError> {
    let (sha256, bytes) = work.sha256(path)?;
    if bytes != said.bytes {
        let what = format!("it has {bytes} bytes, the manifest says {}", said.bytes);
        return Err(damaged(path, "its length", what));
    }
    match sha256 == said.sha256 {
        true => Ok(()),
        false => Err(damaged(path, "somewhere in it", "its SHA-256 is not that of the manifest")),
    }
}

/// Every record by its checksum, what lies between them by being zero, and all of it by the source.
fn check_records(
    path: &Path,
    record: &RecordFile,
    source: Option<(&Source, &Layer)>,
    work: &Work<'_>,
) -> Result<(), RepackError> {
    let header = &record.header;
    let file = OpenFile::open(path)?;
    work.advance(header.data_offset)?;
    let stride = header.stride_bytes as usize;
    let batch = usize::try_from(BATCH_BYTES / header.stride_bytes).unwrap_or(1).max(1);
    let batch = batch.min(header.records);
    let mut assembler = source.map(|(source, layer)| Assembler::new(source, layer));
    let mut found = vec![0; batch * stride];
    let mut wanted = vec![0; if assembler.is_some() { batch * stride } else { 0 }];
    let mut first = 0;
    while first < header.records {
        let count = batch.min(header.records - first);
        let found = &mut found[..count * stride];
        let offset = header.data_offset + first as u64 * header.stride_bytes;
        file.read_at(offset, found)?;
        for (n, bytes) in found.chunks_exact(stride).enumerate() {
            let (bytes, gap) = bytes.split_at(header.record_bytes);
            let at = |byte: usize| {
                let offset = offset + (n * stride + byte) as u64;
                format!("layer {}, record {}, byte {offset} of the file", header.layer, first + n)
            };
            let (sum, said) = (checksum(bytes), header.checksums[first + n]);
            if sum != said {
                let what = format!("the checksum is {sum:016x}, the header says {said:016x}");
                return Err(damaged(path, at(0), what));
            }
            if let Some(byte) = gap.iter().position(|byte| *byte != 0) {
                return Err(damaged(path, at(bytes.len() + byte), "the gap is not zero"));
            }
        }
        if let Some(assembler) = &mut assembler {
            let wanted = &mut wanted[..found.len()];
            assembler.fill(first, wanted)?;
            if let Some(byte) = differ(found, wanted) {
                let at = format!(
                    "layer {}, record {}, byte {} of the file",
                    header.layer,
                    first + byte / stride,
                    offset + byte as u64
                );
                return Err(damaged(path, at, "it is not what the source has"));
            }
        }
        work.advance(found.len() as u64)?;
        first += count;
    }
    Ok(())
}

/// The first place where they differ; they are equally long.
fn differ(found: &[u8], wanted: &[u8]) -> Option<usize> {
    // Whole slices are compared fast, bytes are not.
    (found != wanted).then(|| found.iter().zip(wanted).position(|(a, b)| a != b)).flatten()
}

/// The layer of the source that a record file has to hold.
fn layer_of<'a>(
    path: &Path,
    source: &'a Source,
    record: &RecordFile,
) -> Result<&'a Layer, RepackError> {
    let layer = source.layers.iter().find(|layer| layer.header.module == record.header.module);
    let same = |layer: &&Layer| {
        let (found, wanted) = (&record.header, &layer.header);
        let planes = |a: &TensorInfo, b: &TensorInfo| {
            (&a.name, a.dtype, &a.shape, a.offset) == (&b.name, b.dtype, &b.shape, b.offset)
        };
        found.records == wanted.records
            && found.planes().count() == wanted.planes().count()
            && found.planes().zip(wanted.planes()).all(|(a, b)| planes(a, b))
    };
    layer.filter(same).ok_or_else(|| {
        damaged(path, "its header", "the source has no such layer, or one of other planes")
    })
}

fn compare_layers(dir: &Path, source: &Source, found: usize) -> Result<(), RepackError> {
    match source.layers.len() {
        wanted if wanted == found => Ok(()),
        wanted => {
            let what = format!("there are {found} record files, the source has {wanted} layers");
            Err(damaged(dir, "its manifest", what))
        }
    }
}

fn compare_copies(
    dir: &Path,
    source: &Source,
    manifest: &Manifest,
    work: &Work<'_>,
) -> Result<(), RepackError> {
    let names: Vec<&str> = manifest.copies.iter().map(|file| file.name.as_str()).collect();
    if names != source.copies {
        let what = "other files went along than the source has";
        return Err(damaged(dir, "its manifest", what));
    }
    for file in &manifest.copies {
        let (found, wanted) =
            (OpenFile::open(&dir.join(&file.name))?, OpenFile::open(&source.dir.join(&file.name))?);
        if found.bytes != wanted.bytes {
            let what = format!("it has {} bytes, the source {}", found.bytes, wanted.bytes);
            return Err(damaged(&found.path, "its length", what));
        }
        compare((&found, 0), (&wanted, 0), found.bytes, "", work)?;
    }
    Ok(())
}

/// The trunk has the source's tensors but for those of the experts, and each is the source's.
fn compare_trunk(opened: &Opened, source: &Source, work: &Work<'_>) -> Result<(), RepackError> {
    let catalog = &opened.catalog;
    let trunk = OpenFile::open(&catalog.files[0].path)?;
    if catalog.len() != source.trunk.len() {
        let (found, wanted) = (catalog.len(), source.trunk.len());
        let what = format!("it has {found} tensors, the source has {wanted} beside its experts");
        return Err(damaged(&trunk.path, "its header", what));
    }
    for wanted in &source.trunk {
        let found = catalog.require(&wanted.name)?;
        if (found.dtype, &found.shape) != (wanted.dtype, &wanted.shape) {
            let at = format!("tensor {:?}", wanted.name);
            return Err(damaged(&trunk.path, at, "the source has another dtype or shape"));
        }
        let at = format!("tensor {:?}, ", wanted.name);
        let from = (&source.files[wanted.file], wanted.offset);
        compare((&trunk, found.offset), from, wanted.bytes, &at, work)?;
    }
    Ok(())
}

/// Compares `bytes` bytes of two files, each from its offset on.
fn compare(
    (found, found_at): (&OpenFile, u64),
    (wanted, wanted_at): (&OpenFile, u64),
    bytes: u64,
    at: &str,
    work: &Work<'_>,
) -> Result<(), RepackError> {
    let mut other = vec![0; COPY_BYTES.min(usize::try_from(bytes).unwrap_or(COPY_BYTES))];
    let mut done = 0;
    work.read(found, found_at, bytes, |piece| {
        let other = &mut other[..piece.len()];
        wanted.read_at(wanted_at + done, other)?;
        if let Some(byte) = differ(piece, other) {
            let at = format!("{at}byte {} of the file", found_at + done + byte as u64);
            return Err(damaged(&found.path, at, "it is not what the source has"));
        }
        done += piece.len() as u64;
        Ok(())
    })
}
