//! The hashes of the source's files, noted as they become known so that none is made twice.

use std::sync::{Mutex, PoisonError};

use format::Journal;

use super::RepackError;
use super::output::Output;
use super::source::Source;
use super::work::Work;

/// Hashes of smaller files are made again sooner than noted, which waits for the disk.
const NOTED_BYTES: u64 = 64 << 20;

/// The source's files, and those hashes that are known.
pub(super) struct Sums(pub(super) Journal);

impl Sums {
    /// Bytes of the files that are still to be hashed.
    pub(super) fn missing_bytes(&self, source: &Source) -> u64 {
        let files = source.stamps.iter().zip(&self.0.source);
        files.filter(|(_, (_, sum))| sum.is_none()).map(|(stamp, _)| stamp.bytes).sum()
    }
}

/// Makes the missing ones.
pub(super) fn hash_all(
    source: &Source,
    output: &Output,
    sums: &Mutex<Sums>,
    work: &Work<'_>,
) -> Result<(), RepackError> {
    let lock = || sums.lock().unwrap_or_else(PoisonError::into_inner);
    for (n, stamp) in source.stamps.iter().enumerate() {
        if lock().0.source[n].1.is_some() {
            continue;
        }
        let (sum, _) = work.sha256(&source.dir.join(&stamp.name))?;
        let mut sums = lock();
        sums.0.source[n].1 = Some(sum);
        if stamp.bytes >= NOTED_BYTES {
            output.note(&sums.0)?;
        }
    }
    Ok(())
}
