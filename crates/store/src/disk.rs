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
mod queue;
#[cfg(target_os = "linux")]
mod ring;

pub use files::Files;
pub use mode::IoMode;
pub use queue::{Done, Order, ReadQueue, Waker};

/// How long to wait before a read that failed in passing is tried again: as often as there are
/// pauses.
const PAUSES: [Duration; 2] = [Duration::from_millis(2), Duration::from_millis(20)];

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

    /// A queue for `depth` reads at the same time, if this disk is better read so than by threads.
    ///
    /// # Errors
    /// What the system says.
    fn queue(&self, _depth: usize) -> io::Result<Option<Box<dyn ReadQueue>>> {
        Ok(None)
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

/// How long to wait before a read is tried again that failed so, after as many `retries`; `None`
/// when that is of no use.
pub(crate) fn pause(error: &io::Error, retries: u64) -> Option<Duration> {
    /// What disks report that lost a request; there is no kind for it.
    const EIO: i32 = 5;
    let kinds = [ErrorKind::Interrupted, ErrorKind::WouldBlock, ErrorKind::TimedOut];
    let passing = kinds.contains(&error.kind()) || cfg!(unix) && error.raw_os_error() == Some(EIO);
    PAUSES.get(retries as usize).copied().filter(|_| passing)
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

/// Reads, again if it failed in passing; says how often. A disk that panics is a disk that fails, for otherwise a
/// record would stay under way for ever.
pub(crate) fn read(
    disk: &dyn Disk,
    file: usize,
    offset: u64,
    into: &mut [u8],
) -> Result<u64, StoreError> {
    for retries in 0.. {
        let read = catch_unwind(AssertUnwindSafe(|| disk.read_at(file, offset, into)))
            .unwrap_or_else(|_| Err(io::Error::other("the disk panicked")));
        match read {
            Ok(()) => return Ok(retries),
            Err(error) => match pause(&error, retries) {
                Some(pause) => thread::sleep(pause),
                None => return Err(failed(disk, file, offset, into.len(), error)),
            },
        }
    }
    unreachable!("after some retries there is no pause")
}
