//! Positioned reads from numbered files, as a trait so that tests can make a disk fail.

use std::io::{self, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::{Extent, StoreError};

mod direct;
mod files;
#[cfg(unix)]
mod mapped;
mod mode;

pub use files::Files;
pub use mode::IoMode;

/// How long to wait before a read that failed in passing is tried again: as often as there are
/// pauses.
pub(crate) const PAUSES: [Duration; 2] = [Duration::from_millis(2), Duration::from_millis(20)];

/// Numbered files that many threads may read at once.
pub trait Disk: Send + Sync {
    /// Fills `into` wholly with what lies at `offset`, or fails.
    ///
    /// # Errors
    /// Whatever the system says; a file that ends too early is an `UnexpectedEof` made by
    /// [`ShortRead::error`].
    fn read_at(&self, file: usize, offset: u64, into: &mut [u8]) -> io::Result<()>;

    /// How messages call the file.
    fn name(&self, file: usize) -> String;

    /// Length of the file.
    fn file_bytes(&self, file: usize) -> u64;

    /// How many files there are; they are numbered from 0.
    fn files(&self) -> usize;

    /// Reads begin at multiples of this and end at one or at the end of the file; `into` then
    /// begins at such an address too. A power of two; 1 for reads through the page cache.
    fn align(&self) -> usize {
        1
    }
}

/// What is wrong with an extent, before anything is read: no such file, or outside of it.
pub(crate) fn check(disk: &dyn Disk, extent: &Extent) -> Result<(), StoreError> {
    let Extent { file, offset, bytes } = *extent;
    if file >= disk.files() {
        return Err(StoreError::NoSuchFile { file, files: disk.files() });
    }
    let ends_at = disk.file_bytes(file);
    match offset.checked_add(bytes as u64) {
        Some(end) if end <= ends_at => Ok(()),
        _ => {
            let file = disk.name(file);
            Err(StoreError::OutsideFile { file, offset, wanted: bytes, ends_at })
        }
    }
}

/// Whether the same read may succeed when it is tried again.
pub(crate) fn is_passing(error: &io::Error) -> bool {
    /// What disks report that lost a request; there is no kind for it.
    const EIO: i32 = 5;
    let kinds = [ErrorKind::Interrupted, ErrorKind::WouldBlock, ErrorKind::TimedOut];
    kinds.contains(&error.kind()) || cfg!(unix) && error.raw_os_error() == Some(EIO)
}

/// A failed read with everything that a message needs.
pub(crate) fn failed(
    disk: &dyn Disk,
    file: usize,
    offset: u64,
    wanted: usize,
    error: io::Error,
) -> StoreError {
    StoreError::Read { file: disk.name(file), offset, wanted, error: Arc::new(error) }
}

/// Reads, again if it failed in passing. A disk that panics is a disk that fails, for otherwise a
/// record would stay under way for ever.
pub(crate) fn read(
    disk: &dyn Disk,
    file: usize,
    offset: u64,
    into: &mut [u8],
) -> Result<(), StoreError> {
    let mut pauses = PAUSES.into_iter();
    loop {
        let read = catch_unwind(AssertUnwindSafe(|| disk.read_at(file, offset, into)))
            .unwrap_or_else(|_| Err(io::Error::other("the disk panicked")));
        match (read, pauses.next()) {
            (Ok(()), _) => return Ok(()),
            (Err(error), Some(pause)) if is_passing(&error) => thread::sleep(pause),
            (Err(error), _) => return Err(failed(disk, file, offset, into.len(), error)),
        }
    }
}
