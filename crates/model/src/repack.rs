//! Rewrites a checkpoint so that every expert is one piece of a file, read at once and checked by a sum.
//!
//! The bits stay what they were, only their places change. What is written is described in
//! `docs/formats.md`. A repack that was cut off goes on where it ended: finished files have their
//! own names, and the manifest, which makes the directory a model, is written last.

mod assemble;
mod error;
mod hashing;
mod layer_file;
mod output;
mod source;
mod space;
mod trunk_file;
mod verify;
mod work;

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::thread;

use format::{Manifest, SourceFile, Stamp, WrittenFile};

pub use error::RepackError;
pub use space::refuse_full;
pub use verify::{Verified, verify};

use hashing::Sums;
use output::{Output, State};
use source::Source;
use work::Work;

const TOOL: &str = concat!("flash-moe ", env!("CARGO_PKG_VERSION"));

/// Records that are put together at once, at least one. As much again is for what is read of them,
/// and some of [`work::COPY_BYTES`]: with records of up to 16 MiB a repack keeps within 64 MiB.
const BATCH_BYTES: u64 = 16 << 20;

/// What a repack did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Done {
    /// The directory held this very repacked checkpoint: nothing was written.
    pub already: bool,
    /// The directory held a part of a repack of other files, which was thrown away.
    pub started_over: bool,
    /// Whether this system told how much room there is.
    pub space_known: bool,
    /// Record files, one a layer with tensors of its own.
    pub layers: usize,
    /// Of these, finished by an earlier run.
    pub layers_kept: usize,
    /// Bytes of all files together.
    pub bytes: u64,
}

/// Repacks the checkpoint in `from` into `to`, which is made if it is not there. `progress` hears
/// of (bytes done, bytes in all), from two threads; `cancel` ends the work between two pieces.
///
/// # Errors
/// A checkpoint that cannot be run, `to` the same directory or holding anything else, no room for
/// it, files that cannot be read or written or that change meanwhile.
pub fn repack(
    from: &Path,
    to: &Path,
    progress: &(dyn Fn(u64, u64) + Sync),
    cancel: &AtomicBool,
) -> Result<Done, RepackError> {
    let source = Source::open(from)?;
    let output = Output::open(to, &source.dir)?;
    let state = output.state(&source.stamps)?;
    if let State::Finished(manifest) = state {
        let work = Work::new(source.bytes(), progress, cancel);
        output.check_same(&source, &manifest, &work)?;
        output.remove_journal();
        return Ok(done(&source, &manifest, true));
    }
    let _lock = output.lock()?;
    let started_over = matches!(state, State::Foreign(_));
    let is_new = matches!(state, State::New(_));
    let known = output.begin(state)?;
    let kept = output.kept_layers(&source);
    let trunk_is_kept = output.trunk_is_kept(&source);
    let missing_bytes = source.missing_bytes(&kept, trunk_is_kept);
    let free_bytes = space::free_bytes(&output.dir)?;
    if let Some(free_bytes) = free_bytes
        && let Err(refusal) = refuse_full(&output.dir, missing_bytes, free_bytes)
    {
        if is_new {
            output.give_up();
        }
        return Err(refusal);
    }
    let read_again = if trunk_is_kept { trunk_file::bytes(&source) } else { 0 };
    let work_bytes = missing_bytes + read_again + known.missing_bytes(&source);
    let work = Work::new(work_bytes, progress, cancel);
    let manifest = write_all(&source, &output, known, &work)?;
    source.check_unchanged()?;
    output.finish(&manifest)?;
    let layers_kept = kept.iter().filter(|kept| **kept).count();
    let space_known = free_bytes.is_some();
    Ok(Done { started_over, space_known, layers_kept, ..done(&source, &manifest, false) })
}

fn done(source: &Source, manifest: &Manifest, already: bool) -> Done {
    let files = [&manifest.trunk].into_iter().chain(&manifest.records).chain(&manifest.copies);
    Done {
        already,
        started_over: false,
        space_known: true,
        layers: source.layers.len(),
        layers_kept: 0,
        bytes: files.map(|file| file.bytes).sum(),
    }
}

/// Everything but the manifest. Hashes of the source are made by a thread of their own, which
/// reads it from the beginning to the end while records are gathered from all over it.
fn write_all(
    source: &Source,
    output: &Output,
    known: Sums,
    work: &Work<'_>,
) -> Result<Manifest, RepackError> {
    let sums = Mutex::new(known);
    let (written, hashed) = thread::scope(|scope| {
        let hasher = scope.spawn(|| {
            let hashed = hashing::hash_all(source, output, &sums, work);
            work.stop_on_error(hashed)
        });
        let written = work.stop_on_error(write_files(source, output, work));
        (written, hasher.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    });
    // Whoever was stopped by the other says only that it was stopped.
    let (trunk, records, copies) = match (written, hashed) {
        (Ok(written), Ok(())) => written,
        (Err(RepackError::Cancelled), Err(error)) | (Err(error), _) | (_, Err(error)) => {
            return Err(error);
        }
    };
    let sums = sums.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    let file = |(stamp, sha256): (Stamp, Option<[u8; 32]>)| {
        let sha256 = sha256.ok_or(RepackError::Cancelled)?;
        Ok(SourceFile { stamp, sha256 })
    };
    let source_files: Result<_, RepackError> = sums.0.source.into_iter().map(file).collect();
    let (tool, layout) = (TOOL.to_owned(), source.layout);
    Ok(Manifest { tool, layout, source: source_files?, trunk, records, copies })
}

type Written = (WrittenFile, Vec<WrittenFile>, Vec<WrittenFile>);

fn write_files(source: &Source, output: &Output, work: &Work<'_>) -> Result<Written, RepackError> {
    let copies = source.copies.iter().map(|name| output.copy(source, name, work));
    let copies = copies.collect::<Result<_, _>>()?;
    let trunk = trunk_file::write(source, output, work)?;
    let layers = source.layers.iter().map(|layer| layer_file::write(source, layer, output, work));
    Ok((trunk, layers.collect::<Result<_, _>>()?, copies))
}
